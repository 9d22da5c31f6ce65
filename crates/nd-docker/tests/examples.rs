//! The example does what it says, on a real engine.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests end at the first surprise"
)]

#[allow(dead_code, reason = "the other tests need more of it")]
#[path = "engine/bench.rs"]
mod bench;
#[allow(dead_code, reason = "`main` is for those who run the example")]
#[path = "../examples/embed_docker.rs"]
mod embed_docker;

use std::sync::Arc;

use nd_core::ports::StateStore;
use nd_core::records::{DaemonRecord, Record};
use nd_testkit::MemoryStore;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_engine_with_docker_serves_an_image_through_its_proxy_and_leaves_nothing_behind() {
    bench::with_engine(|bench| async move {
        // With the bench's own id, its cleaning finds what a failure leaves behind.
        let store = MemoryStore::new();
        let daemon = Record::Daemon(DaemonRecord { id: bench.daemon.clone(), told: 0 });
        store.append(vec![daemon]).await.unwrap();

        let head = embed_docker::embed(bench.runtime.clone(), Arc::new(store), &bench.image).await.unwrap();
        assert!(head.starts_with("HTTP/1.1 200"), "{head}");
        let scope = nd_core::ports::Scope::All(bench.daemon.clone());
        let left = nd_core::ports::Runtime::observe(&bench.runtime, &scope).await.unwrap();
        let ours: Vec<_> = left.iter().filter(|unit| unit.daemon.is_some()).collect();
        assert!(ours.is_empty(), "{ours:?}");
    })
    .await;
}
