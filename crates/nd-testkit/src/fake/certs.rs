//! An issuer, a solver and a store of certificates in memory.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use nd_core::ports::{
    CertIssuer, CertOrder, CertStore, ChallengeKind, ChallengeSolver, IssuedCert, IssuerName, KeptCert,
    KeptCerts, PortError, PortErrorKind, PortResult, Proof, Renewal, RevocationReason,
};
use nd_supervise::Clock;
use nd_types::{Certificate, Challenge, HostPattern, KeyPem, Timestamp};
use parking_lot::Mutex;

/// How many certificates were made: each has a number of its own.
static MADE: AtomicU64 = AtomicU64::new(1);

/// Issues certificates that look like some and are none, after it has seen the proof; renewed when a third of their life is
/// left.
pub struct FakeIssuer {
    name: IssuerName,
    clock: Arc<dyn Clock>,
    life: Mutex<Duration>,
    refusals: Mutex<VecDeque<PortError>>,
    orders: Mutex<Vec<CertOrder>>,
    revoked: Mutex<Vec<String>>,
}

impl FakeIssuer {
    /// An issuer whose certificates live for 90 days.
    #[must_use]
    pub fn new(name: IssuerName, clock: Arc<dyn Clock>) -> Self {
        Self {
            name,
            clock,
            life: Mutex::new(Duration::from_secs(90 * 24 * 60 * 60)),
            refusals: Mutex::default(),
            orders: Mutex::default(),
            revoked: Mutex::default(),
        }
    }

    /// How long those live that it issues from now on.
    pub fn set_life(&self, life: Duration) {
        *self.life.lock() = life;
    }

    /// Refuses the next order, and one more with each call.
    pub fn refuse(&self, error: PortError) {
        self.refusals.lock().push_back(error);
    }

    /// Everything that was ordered, the refused ones included.
    #[must_use]
    pub fn orders(&self) -> Vec<CertOrder> {
        self.orders.lock().clone()
    }

    /// The serial numbers of those that were revoked.
    #[must_use]
    pub fn revoked(&self) -> Vec<String> {
        self.revoked.lock().clone()
    }

    fn make(&self, names: &[HostPattern]) -> IssuedCert {
        fake_cert(names, self.name.as_str(), self.clock.wall(), *self.life.lock())
    }
}

#[async_trait]
impl CertIssuer for FakeIssuer {
    fn name(&self) -> &IssuerName {
        &self.name
    }

    fn challenges(&self) -> &[ChallengeKind] {
        &[ChallengeKind::Http01, ChallengeKind::Dns01]
    }

    async fn issue(&self, order: &CertOrder, solvers: &[Arc<dyn ChallengeSolver>]) -> PortResult<IssuedCert> {
        self.orders.lock().push(order.clone());
        if let Some(error) = self.refusals.lock().pop_front() {
            return Err(error);
        }
        let Some(first) = order.names.first() else {
            return Err(PortError::new(PortErrorKind::Invalid, "order a certificate for no name"));
        };
        let Some(solver) = solvers.first() else {
            return Err(PortError::new(PortErrorKind::Invalid, format!("prove {first}: nobody can")));
        };
        for name in &order.names {
            let proof = proof(name, solver.kinds().first().copied());
            let shown = solver.present(&proof).await;
            solver.cleanup(&proof).await?;
            shown?;
        }
        Ok(self.make(&order.names))
    }

    async fn revoke(&self, cert: &IssuedCert, _: RevocationReason) -> PortResult<()> {
        self.revoked.lock().push(cert.serial.clone());
        Ok(())
    }

    async fn renewal(&self, cert: &IssuedCert, _: &CertOrder) -> PortResult<Renewal> {
        let third =
            Duration::try_from(cert.not_after.duration_since(cert.not_before)).unwrap_or_default() / 3;
        let due = cert.not_after.saturating_sub(third).unwrap_or(cert.not_after);
        let now = self.clock.wall();
        let ask_again = now.saturating_add(Duration::from_secs(12 * 60 * 60)).unwrap_or(now);
        Ok(Renewal { due, ask_again, why: "a third of its life is left then".to_owned() })
    }
}

/// A certificate that looks like one: for bookkeeping, not for handshakes.
#[must_use]
pub fn fake_cert(names: &[HostPattern], signed_by: &str, now: Timestamp, life: Duration) -> IssuedCert {
    let number = MADE.fetch_add(1, Ordering::Relaxed);
    let pem = |kind: &str| format!("-----BEGIN {kind}-----\n{number:016}\n-----END {kind}-----\n");
    IssuedCert {
        certificate: Arc::new(Certificate {
            names: names.to_vec(),
            chain: pem("CERTIFICATE"),
            key: KeyPem::new(pem("PRIVATE KEY")),
        }),
        serial: format!("{number:016x}"),
        signed_by: signed_by.to_owned(),
        fingerprint: format!("{number:064x}"),
        not_before: now,
        not_after: now.saturating_add(life).unwrap_or(now),
    }
}

