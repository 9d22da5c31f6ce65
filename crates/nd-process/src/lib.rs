//! Plain processes as units: the `Runtime` adapter for `command:`, and the shim that holds each of them.
//!
//! The daemon talks to one [shim](shim_main) per running unit over a unix socket. The shim owns the process tree, its
//! output and its exit code, so all three survive the daemon. What a unit is stands in its directory, so a daemon that
//! comes back finds everything there; nothing is kept in memory that could not be read again.
//!
//! Must never know: containers, routes, the proxy, why a unit is started or stopped.
//!
//! Start at [`ProcessRuntime`] for the daemon's side and at [`shim_main`] for the other.

mod cgroup;
mod command;
mod error;
mod files;
#[cfg(feature = "fuzz")]
pub mod fuzz;
mod launch;
mod leases;
mod limits;
mod protocol;
mod record;
mod runtime;
mod settings;
mod shim;
mod sockets;
mod spool;
mod user;

pub use error::ProcessError;
pub use runtime::{ProcessRuntime, ShimCommand};
pub use settings::Settings;
pub use shim::shim_main;
