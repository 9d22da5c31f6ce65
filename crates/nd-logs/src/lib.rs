//! The output of units: collected, kept on disk, searched and followed.
//!
//! - [`SegmentLog`] answers the core's [`LogStore`](nd_core::ports::LogStore) port: one directory per app and day, lines
//!   of JSON, readable with `cat` and `zstdcat`.
//! - [`Collector`] answers [`LogCollector`](nd_core::ports::LogCollector): it reads units through their runtimes into a
//!   log store, and goes on after a restart where it left off.
//! - [`detect_level`] finds out how grave a line is.
//!
//! Must never know: Docker, shims, or who reads the lines.

mod app_log;
mod collector;
mod error;
mod follower;
#[cfg(feature = "fuzz")]
pub mod fuzz;
mod level;
mod line;
mod query;
mod segment;
mod settings;
mod store;
mod units;
mod writer;

pub use collector::Collector;
pub use error::LogError;
pub use level::detect_level;
pub use settings::Settings;
pub use store::SegmentLog;
