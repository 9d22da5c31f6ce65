//! Health probes over the network: HTTP/1.1, HTTP/2 with prior knowledge, and TCP.
//!
//! [`NetworkProbe`] answers the core's [`HealthProbe`](nd_core::ports::HealthProbe) port. Each probe opens a connection
//! of its own, so that it sees what a new visitor would see. Commands are not asked here: they run inside the unit,
//! through its runtime.
//!
//! Must never know: runtimes, how often a unit is asked, or what follows from an answer.

mod http;
mod http2;
mod network;
mod sniff;

pub use network::NetworkProbe;
