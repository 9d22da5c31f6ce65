//! What users ask of certificates.

use std::sync::Arc;
use std::time::Duration;

use nd_types::{HostPattern, KeyPem};
use tokio::sync::oneshot;

use super::{EngineError, EngineHandle, Shared};
use crate::certs::{CertStatus, Command};
use crate::ports::{IssuerName, PortError, PortErrorKind, PortResult, RevocationReason, RootCert, within};
use crate::spec::AppSpec;

/// How long an answer may take: an order lasts minutes, and others may be before it.
const ANSWER: Duration = Duration::from_secs(16 * 60);

/// How long reading a root may take, or making the first one.
const ROOT: Duration = Duration::from_secs(15);

impl Shared {
    /// Whether there is everybody whom a spec names for its certificates.
    pub(super) fn check_certs(&self, spec: &AppSpec) -> Result<(), EngineError> {
        if !spec.tls.enabled {
            return Ok(());
        }
        if let Some(issuer) = &spec.tls.issuer {
            self.registry.issuer(issuer).map_err(EngineError::Certificates)?;
        }
        self.registry.solver(spec.tls.dns_provider.as_ref()).map_err(EngineError::Certificates)?;
        Ok(())
    }
}

impl EngineHandle {
    /// Every certificate that is kept or wanted, by its first name.
    #[must_use]
    pub fn certs(&self) -> Arc<Vec<CertStatus>> {
        Arc::clone(&self.shared.certs.statuses.borrow())
    }

    /// Gets a new certificate now and returns when it serves.
    ///
    /// # Errors
    /// When no app wants one under that first name, or what the issuer says.
    pub async fn renew_cert(&self, name: &HostPattern) -> PortResult<CertStatus> {
        self.ask_for_cert(|reply| Command::Renew { name: name.clone(), reply }).await
    }

    /// Serves a certificate that somebody brings: PEM of the certificate and those that lead to its root, and its key. It
    /// stands in for what would be ordered for its names, and is not renewed.
    ///
    /// # Errors
    /// When it is damaged, its key is another one's, or it is not valid today.
    pub async fn import_cert(&self, chain: String, key: KeyPem) -> PortResult<CertStatus> {
        self.ask_for_cert(|reply| Command::Import { chain, key, reply }).await
    }

    /// Forgets a certificate and returns it as it was; it is revoked first where a reason is given. What an app wants is
    /// ordered anew.
    ///
    /// # Errors
    /// When there is none, or what its issuer or the store says.
    pub async fn remove_cert(
        &self,
        name: &HostPattern,
        revoke: Option<RevocationReason>,
    ) -> PortResult<CertStatus> {
        self.ask_for_cert(|reply| Command::Remove { name: name.clone(), revoke, reply }).await
    }

    /// The root that clients of an issuer must be told to trust; none where there is no such issuer, or the world trusts it.
    ///
    /// # Errors
    /// When it can be neither read nor made, or not in time.
    pub async fn issuer_root(&self, issuer: &IssuerName) -> PortResult<Option<RootCert>> {
        let Ok(issuer) = self.shared.registry.issuer(issuer) else { return Ok(None) };
        within("read the root of an issuer", ROOT, issuer.root()).await
    }

    async fn ask_for_cert(
        &self,
        command: impl FnOnce(oneshot::Sender<PortResult<CertStatus>>) -> Command,
    ) -> PortResult<CertStatus> {
        let (reply, answer) = oneshot::channel();
        let ask = async {
            let ending = || PortError::new(PortErrorKind::Unavailable, "certificates: the daemon is ending");
            self.shared.certs.commands.send(command(reply)).await.map_err(|_| ending())?;
            answer.await.map_err(|_| ending())?
        };
        tokio::time::timeout(ANSWER, ask).await.unwrap_or_else(|_| {
            Err(PortError::new(PortErrorKind::Timeout, "certificates: no answer in time; the order goes on"))
        })
    }
}
