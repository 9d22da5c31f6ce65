//! The embedded data plane: takes requests in, sends each to a ready instance of its app, and swaps routes under load
//! without losing one.
//!
//! N single-threaded workers share nothing but the port (`SO_REUSEPORT`): each has its own listeners, routing table,
//! connection pools and counters. Start at [`Proxy`]: [`Proxy::apply`] gives all workers a new [`EdgeState`],
//! [`Proxy::drain`] empties units that have left it.
//!
//! Along the path of a request: `worker::accept` → `worker::connection` (heads, keep-alive; `worker::h2` for HTTP/2) →
//! `http1::request` (strict reading) → `worker::plan` (routing, the head for the app) → `worker::admission` (pause, hold, balancing, pool) →
//! `worker::exchange` (both bodies at once) → `worker::tunnel` after an upgrade. `worker::account` goes along, counts the
//! request and writes its access record.
//!
//! Must never know: Docker, processes, ACME, configuration files, the store, the core. It logs nothing per request.
//!
//! [`EdgeState`]: nd_types::EdgeState

mod bandwidth;
mod bell;
mod command;
mod compress;
mod edition;
#[cfg(feature = "fuzz")]
pub mod fuzz;
mod host_ports;
mod http1;
mod http2;
mod introduction;
mod journal;
mod limiter;
mod net;
mod pages;
mod passwords;
mod proxy;
mod request_id;
mod routes;
mod settings;
mod stats;
mod tls;
mod trust;
mod turnstile;
mod worker;

pub use host_ports::BindFault;
pub use journal::{Delivery, RecordBatch, Records};
pub use nd_types::{InvalidNetwork, Network};
pub use net::bind::BindError;
pub use net::sockets::SocketSet;
pub use proxy::{Applied, ApplyError, Proxy, StartError, WorkerLost};
pub use settings::{AccessLog, Settings};
pub use stats::{AppTraffic, Latency, ProxyStats, ReleaseTraffic};
pub use tls::{NoKeys, TicketKeys};
pub use trust::{InvalidProxy, TrustedProxy};
pub use worker::DrainReport;
