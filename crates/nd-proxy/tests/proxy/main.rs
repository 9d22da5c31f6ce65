//! The data plane through its public API: real sockets, raw bytes, real concurrency.

mod routing;
mod support;
