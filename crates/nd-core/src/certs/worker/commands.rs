//! What users ask of the worker.

use nd_types::{HostPattern, KeyPem};

use super::Worker;
use crate::certs::desk::{Command, Reply};
use crate::certs::due::Why;
use crate::certs::order;
use crate::certs::status::CertStatus;
use crate::ports::{KeptCert, PortError, PortErrorKind, PortResult, RevocationReason, within};
use crate::records::CertRecord;

impl Worker {
    pub(super) async fn obey(&mut self, command: Command) {
        match command {
            Command::Renew { name, reply } => self.renew(&name, reply),
            Command::Import { chain, key, reply } => {
                let imported = self.import(&chain, &key).await;
                self.tell();
                reply.send(imported).ok(); // whoever asked has gone
            }
            Command::Remove { name, revoke, reply } => {
                let removed = self.remove(&name, revoke).await;
                self.tell();
                reply.send(removed).ok(); // whoever asked has gone
            }
        }
    }

    /// Orders whatever pauses would say; one order at a time.
    pub(super) fn renew(&mut self, name: &HostPattern, reply: Reply) {
        if let Some(busy) = self.busy.get_mut(name) {
            busy.waiting.push(reply);
            return;
        }
        let Some((_, wish)) = self.wishes.get(name).cloned().filter(|_| self.store.is_some()) else {
            let context =
                format!("renew the certificate of {name}: no app wants one under that name from an issuer");
            reply.send(Err(PortError::new(PortErrorKind::NotFound, context))).ok(); // whoever asked has gone
            return;
        };
        let why = if self.kept.contains_key(name) { Why::Renewal } else { Why::Missing };
        self.order(wish, why, Some(reply));
    }

    async fn import(&mut self, chain: &str, key: &KeyPem) -> PortResult<CertStatus> {
        let store = self.store.clone().ok_or_else(nowhere)?;
        let cert = store.read(chain, key)?;
        let name = cert.certificate.names.first().cloned().ok_or_else(|| {
            PortError::new(PortErrorKind::Invalid, "import a certificate: it names no host")
        })?;
        let kept = KeptCert { issuer: None, cert };
        order::save(&*store, &kept).await?;
        self.kept.insert(name.clone(), kept);
        self.renewals.remove(&name);
        self.remember(CertRecord::new(name.clone())).await;
        self.serve().await;
        self.status(&name)
    }

    async fn remove(
        &mut self,
        name: &HostPattern,
        revoke: Option<RevocationReason>,
    ) -> PortResult<CertStatus> {
        let store = self.store.clone().ok_or_else(nowhere)?;
        let status = self.status(name)?;
        if let (Some(kept), Some(reason)) = (self.kept.get(name), revoke) {
            order::revoke(&self.shared, kept, reason).await?;
        }
        within("forget a certificate", order::CALL, store.remove(name)).await?;
        self.kept.remove(name);
        self.renewals.remove(name);
        self.serve().await;
        Ok(status)
    }
}

fn nowhere() -> PortError {
    PortError::new(PortErrorKind::Unavailable, "there is no place where certificates are kept")
}
