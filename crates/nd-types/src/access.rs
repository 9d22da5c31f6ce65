//! One request as the data plane saw it.

use serde::{Deserialize, Serialize};

use crate::id::{ReleaseId, UnitId};
use crate::name::AppName;

/// One request and its answer, as one JSON line.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AccessRecord {
    /// When the request head had arrived.
    pub time: jiff::Timestamp,
    /// The app; none for a request that was refused before it could be routed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub app: Option<AppName>,
    /// The release that answered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub release: Option<ReleaseId>,
    /// The instance it was sent to last; none when it was sent to none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instance: Option<UnitId>,
    /// The request's id, as in `X-Request-Id`.
    pub id: String,
    /// The client's address.
    pub client: String,
    /// The method; empty where the head could not be read.
    pub method: String,
    /// The protocol, as in `HTTP/1.1`.
    pub protocol: String,
    /// The host that was asked for.
    pub host: String,
    /// Path and query, as they came.
    pub path: String,
    /// The `User-Agent` field.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub user_agent: String,
    /// The `Referer` field.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub referrer: String,
    /// The answer's status; 499 when the client left before it.
    pub status: u16,
    /// Bytes of the request's body.
    pub bytes_in: u64,
    /// Bytes of the answer's body.
    pub bytes_out: u64,
    /// From sending it to the app to the head of the app's answer, in milliseconds; none without such an answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub upstream_ms: Option<f64>,
    /// From the request head to the end of the answer, in milliseconds.
    pub total_ms: f64,
    /// How often it was sent again.
    #[serde(default)]
    pub retries: u32,
    /// How it ended.
    pub end: AccessEnd,
}

/// How a request ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AccessEnd {
    /// The app's answer was passed on whole.
    Complete,
    /// The proxy answered itself.
    Refused,
    /// The answer broke off: the app did, or it was cut at a deadline.
    Cut,
    /// The client went away first.
    ClientGone,
}

impl AccessEnd {
    /// The word for it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Complete => "complete",
            Self::Refused => "refused",
            Self::Cut => "cut",
            Self::ClientGone => "client_gone",
        }
    }
}
