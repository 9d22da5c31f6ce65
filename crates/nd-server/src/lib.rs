//! The daemon's API: flat paths, `/api/v1`, WebSockets and authentication over a unix socket and TCP.
//!
//! [`Server`] answers requests with an [`EngineHandle`](nd_core::engine::EngineHandle) and a
//! [`LogStore`](nd_core::ports::LogStore); [`Listener`] says where. Each group of endpoints is one file in `routes`; what
//! goes wrong is one `Refusal`, which becomes the envelope on flat paths and a problem body (RFC 9457) on
//! `/api/v1`. Manifests become specs in `spec`, the only place where both are known.
//!
//! Must never know: bollard, the proxy, SQL, or how anything is kept or run.

mod auth;
mod body;
mod counters;
mod host;
mod host_history;
mod idempotency;
mod identity;
mod listen;
mod middleware;
mod passwords;
mod refusal;
mod routes;
mod server;
mod spec;
mod tally;
mod usage;
mod views;

pub use auth::{Access, Token, TokenError};
pub use counters::ErrorLog;
pub use host::{AppFigures, Figures, Host, HostSample, Requests, UpgradeError};
pub use identity::Caller;
pub use listen::{ListenError, Listener, unix_listener};
pub use server::{Facts, Server, Services};
