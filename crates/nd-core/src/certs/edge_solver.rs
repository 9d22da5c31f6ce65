//! Proofs that the data plane itself shows.

use std::sync::Arc;

use async_trait::async_trait;
use nd_types::{Challenge, IngressKind, TlsState};
use parking_lot::Mutex;

use crate::engine::Shared;
use crate::ports::{ChallengeKind, ChallengeSolver, EdgeTls, PortError, PortErrorKind, PortResult, Proof};

/// Shows proofs where the names of an order are served, and remembers which of them are still there.
pub(super) struct EdgeSolver {
    shared: Arc<Shared>,
    ingress: IngressKind,
    shown: Mutex<Vec<Challenge>>,
}

impl EdgeSolver {
    pub(super) fn new(shared: Arc<Shared>, ingress: IngressKind) -> Self {
        Self { shared, ingress, shown: Mutex::default() }
    }

    /// Takes away what an order has left behind that was given up.
    pub(super) async fn clear(&self) {
        let left = std::mem::take(&mut *self.shown.lock());
        if left.is_empty() {
            return;
        }
        if let Err(error) = self.withdraw(&left).await {
            tracing::warn!(%error, "a proof for a certificate authority is still shown");
        }
    }

    async fn withdraw(&self, gone: &[Challenge]) -> PortResult<()> {
        let hide = |tls: &mut TlsState| tls.challenges.retain(|shown| !gone.contains(shown));
        self.shared.books.edit_tls(self.ingress, hide).await.map(drop)
    }
}

#[async_trait]
impl ChallengeSolver for EdgeSolver {
    fn kinds(&self) -> &[ChallengeKind] {
        match self.shared.registry.ingress(Some(self.ingress)).map(|ingress| ingress.caps().tls) {
            Ok(EdgeTls::AsTold) => &[ChallengeKind::Http01, ChallengeKind::TlsAlpn01],
            // Its TLS is its own: no certificate of a special kind can be shown in a handshake alone.
            Ok(EdgeTls::At(_)) => &[ChallengeKind::Http01],
            Ok(EdgeTls::ByItself(_) | EdgeTls::Never) | Err(_) => &[],
        }
    }

    async fn present(&self, proof: &Proof) -> PortResult<()> {
        let Proof::Edge { challenge, .. } = proof else {
            let context = format!("show a proof for {}: the proxy cannot write into the DNS", proof.name());
            return Err(PortError::new(PortErrorKind::Invalid, context));
        };
        self.shown.lock().push(challenge.clone());
        let show = |tls: &mut TlsState| {
            if !tls.challenges.contains(challenge) {
                tls.challenges.push(challenge.clone());
            }
        };
        self.shared.books.edit_tls(self.ingress, show).await.map(drop)
    }

    async fn cleanup(&self, proof: &Proof) -> PortResult<()> {
        let Proof::Edge { challenge, .. } = proof else { return Ok(()) };
        self.withdraw(std::slice::from_ref(challenge)).await?;
        self.shown.lock().retain(|shown| shown != challenge);
        Ok(())
    }
}
