//! PM2's own spellings, and what looks closer: typed against a real daemon, on both programs where they differ in nothing.

use std::path::Path;

use nd_e2e::{Daemon, Options, Programs, Result, Terminal, Typed, WAIT, until};
use rustix::process::Signal;
use serde_json::Value;

fn daemon() -> Result<Daemon> {
    Daemon::start(&Programs::from_env()?, Options::default())
}

/// Whoever runs the tests; a plain process runs as root only where that is written.
fn user() -> Result<String> {
    let id = std::process::Command::new("id").arg("-un").output()?;
    Ok(String::from_utf8(id.stdout)?.trim().to_owned())
}

fn number(value: &Value, path: &str) -> Option<u64> {
    value.pointer(path).and_then(Value::as_u64)
}

fn instances(daemon: &Daemon, app: &str) -> Result<Vec<String>> {
    let view = daemon.app(app)?;
    let units = view.get("units").and_then(Value::as_array).cloned().unwrap_or_default();
    let ready = units.iter().filter(|unit| unit.get("state").and_then(Value::as_str) == Some("ready"));
    Ok(ready.filter_map(|unit| Some(unit.get("pid")?.to_string())).collect())
}

/// Types a line whose output can be read while it goes on.
fn into_file(daemon: &Daemon, line: &str, file: &Path) -> Result<Typed> {
    let (cli, socket) = (daemon.programs().cli.display(), daemon.site().socket());
    let script = format!("exec {cli} --host unix://{} {line} > {}", socket.display(), file.display());
    Typed::start(Path::new("/bin/sh"), &["-c", &script], daemon.site().folder(), &[])
}

#[test]
fn reload_replaces_every_instance_and_each_request_is_answered() -> Result {
    let daemon = daemon()?;
    let url = daemon.deploy("shop", "v1", &["-i", "2"])?;
    let before = instances(&daemon, "shop")?;
    assert_eq!(before.len(), 2);
    let words = ["reload", "shop"];
    let mut reloading = daemon.type_in(daemon.site().folder(), &words)?;
    while reloading.runs() {
        assert_eq!(daemon.get(&url)?.status, 200);
    }
    let said = reloading.wait(WAIT)?.ok()?.stdout;
    assert!(said.starts_with("shop reloaded"), "{said}");
    let after = instances(&daemon, "shop")?;
    assert!(after.len() == 2 && after.iter().all(|pid| !before.contains(pid)), "{before:?} {after:?}");
    Ok(())
}

#[test]
fn scale_takes_how_many_more_and_how_many_fewer() -> Result {
    let daemon = daemon()?;
    daemon.deploy("shop", "v1", &[])?;
    for (line, wanted) in [
        ("scale shop +2", 3),
        ("scale shop -1", 2),
        ("scale --name=shop --instances=+1", 3),
        ("scale shop -i -2", 1),
    ] {
        daemon.cli(line)?.ok()?;
        assert_eq!(number(&daemon.app("shop")?, "/instances/desired"), Some(wanted), "{line}");
    }
    let none = daemon.cli("scale shop -1")?.expect_code(2)?;
    assert!(none.stderr.contains("nextdeploy stop shop"), "{}", none.stderr);
    daemon.cli("scale shop 1001")?.expect_code(2)?;
    Ok(())
}

#[test]
fn a_script_starts_by_its_name_on_every_core() -> Result {
    let daemon = daemon()?;
    let script = daemon.site().folder().join("web.sh");
    std::fs::write(&script, format!("exec {} \"$@\"\n", daemon.programs().testapp.display()))?;
    let user = user()?;
    daemon.cli_words(&["start", "web.sh", "-i", "max", "--user", &user])?.ok()?;
    let cores = std::thread::available_parallelism()?.get();
    let app = daemon.wait_phase("web", "running")?;
    assert_eq!(number(&app, "/instances/ready"), u64::try_from(cores).ok(), "{app}");
    daemon.cli("stop web")?.ok()?;
    // The app is meant from now on, whatever lies here under that name.
    std::fs::copy(&script, daemon.site().folder().join("web"))?;
    daemon.cli("start web")?.ok()?;
    daemon.wait_phase("web", "running")?;
    Ok(())
}

