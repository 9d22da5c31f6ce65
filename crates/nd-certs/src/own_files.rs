//! `custom`: certificates that somebody else keeps up to date, in files of their own.

use std::fs;
use std::io::Read as _;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use nd_core::ports::{
    CertFiles, CertIssuer, CertOrder, ChallengeSolver, IssuedCert, IssuerName, PortError, PortErrorKind,
    PortResult, Renewal, RevocationReason,
};
use nd_supervise::{Clock, blocking};
use nd_types::KeyPem;

use crate::{files, x509};

/// How often the files are looked at.
pub const LOOK_EVERY: Duration = Duration::from_secs(10);

/// No certificate is longer, not with every intermediate there is.
const MAX_FILE: u64 = 1 << 20;

/// The issuer that only reads. A file that cannot be used is refused with the reason, so that whoever asked keeps what
/// they have.
pub struct OwnFiles {
    name: IssuerName,
    clock: Arc<dyn Clock>,
}

impl OwnFiles {
    /// The issuer of this name.
    #[must_use]
    pub fn new(name: IssuerName, clock: Arc<dyn Clock>) -> Self {
        Self { name, clock }
    }
}

#[async_trait]
impl CertIssuer for OwnFiles {
    fn name(&self) -> &IssuerName {
        &self.name
    }

    async fn issue(&self, order: &CertOrder, _: &[Arc<dyn ChallengeSolver>]) -> PortResult<IssuedCert> {
        let files = files(order)?;
        let (chain, key) = read(files).await?;
        let refused = |error: crate::CertError| error.at_port(&format!("use {}", files.chain.display()));
        let cert = x509::read(&chain, &key).map_err(refused)?;
        x509::check_names(&cert, &order.names).map_err(refused)?;
        x509::check_time(&cert, self.clock.wall()).map_err(refused)?;
        Ok(cert)
    }

    async fn revoke(&self, _: &IssuedCert, _: RevocationReason) -> PortResult<()> {
        Err(PortError::new(PortErrorKind::Invalid, "revoke a certificate that somebody else issued")
            .with_fix("revoke it where it was ordered, then put another one into its files"))
    }

    /// At once when the files hold another certificate; else when somebody should have renewed it.
    async fn renewal(&self, cert: &IssuedCert, order: &CertOrder) -> PortResult<Renewal> {
        let now = self.clock.wall();
        let ask_again = now.saturating_add(LOOK_EVERY).unwrap_or(now);
        let (chain, key) = read(files(order)?).await?;
        if chain != cert.certificate.chain || key != cert.certificate.key {
            return Ok(Renewal { due: now, ask_again, why: "its files hold another one".to_owned() });
        }
        let due = cert.not_after;
        Ok(Renewal { due, ask_again, why: "its files hold nothing newer".to_owned() })
    }
}

fn files(order: &CertOrder) -> PortResult<&CertFiles> {
    order.files.as_ref().ok_or_else(|| {
        PortError::new(PortErrorKind::Invalid, "no certificate files are named")
            .with_fix("write `ssl: {provider: custom, certificate: /path/fullchain.pem, key: /path/key.pem}`")
    })
}

async fn read(files: &CertFiles) -> PortResult<(String, KeyPem)> {
    let files = files.clone();
    let read = move || Ok((text(&files.chain)?, KeyPem::new(text(&files.key)?)));
    let failed = |error| PortError::new(PortErrorKind::Internal, "read certificate files").with_source(error);
    blocking("certificate files", read).await.map_err(failed)?
}

fn text(path: &Path) -> PortResult<String> {
    let failed = |error| files::at_port("read", path, error);
    let mut text = String::new();
    fs::File::open(path).map_err(failed)?.take(MAX_FILE).read_to_string(&mut text).map_err(failed)?;
    Ok(text)
}
