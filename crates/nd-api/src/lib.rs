//! The manifest and every type that crosses the API, for both ends of the wire.
//!
//! Three surfaces, one module each: [`Manifest`] is what `nextdeploy.yml` says and what a deploy request carries;
//! [`flat`] holds the envelope of the flat paths (`POST /deploy`, `GET /status`); [`v1`] holds the views and requests of
//! `/api/v1`, whose paths stand in one table, [`endpoints`]. [`monitoring`] is what `/api/monitoring/…` answers.
//!
//! This crate must never know tokio, the core or a transport. Values are already typed here (a port is never 0, an
//! image reference is never empty), so that whoever receives one does not check it again; `nd-config` turns text and
//! JSON into a [`Manifest`] and says everything that is wrong with them at once.

pub mod endpoints;
pub mod flat;
pub mod manifest;
pub mod monitoring;
pub mod v1;

pub use manifest::Manifest;
