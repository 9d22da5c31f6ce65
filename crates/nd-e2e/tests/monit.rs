//! `monit` in a real terminal, against a real daemon: what is seen, what keys do, and how the terminal is left.

use std::path::Path;
use std::time::Instant;

use nd_e2e::{Daemon, Options, Programs, Result, Terminal, Typed, WAIT, until};
use rustix::process::Signal;
use serde_json::Value;

fn daemon() -> Result<Daemon> {
    let daemon = Daemon::start(&Programs::from_env()?, Options::default())?;
    daemon.deploy("blog", "v1", &[])?;
    daemon.deploy("shop", "v1", &["-e", "TESTAPP_LOG_LINES=1"])?;
    Ok(daemon)
}

fn monit(daemon: &Daemon, words: &[&str], variables: &[(&str, &str)]) -> Result<Terminal> {
    let host = format!("unix://{}", daemon.site().socket().display());
    let variables = [&[("NEXTDEPLOY_HOST", host.as_str())], variables].concat();
    Terminal::start(&daemon.programs().cli, &[&["monit"], words].concat(), &variables, (30, 120))
}

/// A process whose shell would be told it was stopped.
fn is_stopped(pid: i32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(") ").is_some_and(|(_, rest)| rest.starts_with('T'))
}

#[test]
fn keys_move_filter_scale_and_restart() -> Result {
    let daemon = daemon()?;
    let mut terminal = monit(&daemon, &[], &[])?;
    for text in ["apps 2", "● blog", "● shop", "╭ host", "q quit", "● live"] {
        terminal.wait_for(text)?;
    }
    assert!(terminal.is_taken());
    terminal.wait_for("╭ blog ")?;
    terminal.press("j")?;
    terminal.wait_for("╭ shop ")?;

    terminal.press("/nothing-has-this\r")?;
    terminal.wait_for("no line passes the filters")?;
    terminal.press("\u{1b}")?;
    until("all lines again", WAIT, || !terminal.screen().contains("no line passes"))?;
    terminal.press("lll")?;
    terminal.wait_for("error+")?;
    terminal.press("l ")?;
    terminal.wait_for("▮▮ paused")?;
    terminal.press(" ?")?;
    terminal.wait_for("roll the app back to its release before")?;
    terminal.press("?")?;

    terminal.press("s+1\r")?;
    terminal.wait_for("shop: scale to 2")?;
    terminal.wait_for("2/2")?;
    let units = |daemon: &Daemon| -> Result<Value> {
        Ok(daemon.app("shop")?.pointer("/units/0/pid").cloned().unwrap_or_default())
    };
    let before = units(&daemon)?;
    terminal.press("r")?;
    terminal.wait_for("shop: restarted")?;
    assert_ne!(units(&daemon)?, before);

    terminal.press("q")?;
    assert!(terminal.wait_end(WAIT)?.success());
    until("the terminal as it was", WAIT, || terminal.is_given_back())?;
    Ok(())
}

#[test]
fn a_rollback_is_done_after_a_yes() -> Result {
    let daemon = daemon()?;
    let first = daemon.app("shop")?.get("release").cloned();
    daemon.deploy("shop", "v2", &[])?;
    let mut terminal = monit(&daemon, &["shop"], &[])?;
    terminal.wait_for("╭ shop ")?;
    terminal.press("Rn")?;
    until("the question gone", WAIT, || !terminal.screen().contains("release before?"))?;
    terminal.press("R")?;
    terminal.wait_for("back to the release before?")?;
    terminal.press("y")?;
    terminal.wait_for("shop: rolled back")?;
    assert_eq!(daemon.app("shop")?.get("release").cloned(), first);
    terminal.press("\u{3}")?;
    assert_eq!(terminal.wait_end(WAIT)?.code(), Some(130));
    Ok(())
}

#[test]
fn every_signal_gives_the_terminal_back() -> Result {
    let daemon = daemon()?;
    let signals =
        [Signal::HUP, Signal::INT, Signal::QUIT, Signal::TERM, Signal::ALARM, Signal::USR1, Signal::USR2];
    for signal in signals {
        let mut terminal = monit(&daemon, &[], &[])?;
        terminal.wait_for("● shop")?;
        assert!(terminal.is_taken() && !terminal.is_given_back());
        nd_e2e::kill(terminal.pid(), signal);
        assert_eq!(terminal.wait_end(WAIT)?.code(), Some(130), "{signal:?}");
        until("the terminal as it was", WAIT, || terminal.is_given_back())?;
    }
    Ok(())
}

