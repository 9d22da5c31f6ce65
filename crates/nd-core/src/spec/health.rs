//! When a unit counts as ready.

use std::collections::BTreeMap;
use std::fmt;
use std::num::NonZeroU16;
use std::time::Duration;

/// How readiness is found out, and how long that may take.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReadinessSpec {
    /// Whether a plain process says itself that it is ready, before anything is asked: by `READY=1` of sd_notify(3), or by
    /// the message `ready` on the channel of Node.js.
    pub message: bool,
    /// What is asked.
    pub kind: ProbeKind,
    /// The port that is asked; the app's own when absent.
    pub port: Option<NonZeroU16>,
    /// How long one probe may take.
    pub timeout: Duration,
    /// How often a ready unit is asked again.
    pub interval: Duration,
    /// How many failures in a row make a ready unit unhealthy.
    pub retries: u16,
    /// How long a unit may take to boot before a failure counts.
    pub start_period: Duration,
    /// How long a new unit may take to become ready, on top of `start_period`.
    pub deadline: Duration,
}

impl Default for ReadinessSpec {
    /// No probe declared; 5 s a probe, 60 s to become ready, then every 10 s with 3 tries.
    fn default() -> Self {
        Self {
            message: false,
            kind: ProbeKind::Auto,
            port: None,
            timeout: Duration::from_secs(5),
            interval: Duration::from_secs(10),
            retries: 3,
            start_period: Duration::ZERO,
            deadline: Duration::from_secs(60),
        }
    }
}

/// What is asked of a unit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ProbeKind {
    /// The image's `HEALTHCHECK` if it has one; else the port accepts and `GET /` answers below 500, or, when the port
    /// speaks no HTTP, it accepts twice half a second apart. A unit without any port is ready when it runs.
    Auto,
    /// `GET path` answers with an accepted status, twice in a row.
    Http(HttpProbe),
    /// The port accepts a connection.
    Tcp,
    /// This command, run inside the container or beside the process, ends with 0.
    Command(Vec<String>),
}

/// A `GET` and the answers to it that are good.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpProbe {
    /// The path, with a query if there is one.
    pub path: String,
    /// Headers of the request beside the probe's own, or instead of them: `Host` is `localhost` where it is not here.
    /// No name stands twice in two spellings, and none of them frames the message (RFC 9112, section 6).
    pub headers: BTreeMap<String, String>,
    /// The statuses that count as healthy.
    pub accept: Statuses,
}

impl HttpProbe {
    /// A probe of `path` without headers of its own, with the default statuses.
    #[must_use]
    pub fn new(path: impl Into<String>) -> Self {
        Self { path: path.into(), headers: BTreeMap::new(), accept: Statuses::default() }
    }
}

/// The statuses of answers that are good.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Statuses(Vec<StatusRange>);

impl Statuses {
    /// The statuses of all these ranges.
    #[must_use]
    pub fn new(ranges: Vec<StatusRange>) -> Self {
        Self(ranges)
    }

    /// The ranges, as they were given.
    #[must_use]
    pub fn ranges(&self) -> &[StatusRange] {
        &self.0
    }

    /// Whether `status` is one of them.
    #[must_use]
    pub fn contains(&self, status: u16) -> bool {
        self.0.iter().any(|range| range.contains(status))
    }
}

impl Default for Statuses {
    /// 200 to 399: a redirect to a login page is a healthy answer (basecamp/kamal#1041).
    fn default() -> Self {
        Self(vec![StatusRange { first: 200, last: 399 }])
    }
}

impl fmt::Display for Statuses {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, range) in self.0.iter().enumerate() {
            let comma = if index == 0 { "" } else { ", " };
            write!(f, "{comma}{range}")?;
        }
        Ok(())
    }
}

/// Statuses from `first` to `last`, both included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StatusRange {
    /// The lowest status.
    pub first: u16,
    /// The highest status.
    pub last: u16,
}

impl StatusRange {
    /// Whether `status` lies in the range.
    #[must_use]
    pub fn contains(self, status: u16) -> bool {
        (self.first..=self.last).contains(&status)
    }
}

impl fmt::Display for StatusRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.first, self.last) {
            (first, last) if first == last => write!(f, "{first}"),
            (first, last) => write!(f, "{first}-{last}"),
        }
    }
}