fn proof(name: &HostPattern, kind: Option<ChallengeKind>) -> Proof {
    let bare = name.parent().and_then(|parent| HostPattern::new(parent).ok()).unwrap_or_else(|| name.clone());
    match kind {
        Some(ChallengeKind::Dns01) => {
            Proof::Dns01 { record: format!("_acme-challenge.{bare}"), name: bare, value: "proof".to_owned() }
        }
        _ => {
            let challenge = Challenge::Http01 { token: "token".to_owned(), answer: "proof".to_owned() };
            Proof::Edge { name: bare, challenge }
        }
    }
}

/// Remembers what it shows; alone, or before another solver that really shows it.
pub struct FakeSolver {
    kinds: Vec<ChallengeKind>,
    behind: Option<Arc<dyn ChallengeSolver>>,
    shown: Mutex<Vec<Proof>>,
    broken: Mutex<bool>,
    cleanups: AtomicU64,
}

impl FakeSolver {
    /// One that shows nothing to nobody.
    #[must_use]
    pub fn new(kinds: &[ChallengeKind]) -> Self {
        Self {
            kinds: kinds.to_vec(),
            behind: None,
            shown: Mutex::default(),
            broken: Mutex::default(),
            cleanups: AtomicU64::new(0),
        }
    }

    /// One that lets the other do the work.
    #[must_use]
    pub fn before(other: &Arc<dyn ChallengeSolver>) -> Self {
        Self { behind: Some(other.clone()), ..Self::new(other.kinds()) }
    }

    /// Shows nothing from now on.
    pub fn break_down(&self) {
        *self.broken.lock() = true;
    }

    /// What is shown now.
    #[must_use]
    pub fn shown(&self) -> Vec<Proof> {
        self.shown.lock().clone()
    }

    /// How often something was to be taken away.
    #[must_use]
    pub fn cleanups(&self) -> u64 {
        self.cleanups.load(Ordering::Relaxed)
    }
}

#[async_trait]
impl ChallengeSolver for FakeSolver {
    fn kinds(&self) -> &[ChallengeKind] {
        &self.kinds
    }

    async fn present(&self, proof: &Proof) -> PortResult<()> {
        if *self.broken.lock() {
            return Err(PortError::new(
                PortErrorKind::Transient,
                format!("prove {}: broken down", proof.name()),
            ));
        }
        self.shown.lock().push(proof.clone());
        match &self.behind {
            Some(behind) => behind.present(proof).await,
            None => Ok(()),
        }
    }

    async fn cleanup(&self, proof: &Proof) -> PortResult<()> {
        self.cleanups.fetch_add(1, Ordering::Relaxed);
        self.shown.lock().retain(|shown| shown != proof);
        match &self.behind {
            Some(behind) => behind.cleanup(proof).await,
            None => Ok(()),
        }
    }
}

/// A store that forgets when it is dropped. It reads back what it was given, and nothing else.
#[derive(Default)]
pub struct FakeCerts {
    kept: Mutex<BTreeMap<HostPattern, KeptCert>>,
    known: Mutex<Vec<IssuedCert>>,
}

impl FakeCerts {
    /// An empty one.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// A certificate that [`read`](CertStore::read) will know.
    pub fn knows(&self, cert: IssuedCert) {
        self.known.lock().push(cert);
    }
}

#[async_trait]
impl CertStore for FakeCerts {
    async fn load(&self) -> PortResult<KeptCerts> {
        Ok(KeptCerts { certs: self.kept.lock().values().cloned().collect(), faults: Vec::new() })
    }

    async fn save(&self, kept: &KeptCert) -> PortResult<()> {
        let name = kept.cert.certificate.names.first();
        let name =
            name.ok_or_else(|| PortError::new(PortErrorKind::Invalid, "keep a certificate for no name"))?;
        self.kept.lock().insert(name.clone(), kept.clone());
        self.knows(kept.cert.clone());
        Ok(())
    }

    async fn remove(&self, name: &HostPattern) -> PortResult<()> {
        self.kept.lock().remove(name);
        Ok(())
    }

    fn read(&self, chain: &str, key: &KeyPem) -> PortResult<IssuedCert> {
        let known = self.known.lock();
        let found = known.iter().find(|cert| cert.certificate.chain == chain && cert.certificate.key == *key);
        found
            .cloned()
            .ok_or_else(|| PortError::new(PortErrorKind::Invalid, "read a certificate nobody knows"))
    }
}
