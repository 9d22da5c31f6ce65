//! Figures: what the host uses, and everything that can be measured in Prometheus' text format.
//!
//! [`HostMetrics`] samples the host at most once a second, away from the async threads; [`exposition`] writes a
//! [`Snapshot`] of the whole daemon down. Must never know what an app is made of, nor who asks.

mod exposition;
mod host;
mod pressure;
mod zombies;

pub use exposition::{AppSeries, ReleaseSeries, Snapshot, exposition};
pub use host::{HostMetrics, HostSample};
pub use pressure::{Pressure, Stall};
