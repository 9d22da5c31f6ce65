//! The one error that crosses a port.

use std::error::Error as StdError;
use std::fmt;
use std::time::Duration;

/// What a port answers.
pub type PortResult<T> = Result<T, PortError>;

/// What kind of failure it was; all that the reconciler looks at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PortErrorKind {
    /// The wish itself cannot be fulfilled; asking again will not help.
    Invalid,
    /// The thing asked for does not exist.
    NotFound,
    /// Something else holds what was asked for.
    Conflict,
    /// Not allowed.
    Denied,
    /// Failed for a reason that may pass.
    Transient,
    /// No answer in time.
    Timeout,
    /// The other side is not there.
    Unavailable,
    /// No room, no memory, no addresses left.
    Exhausted,
    /// A defect of ours or of the other side.
    Internal,
}

impl PortErrorKind {
    /// Whether asking again later can succeed without anybody changing anything.
    #[must_use]
    pub fn may_pass(self) -> bool {
        matches!(self, Self::Transient | Self::Timeout | Self::Unavailable)
    }
}

/// A failure at a port: what was tried, what kind of failure it was, and how to fix it where that is known.
#[derive(Debug)]
pub struct PortError {
    /// What the reconciler decides on.
    pub kind: PortErrorKind,
    /// What was tried and what came of it, in lower case without a final full stop.
    pub context: String,
    /// What the user can type or change, where that is known.
    pub fix: Option<String>,
    /// How long to wait before asking again, where the other side said so.
    pub retry_after: Option<Duration>,
    /// What lies beneath.
    pub source: Option<Box<dyn StdError + Send + Sync>>,
}

impl PortError {
    /// A failure of this kind while doing what `context` says.
    pub fn new(kind: PortErrorKind, context: impl Into<String>) -> Self {
        Self { kind, context: context.into(), fix: None, retry_after: None, source: None }
    }

    /// Says what can be done about it.
    #[must_use]
    pub fn with_fix(mut self, fix: impl Into<String>) -> Self {
        self.fix = Some(fix.into());
        self
    }

    /// Says how long the other side wants to be left alone.
    #[must_use]
    pub fn with_retry_after(mut self, wait: Duration) -> Self {
        self.retry_after = Some(wait);
        self
    }

    /// Keeps the error beneath.
    #[must_use]
    pub fn with_source(mut self, source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
    }
}

impl fmt::Display for PortError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.context)?;
        match &self.source {
            Some(source) => write!(f, ": {source}"),
            None => Ok(()),
        }
    }
}

impl StdError for PortError {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.source.as_ref().map(|source| &**source as &(dyn StdError + 'static))
    }
}
