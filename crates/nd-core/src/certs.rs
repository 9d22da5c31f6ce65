//! Certificates: which names need one, when an issuer is asked for it, and what is served.
//!
//! One worker compares what the routes name with what is kept and orders what is missing or due, one order at a time for
//! each name. Everything about *when* is decided by pure functions; what was tried is a record, so that pauses
//! after failures survive a restart. What is kept serves from the start, whatever becomes of orders.

mod alarm;
mod desk;
mod due;
mod edge_solver;
mod order;
mod status;
mod wish;
mod worker;

use std::net::SocketAddr;
use std::sync::Arc;

use nd_types::Certificate;

use crate::ports::IssuerName;

pub(crate) use desk::{CertDesk, Command, open};
pub(crate) use due::covers;
pub use status::CertStatus;
pub use wish::CertWish;
pub(crate) use wish::wishes;
pub(crate) use worker::run;

/// Where TLS is spoken, and who issues certificates for apps that name nobody.
#[derive(Clone, Debug, Default)]
pub struct CertSettings {
    /// Where; nowhere while it is empty.
    pub listen: Vec<SocketAddr>,
    /// For names without a certificate.
    pub fallback: Option<Arc<Certificate>>,
    /// Who issues certificates for names that the whole world knows; nobody orders any without one.
    pub issuer: Option<IssuerName>,
}
