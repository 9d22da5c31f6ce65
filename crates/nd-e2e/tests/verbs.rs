//! Every verb of the command line, typed against a real daemon: exit codes, stdout, and what it does.

use nd_e2e::{Daemon, Options, Programs, Result, WAIT, until, until_some};
use serde_json::Value;

fn daemon() -> Result<Daemon> {
    Daemon::start(&Programs::from_env()?, Options::default())
}

fn instance(daemon: &Daemon, url: &str) -> Result<String> {
    let answer = daemon.get(url)?;
    Ok(answer.header("x-instance").ok_or("no x-instance")?.to_owned())
}

/// Whoever runs the tests; a plain process runs as root only where that is written.
fn user() -> Result<String> {
    let id = std::process::Command::new("id").arg("-un").output()?;
    Ok(String::from_utf8(id.stdout)?.trim().to_owned())
}

fn text<'a>(value: &'a Value, path: &str) -> &'a str {
    value.pointer(path).and_then(Value::as_str).unwrap_or_default()
}

#[test]
fn deploy_prints_exactly_the_url_and_the_app_answers_there() -> Result {
    let daemon = daemon()?;
    let program = daemon.programs().testapp.display().to_string();
    let words = ["deploy", "--name", "shop", "--user", &user()?, "-e", "TESTAPP_RELEASE=v1", "--", &program];
    let outcome = daemon.cli_words(&words)?.ok()?;
    let url = outcome.stdout.strip_suffix('\n').ok_or("stdout has no line")?;
    assert!(url.starts_with("http://shop.localhost:") && !url.contains(char::is_whitespace), "{url:?}");
    let answer = daemon.get(url)?;
    assert_eq!((answer.status, answer.text().as_str()), (200, "hello from release v1\n"));
    assert_eq!(answer.header("x-release"), Some("v1"));
    Ok(())
}

#[test]
fn deploy_reads_the_file_in_its_directory() -> Result {
    let daemon = daemon()?;
    let folder = daemon.site().folder().join("project");
    std::fs::create_dir(&folder)?;
    let program = daemon.programs().testapp.display().to_string();
    let manifest = format!(
        "version: \"1.0\"\napp: {{name: filed, domain: filed.example.com}}\ncommand: [\"{program}\"]\nuser: \"{}\"\n\
         env: {{TESTAPP_RELEASE: r7}}\nscale: {{instances: 2}}\n",
        user()?
    );
    std::fs::write(folder.join("nextdeploy.yml"), manifest)?;
    let url = daemon.type_in(&folder, &["deploy"])?.wait(WAIT)?.ok()?.stdout;
    assert!(url.starts_with("http://filed.example.com"), "{url}");
    assert_eq!(daemon.get(&url)?.header("x-release"), Some("r7"));
    assert_eq!(daemon.app("filed")?.pointer("/instances/ready"), Some(&Value::from(2)));
    Ok(())
}

#[test]
fn list_and_status_show_what_runs() -> Result {
    let daemon = daemon()?;
    daemon.deploy("shop", "v1", &[])?;
    for verb in ["ls", "list", "l", "ps"] {
        let list = daemon.cli(verb)?.ok()?.stdout;
        assert!(list.contains("shop"), "{list}");
        assert!(list.trim_end().ends_with("Monitoring 1 applications"), "{list}");
    }
    let list = daemon.cli("ls --json")?.ok()?.json()?;
    let apps =
        list.as_array().or_else(|| list.pointer("/apps").and_then(Value::as_array)).ok_or("no list")?;
    let app = apps.first().ok_or("no app")?;
    for (key, value) in
        [("name", "shop"), ("status", "running"), ("desired_state", "running"), ("policy", "always")]
    {
        assert_eq!(app.get(key).and_then(Value::as_str), Some(value), "{app}");
    }
    assert_eq!(app.get("restarts"), Some(&Value::from(0)));
    assert!(daemon.cli("status shop")?.ok()?.stdout.contains("shop"));
    let status = daemon.cli("status --name=shop --json")?.ok()?.json()?;
    for key in ["name", "status", "restarts", "desired_state", "policy", "logs", "crashes", "last_checked"] {
        assert!(status.get(key).is_some(), "{key} is missing: {status}");
    }
    Ok(())
}