#[test]
fn describe_why_metrics_and_ecosystem_say_what_is_known() -> Result {
    let daemon = daemon()?;
    let url = daemon.deploy(
        "shop",
        "v1",
        &["-e", "API_KEY=secret-value", "--health-check=/", "--restart=on-failure"],
    )?;
    assert_eq!(daemon.get(&format!("{url}/exit?code=3"))?.status, 200);
    until("the restart", WAIT, || daemon.app("shop").is_ok_and(|app| number(&app, "/restarts") == Some(1)))?;
    daemon.wait_phase("shop", "running")?;
    until("the end in the timeline", WAIT, || {
        daemon
            .cli("why shop")
            .is_ok_and(|why| why.stdout.contains("exit code 3") && why.stdout.contains("started again"))
    })?;
    let why = daemon.cli("why shop")?.ok()?.stdout;
    let order = ["deployment of release", "serves after", "exit code 3", "started again"];
    let places: Vec<_> = order.iter().map(|part| why.rfind(part)).collect();
    assert!(places.is_sorted() && places.iter().all(Option::is_some), "{places:?}\n{why}");
    for verb in ["describe", "show", "info"] {
        let text = daemon.cli(&format!("{verb} shop"))?.ok()?.stdout;
        for part in ["API_KEY", "on-failure", "GET /", "logs", "1 in 24h", "started again", "exit code 3"] {
            assert!(text.contains(part), "{part} is missing:\n{text}");
        }
        assert!(!text.contains("secret-value"), "{text}");
    }
    let metrics = daemon.cli("metrics --name=shop")?.ok()?.stdout;
    assert!(metrics.contains("crashes") && metrics.contains("shop-"), "{metrics}");
    let tree = daemon.cli("ecosystem")?.ok()?.stdout;
    assert!(tree.contains("├─ instances 1/1") && tree.contains(&url), "{tree}");
    let workers = daemon.cli("status --workers")?.ok()?.stdout;
    assert!(workers.contains("engine") && workers.contains("heartbeat"), "{workers}");
    Ok(())
}

#[test]
fn logs_of_one_stream_are_shown_and_all_are_flushed() -> Result {
    let daemon = daemon()?;
    daemon.deploy("chatty", "v1", &["-e", "TESTAPP_LOG_LINES=20"])?;
    let count = |line: &str| -> Result<usize> { Ok(daemon.cli(line)?.ok()?.stdout.lines().count()) };
    until("twenty lines", WAIT, || count("logs chatty --raw").is_ok_and(|all| all >= 20))?;
    let (out, err) = (count("logs chatty --raw --out")?, count("logs chatty --raw --err")?);
    assert!(out >= 10 && err >= 10, "{out} + {err}");
    assert_eq!(count("logs chatty --err --lines 3")?, 3);
    daemon.cli("logs chatty --err --out")?.expect_code(2)?;
    daemon.cli("flush chatty")?.ok()?;
    assert_eq!(count("logs chatty")?, 0);
    daemon.cli("flush")?.ok()?;
    daemon.cli("flush ghost")?.expect_code(3)?;
    Ok(())
}

#[test]
fn what_is_not_needed_is_accepted_and_says_why() -> Result {
    let daemon = daemon()?;
    for line in ["save", "resurrect", "startup", "startup systemd -u deploy --hp /home/deploy"] {
        let said = daemon.cli(line)?.ok()?.stdout;
        assert!(said.starts_with("no"), "{line}: {said}");
        assert_eq!(daemon.cli_of_daemon(line)?.ok()?.stdout, said);
    }
    Ok(())
}

#[test]
fn delete_removes_several_apps() -> Result {
    let daemon = daemon()?;
    daemon.deploy("one", "v1", &[])?;
    daemon.deploy("two", "v1", &[])?;
    daemon.cli("delete one two")?.expect_code(2)?;
    daemon.cli("delete one two --yes")?.ok()?;
    let list = daemon.cli("list")?.ok()?.stdout;
    assert!(list.contains("Monitoring 0 applications"), "{list}");
    Ok(())
}

#[test]
fn a_watched_list_is_printed_anew_where_there_is_no_terminal() -> Result {
    let daemon = daemon()?;
    daemon.deploy("shop", "v1", &[])?;
    let file = daemon.site().folder().join("watched");
    let watching = into_file(&daemon, "ls --watch", &file)?;
    let shown = || std::fs::read_to_string(&file).unwrap_or_default();
    until("two looks", WAIT, || shown().matches("Monitoring 1 applications").count() >= 2)?;
    nd_e2e::kill(watching.pid(), Signal::INT);
    watching.wait(WAIT)?.expect_code(130)?;
    assert!(!shown().contains('\u{1b}'), "{}", shown());
    Ok(())
}

#[test]
fn on_a_terminal_a_watched_list_is_drawn_in_its_place_until_somebody_ends_it() -> Result {
    let daemon = daemon()?;
    daemon.deploy("shop", "v1", &[])?;
    let host = format!("unix://{}", daemon.site().socket().display());
    for (key, code) in [(Some("q"), 0), (None, 130)] {
        let words = ["ls", "--watch"];
        let mut terminal =
            Terminal::start(&daemon.programs().cli, &words, &[("NEXTDEPLOY_HOST", &host)], (24, 80))?;
        terminal.wait_for("● running")?;
        terminal.wait_for("every 2s, q ends")?;
        daemon.cli("stop shop")?.ok()?;
        terminal.wait_for("○ stopped")?;
        assert_eq!(
            terminal.screen().matches("Monitoring 1 applications").count(),
            1,
            "{}",
            terminal.screen()
        );
        assert!(terminal.screen().lines().all(|line| line.chars().count() <= 80), "{}", terminal.screen());
        daemon.cli("start shop")?.ok()?;
        terminal.wait_for("● running")?;
        match key {
            Some(key) => terminal.press(key)?,
            None => nd_e2e::kill(terminal.pid(), Signal::INT),
        }
        assert_eq!(terminal.wait_end(WAIT)?.code(), Some(code));
        until("the terminal as it was", WAIT, || terminal.is_given_back())?;
    }
    Ok(())
}
