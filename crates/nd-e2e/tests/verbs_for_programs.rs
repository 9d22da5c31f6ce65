//! What programs get from the command line: JSON alone on each stream, annotations and a summary in a GitHub job.

use std::path::Path;

use nd_e2e::{Daemon, Options, Outcome, Programs, Result, Typed, WAIT};
use serde_json::Value;

/// Whoever runs the tests; a plain process runs as root only where that is written.
fn user() -> Result<String> {
    let id = std::process::Command::new("id").arg("-un").output()?;
    Ok(String::from_utf8(id.stdout)?.trim().to_owned())
}

fn daemon() -> Result<Daemon> {
    Daemon::start(&Programs::from_env()?, Options::default())
}

/// Types words behind variables of the environment.
fn typed(daemon: &Daemon, folder: &Path, words: &[&str], variables: &[(&str, &str)]) -> Result<Outcome> {
    let host = format!("unix://{}", daemon.site().socket().display());
    let variables = [&[("NEXTDEPLOY_HOST", host.as_str())], variables].concat();
    Typed::start(&daemon.programs().cli, words, folder, &variables)?.wait(WAIT)
}

fn text<'a>(value: &'a Value, path: &str) -> &'a str {
    value.pointer(path).and_then(Value::as_str).unwrap_or_default()
}

/// The only line of standard error.
fn error(outcome: &Outcome) -> Result<Value> {
    serde_json::from_str(&outcome.stderr).map_err(|error| format!("{error}: {}", outcome.stderr).into())
}

#[test]
fn a_deployment_is_a_stream_of_records_that_ends_with_its_url() -> Result {
    let daemon = daemon()?;
    let program = daemon.programs().testapp.display().to_string();
    let user = user()?;
    let words = ["deploy", "--json", "--name", "shop", "--user", &user, "--", &program];
    let outcome = daemon.cli_words(&words)?.ok()?;
    assert_eq!(outcome.stderr, "");
    let records = outcome.ndjson()?;
    assert!(records.iter().all(|record| record.get("v") == Some(&Value::from(1))), "{records:?}");
    let steps: Vec<_> = records.iter().map(|record| text(record, "/step")).collect();
    assert!(steps.contains(&"health") && steps.contains(&"swap"), "{steps:?}");
    let last = records.last().ok_or("no record")?;
    assert_eq!((text(last, "/step"), text(last, "/state"), text(last, "/app")), ("done", "ok", "shop"));
    assert_eq!(daemon.get(text(last, "/url"))?.status, 200);
    Ok(())
}

#[test]
fn a_failed_deployment_is_one_error_object_behind_its_records() -> Result {
    let daemon = daemon()?;
    let user = user()?;
    let script = "echo no DATABASE_URL >&2; exit 3";
    let words = ["deploy", "--json", "--name", "shop", "--user", &user, "--", "/bin/sh", "-c", script];
    let outcome = daemon.cli_words(&words)?.expect_code(1)?;
    let records = outcome.ndjson()?;
    assert_eq!(records.last().map(|last| text(last, "/status")), Some("failed"));
    let error = error(&outcome)?;
    assert_eq!((error.get("v"), text(&error, "/error/code")), (Some(&Value::from(1)), "ND1207"));
    assert!(text(&error, "/error/what").contains("exit code 3"), "{error}");
    assert_eq!(text(&error, "/error/logs/0"), "no DATABASE_URL");
    assert!(error.pointer("/error/fix/0").is_some() && error.pointer("/error/why").is_some(), "{error}");
    Ok(())
}

#[test]
fn every_failure_is_one_json_object_and_keeps_its_exit_code() -> Result {
    let mut daemon = daemon()?;
    daemon.deploy("shop", "v1", &[])?;
    for (line, code, said) in [
        ("status ghost --json", 3, "ghost"),
        ("scale shop none --json", 2, "none"),
        ("ls --jsno --json", 2, "--jsno"),
        ("destroy shop --json", 2, "confirmed"),
        ("restart shop ghost --json", 9, "1 of 2 apps"),
        ("deployments show dpl_nope --json", 3, "dpl_nope"),
    ] {
        let outcome = daemon.cli(line)?.expect_code(code)?;
        let error = error(&outcome)?;
        assert!(text(&error, "/error/title").contains(said), "{line}: {error}");
        assert_eq!(error.pointer("/error/exit"), Some(&Value::from(code)), "{line}");
    }
    daemon.kill();
    let outcome = daemon.cli("ls --json")?.expect_code(6)?;
    assert_eq!(error(&outcome)?.pointer("/error/exit"), Some(&Value::from(6)));
    Ok(())
}

#[test]
fn fields_are_picked_by_their_names() -> Result {
    let daemon = daemon()?;
    daemon.deploy("shop", "v1", &[])?;
    let list = daemon.cli("ls --json=name,instances.ready,nothing")?.ok()?.json()?;
    assert_eq!(list, serde_json::json!([{"v": 1, "name": "shop", "instances.ready": 1, "nothing": null}]));
    Ok(())
}

#[test]
fn a_github_job_gets_annotations_a_group_and_a_summary() -> Result {
    let daemon = daemon()?;
    let folder = daemon.site().folder().join("repository");
    std::fs::create_dir(&folder)?;
    let root = folder.display().to_string();
    let summary = folder.join("summary.md").display().to_string();
    let job = [
        ("GITHUB_ACTIONS", "true"),
        ("GITHUB_WORKSPACE", root.as_str()),
        ("GITHUB_STEP_SUMMARY", summary.as_str()),
        ("CI", "true"),
    ];
    let file = folder.join("nextdeploy.yml");
    std::fs::write(&file, "version: \"1.0\"\napp:\n  name: shop\n  prot: 3000\ncommand: ./x\n")?;
    let mistaken = typed(&daemon, &folder, &["deploy"], &job)?.expect_code(2)?;
    let annotation = "::error file=nextdeploy.yml,line=4,col=3,title=ND0110::unknown key `prot`";
    assert!(mistaken.stderr.contains(annotation), "{}", mistaken.stderr);

    let (program, user) = (daemon.programs().testapp.display().to_string(), user()?);
    let manifest = format!("version: \"1.0\"\napp:\n  name: shop\ncommand: [{program}]\nuser: \"{user}\"\n");
    std::fs::write(&file, manifest)?;
    let deployed = typed(&daemon, &folder, &["deploy"], &job)?.ok()?;
    assert_eq!(deployed.stdout.lines().count(), 1, "{}", deployed.stdout);
    let (group, end) = (deployed.stderr.find("::group::deploy shop"), deployed.stderr.find("::endgroup::"));
    assert!(group.is_some() && group < end, "{}", deployed.stderr);
    let summary = std::fs::read_to_string(&summary)?;
    assert!(summary.starts_with(&format!("### shop is deployed: {}", deployed.stdout)), "{summary}");
    assert!(summary.contains("| health | ok |"), "{summary}");
    Ok(())
}
