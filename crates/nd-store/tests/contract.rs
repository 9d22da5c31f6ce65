//! The SQLite store keeps the contract of its port.

use std::sync::Arc;

use nd_core::ports::StateStore;
use nd_store::SqliteStore;
use nd_testkit::contract::{ContractResult, store};

#[tokio::test]
async fn the_store_on_disk_keeps_the_contract() -> ContractResult {
    let dir = tempfile::tempdir()?;
    let places = std::cell::Cell::new(0);
    let place = || {
        places.set(places.get() + 1);
        let path = dir.path().join(format!("{}/state.db", places.get()));
        move || std::future::ready(Arc::new(SqliteStore::open(&path).unwrap()) as Arc<dyn StateStore>)
    };
    store::run(place).await
}
