//! The shim itself: alone, twice, killed.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use futures_util::StreamExt;
use nd_core::ports::{HintKind, LogCursor, Runtime, UnitIo, UnitStatus};
use nd_process::ShimCommand;
use nd_testkit::contract::ContractResult;
use nd_testkit::contract::runtime::RuntimeFixture;
use nd_types::{ExitStatus, UnitId};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, Signal, kill_process, pidfd_open};

use crate::fixture::{Fixture, LIMIT};

crate::tests![
    half_a_task_starts_nothing,
    a_second_shim_for_a_unit_is_refused,
    a_unit_and_its_exit_code_outlive_the_daemon,
    a_shim_that_is_killed_is_noticed_at_once,
    what_a_killed_shim_leaves_is_gone_before_the_unit_starts_again,
    what_a_killed_shim_leaves_is_gone_with_the_unit,
    a_shim_that_is_asked_to_end_takes_its_unit_along,
    a_unit_holds_no_file_that_its_daemon_had_open,
    a_long_data_directory_is_no_obstacle,
    fifty_units_are_observed_quickly,
];

/// Runs a shim by hand.
fn shim(input: &str) -> Result<Output, Box<dyn std::error::Error>> {
    let mut child = Command::new(std::env::current_exe()?)
        .arg("shim")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    if let Some(mut stdin) = child.stdin.take() {
        stdin.write_all(input.as_bytes())?;
    }
    Ok(child.wait_with_output()?)
}

fn task(fixture: &Fixture, unit: &UnitId) -> String {
    let dir = fixture.units().join(unit.as_str());
    let second = r#"{"secs":1,"nanos":0}"#;
    format!(
        r#"{{"unit":{{"unit":"{unit}","dir":{dir:?},"socket":{:?},"segment_bytes":65536,"linger":{second},"idle":{second}}}}}"#,
        dir.join("other-sock")
    )
}

/// The shim of a unit, from its state file.
pub(crate) fn shim_of(fixture: &Fixture, unit: &UnitId) -> Result<Pid, Box<dyn std::error::Error>> {
    let state = std::fs::read_to_string(fixture.units().join(unit.as_str()).join("state.json"))?;
    let pid = state.split_once("\"shim\":").and_then(|(_, rest)| rest.split(',').next());
    Ok(pid.and_then(|pid| Pid::from_raw(pid.parse().ok()?)).ok_or("no shim in the state file")?)
}

async fn half_a_task_starts_nothing(fixture: &Fixture) -> ContractResult {
    let unit = fixture.created("sleep 3600").await?;
    let task = task(fixture, &unit);
    let ended = shim(task.get(..task.len() - 1).unwrap_or_default())?;
    assert_eq!(ended.status.code(), Some(65), "{ended:?}");
    assert!(String::from_utf8_lossy(&ended.stderr).contains("nothing was started"));
    assert!(!fixture.units().join(unit.as_str()).join("lock").exists());
    Ok(())
}

async fn a_second_shim_for_a_unit_is_refused(fixture: &Fixture) -> ContractResult {
    let unit = fixture.started("sleep 3600").await?;
    let ended = shim(&task(fixture, &unit))?;
    assert_eq!(ended.status.code(), Some(75), "{ended:?}");
    assert!(String::from_utf8_lossy(&ended.stdout).contains("is held by another shim"));
    assert!(fixture.runtime().start(&unit).await?.status.is_running());
    Ok(())
}

async fn a_unit_and_its_exit_code_outlive_the_daemon(fixture: &Fixture) -> ContractResult {
    let go = fixture.scratch().join("go");
    let script = format!("while [ ! -e {} ]; do sleep 0.02; done; exit 23", go.display());
    let unit = fixture.created(&script).await?;
    let first = fixture.open()?;
    let started = first.start(&unit).await?;
    drop(first);
    std::fs::write(&go, "")?;
    // Nobody looks until it is over.
    let pid = started.pid.and_then(|pid| Pid::from_raw(i32::try_from(pid).ok()?)).ok_or("no pid")?;
    nd_supervise::blocking("wait for a process", move || {
        // No such process: it is over already.
        let Ok(end) = pidfd_open(pid, PidfdFlags::empty()) else { return Ok(1) };
        poll(&mut [PollFd::new(&end, PollFlags::IN)], Timespec::try_from(LIMIT).ok().as_ref())
    })
    .await??;
    let second = fixture.open()?;
    assert_eq!(tokio::time::timeout(LIMIT, second.wait(&unit)).await??, ExitStatus::Code(23));
    Ok(())
}

async fn a_shim_that_is_killed_is_noticed_at_once(fixture: &Fixture) -> ContractResult {
    let runtime = fixture.runtime();
    let unit = fixture.started("echo ready; sleep 3600").await?;
    fixture.line(&unit, "ready").await?;
    let mut hints = runtime.hints().await?;
    let waiting = {
        let (runtime, unit) = (fixture.runtime(), unit.clone());
        async move { runtime.wait(&unit).await }
    };
    kill_process(shim_of(fixture, &unit)?, Signal::KILL)?;
    let died = async { while hints.next().await.is_some_and(|hint| hint.kind != HintKind::Died) {} };
    tokio::time::timeout(Duration::from_secs(1), died).await?;
    assert_eq!(tokio::time::timeout(LIMIT, waiting).await??, ExitStatus::Unknown);
    Ok(())
}

