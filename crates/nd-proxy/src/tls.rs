//! TLS of the clients' side: which certificate a name gets, the handshake, and the stream behind it.
//!
//! Certificates and keys are part of each [`EdgeState`](nd_types::EdgeState); a new one is used for connections that begin
//! after it, and disturbs none that lives.

mod config;
pub(crate) mod handshake;
mod prefixed;
mod table;
mod tickets;

pub(crate) use config::Keys;
pub(crate) use handshake::TlsStream;
pub(crate) use table::TlsTable;
pub(crate) use tickets::Tickets;
pub use tickets::{NoKeys, TicketKeys};
