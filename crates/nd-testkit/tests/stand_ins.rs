//! The stand-ins are held to the contracts of the real ones.

use std::sync::Arc;

use nd_core::ports::StateStore;
use nd_testkit::MemoryStore;
use nd_testkit::contract::{ContractResult, store};

#[tokio::test]
async fn the_store_in_memory_keeps_the_contract() -> ContractResult {
    let place = || {
        let store = MemoryStore::new();
        move || std::future::ready(Arc::new(store.clone()) as Arc<dyn StateStore>)
    };
    store::run(place).await
}