#[test]
fn an_unknown_app_is_exit_code_3_and_says_so() -> Result {
    let daemon = daemon()?;
    for verb in [
        "status ghost",
        "stop ghost",
        "restart ghost",
        "scale ghost 2",
        "rollback ghost",
        "destroy ghost --yes",
    ] {
        let outcome = daemon.cli(verb)?.expect_code(3)?;
        assert!(outcome.stdout.is_empty(), "{verb}: {}", outcome.stdout);
        let said = outcome.stderr.to_lowercase();
        assert!(said.contains("ghost") && said.contains("not found"), "{verb}: {}", outcome.stderr);
    }
    Ok(())
}

#[test]
fn stop_and_start_end_and_begin_serving() -> Result {
    let daemon = daemon()?;
    let url = daemon.deploy("shop", "v1", &[])?;
    daemon.cli("stop shop")?.ok()?;
    daemon.wait_phase("shop", "stopped")?;
    assert_eq!(daemon.get(&url)?.status, 503);
    daemon.cli("start shop")?.ok()?;
    daemon.wait_phase("shop", "running")?;
    assert_eq!(daemon.get(&url)?.status, 200);
    Ok(())
}

#[test]
fn restart_replaces_the_instance() -> Result {
    let daemon = daemon()?;
    let url = daemon.deploy("shop", "v1", &[])?;
    let before = instance(&daemon, &url)?;
    daemon.cli("restart shop")?.ok()?;
    until("another instance", WAIT, || instance(&daemon, &url).is_ok_and(|now| now != before))?;
    daemon.wait_phase("shop", "running")?;
    Ok(())
}

#[test]
fn scale_changes_how_many_instances_answer() -> Result {
    let daemon = daemon()?;
    let url = daemon.deploy("shop", "v1", &[])?;
    daemon.cli("scale shop 3")?.ok()?;
    let mut seen = std::collections::BTreeSet::new();
    until("three instances", WAIT, || {
        seen.extend(instance(&daemon, &url).ok());
        seen.len() == 3
    })?;
    daemon.cli("scale --name=shop --instances=1")?.ok()?;
    until_some("one instance", WAIT, || {
        let app = daemon.app("shop").ok()?;
        (app.pointer("/instances/ready")? == 1 && app.get("phase")? == "running").then_some(())
    })?;
    assert_eq!(daemon.get(&url)?.status, 200);
    Ok(())
}

#[test]
fn rollback_brings_the_release_before_back() -> Result {
    let daemon = daemon()?;
    let url = daemon.deploy("shop", "v1", &[])?;
    daemon.deploy("shop", "v2", &[])?;
    assert_eq!(daemon.get(&url)?.header("x-release"), Some("v2"));
    daemon.cli("rollback shop")?.ok()?;
    assert_eq!(daemon.get(&url)?.header("x-release"), Some("v1"));
    Ok(())
}

#[test]
fn deployments_and_events_tell_what_happened() -> Result {
    let daemon = daemon()?;
    daemon.deploy("shop", "v1", &["-m", "first"])?;
    daemon.deploy("shop", "v2", &[])?;
    let list = daemon.cli("deployments shop --json")?.ok()?.json()?;
    let items =
        list.as_array().or_else(|| list.pointer("/items").and_then(Value::as_array)).ok_or("no list")?;
    assert_eq!(items.len(), 2, "{list}");
    assert!(items.iter().all(|one| text(one, "/status") == "succeeded"), "{list}");
    assert_eq!(items.last().map(|one| text(one, "/message")), Some("first"), "{list}");
    let id = items.first().map(|one| text(one, "/id").to_owned()).ok_or("no id")?;
    assert!(daemon.cli(&format!("deployments {id}"))?.ok()?.stdout.contains(&id));
    // Events are kept within a second of their happening.
    until("events of the deployments", WAIT, || {
        let outcome = daemon.cli("events shop --json");
        outcome.is_ok_and(|events| events.code == Some(0) && events.stdout.matches("deploy.").count() >= 2)
    })?;
    Ok(())
}

