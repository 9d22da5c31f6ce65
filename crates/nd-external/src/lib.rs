//! The runtime of servers that something else runs.
//!
//! Its unit is a place that requests are brought to. It is created, started, asked for its health, routed, drained and
//! removed like any other, so that such a server gets domains, certificates, limits and swaps without a special case
//! anywhere; only that nothing is ever executed here. To start a unit is to look up where it is, and to stop it is to
//! lead nobody there any more: the server itself never notices.

mod error;
mod place;
mod runtime;
mod units;

pub use error::ExternalError;
pub use runtime::ExternalRuntime;
