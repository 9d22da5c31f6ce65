//! The `Ingress` adapters: what brings requests to units, as the core asks for it.
//!
//! [`EmbeddedIngress`] drives the data plane inside this process, [`ProcessIngress`] in processes of its own, which go on
//! without this one; [`caddy_ingress`] and [`nginx_ingress`] drive servers that a user already runs. Must never know runtimes.

mod beside;
mod caddy;
mod embedded;
mod figures;
#[cfg(feature = "fuzz")]
pub mod fuzz;
mod nginx;
mod process;

pub use beside::tls::Https;
pub use caddy::{CaddySettings, Certificates as CaddyCertificates, caddy_ingress};
pub use embedded::EmbeddedIngress;
pub use nginx::{NginxSettings, nginx_ingress};
pub use process::{Launch, LaunchError, ProcessIngress, proxy_main};
