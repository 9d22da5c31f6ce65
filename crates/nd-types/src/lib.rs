//! The vocabulary every other crate shares: names, ids, units of measure, and the state of the edge.
//!
//! This crate knows serde and nothing else of the product: no runtime, no I/O, no engine. Whatever crosses a process
//! border (the routing table, an access record) is defined here, so that the data plane never has to know the core.
//!
//! Start at [`EdgeState`] for what the proxy serves, and at [`AppName`] and [`UnitId`] for how things are called.

mod access;
mod edge;
mod exit;
mod id;
mod measure;
mod name;
mod percent;
mod upstream;

pub use access::{AccessEnd, AccessRecord};
pub use edge::{
    AccessRules, AppProtocol, Availability, Backend, Compression, Concurrency, ContentCoding, EdgeState,
    FieldName, FieldValue, Gate, HeaderRules, HostPattern, HostPort, HostPortProtocol, InvalidField,
    InvalidHost, InvalidNetwork, InvalidRedirect, Network, PathPrefix, Redirect, RedirectCode, Route,
    RouteOptions, Service, ServiceLimits, TrafficRules, UnknownCoding,
};
pub use edge::{BasicAuth, BasicUser, InvalidHash, PasswordHash};
pub use edge::{Certificate, Challenge, Hsts, KeyPem, ServiceTls, TlsState};
pub use edge::{ErrorPages, InvalidPages};
pub use edge::{InvalidRate, LimitedBy, Rate, RateLimit, RateUnit, Split};
pub use exit::ExitStatus;
pub use id::{DaemonId, DeploymentId, Generation, InvalidId, ReleaseId, RequestId, UnitId};
pub use jiff::Timestamp;
pub use measure::{ByteSize, InvalidMeasure, format_duration, parse_duration};
pub use name::{AppName, IngressKind, InvalidName, RuntimeKind, StrategyName};
pub use percent::{InvalidPercent, Percent};
pub use upstream::{InvalidUpstream, Upstream, UpstreamHost};
