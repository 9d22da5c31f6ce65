//! One order: from the wish to a certificate that is kept.

use std::sync::Arc;
use std::time::Duration;

use super::due::{Why, covers};
use super::edge_solver::EdgeSolver;
use super::wish::CertWish;
use crate::engine::Shared;
use crate::ports::{
    CertOrder, CertStore, ChallengeSolver, IssuedCert, KeptCert, PortError, PortErrorKind, PortResult,
    Renewal, RevocationReason, within,
};

/// Issuers have deadlines of their own; this one only ends what hangs for good.
const ORDER: Duration = Duration::from_secs(15 * 60);
/// How long an answer of the store or an issuer may take.
pub(super) const CALL: Duration = Duration::from_secs(60);

/// Orders a certificate and keeps it. What was shown to the authority is gone afterwards, whatever became of it.
pub(super) async fn place(
    shared: Arc<Shared>,
    store: Arc<dyn CertStore>,
    wish: CertWish,
    before: Option<IssuedCert>,
    why: Why,
) -> PortResult<KeptCert> {
    let issuer = shared.registry.issuer(&wish.issuer)?;
    let order = CertOrder { replaces: before.filter(|_| why == Why::Renewal), ..wish.order() };
    let edge = Arc::new(EdgeSolver::new(Arc::clone(&shared), wish.ingress));
    let mut solvers: Vec<Arc<dyn ChallengeSolver>> = vec![Arc::clone(&edge) as _];
    let in_the_dns = shared.registry.solver(wish.dns_provider.as_ref())?.cloned();
    // Who names one wants to be proven there, whatever else would do.
    let place = if wish.dns_provider.is_some() { 0 } else { 1 };
    solvers.splice(place..place, in_the_dns);
    let issued = within("order a certificate", ORDER, issuer.issue(&order, &solvers)).await;
    edge.clear().await;
    let cert = issued?;
    if !covers(&cert, &wish.names) {
        let wanted: Vec<&str> = wish.names.iter().map(nd_types::HostPattern::as_str).collect();
        let context =
            format!("{}: the certificate is for other names than {}", wish.issuer, wanted.join(", "));
        return Err(PortError::new(PortErrorKind::Internal, context));
    }
    let kept = KeptCert { issuer: Some(wish.issuer), cert };
    save(&*store, &kept).await?;
    Ok(kept)
}

/// Asks when to renew a certificate.
pub(super) async fn renewal(shared: Arc<Shared>, wish: CertWish, cert: IssuedCert) -> PortResult<Renewal> {
    let issuer = shared.registry.issuer(&wish.issuer)?;
    within("ask when to renew a certificate", CALL, issuer.renewal(&cert, &wish.order())).await
}

pub(super) async fn revoke(shared: &Shared, kept: &KeptCert, reason: RevocationReason) -> PortResult<()> {
    let issuer = kept.issuer.as_ref().and_then(|name| shared.registry.issuer(name).ok());
    let Some(issuer) = issuer else {
        let context = "revoke a certificate: nobody here has issued it";
        return Err(PortError::new(PortErrorKind::Invalid, context).with_fix("ask its authority"));
    };
    within("revoke a certificate", CALL, issuer.revoke(&kept.cert, reason)).await
}

pub(super) async fn save(store: &dyn CertStore, kept: &KeptCert) -> PortResult<()> {
    within("keep a certificate", CALL, store.save(kept)).await
}
