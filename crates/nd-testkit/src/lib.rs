//! What tests need and products must not have: contract suites and stand-ins for the outside world.
//!
//! - [`contract`]: one suite per port, which every adapter and every stand-in has to pass.
//! - [`fake`]: a runtime, an ingress and a probe in memory, with faults on demand.
//! - [`MemoryStore`]: a `StateStore` that forgets when it is dropped, and can be told to be full.
//! - [`servers`]: Caddy and nginx as a user has them.
//! - [`on_a_small_disk`]: a test that runs on a disk which is soon full.
//! - [`Knot`]: a name server whose zone takes signed updates.
//! - [`free_address`]: where a server of a test can listen.
//! - [`Pebble`]: a certificate authority that speaks ACME, with the DNS that it asks.
//! - [`TestClock`]: time that goes by when the test says so.
//!
//! A dev-dependency only, used from `tests/` and examples. A broken expectation panics with what was expected, as a test
//! does.

mod clock;
pub mod contract;
pub mod fake;
mod knot;
mod pebble;
mod ports;
pub mod servers;
mod small_disk;
mod store;

pub use clock::TestClock;
pub use knot::Knot;
pub use pebble::{Pebble, PebbleOptions};
pub use ports::free_address;
pub use small_disk::{on_a_small_disk, small_disk};
pub use store::MemoryStore;
