//! A typed client of the daemon's API, over its unix socket or TCP.
//!
//! [`Host`] says where the daemon is, [`Client`] has one method for each endpoint of
//! [`nd_api::endpoints`]. Every call has a deadline; what goes on (logs, events, steps of a deployment) comes as a
//! [`Lines`] of typed values. A request that changes something carries an `Idempotency-Key`, so that it is sent again
//! when its connection breaks. Nothing is spawned: a call drives its own connection.
//!
//! Must never know the core, files of the project, or how anything is shown.

mod again;
mod client;
mod error;
mod host;
mod lines;
mod query;
mod transport;
mod verbs;

pub use client::Client;
pub use error::ClientError;
pub use host::{Host, InvalidHost};
pub use lines::Lines;
