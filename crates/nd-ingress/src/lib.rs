//! The `Ingress` adapters: what brings requests to units, as the core asks for it.
//!
//! [`EmbeddedIngress`] drives the data plane inside this process. Must never know runtimes.

mod embedded;

pub use embedded::EmbeddedIngress;
