//! Proofs that the data plane itself shows.

use std::sync::Arc;

use async_trait::async_trait;
use nd_types::Challenge;
use parking_lot::Mutex;

use crate::engine::Shared;
use crate::ports::{ChallengeKind, ChallengeSolver, PortError, PortErrorKind, PortResult, Proof};

/// Shows proofs at the edge, and remembers which of them are still there.
pub(super) struct EdgeSolver {
    shared: Arc<Shared>,
    shown: Mutex<Vec<Challenge>>,
}

impl EdgeSolver {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Self { shared, shown: Mutex::default() }
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
        self.shared
            .books
            .own()?
            .edit_tls(|tls| tls.challenges.retain(|shown| !gone.contains(shown)))
            .await
            .map(drop)
    }
}

#[async_trait]
impl ChallengeSolver for EdgeSolver {
    fn kinds(&self) -> &[ChallengeKind] {
        &[ChallengeKind::Http01, ChallengeKind::TlsAlpn01]
    }

    async fn present(&self, proof: &Proof) -> PortResult<()> {
        let Proof::Edge { challenge, .. } = proof else {
            let context = format!("show a proof for {}: the proxy cannot write into the DNS", proof.name());
            return Err(PortError::new(PortErrorKind::Invalid, context));
        };
        self.shown.lock().push(challenge.clone());
        let show = |tls: &mut nd_types::TlsState| {
            if !tls.challenges.contains(challenge) {
                tls.challenges.push(challenge.clone());
            }
        };
        self.shared.books.own()?.edit_tls(show).await.map(drop)
    }

    async fn cleanup(&self, proof: &Proof) -> PortResult<()> {
        let Proof::Edge { challenge, .. } = proof else { return Ok(()) };
        self.withdraw(std::slice::from_ref(challenge)).await?;
        self.shown.lock().retain(|shown| shown != challenge);
        Ok(())
    }
}
