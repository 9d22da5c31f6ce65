//! The stand-ins are held to the contracts of the real ones.

use std::sync::Arc;

use nd_core::ports::{Ingress, StateStore};
use nd_testkit::MemoryStore;
use nd_testkit::contract::{ContractResult, ingress, store};
use nd_testkit::fake::FakeIngress;

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
