//! What tests need and products must not have: contract suites and stand-ins for the outside world.
//!
//! - [`contract`]: one suite per port, which every adapter and every stand-in has to pass.
//! - [`MemoryStore`]: a `StateStore` that forgets when it is dropped, and can be told to be full.
//!
//! A dev-dependency only, used from `tests/` and examples. A broken expectation panics with what was expected, as a test
//! does.

pub mod contract;
mod store;

pub use store::MemoryStore;
