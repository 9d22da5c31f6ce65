//! Hints come as things happen.

use futures_util::StreamExt;
use nd_core::ports::{HintKind, HintStream, Runtime, Signal, UnitIo};
use nd_types::UnitId;

use super::bench::{DEADLINE, until, with_engine};

/// The next hint about the unit.
async fn next(hints: &mut HintStream, unit: &UnitId) -> HintKind {
    let about = hints.by_ref().filter(|hint| std::future::ready(hint.unit.as_ref() == Some(unit)));
    let hint = tokio::time::timeout(DEADLINE, Box::pin(about).next()).await;
    hint.expect("a hint comes").expect("the stream goes on").kind
}

#[tokio::test]
async fn a_units_life_is_told_step_by_step() {
    with_engine(async |bench| {
        let mut hints = bench.runtime.hints().await.unwrap();
        let unit = bench.started(1, &[]).await;
        assert_eq!(next(&mut hints, &unit).await, HintKind::Started);
        bench.runtime.signal(&unit, Signal::Kill).await.unwrap();
        assert_eq!(next(&mut hints, &unit).await, HintKind::Died);
        bench.runtime.remove(&unit).await.unwrap();
        assert_eq!(next(&mut hints, &unit).await, HintKind::Removed);
    })
    .await;
}

#[tokio::test]
async fn a_health_check_of_the_image_is_heard_and_seen() {
    with_engine(async |bench| {
        let image = format!("nd-test-{}:health", bench.daemon);
        // The check of the test application: a child that exits with 0.
        let check = "HEALTHCHECK --interval=1s CMD [\"/testapp\", \"child-that-exits\"]";
        bench.import(&image, &["CMD [\"/testapp\"]", check]).await;
        let mut hints = bench.runtime.hints().await.unwrap();
        let mut spec = bench.spec(&[]);
        if let nd_core::spec::Workload::Image(wanted) = &mut spec.workload {
            wanted.reference.clone_from(&image);
        }
        let unit = bench.unit(1, spec).await;
        assert!(unit.prepared.healthcheck);
        bench.runtime.create(&unit).await.unwrap();
        bench.runtime.start(&unit.id).await.unwrap();
        assert_eq!(next(&mut hints, &unit.id).await, HintKind::Started);
        assert_eq!(next(&mut hints, &unit.id).await, HintKind::Health);
        let seen = bench.look(&unit.id).await.unwrap().status;
        assert!(matches!(seen, nd_core::ports::UnitStatus::Running { healthy: Some(true), .. }), "{seen:?}");
        bench.runtime.remove(&unit.id).await.unwrap();
        bench
            .docker
            .remove_image(&image, None::<bollard::query_parameters::RemoveImageOptions>, None)
            .await
            .unwrap();
    })
    .await;
}

#[tokio::test]
async fn a_health_check_with_a_long_interval_is_known_to_pass_early() {
    with_engine(async |bench| {
        let image = format!("nd-test-{}:patient", bench.daemon);
        let check = "HEALTHCHECK --interval=5m CMD [\"/testapp\", \"child-that-exits\"]";
        bench.import(&image, &["CMD [\"/testapp\"]", check]).await;
        let mut spec = bench.spec(&[]);
        if let nd_core::spec::Workload::Image(wanted) = &mut spec.workload {
            wanted.reference.clone_from(&image);
        }
        let unit = bench.unit(1, spec).await;
        bench.runtime.create(&unit).await.unwrap();
        bench.runtime.start(&unit.id).await.unwrap();
        until("the check passes", || async {
            let seen = bench.look(&unit.id).await.unwrap().status;
            matches!(seen, nd_core::ports::UnitStatus::Running { healthy: Some(true), .. })
        })
        .await;
        bench.runtime.remove(&unit.id).await.unwrap();
        bench
            .docker
            .remove_image(&image, None::<bollard::query_parameters::RemoveImageOptions>, None)
            .await
            .unwrap();
    })
    .await;
}

#[tokio::test]
async fn running_out_of_memory_is_heard() {
    with_engine(async |bench| {
        let mut hints = bench.runtime.hints().await.unwrap();
        // Not in the app's first moment, when an engine does not watch yet.
        let mut spec = bench.spec(&[("TESTAPP_LEAK_MB_PER_S", "8")]);
        spec.resources.memory = Some(nd_types::ByteSize(16 << 20));
        let unit = bench.unit(1, spec).await;
        bench.runtime.create(&unit).await.unwrap();
        bench.runtime.start(&unit.id).await.unwrap();
        let mut heard = Vec::new();
        while !(heard.contains(&HintKind::Died) && heard.contains(&HintKind::OutOfMemory)) {
            heard.push(next(&mut hints, &unit.id).await);
        }
    })
    .await;
}
