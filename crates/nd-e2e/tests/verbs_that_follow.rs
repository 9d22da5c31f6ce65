//! Commands that go on: deployments that are watched, left and cancelled, and lines that are followed.

use std::path::Path;

use nd_e2e::{Daemon, Options, Programs, Result, Typed, WAIT, until, until_some};
use rustix::process::Signal;
use serde_json::Value;

/// Whoever runs the tests; a plain process runs as root only where that is written.
fn user() -> Result<String> {
    let id = std::process::Command::new("id").arg("-un").output()?;
    Ok(String::from_utf8(id.stdout)?.trim().to_owned())
}

fn daemon() -> Result<Daemon> {
    Daemon::start(&Programs::from_env()?, Options::default())
}

fn latest(daemon: &Daemon, app: &str) -> Result<Value> {
    let list = daemon.cli(&format!("deployments ls {app} -n 1 --json"))?.ok()?.json()?;
    Ok(list.pointer("/0").cloned().ok_or("no deployment")?)
}

fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value.get(key).and_then(Value::as_str).unwrap_or_default()
}

/// Follows two apps as one process, whose output can be read while it goes on.
fn follow_into(daemon: &Daemon, file: &Path) -> Result<Typed> {
    let (cli, socket) = (daemon.programs().cli.display(), daemon.site().socket());
    let host = socket.display();
    let words = "logs busy calm --follow --json -n 1000";
    let script = format!("exec {cli} --host unix://{host} {words} > {}", file.display());
    Typed::start(Path::new("/bin/sh"), &["-c", &script], daemon.site().folder(), &[])
}

/// Begins a deployment that takes long to become ready, and waits until it is under way.
fn begin_slowly(daemon: &Daemon) -> Result<(Typed, String)> {
    let (program, user) = (daemon.programs().testapp.display().to_string(), user()?);
    let delay = "TESTAPP_START_DELAY_MS=20000";
    let words = ["deploy", "--name", "shop", "--user", &user, "-e", delay, "--", &program];
    let deploying = daemon.type_in(daemon.site().folder(), &words)?;
    let id = until_some("a deployment under way", WAIT, || {
        let view = latest(daemon, "shop").ok()?;
        (text(&view, "status") == "running").then(|| text(&view, "id").to_owned())
    })?;
    // The step that takes its time has been shown, so that Ctrl-C is watched for.
    until("the wait for readiness", WAIT, || {
        let log = daemon.cli(&format!("deployments logs {id}"));
        log.is_ok_and(|log| log.stdout.contains("[health] start"))
    })?;
    Ok((deploying, id))
}

#[test]
fn the_first_interrupt_leaves_a_deployment_and_the_second_cancels_it() -> Result {
    let daemon = daemon()?;
    daemon.deploy("shop", "v1", &[])?;
    let (deploying, id) = begin_slowly(&daemon)?;
    nd_e2e::kill(deploying.pid(), Signal::INT);
    let left = deploying.wait(WAIT)?.expect_code(130)?;
    for line in [format!("deployments logs -f {id}"), format!("cancel {id}")] {
        assert!(left.stderr.contains(&line), "{line}: {}", left.stderr);
    }
    assert_eq!(text(&latest(&daemon, "shop")?, "status"), "running");
    daemon.cli(&format!("cancel {id}"))?.ok()?;
    until("its end", WAIT, || {
        latest(&daemon, "shop").is_ok_and(|view| text(&view, "status") == "cancelled")
    })?;

    let (mut deploying, id) = begin_slowly(&daemon)?;
    nd_e2e::kill(deploying.pid(), Signal::INT);
    // Presses that come before the first one was answered count as one.
    until("the second press", WAIT, || {
        nd_e2e::kill(deploying.pid(), Signal::INT);
        !deploying.runs()
    })?;
    let cancelled = deploying.wait(WAIT)?.expect_code(130)?;
    assert!(cancelled.stderr.contains(&format!("{id} is being cancelled")), "{}", cancelled.stderr);
    until("its end", WAIT, || {
        latest(&daemon, "shop").is_ok_and(|view| text(&view, "status") == "cancelled")
    })?;
    Ok(())
}

