//! Daemon and shim killed at random: each unit has one main process while it should run, and none in the end.

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};
use std::time::{Duration, Instant};

use nd_core::ports::{Runtime, Scope, Signal, UnitStatus};
use nd_testkit::contract::ContractResult;
use nd_testkit::contract::runtime::RuntimeFixture;
use nd_types::{ExitStatus, UnitId};
use rustix::process::kill_process;

use crate::fixture::{Fixture, LIMIT, spec};
use crate::shim::shim_of;

crate::tests![
    whoever_is_killed_each_unit_runs_exactly_once,
    two_daemons_that_start_a_unit_at_once_start_it_once,
    a_lost_socket_is_made_again_and_the_unit_never_noticed,
    a_shim_that_hangs_without_its_socket_is_killed,
    what_a_killed_shim_leaves_is_stopped_even_if_nobody_starts_it_again,
];

/// How often somebody is killed; `ND_KILLS=1000` is the soak.
const KILLS: usize = 30;

/// Writes its number, starts one that leaves its session, and waits.
const APP: &str = "setsid sleep 3600 & exec sleep 3600";

/// How many of the marked processes are the unit's own main one or its companion.
fn is_whole(fixture: &Fixture, unit: &UnitId) -> bool {
    fixture.processes_of(unit).is_ok_and(|count| count == 2)
}

async fn until(what: &str, mut happened: impl FnMut() -> bool) -> ContractResult {
    let begin = Instant::now();
    while !happened() {
        if begin.elapsed() > LIMIT {
            return Err(format!("{what}: not within {LIMIT:?}").into());
        }
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    Ok(())
}

async fn whoever_is_killed_each_unit_runs_exactly_once(fixture: &Fixture) -> ContractResult {
    let kills = std::env::var("ND_KILLS").ok().and_then(|kills| kills.parse().ok()).unwrap_or(KILLS);
    let mut random = RandomState::new().build_hasher();
    let mut units = Vec::new();
    for app in ["one", "two", "three"] {
        units.push(fixture.created_as(app, spec(&["sh", "-c", APP])).await?);
    }
    let mut runtime = fixture.open()?;
    for round in 0..kills {
        random.write_usize(round);
        let dice = usize::try_from(random.finish() % 12)?;
        let unit = units.get(dice % 3).ok_or("no unit")?;
        match dice / 3 {
            // The shim: its app is left alone for a moment, never for good.
            0 => {
                if let Ok(shim) = shim_of(fixture, unit) {
                    kill_process(shim, rustix::process::Signal::KILL).ok();
                }
            }
            // The daemon, between two questions.
            1 => runtime = fixture.open()?,
            // The daemon in the middle of a start: the future is gone, what it has done is not.
            2 => {
                let patience = Duration::from_millis(random.finish() % 20);
                tokio::time::timeout(patience, runtime.start(unit)).await.ok();
                runtime = fixture.open()?;
            }
            // The unit.
            _ => {
                runtime.signal(unit, Signal::Kill).await?;
                tokio::time::timeout(LIMIT, runtime.wait(unit)).await??;
            }
        }
        for unit in &units {
            runtime.start(unit).await.map_err(|error| format!("round {round}, {unit}: {error}"))?;
        }
        for unit in &units {
            until("one of each unit", || is_whole(fixture, unit)).await.map_err(|error| {
                format!("round {round}, dice {dice}, {unit}: {error}; {:?}", fixture.processes_of(unit))
            })?;
        }
    }
    for unit in &units {
        runtime.remove(unit).await?;
        assert_eq!(fixture.processes_of(unit)?, 0, "{unit}");
    }
    Ok(())
}

async fn two_daemons_that_start_a_unit_at_once_start_it_once(fixture: &Fixture) -> ContractResult {
    let unit = fixture.created_as("shop", spec(&["sh", "-c", APP])).await?;
    for round in 0..10 {
        let (one, two) = (fixture.open()?, fixture.open()?);
        let (one, two) = tokio::join!(one.start(&unit), two.start(&unit));
        assert_eq!(one?.pid, two?.pid, "round {round}");
        until("one unit", || is_whole(fixture, &unit)).await?;
        fixture.runtime().remove(&unit).await?;
        assert_eq!(fixture.processes_of(&unit)?, 0);
        fixture.created_as("shop", spec(&["sh", "-c", APP])).await?;
    }
    Ok(())
}

async fn a_lost_socket_is_made_again_and_the_unit_never_noticed(fixture: &Fixture) -> ContractResult {
    let runtime = fixture.runtime();
    let unit = fixture.created_as("shop", spec(&["sh", "-c", APP])).await?;
    let pid = runtime.start(&unit).await?.pid;
    until("the unit", || is_whole(fixture, &unit)).await?;
    let socket = fixture.units().join(unit.as_str()).join("sock");
    for again in [false, true] {
        std::fs::remove_file(&socket)?;
        let observed = runtime.observe(&Scope::All(fixture.daemon())).await?;
        assert_eq!(observed.first().and_then(|unit| unit.pid), pid);
        assert!(socket.exists());
        if again {
            std::fs::remove_file(&socket)?;
            assert_eq!(runtime.start(&unit).await?.pid, pid, "it was started twice");
        }
    }
    std::fs::remove_file(&socket)?;
    runtime.remove(&unit).await?;
    assert_eq!(fixture.processes_of(&unit)?, 0);
    Ok(())
}

async fn a_shim_that_hangs_without_its_socket_is_killed(fixture: &Fixture) -> ContractResult {
    let runtime = fixture.runtime();
    let unit = fixture.created_as("shop", spec(&["sh", "-c", APP])).await?;
    let before = runtime.start(&unit).await?.pid;
    until("the unit", || is_whole(fixture, &unit)).await?;
    kill_process(shim_of(fixture, &unit)?, rustix::process::Signal::STOP)?;
    std::fs::remove_file(fixture.units().join(unit.as_str()).join("sock"))?;
    assert_ne!(runtime.start(&unit).await?.pid, before);
    until("one unit", || is_whole(fixture, &unit)).await
}

async fn what_a_killed_shim_leaves_is_stopped_even_if_nobody_starts_it_again(
    fixture: &Fixture,
) -> ContractResult {
    let runtime = fixture.runtime();
    let mut spec = spec(&["sh", "-c", APP]);
    spec.resources.pids = std::num::NonZeroU32::new(20);
    let unit = fixture.created_as("shop", spec).await?;
    runtime.start(&unit).await?;
    until("the unit", || is_whole(fixture, &unit)).await?;
    kill_process(shim_of(fixture, &unit)?, rustix::process::Signal::KILL)?;
    tokio::time::timeout(LIMIT, runtime.wait(&unit)).await??;
    let scope = Scope::All(fixture.daemon());
    for _ in 0..2 {
        let observed = runtime.observe(&scope).await?;
        let status = observed.into_iter().next().map(|unit| unit.status);
        assert!(matches!(status, Some(UnitStatus::Exited { exit: ExitStatus::Unknown, .. })), "{status:?}");
        assert_eq!(fixture.processes_of(&unit)?, 0);
    }
    Ok(())
}
