//! A store that is full, broken or slow.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use jiff::SignedDuration;
use nd_core::engine::{EngineError, RollbackRequest, RollbackTarget};
use nd_core::events::StoredEvent;
use nd_core::model::AppPhase;
use nd_core::ports::{HistoryQuery, PortError, PortErrorKind, PortResult, Seq, Snapshot, StateStore};
use nd_core::records::Record;
use nd_testkit::MemoryStore;
use nd_testkit::fake::Cable;
use nd_types::{ExitStatus, ReleaseId, Timestamp};

use crate::world::*;

#[tokio::test(start_paused = true)]
async fn a_wish_that_cannot_be_stored_is_refused_and_changes_nothing() -> TestResult {
    let (world, shop) = (World::new(), app("shop"));
    let daemon = world.daemon().await?;
    daemon.serve(&shop, web("")).await?;
    let before = daemon.engine.status(&shop).unwrap();
    world.store.set_full(true);
    for refused in [
        daemon.engine.deploy(request(&shop, web(""))).await.map(|accepted| accepted.revision),
        daemon.engine.scale(&shop, 3, "tester").await,
        daemon.engine.stop(&shop, "tester").await,
        daemon.engine.restart(&shop, "tester").await,
        daemon.engine.remove(&shop, false, "tester").await,
    ] {
        let EngineError::Store(error) = refusal(refused) else { return Err("another refusal".into()) };
        assert_eq!(error.kind, PortErrorKind::Exhausted);
    }
    pass(Duration::from_secs(90)).await;
    assert_eq!(daemon.engine.status(&shop).unwrap(), before);
    assert_eq!((world.docker.running().len(), world.ingress.backends(&shop).len()), (1, 1));
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn apps_are_kept_running_while_nothing_can_be_stored() -> TestResult {
    let (world, shop) = (World::new(), app("shop"));
    let daemon = world.daemon().await?;
    let serving = unit(&shop, &daemon.serve(&shop, web("")).await?, 1);
    world.store.set_full(true);
    world.docker.crash(&serving, ExitStatus::Code(1));
    within(world.docker.until(|_| world.docker.starts(&serving) == 2)).await?;
    daemon.until(&shop, |status| status.phase == AppPhase::Running).await?;
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn a_deployment_ends_well_although_its_decisions_cannot_be_stored() -> TestResult {
    let (world, shop) = (World::new(), app("shop"));
    let daemon = world.daemon().await?;
    let accepted = daemon.engine.deploy(request(&shop, web("ready-after:2s"))).await?;
    world.store.set_full(true);
    daemon.ended(&shop, &accepted).await?;
    assert_eq!(world.ingress.backends(&shop), [unit(&shop, &accepted.release, 1)]);
    world.store.set_full(false);
    pass(Duration::from_secs(60)).await;
    daemon.kill();

    let daemon = world.daemon().await?;
    let status = daemon.until(&shop, |status| status.settled).await?;
    assert_eq!((status.release.clone(), status.rollout.clone()), (Some(accepted.release), None));
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn a_wish_is_not_overwritten_by_decisions_that_could_not_be_stored_before() -> TestResult {
    let (world, shop) = (World::new(), app("shop"));
    let daemon = world.daemon().await?;
    let accepted = daemon.engine.deploy(request(&shop, web("ready-after:2s"))).await?;
    world.store.set_full(true);
    daemon.ended(&shop, &accepted).await?;
    world.store.set_full(false);
    let revision = daemon.engine.scale(&shop, 3, "tester").await?;
    daemon.settled(&shop, revision).await?;
    pass(Duration::from_secs(60)).await;
    daemon.kill();

    let daemon = world.daemon().await?;
    let status = daemon.until(&shop, |status| status.settled).await?;
    assert_eq!((status.replicas, status.ready, status.revision), (3, 3, revision));
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn the_last_deployment_is_the_last_one_also_when_the_clock_was_set_back() -> TestResult {
    let (world, shop) = (World::new(), app("shop"));
    let daemon = world.daemon().await?;
    daemon.serve(&shop, web("")).await?;
    world.clock.set_ahead(SignedDuration::from_hours(-1));
    let second = daemon.serve(&shop, web("")).await?;
    let releases = |daemon: &Daemon| -> Vec<ReleaseId> {
        daemon.engine.deployments(Some(&shop)).into_iter().map(|deployment| deployment.release).collect()
    };
    assert_eq!(releases(&daemon).first(), Some(&second));
    daemon.kill();

    let daemon = world.daemon().await?;
    let status = daemon.until(&shop, |status| status.settled).await?;
    assert_eq!(status.deployment.as_ref().map(|deployment| &deployment.release), Some(&second));
    assert_eq!(releases(&daemon).first(), Some(&second));
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn a_reconciler_that_panics_goes_on_from_what_is_stored() -> TestResult {
    let (world, shop, blog) = (World::new(), app("shop"), app("blog"));
    let store = Arc::new(Panicking { store: world.store.clone(), panics: AtomicU32::new(0) });
    let daemon = world.daemon_with(store.clone(), Arc::new(|_: &str| {}), Cable::new()).await?;
    daemon.serve(&blog, web("")).await?;
    let accepted = daemon.engine.deploy(request(&shop, web("ready-after:2s"))).await?;
    store.panics.store(2, Ordering::SeqCst);
    let status = daemon.until(&shop, |status| status.settled && status.ready == 1).await?;
    assert_eq!(store.panics.load(Ordering::SeqCst), 0, "it did panic");
    assert_eq!(status.release, Some(accepted.release));
    let revision = daemon.engine.scale(&shop, 2, "tester").await?;
    assert_eq!(daemon.settled(&shop, revision).await?.ready, 2);
    assert_eq!(world.ingress.backends(&blog).len(), 1);
    Ok(())
}

/// Panics on the next appends of decisions.
struct Panicking {
    store: MemoryStore,
    panics: AtomicU32,
}

#[async_trait]
impl StateStore for Panicking {
    async fn load(&self) -> PortResult<Snapshot> {
        self.store.load().await
    }

    async fn append(&self, records: Vec<Record>) -> PortResult<Seq> {
        let decision = records.iter().any(|record| matches!(record, Record::App(_)));
        let left = self.panics.load(Ordering::SeqCst);
        if decision && left > 0 {
            self.panics.store(left - 1, Ordering::SeqCst);
            panic!("as the test wants");
        }
        self.store.append(records).await
    }

    async fn events(&self, query: &HistoryQuery) -> PortResult<Vec<StoredEvent>> {
        self.store.events(query).await
    }

    async fn compact(&self, before: Timestamp) -> PortResult<()> {
        self.store.compact(before).await
    }
}

/// A store that cannot be read for a while.
struct Unreadable {
    store: MemoryStore,
    broken: AtomicBool,
}

#[async_trait]
impl StateStore for Unreadable {
    async fn load(&self) -> PortResult<Snapshot> {
        if self.broken.load(Ordering::SeqCst) {
            return Err(PortError::new(PortErrorKind::Unavailable, "read state: the disk does not answer"));
        }
        self.store.load().await
    }

    async fn append(&self, records: Vec<Record>) -> PortResult<Seq> {
        self.store.append(records).await
    }

    async fn events(&self, query: &HistoryQuery) -> PortResult<Vec<StoredEvent>> {
        self.store.events(query).await
    }

    async fn compact(&self, before: Timestamp) -> PortResult<()> {
        self.store.compact(before).await
    }
}

#[tokio::test(start_paused = true)]
async fn a_rollback_says_that_the_store_cannot_be_read_and_not_that_there_is_nothing() -> TestResult {
    let (world, shop) = (World::new(), app("shop"));
    let store = Arc::new(Unreadable { store: world.store.clone(), broken: AtomicBool::new(false) });
    let daemon = world.daemon_with(store.clone(), Arc::new(|_: &str| {}), Cable::new()).await?;
    let first = daemon.serve(&shop, web("")).await?;
    daemon.serve(&shop, web("")).await?;
    let back = RollbackRequest::new(&shop, RollbackTarget::Previous, "tester");
    store.broken.store(true, Ordering::SeqCst);
    let EngineError::Store(error) = refusal(daemon.engine.rollback(back.clone()).await) else {
        return Err("another refusal".into());
    };
    assert_eq!(error.kind, PortErrorKind::Unavailable);
    store.broken.store(false, Ordering::SeqCst);
    let accepted = daemon.engine.rollback(back).await?;
    assert_eq!(daemon.ended(&shop, &accepted).await?.release, first);
    Ok(())
}
