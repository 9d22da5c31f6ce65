//! How a unit says that it is ready.

use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::process::ExitCode;

use nd_core::ports::{Scope, UnitStatus};
use nd_core::spec::AppSpec;
use nd_testkit::contract::ContractResult;
use nd_testkit::contract::runtime::RuntimeFixture;
use nd_types::UnitId;

use crate::fixture::{Fixture, LIMIT, spec};

crate::tests! {
    a_unit_that_nobody_waits_for_has_no_way_to_say_it,
    a_unit_is_ready_when_it_tells_its_service_manager,
    what_another_user_says_does_not_count,
    a_unit_is_ready_when_it_sends_the_message_of_node,
    node_itself_is_heard,
    a_unit_is_not_ready_again_before_it_says_so_again,
}

fn waited_for(argv: &[&str]) -> AppSpec {
    let mut spec = spec(argv);
    spec.readiness.message = true;
    spec
}

/// Whether it said that it is ready; nothing where nobody waits for that.
async fn said(fixture: &Fixture, unit: &UnitId) -> Result<Option<bool>, Box<dyn std::error::Error>> {
    let all = fixture.runtime().observe(&Scope::All(fixture.daemon())).await?;
    let ours = all.into_iter().find(|seen| seen.id.as_ref() == Some(unit)).ok_or("it is gone")?;
    match ours.status {
        UnitStatus::Running { healthy, .. } => Ok(healthy),
        other => Err(format!("it does not run: {other:?}").into()),
    }
}

async fn until_ready(fixture: &Fixture, unit: &UnitId) -> ContractResult {
    let ready = async {
        while said(fixture, unit).await? != Some(true) {
            tokio::task::yield_now().await;
        }
        Ok(())
    };
    tokio::time::timeout(LIMIT, ready).await?
}

/// A script that says it by `how` once a file is there, and runs on.
async fn saying(fixture: &Fixture, how: &str) -> ContractResult {
    let go = fixture.scratch().join("go");
    let script =
        format!("echo begun; until test -e {}; do sleep 0.01; done; {how}; sleep 1000", go.display());
    let unit = fixture.created_as("shop", waited_for(&["bash", "-c", &script])).await?;
    fixture.runtime().start(&unit).await?;
    fixture.line(&unit, "begun").await?;
    assert_eq!(said(fixture, &unit).await?, Some(false));
    std::fs::write(&go, "")?;
    until_ready(fixture, &unit).await
}

async fn a_unit_that_nobody_waits_for_has_no_way_to_say_it(fixture: &Fixture) -> ContractResult {
    let unit = fixture.started("echo way=$NOTIFY_SOCKET$NODE_CHANNEL_FD; sleep 1000").await?;
    assert_eq!(fixture.line(&unit, "way=").await?, "");
    assert_eq!(said(fixture, &unit).await?, None);
    Ok(())
}

async fn a_unit_is_ready_when_it_tells_its_service_manager(fixture: &Fixture) -> ContractResult {
    saying(fixture, &format!("{} notify", std::env::current_exe()?.display())).await
}

async fn what_another_user_says_does_not_count(fixture: &Fixture) -> ContractResult {
    if !rustix::process::geteuid().is_root() {
        return Ok(());
    }
    let exe = std::env::current_exe()?;
    let script = "echo way=$NOTIFY_SOCKET; sleep 1000";
    let mut spec = waited_for(&["sh", "-c", script]);
    let nd_core::spec::Workload::Command(command) = &mut spec.workload else {
        return Err("no command".into());
    };
    command.user = Some("daemon".to_owned());
    let unit = fixture.created_as("shop", spec).await?;
    fixture.runtime().start(&unit).await?;
    let way = fixture.line(&unit, "way=").await?;
    let say = |user: &str| {
        let words = ["--reuid", user, "--clear-groups", "--"];
        let mut command = std::process::Command::new("setpriv");
        command.args(words).arg("/proc/self/fd/0").arg("notify").env("NOTIFY_SOCKET", &way);
        // Whoever that is may not reach where the program lies.
        let status = command.stdin(std::fs::File::open(&exe)?).status()?;
        if status.success() { Ok(()) } else { Err(std::io::Error::other(status.to_string())) }
    };
    say("nobody")?;
    say("nobody")?;
    assert_eq!(said(fixture, &unit).await?, Some(false));
    say("daemon")?;
    until_ready(fixture, &unit).await
}

async fn a_unit_is_ready_when_it_sends_the_message_of_node(fixture: &Fixture) -> ContractResult {
    saying(fixture, r#"echo '{"type":"other"}' >&$NODE_CHANNEL_FD; echo '"ready"' >&$NODE_CHANNEL_FD"#).await
}

#[allow(clippy::print_stderr, reason = "what was not tried is said")]
async fn node_itself_is_heard(fixture: &Fixture) -> ContractResult {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let Some(node) = std::env::split_paths(&path).map(|dir| dir.join("node")).find(|file| file.is_file())
    else {
        eprintln!("not tried: node is not in PATH");
        return Ok(());
    };
    saying(
        fixture,
        &format!("exec {} -e \"process.send('ready'); setInterval(() => {{}}, 1000)\"", node.display()),
    )
    .await
}

async fn a_unit_is_not_ready_again_before_it_says_so_again(fixture: &Fixture) -> ContractResult {
    let script =
        r#"test -e ran || { touch ran; echo '"ready"' >&$NODE_CHANNEL_FD; }; echo begun; sleep 1000"#;
    let mut spec = waited_for(&["bash", "-c", script]);
    let nd_core::spec::Workload::Command(command) = &mut spec.workload else {
        return Err("no command".into());
    };
    command.cwd = fixture.scratch().to_owned();
    let unit = fixture.created_as("shop", spec).await?;
    let runtime = fixture.runtime();
    runtime.start(&unit).await?;
    until_ready(fixture, &unit).await?;
    fixture.line(&unit, "begun").await?;
    runtime.signal(&unit, nd_core::ports::Signal::Kill).await?;
    tokio::time::timeout(LIMIT, runtime.wait(&unit)).await??;
    runtime.start(&unit).await?;
    fixture.line_after(&unit, "begun", 1).await?;
    assert_eq!(said(fixture, &unit).await?, Some(false));
    Ok(())
}

/// Tells the service manager as sd_notify(3) does.
pub(crate) fn notify() -> ExitCode {
    let told = || {
        let name = std::env::var("NOTIFY_SOCKET").map_err(std::io::Error::other)?;
        let address = SocketAddr::from_abstract_name(name.trim_start_matches('@'))?;
        UnixDatagram::unbound()?.send_to_addr(b"STATUS=up\nREADY=1\n", &address)
    };
    if told().is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
