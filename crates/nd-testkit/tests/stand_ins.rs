//! The stand-ins are held to the contracts of the real ones.

use std::sync::Arc;
use std::time::Duration;

use nd_core::ports::{CertOrder, CertStore, ChallengeKind, Ingress, KeptCert, StateStore};
use nd_supervise::SystemClock;
use nd_testkit::MemoryStore;
use nd_testkit::contract::{ContractResult, cert_issuer, cert_store, ingress, store};
use nd_testkit::fake::{FakeCerts, FakeIngress, FakeIssuer, FakeSolver, fake_cert};
use nd_types::{HostPattern, Timestamp};

#[tokio::test]
async fn the_store_in_memory_keeps_the_contract() -> ContractResult {
    let place = || {
        let store = MemoryStore::new();
        move || std::future::ready(Arc::new(store.clone()) as Arc<dyn StateStore>)
    };
    store::run(place).await
}

#[tokio::test]
async fn the_ingress_in_memory_keeps_the_contract_as_far_as_it_has_no_visitors() -> ContractResult {
    ingress::bookkeeping(&|| Arc::new(FakeIngress::new()) as Arc<dyn Ingress>).await
}

#[tokio::test]
async fn the_issuer_in_memory_keeps_the_contract() -> ContractResult {
    let names = vec![HostPattern::new("a.example.com")?];
    cert_issuer::run(&cert_issuer::Subject {
        issuer: Arc::new(FakeIssuer::new("fake".parse()?, Arc::new(SystemClock))),
        order: CertOrder { names, ..CertOrder::default() },
        solver: Arc::new(FakeSolver::new(&[ChallengeKind::Http01])),
        proves: true,
    })
    .await
}

#[tokio::test]
async fn the_store_of_certificates_in_memory_keeps_the_contract() -> ContractResult {
    let store = Arc::new(FakeCerts::new());
    let kept = |name| {
        let names = [HostPattern::new(name)?];
        let cert = fake_cert(&names, "fake", Timestamp::now(), Duration::from_secs(60));
        Ok::<_, Box<dyn std::error::Error>>(KeptCert { issuer: None, cert })
    };
    let certs = [kept("a.test")?, kept("b.test")?, kept("a.test")?];
    cert_store::run(|| store.clone() as Arc<dyn CertStore>, certs).await
}
