//! Looks at what runs, whoever runs it, and starts again what failed: the work behind `nextdeployd check`.
//!
//! A [`Target`] names an app of the daemon, a container, a unit of systemd, a process of PM2, or the services of a
//! Compose file. [`Checker::round`] asks each one's own manager (the daemon through `nd-client`, all others through the
//! command that belongs to them), has it restart what failed, and gives a [`Report`] with the figures of the machine.
//!
//! Must never know the core, an engine's API, or how anything is shown.

mod app;
mod checker;
mod command;
mod compose;
mod docker;
mod finding;
mod host;
mod pm2;
mod ports;
mod systemd;
mod target;
mod url;

pub use checker::{Checker, Round};
pub use command::CommandError;
pub use finding::{Finding, Health, Kind, Report, Restarted, Usage};
pub use host::{Disk, HostFigures, Zombies};
pub use ports::OpenPort;
pub use target::{InvalidTarget, Target};
pub use url::{CheckedUrl, InvalidUrl};
