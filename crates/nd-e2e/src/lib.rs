//! Drives the real programs from outside: the harness of the end-to-end tests, the demo and the benches.
//!
//! It starts `nextdeployd` in a directory of its own, types `nextdeploy` command lines, speaks HTTP and WebSocket over
//! plain sockets, and checks on every answer under load which release and which instance gave it. Everything blocks and
//! uses nothing of the product: what it sees is what a user sees. Entry point: [`Daemon::start`].
//!
//! It must never know a crate of the product; only the test application's pattern of bytes and digests.

mod cli;
mod daemon;
mod docker;
mod error;
mod http;
mod load;
mod machine;
mod processes;
mod programs;
mod relay;
mod site;
mod stub;
mod terminal;
mod wait;
mod websocket;

pub use cli::{Outcome, Typed};
pub use daemon::{Daemon, Options, runs_as_root};
pub use docker::{Docker, NETWORK};
pub use error::{Error, Result};
pub use http::{Answer, Connection, Target, get};
pub use load::{Load, Tally};
pub use machine::Machine;
pub use processes::{children_of, cpu_time, descendants, has_ended, kill, resident_bytes};
pub use programs::{Programs, has, not_tried};
pub use relay::Relay;
pub use site::Site;
pub use stub::Stub;
pub use terminal::Terminal;
pub use wait::{WAIT, interruption, until, until_closely, until_some};
pub use websocket::{Frame, Socket};
