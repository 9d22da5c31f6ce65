//! Contract suites: what an adapter must do to earn its port.

pub mod cert_issuer;
pub mod cert_store;
pub mod ingress;
pub mod runtime;
pub mod store;

/// What a suite answers: errors of the port come back as they are, broken expectations panic.
pub type ContractResult = Result<(), Box<dyn std::error::Error>>;
