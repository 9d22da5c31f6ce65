//! How requests reach the app, and what is done with them on the way.

use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::time::Duration;

use nd_types::{
    ByteSize, ContentCoding, FieldName, FieldValue, HostPattern, LimitedBy, Network, PathPrefix, Rate,
    Redirect,
};
use serde::{Deserialize, Serialize};

use super::{Password, Sticky, duration, is_default};

/// How requests reach the app (`proxy:`).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Proxy {
    /// Whether the proxy stands before the app; `false` publishes its host ports directly.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub enabled: Option<bool>,
    /// Further hosts and paths that lead to it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub routes: Vec<ProxyRoute>,
    /// Paths that have moved.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub redirects: Vec<Redirect>,
    /// What is added to its answers and taken from them.
    #[serde(default, skip_serializing_if = "is_default")]
    pub headers: HeaderChanges,
    /// Who may ask, by address.
    #[serde(default, skip_serializing_if = "is_default")]
    pub access: Access,
    /// Who may ask, by name and password.
    #[serde(default, skip_serializing_if = "is_default")]
    pub basic_auth: BasicAuth,
    /// The codings in which its answers are compressed, the first choice first; none: not at all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub compression: Option<Vec<ContentCoding>>,
    /// Pages for what the proxy answers in the app's place.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error_pages: Option<PageSource>,
    /// The largest request body.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body_limit: Option<ByteSize>,
    /// How often clients may ask; all that match a path count.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rate_limit: Vec<ProxyRateLimit>,
    /// What keeps each client with its instance; nothing does where it is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sticky: Option<Sticky>,
    /// How many requests may be with its instances at once; any number where it is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_requests: Option<NonZeroU32>,
    /// How many more wait for one of those places; 1000 where it is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub queue: Option<u32>,
    /// How long each of them waits; 10 s where it is left out.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "duration::option")]
    pub queue_timeout: Option<Duration>,
    /// How many bytes of request bodies, and how many of answers, may move in a second.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bandwidth: Option<ByteSize>,
}

/// Where error pages come from (`proxy.error_pages:`).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum PageSource {
    /// A directory of the project with files such as `503.html` and `4xx.html`; for the client to read.
    Directory(String),
    /// By status or class: the page itself, or a file of the project for the client to read.
    Pages(BTreeMap<String, String>),
}

impl PageSource {
    /// Whether a text is a page rather than the name of a file.
    #[must_use]
    pub fn is_markup(text: &str) -> bool {
        text.trim_start_matches('\u{feff}').trim_start().starts_with('<')
    }
}

/// Who may ask, by name and password (`proxy.basic_auth:`).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BasicAuth {
    /// Only under these paths, where they are written.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub paths: Vec<PathPrefix>,
    /// Names and passwords, or hashes of them (bcrypt, Argon2).
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub users: BTreeMap<String, Password>,
}

/// How often clients may ask (`proxy.rate_limit[]`).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProxyRateLimit {
    /// The path prefix; every path where it is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<PathPrefix>,
    /// Who is counted: each client address by itself, or all clients of the app together.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub per: Option<LimitedBy>,
    /// How many requests in which time.
    pub limit: Rate,
    /// How many may come at once; as many as `limit` says where it is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub burst: Option<NonZeroU32>,
    /// The status of the answer beyond the limit; 429 where it is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
}

/// One host and path that lead to the app (`proxy.routes[]`); at least one of the two is written.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProxyRoute {
    /// The host, or a pattern such as `*.example.com`; `app.domain` where it is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<HostPattern>,
    /// The path prefix; every path where it is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<PathPrefix>,
    /// Whether the app gets the path without this prefix.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub strip: Option<bool>,
    /// How long the app may be silent before and within an answer.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "duration::option")]
    pub timeout: Option<Duration>,
    /// The host that requests are sent on to instead.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub redirect: Option<HostPattern>,
}

/// What is done with the header fields of answers (`proxy.headers:`).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HeaderChanges {
    /// Set on every answer.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub add: BTreeMap<FieldName, FieldValue>,
    /// Taken from the app's answers.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub remove: Vec<FieldName>,
}

/// Who may ask, by address (`proxy.access:`).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Access {
    /// Nobody else, where it is written.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub allow: Vec<Network>,
    /// Not these.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub deny: Vec<Network>,
    /// Only under these paths, where they are written.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub paths: Vec<PathPrefix>,
}
