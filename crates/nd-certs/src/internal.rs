//! `internal`: a certificate authority of our own, for names that no public one knows.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use nd_core::ports::{
    CertIssuer, CertOrder, ChallengeSolver, IssuedCert, IssuerName, PortError, PortErrorKind, PortResult,
    Renewal, RevocationReason, RootCert,
};
use nd_supervise::{Clock, blocking};
use nd_types::KeyPem;
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose,
};

use crate::mint::{self, KeyKind, MintError};
use crate::renewal::renewal;
use crate::{files, x509};

/// How long a certificate lives; renewed when a third is left. Short, because nobody can ask us whether it was revoked.
pub(crate) const LEAF_LIFE: Duration = Duration::from_secs(90 * 24 * 60 * 60);

/// How long the root lives: ten years, longer than the machines that trust it.
pub(crate) const ROOT_LIFE: Duration = Duration::from_secs(10 * 365 * 24 * 60 * 60);

const ROOT: &str = "root.pem";
const ROOT_KEY: &str = "root-key.pem";

/// The authority. Its root is made at the first order, and kept.
pub struct InternalCa {
    name: IssuerName,
    dir: PathBuf,
    clock: Arc<dyn Clock>,
    /// Two orders at once make one root.
    making: Arc<parking_lot::Mutex<()>>,
}

impl InternalCa {
    /// The authority in `certs_dir/internal`, which need not be there yet.
    #[must_use]
    pub fn new(name: IssuerName, certs_dir: &Path, clock: Arc<dyn Clock>) -> Self {
        Self { name, dir: certs_dir.join("internal"), clock, making: Arc::default() }
    }

    /// The root's certificate and key.
    async fn authority(&self) -> PortResult<(String, KeyPem)> {
        let (dir, now, making) = (self.dir.clone(), self.clock.wall(), self.making.clone());
        let work = move || {
            let _one_at_a_time = making.lock();
            load_or_make(&dir, now)
        };
        let failed =
            |error| PortError::new(PortErrorKind::Internal, "open the internal authority").with_source(error);
        blocking("internal authority", work).await.map_err(failed)?
    }
}

#[async_trait]
impl CertIssuer for InternalCa {
    fn name(&self) -> &IssuerName {
        &self.name
    }

    /// Makes it where there is none.
    async fn root(&self) -> PortResult<Option<RootCert>> {
        let (pem, _) = self.authority().await?;
        let root =
            x509::root(pem).map_err(|error| error.at_port("read the root of the internal authority"))?;
        Ok(Some(root))
    }

    async fn issue(&self, order: &CertOrder, _: &[Arc<dyn ChallengeSolver>]) -> PortResult<IssuedCert> {
        if order.names.is_empty() {
            return Err(PortError::new(PortErrorKind::Invalid, "order a certificate for no name"));
        }
        let (root, root_key) = self.authority().await?;
        let (chain, key) = sign(&root, &root_key, order, self.clock.wall())?;
        let made = x509::read(&chain, &KeyPem::new(key));
        made.map_err(|error| error.at_port("read the certificate that was just made"))
    }

    async fn revoke(&self, _: &IssuedCert, _: RevocationReason) -> PortResult<()> {
        Err(PortError::new(PortErrorKind::Invalid, "revoke a certificate of the internal authority")
            .with_fix("nobody asks it whether one was revoked: order another one, and remove this one"))
    }

    async fn renewal(&self, cert: &IssuedCert, _: &CertOrder) -> PortResult<Renewal> {
        Ok(renewal(cert, None, self.clock.wall()))
    }
}

fn sign(root: &str, key: &KeyPem, order: &CertOrder, now: Timestamp) -> Result<(String, String), MintError> {
    let issuer = Issuer::from_ca_cert_pem(root, KeyPair::from_pem(key.expose())?)?;
    let mut params = mint::server(&order.names, now, LEAF_LIFE)?;
    params.use_authority_key_identifier_extension = true;
    let key = KeyKind::default().generate()?;
    // The root stands behind it, so that it can be taken from a connection.
    Ok((format!("{}{root}", params.signed_by(&key, &issuer)?.pem()), key.serialize_pem()))
}

fn load_or_make(dir: &Path, now: Timestamp) -> PortResult<(String, KeyPem)> {
    let (root, key) = (dir.join(ROOT), dir.join(ROOT_KEY));
    match (fs::read_to_string(&root), fs::read_to_string(&key)) {
        (Ok(root), Ok(key)) if !is_over(&root, now) => return Ok((root, KeyPem::new(key))),
        (Ok(_), Ok(_)) => {}
        (Err(error), _) if error.kind() == io::ErrorKind::NotFound && !dir.exists() => {}
        (Err(error), _) => return Err(files::at_port("read", &root, error)),
        (_, Err(error)) => return Err(files::at_port("read", &key, error)),
    }
    let (root, key) = make(now)?;
    let both = [(ROOT, &*root), (ROOT_KEY, key.expose())];
    files::write_dir(dir, &both)
        .map_err(|error| files::at_port("keep the internal authority in", dir, error))?;
    Ok((root, key))
}

/// Whether certificates it signs now would outlive it. What cannot be read says so where it is used.
fn is_over(root: &str, now: Timestamp) -> bool {
    let until = x509::not_after(root);
    until.is_some_and(|until| now.saturating_add(LEAF_LIFE).is_ok_and(|end| end > until))
}

fn make(now: Timestamp) -> Result<(String, KeyPem), MintError> {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    // The date tells two roots of one machine apart.
    let name = format!("NextDeploy internal authority {}", now.strftime("%Y-%m-%d"));
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params.serial_number = Some(mint::serial()?);
    mint::valid(&mut params, now, ROOT_LIFE)?;
    let key = KeyKind::EcdsaP384.generate()?;
    Ok((params.self_signed(&key)?.pem(), KeyPem::new(key.serialize_pem())))
}
