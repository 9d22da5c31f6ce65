//! Certificates: who issues them, where they are kept, and when they are renewed.
//!
//! - [`Acme`]: an authority on the net that speaks ACME (RFC 8555).
//! - [`InternalCa`]: an authority of our own, for names that no public one knows.
//! - [`OwnFiles`]: files that somebody else keeps up to date.
//! - [`self_signed()`]: what is served for names without a certificate.
//! - [`CertsOnDisk`]: certificates and keys in a private directory.
//! - [`DnsProvider`]: somebody who serves zones and takes proofs into them.
//! - [`NetworkNames`]: how names look to their visitors, for who wants to know why they do not come.
//! - [`ExecDns`]: a program of the user's that writes proofs into the DNS.
//!
//! Must never know: who terminates TLS, which app a name belongs to, or when something is asked of it.

mod acme;
mod addresses;
mod disk;
mod dns;
mod dns_provider;
mod error;
mod exec_dns;
mod files;
mod internal;
mod mint;
mod name_probe;
mod own_files;
mod reach;
mod renewal;
mod self_signed;
mod settings;
#[cfg(test)]
mod testing;
mod x509;

pub use acme::Acme;
pub use disk::CertsOnDisk;
pub use dns::Dns;
pub use dns_provider::{DnsProvider, DnsProviderError, DnsProviderSettings};
pub use error::CertError;
pub use exec_dns::ExecDns;
pub use internal::InternalCa;
pub use mint::KeyKind;
pub use name_probe::NetworkNames;
pub use own_files::{LOOK_EVERY, OwnFiles};
pub use renewal::{ASK_EVERY, Window, renewal};
pub use self_signed::self_signed;
pub use settings::{AcmeSettings, DnsSettings, Eab, ExecSettings};
pub use x509::{check_names, check_time, read};