#[test]
fn a_stop_lends_the_terminal_to_the_shell() -> Result {
    let daemon = daemon()?;
    let mut terminal = monit(&daemon, &[], &[])?;
    terminal.wait_for("● shop")?;
    nd_e2e::kill(terminal.pid(), Signal::TSTP);
    until("the stop", WAIT, || is_stopped(terminal.pid()))?;
    until("the terminal as it was", WAIT, || terminal.is_given_back())?;
    nd_e2e::kill(terminal.pid(), Signal::CONT);
    until("the screen again", WAIT, || terminal.is_taken())?;
    terminal.wait_for("● shop")?;
    terminal.press("\u{1a}")?;
    until("the second stop", WAIT, || is_stopped(terminal.pid()))?;
    nd_e2e::kill(terminal.pid(), Signal::CONT);
    terminal.wait_for("● shop")?;
    terminal.press("q")?;
    assert!(terminal.wait_end(WAIT)?.success());
    Ok(())
}

#[test]
fn a_panic_is_read_on_the_terminal_it_was_given_back_to() -> Result {
    let daemon = daemon()?;
    let mut terminal = monit(&daemon, &[], &[("ND_FAILPOINT", "monit.picture"), ("RUST_BACKTRACE", "0")])?;
    assert!(!terminal.wait_end(WAIT)?.success());
    terminal.wait_for("fail point monit.picture")?;
    until("the terminal as it was", WAIT, || terminal.is_given_back())?;
    Ok(())
}

#[test]
fn a_daemon_that_dies_is_missed_and_found_again() -> Result {
    let mut daemon = daemon()?;
    let mut terminal = monit(&daemon, &[], &[])?;
    terminal.wait_for("● shop")?;
    daemon.kill();
    terminal.wait_for("what is shown is old")?;
    daemon.launch()?;
    until("the daemon again", WAIT, || !terminal.screen().contains("what is shown is old"))?;
    terminal.press("q")?;
    assert!(terminal.wait_end(WAIT)?.success());
    Ok(())
}

#[test]
fn a_flood_of_lines_costs_little() -> Result {
    let daemon = daemon()?;
    daemon.deploy("flood", "v1", &["-e", "TESTAPP_FLOOD_LINES_PER_S=2000"])?;
    let mut terminal = monit(&daemon, &["flood"], &[])?;
    terminal.wait_for("╭ flood ")?;
    until("lines", WAIT, || terminal.screen().matches(" out ").count() > 5)?;
    let (started, before) = (Instant::now(), nd_e2e::cpu_time(terminal.pid()).ok_or("it ended")?);
    // The clock in the title moves with each look at the figures: several of them are a span to measure over.
    for _ in 0..3 {
        let last = terminal.screen().lines().next().unwrap_or_default().to_owned();
        until("the next look", WAIT, || !terminal.screen().starts_with(&last))?;
    }
    let used = nd_e2e::cpu_time(terminal.pid()).ok_or("it ended")? - before;
    let share = used.as_secs_f64() / started.elapsed().as_secs_f64();
    // The bar is 1 % of a core for a release build with apps that write as apps do; this one is neither.
    assert!(share < 0.30, "{share:.3} of a core");
    terminal.press("q")?;
    assert!(terminal.wait_end(WAIT)?.success());
    Ok(())
}

#[test]
fn without_a_terminal_rows_are_printed() -> Result {
    let daemon = daemon()?;
    for line in ["monit", "monit --once", "monit --once --interval 60"] {
        let outcome = daemon.cli(line)?.ok()?;
        for text in ["host  cpu ", "shop", "blog"] {
            assert!(outcome.stdout.contains(text), "{line}: {}", outcome.stdout);
        }
        assert!(!outcome.stdout.contains('\u{1b}'), "{line}: {:?}", outcome.stdout);
    }
    let view = daemon.cli_of_daemon("monit shop --once --json")?.ok()?.json()?;
    assert_eq!(view.pointer("/apps/0/name").and_then(Value::as_str), Some("shop"));
    assert!(view.pointer("/host/cpu").is_some_and(Value::is_number), "{view}");
    daemon.cli("monit nope --once")?.expect_code(3)?;

    let (cli, socket) = (daemon.programs().cli.display(), daemon.site().socket());
    let file = daemon.site().folder().join("rows");
    let script =
        format!("exec {cli} monit --interval 1 --host unix://{} > {}", socket.display(), file.display());
    let typed = Typed::start(Path::new("/bin/sh"), &["-c", &script], daemon.site().folder(), &[])?;
    let rows = || std::fs::read_to_string(&file).unwrap_or_default();
    until("three looks", WAIT, || rows().matches("host  cpu").count() >= 3)?;
    nd_e2e::kill(typed.pid(), Signal::INT);
    typed.wait(WAIT)?.expect_code(130)?;
    Ok(())
}
