//! A typed client of the daemon's `/api/v1`, over its unix socket or TCP.
//!
//! [`Client`] has one method an endpoint and answers with the views of `nd-api`; [`Lines`] is an answer that goes on, such
//! as the steps of a deployment. [`Host`] says where the daemon is, [`locate`] finds it when nobody has said so. Each
//! request has a connection of its own, which is driven by whoever awaits the answer: no task is left behind.
//!
//! Must never know: the core, how anything is printed, or the command line.

mod client;
mod error;
mod host;
mod lines;
mod locate;
mod query;
mod wire;

pub use client::Client;
pub use error::ClientError;
pub use host::{Host, InvalidHost};
pub use lines::Lines;
pub use locate::{Located, Origin, locate, token_file};
