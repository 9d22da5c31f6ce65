//! Eternal mode: one command kept running, without a daemon and without a service manager.
//!
//! What happens is decided in `machine`, purely, by `policy`; [`run`] does it, with one blocking thread that sleeps in
//! `poll`. Two files say what goes on: the pid file, which holds a number as others write it, and beside it the
//! record, by which that number is told from a later process of the same one.
//!
//! Must never know: the daemon, its API, more than one command.
//!
//! Start at [`run`] for `eternal`, at [`start`], [`stop`], [`restart`] and [`status`] for `daemon`.

mod background;
mod child;
mod control;
mod error;
mod log;
mod machine;
mod options;
mod output;
mod policy;
mod record;
mod run;
mod stats;

pub use background::start;
pub use control::{State, remembered, restart, status, stop};
pub use error::EternalError;
pub use options::{Options, STATS_INTERVAL};
pub use policy::Policy;
pub use run::run;
pub use stats::{Stats, Status};
