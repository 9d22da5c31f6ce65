//! Requests that were served.

use nd_types::AccessRecord;
use serde::{Deserialize, Serialize};

/// One frame of a stream of requests.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "lowercase")]
pub enum RequestFrame {
    /// A request and its answer.
    Request(Box<AccessRecord>),
    /// The reader was too slow, and requests were left out.
    Gap,
}

/// The parameters of `GET /api/v1/apps/{app}/requests`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RequestQuery {
    /// How many of the latest requests at most.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tail: Option<u32>,
    /// Stay connected and send what is served.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub follow: bool,
}
