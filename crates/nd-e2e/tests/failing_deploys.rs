//! Deployments that fail: the old version serves on, and the answer comes at once, with its proof and its cause.

use std::time::Duration;

use nd_e2e::{Daemon, Docker, Options, Outcome, Programs, Result, runs_as_root};

/// The answer comes within a second of the process's death; the rest is for starting programs on a busy machine.
const AT_ONCE: Duration = Duration::from_millis(2_500);

/// An app that listens in the wrong place is watched for ten seconds; the rest is for starting it on a busy machine.
const SETTLED: Duration = Duration::from_secs(30);

struct Stage {
    daemon: Daemon,
    url: String,
}

impl Stage {
    /// A daemon whose app `shop` serves v1.
    fn new() -> Result<Self> {
        let daemon = Daemon::start(&Programs::from_env()?, Options::default())?;
        let url = daemon.deploy("shop", "v1", &[])?;
        Ok(Self { daemon, url })
    }

    /// Deploys v2 with these faults, which fails.
    fn fails(&self, faults: &[&str]) -> Result<Outcome> {
        let mut words = vec!["deploy", "--name", "shop", "-e", "TESTAPP_RELEASE=v2"];
        if runs_as_root() {
            words.extend(["--user", "root"]);
        }
        for fault in faults {
            words.extend(["-e", fault]);
        }
        let program = self.daemon.programs().testapp.display().to_string();
        words.extend(["--", &program]);
        let outcome = self.daemon.cli_words(&words)?.expect_code(1)?;
        assert!(outcome.stdout.is_empty(), "{}", outcome.stdout);
        assert_eq!(self.daemon.get(&self.url)?.header("x-release"), Some("v1"));
        self.daemon.wait_phase("shop", "running")?;
        Ok(outcome)
    }
}

#[test]
fn an_app_that_exits_at_once_is_shown_with_code_and_last_lines() -> Result {
    let stage = Stage::new()?;
    let outcome = stage.fails(&["TESTAPP_EXIT_CODE=3"])?;
    assert!(outcome.took < AT_ONCE, "{:?}", outcome.took);
    assert!(outcome.stderr.contains("error[ND"), "{}", outcome.stderr);
    for part in ["what:", "exit code 3", "logs:", "fix:"] {
        assert!(outcome.stderr.contains(part), "no {part:?} in {}", outcome.stderr);
    }
    Ok(())
}

#[test]
fn an_app_that_dies_before_it_is_ready_is_answered_within_a_second_of_its_death() -> Result {
    let stage = Stage::new()?;
    let outcome = stage.fails(&["TESTAPP_NEVER_LISTEN=1", "TESTAPP_DIE_AFTER_MS=1000"])?;
    assert!(outcome.took < Duration::from_secs(1) + AT_ONCE, "{:?}", outcome.took);
    assert!(outcome.stderr.contains("exit code 1"), "{}", outcome.stderr);
    Ok(())
}

#[test]
fn a_failed_deployment_keeps_its_diagnosis() -> Result {
    let stage = Stage::new()?;
    stage.fails(&["TESTAPP_EXIT_CODE=9"])?;
    let deployments = stage.daemon.api_get("/api/v1/apps/shop/deployments")?;
    let last = deployments.pointer("/items/0").ok_or("no deployment")?;
    assert_eq!(last.get("status").and_then(serde_json::Value::as_str), Some("failed"), "{last}");
    assert!(
        last.pointer("/error/what").is_some_and(|what| what.to_string().contains("exit code 9")),
        "{last}"
    );
    Ok(())
}

#[test]
fn where_nothing_served_before_a_failure_is_not_a_loss() -> Result {
    let daemon = Daemon::start(&Programs::from_env()?, Options::default())?;
    let user: &[&str] = if runs_as_root() { &["--user", "root"] } else { &[] };
    let deploy = |app: &str, command: &str| {
        let words = ["deploy", "--name", app, "--restart=on-failure"];
        daemon.cli_words(&[&words[..], user, &["--", "sh", "-c", command]].concat())
    };
    // A job that is done has nothing to lose.
    deploy("job", "exit 0")?.ok()?;
    daemon.wait_phase("job", "stopped")?;
    let failed = deploy("job", "exit 3")?.expect_code(1)?;
    assert!(failed.stderr.contains("job was not deployed\n"), "{}", failed.stderr);
    // Neither has an app that its user has stopped.
    daemon.deploy("shop", "v1", &[])?;
    daemon.cli("stop shop")?.ok()?;
    deploy("shop", "exit 3")?.expect_code(1)?;
    daemon.wait_phase("shop", "stopped")?;
    Ok(())
}

/// A container of the test application with these variables fails, and the answer says all of `words`; how long that
/// took.
fn container_fails(test: &str, variables: &[(&str, &str)], words: &[&str]) -> Result<Duration> {
    let programs = Programs::from_env()?;
    let docker =
        Docker::find().ok_or("no Docker engine answers: run `cargo xtask test`, which brings one")?;
    let image = format!("nd-e2e-failing-{test}-{}", std::process::id());
    docker.import(&image, "v1", &programs.testapp, variables)?;
    let daemon = Daemon::start(&programs, Options::default())?;
    let reference = format!("{image}:v1");
    let typed = ["deploy", "--name", "shop", "--port", "3000", "--memory", "24M", "--image", &reference];
    let outcome = daemon.cli_words(&typed).and_then(|outcome| outcome.expect_code(1));
    drop(daemon);
    docker.remove_image(&reference);
    let Outcome { stderr, took, .. } = outcome?;
    for word in words {
        assert!(stderr.contains(word), "no {word:?} in {stderr}");
    }
    Ok(took)
}

#[test]
fn a_container_that_listens_on_another_port_is_told_which() -> Result {
    let took = container_fails("port", &[("TESTAPP_IGNORE_PORT", "4000")], &["4000", "3000"])?;
    assert!(took < SETTLED, "{took:?}");
    Ok(())
}

#[test]
fn a_container_that_binds_loopback_is_told_so() -> Result {
    let took = container_fails("bind", &[("TESTAPP_BIND", "127.0.0.1")], &["127.0.0.1", "0.0.0.0"])?;
    assert!(took < SETTLED, "{took:?}");
    Ok(())
}

#[test]
fn a_container_without_enough_memory_is_told_so() -> Result {
    let faults = [("TESTAPP_NEVER_LISTEN", "1"), ("TESTAPP_LEAK_MB_PER_S", "200")];
    container_fails("memory", &faults, &["out of memory", "memory limit of 24M"])?;
    Ok(())
}
