//! The state of the daemon on disk: all SQL of the product lives here.
//!
//! [`SqliteStore`] answers the core's [`StateStore`](nd_core::ports::StateStore) port with one SQLite file. Records are
//! kept as the core encodes them, one row each; this crate reads no record but to find the columns events are searched
//! by. One thread writes, many appends share one commit, and an append is answered when its commit is on disk.
//!
//! Must never know: what an app is doing, what the records mean, or any other adapter.

mod copy;
mod error;
mod open;
mod private;
mod query;
mod schema;
mod store;
mod writer;

pub use error::StoreError;
pub use store::SqliteStore;
