//! Errors of `/api/v1` (RFC 9457, problem details).

use serde::{Deserialize, Serialize};

/// The body of every error, `application/problem+json` (RFC 9457, section 3).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Problem {
    /// What kind of error it is, as a URI; `about:blank` where the status says it all.
    #[serde(rename = "type", default = "Problem::blank")]
    pub kind: String,
    /// What is wrong, in one line.
    pub title: String,
    /// The HTTP status.
    pub status: u16,
    /// What is wrong this time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    /// The path of the request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instance: Option<String>,
    /// The stable code, as in `ND1207`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// Every mistake in the body.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<FieldError>,
    /// What to type next.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub fix: Vec<String>,
    /// The request, for the daemon's log.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_id: Option<String>,
}

impl Problem {
    /// The media type of the body.
    pub const MEDIA_TYPE: &'static str = "application/problem+json";

    /// A problem that says no more than its status and title.
    #[must_use]
    pub fn new(status: u16, title: impl Into<String>) -> Self {
        Self { kind: Self::blank(), title: title.into(), status, ..Self::default() }
    }

    /// Names the problem by its stable code.
    #[must_use]
    pub fn with_code(mut self, code: &str) -> Self {
        self.kind = format!("https://nextdeploy.dev/errors/{code}");
        self.code = Some(code.to_owned());
        self
    }

    fn blank() -> String {
        "about:blank".to_owned()
    }
}

impl std::fmt::Display for Problem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.detail {
            Some(detail) => write!(f, "{}: {detail}", self.title),
            None => f.write_str(&self.title),
        }
    }
}

/// One mistake in a request's body or in the user's file.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FieldError {
    /// Where, as a JSON pointer (RFC 6901).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pointer: Option<String>,
    /// The line, from 1, where there is a text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub line: Option<u32>,
    /// The column, from 1, where there is a text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub column: Option<u32>,
    /// The stable code of the mistake.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// What is wrong.
    pub message: String,
    /// How to write it instead.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub help: Option<String>,
}
