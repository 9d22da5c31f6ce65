//! What a unit may use at most, and what happens at the limit.

use std::num::NonZeroU32;
use std::path::Path;
use std::time::Instant;

use nd_core::ports::{Progress, Runtime, Signal, UnitIo};
use nd_core::spec::AppSpec;
use nd_testkit::contract::ContractResult;
use nd_testkit::contract::runtime::RuntimeFixture;
use nd_types::{ByteSize, ExitStatus};

use crate::fixture::{Fixture, LIMIT, spec};

crate::tests![
    what_keeps_each_limit_is_announced,
    a_unit_beyond_its_memory_ends_as_out_of_memory,
    a_unit_within_its_limits_ends_as_it_likes,
    a_fork_bomb_stays_within_its_limit_and_is_gone_when_killed,
    a_tree_that_forks_without_end_is_gone_when_killed,
];

fn script(text: &str) -> AppSpec {
    spec(&["sh", "-c", text])
}

/// Whether the limit of this is kept for the unit as a whole on this host.
async fn is_kept(fixture: &Fixture, spec: &AppSpec, what: &str) -> Result<bool, Box<dyn std::error::Error>> {
    let notes = fixture.open()?.prepare(spec, None, &Progress::default()).await?.notes;
    Ok(notes.iter().any(|note| note.contains(what) && note.contains("is kept by cgroup v")))
}

async fn what_keeps_each_limit_is_announced(fixture: &Fixture) -> ContractResult {
    let mut spec = script("cat /proc/self/cgroup; exec sleep 3600");
    spec.resources.memory = Some(ByteSize(256 << 20));
    spec.resources.pids = NonZeroU32::new(50);
    spec.resources.cpu_millis = NonZeroU32::new(500);
    let notes = fixture.open()?.prepare(&spec, None, &Progress::default()).await?.notes.join("\n");
    for what in ["memory", "cpu", "processes"] {
        assert!(notes.contains(what), "{notes}");
    }
    let kept = is_kept(fixture, &spec, "memory").await?;
    let unit = fixture.created_as("shop", spec).await?;
    let pid = fixture.runtime().start(&unit).await?.pid.ok_or("no pid")?;
    let groups = std::fs::read_to_string(format!("/proc/{pid}/cgroup"))?;
    let memory = groups.lines().find(|line| line.contains(":memory:") || line.starts_with("0::"));
    assert_eq!(memory.is_some_and(|line| line.contains("/nextdeploy/shop-abc123-1-")), kept, "{groups}");
    assert_eq!(fixture.open()?.stats(&unit).await?.memory_limit_bytes, Some(256 << 20));
    Ok(())
}

async fn a_unit_beyond_its_memory_ends_as_out_of_memory(fixture: &Fixture) -> ContractResult {
    let mut spec = script("head -c 300000000 /dev/zero | tail -c 300000000 | wc -c; exit 3");
    spec.resources.memory = Some(ByteSize(32 << 20));
    let kept = is_kept(fixture, &spec, "memory").await?;
    let unit = fixture.created_as("shop", spec).await?;
    let runtime = fixture.runtime();
    for _ in 0..2 {
        runtime.start(&unit).await?;
        let exit = tokio::time::timeout(LIMIT, runtime.wait(&unit)).await??;
        assert_eq!(exit, if kept { ExitStatus::OutOfMemory } else { ExitStatus::Code(3) });
    }
    Ok(())
}

async fn a_unit_within_its_limits_ends_as_it_likes(fixture: &Fixture) -> ContractResult {
    let mut spec = script("exit 4");
    spec.resources.memory = Some(ByteSize(64 << 20));
    spec.resources.pids = NonZeroU32::new(20);
    let unit = fixture.created_as("shop", spec).await?;
    let runtime = fixture.runtime();
    for _ in 0..3 {
        runtime.start(&unit).await?;
        assert_eq!(tokio::time::timeout(LIMIT, runtime.wait(&unit)).await??, ExitStatus::Code(4));
    }
    Ok(())
}

async fn a_fork_bomb_stays_within_its_limit_and_is_gone_when_killed(fixture: &Fixture) -> ContractResult {
    // Not a bomb where nothing would hold it.
    let mut spec = script("echo ready; b() { b | b & }; b; while :; do sleep 1; done 2>/dev/null");
    spec.resources.pids = NonZeroU32::new(40);
    if !is_kept(fixture, &spec, "processes").await? {
        spec = script("echo ready; sleep 3600 & sleep 3600");
    }
    let unit = fixture.created_as("shop", spec).await?;
    let runtime = fixture.runtime();
    runtime.start(&unit).await?;
    fixture.line(&unit, "ready").await?;
    for _ in 0..20 {
        assert!(runtime.stats(&unit).await?.processes <= 40);
    }
    runtime.signal(&unit, Signal::Kill).await?;
    tokio::time::timeout(LIMIT, runtime.wait(&unit)).await??;
    assert_eq!(fixture.processes_of(&unit)?, 0);
    Ok(())
}

async fn a_tree_that_forks_without_end_is_gone_when_killed(fixture: &Fixture) -> ContractResult {
    // Each generation starts the next one and ends: no list of processes is true for long.
    let path = fixture.scratch().join("next.sh");
    std::fs::write(&path, "test -e stop && exit; sh ./next.sh & sh -c 'exec sleep 0.05' & exit\n")?;
    let run = format!("cd {}; sh ./next.sh; echo ready; sleep 3600", fixture.scratch().display());
    let unit = fixture.started(&run).await?;
    fixture.line(&unit, "ready").await?;
    let runtime = fixture.runtime();
    let begin = Instant::now();
    runtime.signal(&unit, Signal::Kill).await?;
    let exit = tokio::time::timeout(LIMIT, runtime.wait(&unit)).await?;
    std::fs::write(fixture.scratch().join("stop"), "")?;
    assert_eq!(exit?, ExitStatus::Signal(9));
    assert!(begin.elapsed().as_secs() < 4, "it was given up after {:?}", begin.elapsed());
    assert_eq!(fixture.processes_of(&unit)?, 0);
    assert!(Path::new("/proc/self").exists());
    Ok(())
}