#[test]
fn an_interrupt_in_the_queue_leaves_nothing_behind() -> Result {
    let daemon = daemon()?;
    daemon.deploy("shop", "v1", &[])?;
    let (first, id) = begin_slowly(&daemon)?;
    let (program, user) = (daemon.programs().testapp.display().to_string(), user()?);
    let file = daemon.site().folder().join("queued");
    let socket = daemon.site().socket();
    let script = format!(
        "exec {} --host unix://{} deploy --name shop --user {user} -- {program} 2> {}",
        daemon.programs().cli.display(),
        socket.display(),
        file.display()
    );
    let second = Typed::start(Path::new("/bin/sh"), &["-c", &script], daemon.site().folder(), &[])?;
    let said = || std::fs::read_to_string(&file).unwrap_or_default();
    until("the queue", WAIT, || said().contains("waiting: ") && said().contains(&id))?;
    nd_e2e::kill(second.pid(), Signal::INT);
    second.wait(WAIT)?.expect_code(130)?;
    daemon.cli(&format!("cancel {id}"))?.ok()?;
    first.wait(WAIT)?.expect_code(1)?;
    let list = daemon.cli("deployments ls shop --json=id")?.ok()?.json()?;
    assert_eq!(list.as_array().map(Vec::len), Some(2), "{list}");
    Ok(())
}

#[test]
fn a_deployment_is_shown_by_the_beginning_of_its_id() -> Result {
    let daemon = daemon()?;
    daemon.deploy("shop", "v1", &["-m", "first"])?;
    let id = text(&latest(&daemon, "shop")?, "id").to_owned();
    let begin = id.get(..9).ok_or("a short id")?;
    let bare = begin.trim_start_matches("dpl_");
    for word in [&id, begin, bare] {
        let shown = daemon.cli(&format!("deployments show {word}"))?.ok()?.stdout;
        assert!(shown.contains(&id) && shown.contains("first"), "{shown}");
    }
    let log = daemon.cli(&format!("deployments logs {id}"))?.ok()?.stdout;
    assert!(log.contains("[health] ok") && log.contains("[done] ok"), "{log}");
    let records = daemon.cli(&format!("deployments logs {id} --json"))?.ok()?.ndjson()?;
    assert_eq!(records.last().map(|last| text(last, "step")), Some("done"));
    Ok(())
}

#[test]
fn an_unknown_app_is_told_the_whole_line_to_type() -> Result {
    let daemon = daemon()?;
    let words = ["start", "--name=ghost", "--restart=always", "-e", "GREETING=good day", "--ports=3999:3000"];
    let refused = daemon.cli_words(&words)?.expect_code(2)?;
    let line = "start --name=ghost --restart=always -e 'GREETING=good day' --ports=3999:3000 --image=IMAGE";
    assert!(refused.stderr.contains(line), "{}", refused.stderr);
    Ok(())
}

#[test]
fn followed_lines_of_several_apps_go_on_after_the_daemon_without_one_twice() -> Result {
    let mut daemon = daemon()?;
    let busy = daemon.deploy("busy", "v1", &["-e", "TESTAPP_LOG_LINES=30"])?;
    let calm = daemon.deploy("calm", "v1", &["-e", "TESTAPP_LOG_LINES=3"])?;
    let count = |daemon: &Daemon, app: &str| -> Result<usize> {
        Ok(daemon.cli(&format!("logs {app} -n 1000 --raw"))?.ok()?.stdout.lines().count())
    };
    until("the first lines", WAIT, || {
        count(&daemon, "busy").is_ok_and(|n| n >= 30) && count(&daemon, "calm").is_ok_and(|n| n >= 3)
    })?;
    let file = daemon.site().folder().join("followed");
    let following = follow_into(&daemon, &file)?;
    let followed = || std::fs::read_to_string(&file).unwrap_or_default().lines().count();
    until("the lines that were there", WAIT, || followed() >= 33)?;
    daemon.kill();
    daemon.launch()?;
    for url in [&busy, &calm] {
        let exit = format!("{url}/exit?code=3");
        until("a route to end it by", WAIT, || daemon.get(&exit).is_ok_and(|answer| answer.status == 200))?;
    }
    until("what the restarted instances wrote", WAIT, || {
        count(&daemon, "busy").is_ok_and(|n| n >= 60) && count(&daemon, "calm").is_ok_and(|n| n >= 6)
    })?;
    let kept = count(&daemon, "busy")? + count(&daemon, "calm")?;
    until("the same in the follower", WAIT, || followed() >= kept)?;
    nd_e2e::kill(following.pid(), Signal::INT);
    following.wait(WAIT)?.expect_code(130)?;
    let text_of_all = std::fs::read_to_string(&file)?;
    let lines: Vec<Value> =
        text_of_all.lines().map(serde_json::from_str).collect::<std::result::Result<_, _>>()?;
    for app in ["busy", "calm"] {
        let numbers: Vec<_> = lines
            .iter()
            .filter(|line| text(line, "app") == app)
            .filter_map(|line| line.get("seq")?.as_u64())
            .collect();
        assert!(numbers.is_sorted_by(|a, b| a < b), "{app}: {numbers:?}");
        assert_eq!(numbers.len(), count(&daemon, app)?, "{app}");
    }
    Ok(())
}
