//! What a unit gets, and what it says when it cannot start.

use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use nd_core::ports::{PortErrorKind, Progress};
use nd_core::spec::{AppSpec, Workload};
use nd_testkit::contract::ContractResult;
use nd_testkit::contract::runtime::RuntimeFixture;
use nd_types::ExitStatus;

use crate::fixture::{Fixture, spec};

crate::tests![
    a_unit_gets_its_environment_and_nothing_of_the_daemons,
    a_unit_runs_in_its_directory_and_finds_programs_from_there,
    a_unit_runs_as_its_user_with_all_its_groups,
    a_command_beside_a_unit_has_its_environment,
    a_command_beside_a_unit_runs_as_its_user,
    what_cannot_be_prepared_says_why,
    what_cannot_be_executed_says_why,
    a_start_that_failed_can_be_repeated,
    a_port_that_somebody_else_took_is_replaced,
];

async fn a_unit_gets_its_environment_and_nothing_of_the_daemons(fixture: &Fixture) -> ContractResult {
    let mut spec = spec(&["env"]);
    spec.env.insert("GREETING".to_owned(), "a b=c".to_owned());
    spec.env.insert("PORT".to_owned(), "80".to_owned());
    let unit = fixture.created_as("shop", spec).await?;
    let port = fixture.runtime().start(&unit).await?.port.ok_or("no port")?;
    assert_eq!(fixture.line(&unit, "GREETING=").await?, "a b=c");
    assert_eq!(fixture.line(&unit, "PORT=").await?, port.to_string());
    assert_eq!(fixture.line(&unit, "NEXTDEPLOY_UNIT=").await?, "shop-abc123-1");
    assert_eq!(fixture.line(&unit, "NEXTDEPLOY_APP=").await?, "shop");
    assert_eq!(fixture.line(&unit, "NEXTDEPLOY_RELEASE=").await?, "abc123");
    assert_eq!(fixture.line(&unit, "PATH=").await?, "/usr/local/bin:/usr/bin:/bin");
    // Cargo sets it for the test itself.
    let (_, lines) = fixture.run("env").await?;
    assert!(!lines.iter().any(|line| line.starts_with("CARGO")), "{lines:?}");
    Ok(())
}

async fn a_unit_runs_in_its_directory_and_finds_programs_from_there(fixture: &Fixture) -> ContractResult {
    let dir = fixture.scratch().join("app");
    std::fs::create_dir(&dir)?;
    let program = dir.join("run.sh");
    std::fs::write(&program, "#!/bin/sh\necho in $(pwd) as $0 with \"$1\"\n")?;
    std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755))?;
    let spec = with_command(spec(&["./run.sh", "a  b"]), |command| command.cwd = dir.clone());
    let unit = fixture.created_as("shop", spec).await?;
    fixture.runtime().start(&unit).await?;
    let line = fixture.line(&unit, "in ").await?;
    assert!(line.starts_with(&dir.display().to_string()) && line.ends_with("run.sh with a  b"), "{line}");
    Ok(())
}

async fn a_unit_runs_as_its_user_with_all_its_groups(fixture: &Fixture) -> ContractResult {
    let prepare = |user: &str| {
        let user = user.to_owned();
        with_command(
            spec(&[
                "sh",
                "-c",
                "echo id $(id -u) $(id -g) $(id -G); grep -E '^(Uid|Gid|CapEff)' /proc/self/status",
            ]),
            |command| command.user = Some(user),
        )
    };
    if !rustix::process::geteuid().is_root() {
        let error = fixture.runtime().prepare(&prepare("0"), None, &Progress::default()).await.err();
        assert_eq!(error.map(|error| error.kind), Some(PortErrorKind::Denied));
        return Ok(());
    }
    let unit = fixture.created_as("shop", prepare("4711:4712")).await?;
    fixture.runtime().start(&unit).await?;
    let line = fixture.line(&unit, "id ").await?;
    assert!(line == "4711 4712 4712", "{line}");
    // Real, effective, saved and file system id: nothing of root is left.
    assert_eq!(fixture.line(&unit, "Uid:").await?, "4711\t4711\t4711\t4711");
    assert_eq!(fixture.line(&unit, "Gid:").await?, "4712\t4712\t4712\t4712");
    assert_eq!(fixture.line(&unit, "CapEff:").await?, "0000000000000000");
    // And the shim is root again.
    fixture.runtime().wait(&unit).await?;
    assert!(fixture.runtime().start(&unit).await?.pid.is_some());
    Ok(())
}

async fn a_command_beside_a_unit_runs_as_its_user(fixture: &Fixture) -> ContractResult {
    let is_root = rustix::process::geteuid().is_root();
    let user = if is_root { "4711:4712".to_owned() } else { rustix::process::geteuid().as_raw().to_string() };
    let spec = with_command(spec(&["sleep", "3600"]), |command| {
        command.user = Some(user.clone());
        command.cwd = "/usr".into();
    });
    let unit = fixture.created_as("shop", spec).await?;
    fixture.runtime().start(&unit).await?;
    let argv = ["sh", "-c", "id -u; pwd"].map(str::to_owned);
    let outcome = fixture.runtime().exec(&unit, &argv, Duration::from_secs(20)).await?;
    let expected = user.split(':').next().unwrap_or_default();
    assert_eq!(String::from_utf8(outcome.output)?, format!("{expected}\n/usr\n"));
    Ok(())
}