#[test]
fn logs_are_filtered_by_stream_and_text_and_followed() -> Result {
    let daemon = daemon()?;
    let url = daemon.deploy("chatty", "v1", &["-e", "TESTAPP_LOG_LINES=20"])?;
    let lines = |line: &str| -> Result<Vec<String>> {
        Ok(daemon.cli(line)?.ok()?.stdout.lines().map(str::to_owned).collect())
    };
    until("twenty lines", WAIT, || lines("logs chatty --raw").is_ok_and(|all| all.len() >= 20))?;
    assert_eq!(lines("logs chatty --raw -n 5")?.len(), 5);
    let stdout = lines("logs chatty --raw --stream stdout")?.len();
    let stderr = lines("logs chatty --raw --stream stderr")?.len();
    assert!(stdout >= 10 && stderr >= 10, "{stdout} + {stderr}");
    let one = lines("logs chatty --raw -F 17")?;
    assert!(!one.is_empty() && one.iter().all(|line| line.contains("17")), "{one:?}");
    let json = daemon.cli("logs chatty --json -n 3")?.ok()?.ndjson()?;
    assert_eq!(json.len(), 3);
    let following = daemon.type_in(daemon.site().folder(), &["logs", "chatty", "--follow"])?;
    assert_eq!(daemon.get(&format!("{url}/exit?code=3"))?.status, 200);
    // The daemon's end ends the stream; what the restarted instance wrote is in it.
    until("the restart", WAIT, || lines("logs chatty --raw -n 1000").is_ok_and(|all| all.len() >= 40))?;
    let followed = until("it in what is followed", WAIT, || following.said().lines().count() >= 30);
    nd_e2e::kill(following.pid(), rustix::process::Signal::INT);
    let outcome = following.wait(WAIT)?;
    followed.map(drop).map_err(|error| format!("{error}: {}", outcome.stdout).into())
}

#[test]
fn destroy_asks_for_yes_and_leaves_nothing() -> Result {
    let daemon = daemon()?;
    let url = daemon.deploy("shop", "v1", &[])?;
    let refused = daemon.cli("destroy shop")?.expect_code(2)?;
    assert!(refused.stderr.contains("--yes"), "{}", refused.stderr);
    assert_eq!(daemon.get(&url)?.status, 200);
    daemon.cli("destroy shop --yes")?.ok()?;
    until("the end of its processes", WAIT, || daemon.unit_processes().is_empty())?;
    daemon.cli("status shop")?.expect_code(3)?;
    assert_eq!(daemon.get(&url)?.status, 404);
    Ok(())
}

#[test]
fn plan_says_what_would_change_and_does_nothing() -> Result {
    let daemon = daemon()?;
    let program = daemon.programs().testapp.display().to_string();
    let plan =
        daemon.cli_words(&["plan", "--name", "shop", "--user", &user()?, "--", &program])?.expect_code(8)?;
    assert!(plan.stdout.contains("shop"), "{}", plan.stdout);
    daemon.cli("status shop")?.expect_code(3)?;
    let dry =
        daemon.cli_words(&["deploy", "--dry-run", "--name", "shop", "--user", &user()?, "--", &program])?;
    assert!(matches!(dry.code, Some(0 | 8)), "{dry:?}");
    daemon.cli("status shop")?.expect_code(3)?;
    Ok(())
}

#[test]
fn version_and_completion_need_no_app() -> Result {
    let daemon = daemon()?;
    let version = daemon.cli("version --json")?.ok()?.json()?;
    assert!(version.to_string().contains("0.1.0"), "{version}");
    for shell in ["bash", "zsh", "fish"] {
        assert!(daemon.cli(&format!("completion {shell}"))?.ok()?.stdout.contains("nextdeploy"));
    }
    Ok(())
}

#[test]
fn the_daemons_binary_knows_the_same_verbs() -> Result {
    let daemon = daemon()?;
    daemon.deploy("shop", "v1", &[])?;
    assert!(daemon.cli_of_daemon("list")?.ok()?.stdout.contains("shop"));
    daemon.cli_of_daemon("restart --name=shop")?.ok()?;
    daemon.cli_of_daemon("stop --name=shop")?.ok()?;
    assert_eq!(text(&daemon.wait_phase("shop", "stopped")?, "/status"), "stopped");
    Ok(())
}

#[test]
fn without_a_daemon_the_exit_code_is_6() -> Result {
    let mut daemon = daemon()?;
    daemon.kill();
    let outcome = daemon.cli("ls")?.expect_code(6)?;
    assert!(outcome.stderr.contains("nextdeployd"), "{}", outcome.stderr);
    Ok(())
}
