//! HTTP/1.1 messages as bytes (RFC 9112): reading heads strictly, framing bodies, writing heads for the next hop.
//!
//! Nothing here knows sockets, apps or time. Heads are parsed in place and never copied into a map: what travels on is
//! written straight from the fields that arrived.

pub(crate) mod chunked;
pub(crate) mod field;
pub(crate) mod forward;
pub(crate) mod host;
pub(crate) mod reply;
pub(crate) mod request;
pub(crate) mod response;
pub(crate) mod scan;