async fn a_command_beside_a_unit_has_its_environment(fixture: &Fixture) -> ContractResult {
    let runtime = fixture.runtime();
    let unit = fixture.started("sleep 3600").await?;
    let argv = ["sh", "-c", "echo $NEXTDEPLOY_UNIT; echo err >&2; pwd; exit 6"].map(str::to_owned);
    let outcome = runtime.exec(&unit, &argv, Duration::from_secs(20)).await?;
    assert_eq!(String::from_utf8(outcome.output)?, "shop-abc123-1\nerr\n/\n");
    assert_eq!(outcome.exit, ExitStatus::Code(6));
    let missing = runtime.exec(&unit, &["no-such-thing".to_owned()], Duration::from_secs(20)).await?;
    assert_eq!(missing.exit, ExitStatus::Code(127));
    let flood = ["sh", "-c", "yes | head -c 1000000"].map(str::to_owned);
    assert_eq!(runtime.exec(&unit, &flood, Duration::from_secs(20)).await?.output.len(), 64 << 10);
    runtime.signal(&unit, nd_core::ports::Signal::Kill).await?;
    runtime.wait(&unit).await?;
    let error = runtime.exec(&unit, &argv, Duration::from_secs(20)).await.err();
    assert_eq!(error.map(|error| error.kind), Some(PortErrorKind::Conflict));
    Ok(())
}

async fn what_cannot_be_prepared_says_why(fixture: &Fixture) -> ContractResult {
    let fails =
        async |spec: AppSpec| fixture.runtime().prepare(&spec, None, &Progress::default()).await.err();
    let in_dir = |cwd: &str| with_command(spec(&["true"]), |command| command.cwd = cwd.into());
    let user = |user: &str| with_command(spec(&["true"]), |command| command.user = Some(user.to_owned()));
    for (spec, kind, text) in [
        (
            spec(&["fooo"]),
            PortErrorKind::NotFound,
            "command `fooo` was not found in PATH (searched /usr/local/bin, ",
        ),
        (spec(&["/etc/passwd"]), PortErrorKind::Denied, "has no execute permission"),
        (spec(&["./x"]), PortErrorKind::NotFound, "there is no file /./x"),
        (spec(&[]), PortErrorKind::Invalid, "the command is empty"),
        (in_dir("/nowhere"), PortErrorKind::NotFound, "working directory /nowhere does not exist"),
        (in_dir("/etc/passwd"), PortErrorKind::NotFound, "is not a directory"),
        (user("nobody-here"), PortErrorKind::NotFound, "there is no user `nobody-here`"),
    ] {
        let error = fails(spec).await.ok_or(format!("no error: {text}"))?;
        assert_eq!(error.kind, kind, "{error}");
        assert!(error.to_string().contains(text), "{error}");
    }
    Ok(())
}

async fn what_cannot_be_executed_says_why(fixture: &Fixture) -> ContractResult {
    let script = |name: &str, text: &str| {
        let path = fixture.scratch().join(name);
        std::fs::write(&path, text)?;
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755))?;
        Ok::<_, std::io::Error>(path.display().to_string())
    };
    for (name, text, kind, expected) in [
        (
            "interpreter",
            "#!/no/such/interpreter\n",
            PortErrorKind::NotFound,
            "the interpreter in its first line",
        ),
        (
            "nothing",
            "\x01\x02\x03",
            PortErrorKind::Invalid,
            "neither a program for this machine nor a script",
        ),
    ] {
        let unit = fixture.created_as("shop", spec(&[&script(name, text)?])).await?;
        let error = fixture.runtime().start(&unit).await.err().ok_or("it started")?;
        assert_eq!(error.kind, kind, "{error}");
        assert!(error.to_string().contains(expected), "{error}");
        fixture.runtime().remove(&unit).await?;
    }
    Ok(())
}

async fn a_start_that_failed_can_be_repeated(fixture: &Fixture) -> ContractResult {
    let path = fixture.scratch().join("later");
    std::fs::write(&path, "#!/bin/sh\nexit 8\n")?;
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755))?;
    let unit = fixture.created_as("shop", spec(&[&path.display().to_string()])).await?;
    std::fs::rename(&path, fixture.scratch().join("away"))?;
    assert!(fixture.runtime().start(&unit).await.is_err());
    std::fs::rename(fixture.scratch().join("away"), &path)?;
    fixture.runtime().start(&unit).await?;
    assert_eq!(fixture.runtime().wait(&unit).await?, ExitStatus::Code(8));
    Ok(())
}

async fn a_port_that_somebody_else_took_is_replaced(fixture: &Fixture) -> ContractResult {
    let runtime = fixture.runtime();
    let unit = fixture.created("echo port $PORT; exec sleep 3600").await?;
    let leased = runtime.start(&unit).await?.port.ok_or("no port")?;
    runtime.signal(&unit, nd_core::ports::Signal::Kill).await?;
    runtime.wait(&unit).await?;
    let somebody = std::net::TcpListener::bind(("127.0.0.1", leased.get()))?;
    let started = runtime.start(&unit).await?;
    let port = started.port.ok_or("no port")?;
    assert_ne!(port, leased);
    assert_eq!(fixture.line_after(&unit, "port ", 1).await?, port.to_string());
    // Once started it keeps it, whoever asks.
    drop(somebody);
    assert_eq!(runtime.start(&unit).await?.port, Some(port));
    let all = fixture.reopened().await?.observe(&nd_core::ports::Scope::All(fixture.daemon())).await?;
    assert_eq!(all.first().and_then(|unit| unit.port), Some(port));
    Ok(())
}

fn with_command(mut spec: AppSpec, change: impl FnOnce(&mut nd_core::spec::CommandSpec)) -> AppSpec {
    if let Workload::Command(command) = &mut spec.workload {
        change(command);
    }
    spec
}