/// A unit whose shim was killed, and what is left of it.
async fn orphaned(fixture: &Fixture) -> Result<(UnitId, String), Box<dyn std::error::Error>> {
    let unit = fixture.started("trap '' TERM; echo pid $$; (setsid sleep 3600 &); sleep 3600").await?;
    let pid = fixture.line(&unit, "pid").await?;
    kill_process(shim_of(fixture, &unit)?, Signal::KILL)?;
    tokio::time::timeout(LIMIT, fixture.runtime().wait(&unit)).await??;
    assert!(Path::new("/proc").join(&pid).exists(), "the kernel killed it already");
    Ok((unit, pid))
}

fn is_alive(pid: &str) -> bool {
    std::fs::read_to_string(Path::new("/proc").join(pid).join("stat"))
        .is_ok_and(|stat| !stat.contains(") Z "))
}

async fn what_a_killed_shim_leaves_is_gone_before_the_unit_starts_again(fixture: &Fixture) -> ContractResult {
    let (unit, pid) = orphaned(fixture).await?;
    let started = fixture.runtime().start(&unit).await?;
    assert!(started.status.is_running() && !is_alive(&pid));
    Ok(())
}

async fn what_a_killed_shim_leaves_is_gone_with_the_unit(fixture: &Fixture) -> ContractResult {
    let (unit, pid) = orphaned(fixture).await?;
    fixture.runtime().remove(&unit).await?;
    assert!(!is_alive(&pid));
    Ok(())
}

async fn a_shim_that_is_asked_to_end_takes_its_unit_along(fixture: &Fixture) -> ContractResult {
    let runtime = fixture.runtime();
    let unit = fixture.started("trap 'exit 4' TERM; echo ready; while :; do sleep 0.02; done").await?;
    fixture.line(&unit, "ready").await?;
    kill_process(shim_of(fixture, &unit)?, Signal::TERM)?;
    assert_eq!(tokio::time::timeout(LIMIT, runtime.wait(&unit)).await??, ExitStatus::Code(4));
    assert!(runtime.start(&unit).await?.status.is_running());
    Ok(())
}

async fn a_unit_holds_no_file_that_its_daemon_had_open(fixture: &Fixture) -> ContractResult {
    let unit = fixture.created("exec ls -l /proc/self/fd").await?;
    let exe = std::env::current_exe()?.to_string_lossy().into_owned();
    let script = "exec 9</etc/passwd; exec \"$0\" shim".to_owned();
    let leaky =
        ShimCommand { program: "/bin/sh".into(), args: vec!["-c".to_owned(), script, exe], as_unit: false };
    let runtime = fixture.open_with(leaky)?;
    runtime.start(&unit).await?;
    let shim = shim_of(fixture, &unit)?.as_raw_nonzero();
    assert_eq!(tokio::time::timeout(LIMIT, runtime.wait(&unit)).await??, ExitStatus::Code(0));
    let logs = runtime.logs(&unit, LogCursor::Start).await?;
    let lines: Vec<_> = logs
        .take(5)
        .map(|piece| piece.map(|piece| String::from_utf8_lossy(&piece.line).into_owned()))
        .collect()
        .await;
    // A heading, the standard three, and the directory itself.
    assert!(lines.iter().flatten().all(|line| !line.contains("passwd")), "{lines:?}");
    for file in std::fs::read_dir(format!("/proc/{shim}/fd"))?.flatten() {
        assert!(!std::fs::read_link(file.path()).is_ok_and(|path| path == Path::new("/etc/passwd")));
    }
    Ok(())
}

async fn a_long_data_directory_is_no_obstacle(fixture: &Fixture) -> ContractResult {
    let units = fixture.scratch().join("x".repeat(120));
    let shim =
        ShimCommand { program: std::env::current_exe()?, args: vec!["shim".to_owned()], as_unit: false };
    let run = fixture.scratch().join("run");
    let runtime =
        nd_process::ProcessRuntime::new(&nd_process::Settings::default(), units, run.clone(), shim)?;
    let unit = nd_core::ports::UnitSpec {
        id: UnitId::new(&"shop".parse()?, &"abc123".parse()?, 1),
        daemon: fixture.daemon(),
        spec: crate::fixture::spec(&["sleep", "3600"]).into(),
        prepared: nd_core::ports::Prepared::default(),
    };
    runtime.create(&unit).await?;
    assert!(runtime.start(&unit.id).await?.status.is_running());
    assert_eq!(std::fs::read_dir(&run)?.count(), 1);
    runtime.remove(&unit.id).await?;
    assert_eq!(std::fs::read_dir(&run)?.count(), 0);
    Ok(())
}

async fn fifty_units_are_observed_quickly(fixture: &Fixture) -> ContractResult {
    let runtime = fixture.runtime();
    let mut ports = std::collections::BTreeSet::new();
    for number in 0..50 {
        let unit =
            fixture.created_as(&format!("app{number}"), crate::fixture::spec(&["sleep", "3600"])).await?;
        ports.extend(runtime.start(&unit).await?.port);
    }
    assert_eq!(ports.len(), 50, "each has a port of its own");
    let begin = std::time::Instant::now();
    let all = runtime.observe(&nd_core::ports::Scope::All(fixture.daemon())).await?;
    assert!(begin.elapsed() < Duration::from_secs(1), "it took {:?}", begin.elapsed());
    assert_eq!(all.iter().filter(|unit| matches!(unit.status, UnitStatus::Running { .. })).count(), 50);
    Ok(())
}
