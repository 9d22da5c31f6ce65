//! The whole tree of a unit.

use std::path::Path;
use std::time::{Duration, Instant};

use nd_core::ports::Signal;
use nd_testkit::contract::ContractResult;
use nd_testkit::contract::runtime::RuntimeFixture;
use nd_types::{ExitStatus, UnitId};

use crate::fixture::{Fixture, LIMIT};

crate::tests![
    killing_reaches_sessions_of_their_own,
    a_crash_leaves_nothing_of_the_tree,
    what_a_wrapper_leaves_may_finish_its_work,
    what_a_wrapper_leaves_is_killed_in_the_end,
    removing_leaves_nothing_of_the_tree,
    orphans_are_reaped,
    the_whole_tree_is_counted,
];

/// A child that left group and session and forked twice, and ignores the wish to stop; its number is in the output.
const ESCAPEE: &str = "(setsid sh -c 'trap \"\" TERM; sh -c \"echo escaped \\$\\$; exec sleep 3600\" &' &); ";

/// Waits until the process is gone; one that somebody has to reap counts as gone.
async fn gone(pid: &str) -> ContractResult {
    let begin = Instant::now();
    let stat = Path::new("/proc").join(pid).join("stat");
    while let Ok(text) = std::fs::read_to_string(&stat) {
        if text.contains(") Z ") {
            return Ok(());
        }
        if begin.elapsed() > LIMIT {
            return Err(format!("process {pid} is still there: {text}").into());
        }
        tokio::task::yield_now().await;
    }
    Ok(())
}

async fn wait(fixture: &Fixture, unit: &UnitId) -> Result<ExitStatus, Box<dyn std::error::Error>> {
    Ok(tokio::time::timeout(LIMIT, fixture.runtime().wait(unit)).await??)
}

async fn killing_reaches_sessions_of_their_own(fixture: &Fixture) -> ContractResult {
    let unit = fixture.started(&format!("{ESCAPEE} sleep 3600")).await?;
    let escapee = fixture.line(&unit, "escaped").await?;
    fixture.runtime().signal(&unit, Signal::Kill).await?;
    assert_eq!(wait(fixture, &unit).await?, ExitStatus::Signal(9));
    // The unit has ended: nothing of it is left, without any waiting.
    assert!(!Path::new("/proc").join(escapee).exists());
    Ok(())
}

async fn a_crash_leaves_nothing_of_the_tree(fixture: &Fixture) -> ContractResult {
    let go = fixture.scratch().join("go");
    let wait_to_go = format!("while [ ! -e {} ]; do sleep 0.02; done; exit 3", go.display());
    let unit = fixture.started(&format!("{ESCAPEE} {wait_to_go}")).await?;
    let escapee = fixture.line(&unit, "escaped").await?;
    std::fs::write(&go, "")?;
    assert_eq!(wait(fixture, &unit).await?, ExitStatus::Code(3));
    assert!(!Path::new("/proc").join(escapee).exists());
    Ok(())
}

async fn what_a_wrapper_leaves_may_finish_its_work(fixture: &Fixture) -> ContractResult {
    let done = fixture.scratch().join("done");
    let worker = format!(
        "trap 'sleep 0.3; echo > {}; exit 0' TERM; echo ready; while :; do sleep 0.02; done",
        done.display()
    );
    let unit = fixture.started(&format!("sh -c \"{worker}\" & wait")).await?;
    fixture.line(&unit, "ready").await?;
    fixture.runtime().signal(&unit, Signal::Stop(None)).await?;
    // The exit is the wrapper's own, the end is that of the last of them.
    assert_eq!(wait(fixture, &unit).await?, ExitStatus::Signal(15));
    assert!(done.exists(), "the worker was cut off");
    Ok(())
}

async fn what_a_wrapper_leaves_is_killed_in_the_end(fixture: &Fixture) -> ContractResult {
    let unit = fixture.started(&format!("{ESCAPEE} sleep 3600 & wait")).await?;
    let escapee = fixture.line(&unit, "escaped").await?;
    let begin = Instant::now();
    fixture.runtime().signal(&unit, Signal::Stop(None)).await?;
    assert_eq!(wait(fixture, &unit).await?, ExitStatus::Signal(15));
    assert!((4..10).contains(&begin.elapsed().as_secs()), "after {:?}", begin.elapsed());
    gone(&escapee).await
}

async fn removing_leaves_nothing_of_the_tree(fixture: &Fixture) -> ContractResult {
    let unit = fixture.started(&format!("{ESCAPEE} sleep 3600")).await?;
    let escapee = fixture.line(&unit, "escaped").await?;
    tokio::time::timeout(LIMIT, fixture.runtime().remove(&unit)).await??;
    assert!(!Path::new("/proc").join(escapee).exists());
    assert!(!fixture.units().join(unit.as_str()).exists());
    Ok(())
}

async fn orphans_are_reaped(fixture: &Fixture) -> ContractResult {
    let unit = fixture.started("for i in 1 2 3 4 5; do (sleep 0.01 &); done; echo ready; sleep 3600").await?;
    fixture.line(&unit, "ready").await?;
    let begin = Instant::now();
    // The shell and its sleep; everything else has ended and was waited for.
    while fixture.runtime().stats(&unit).await?.processes != 2 {
        assert!(begin.elapsed() < Duration::from_secs(10), "zombies are left");
        tokio::task::yield_now().await;
    }
    Ok(())
}

async fn the_whole_tree_is_counted(fixture: &Fixture) -> ContractResult {
    let unit = fixture.started(&format!("{ESCAPEE} (setsid sleep 3600 &); echo ready; sleep 3600")).await?;
    fixture.line(&unit, "escaped").await?;
    fixture.line(&unit, "ready").await?;
    let stats = fixture.runtime().stats(&unit).await?;
    assert!(stats.processes >= 3, "{stats:?}");
    Ok(())
}
