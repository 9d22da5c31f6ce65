//! `cargo xtask demo`: the product at its main job, on this machine, in a minute.
//!
//! A daemon in a private folder deploys the sample application, swaps its versions under load, and gets its app and
//! itself killed. What was seen is reported; what was made is removed, also on Ctrl-C.

use std::fs;
use std::path::PathBuf;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use nd_e2e::{Daemon, Load, Options, Programs, Site, interruption, runs_as_root, until};

use crate::workspace::Workspace;
use crate::{Result, process, testapp};

mod report;
mod sample;

use report::Report;
use sample::Sample;

/// The most that one request more may take in a healthy moment.
const ANSWER: Duration = Duration::from_secs(30);

/// How long the load goes on after each change, so that a late misroute is seen.
const AFTER: Duration = Duration::from_secs(1);

/// Between a client's answer and its next request: hundreds of requests a second from each, and room for the rest of
/// the machine.
const PAUSE: Duration = Duration::from_millis(5);

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Run the sample as a plain process, although a Docker engine answers
    #[arg(long)]
    process: bool,
    /// Optimised programs
    #[arg(long)]
    release: bool,
    /// The report as one JSON object on stdout
    #[arg(long)]
    json: bool,
    /// Connections of the load
    #[arg(long, default_value_t = 32, value_name = "N")]
    connections: usize,
    /// Stay at the end, to play on, until Ctrl-C
    #[arg(long)]
    stay: bool,
}

/// `cargo xtask demo [--process] [--release] [--json]`.
pub(crate) fn run(args: &Args) -> Result {
    let stop = interruption();
    for signal in [signal_hook::consts::SIGINT, signal_hook::consts::SIGTERM] {
        // The second one ends this at once.
        signal_hook::flag::register_conditional_shutdown(signal, 130, stop.clone())?;
        signal_hook::flag::register(signal, stop.clone())?;
    }
    let programs = build(args.release)?;
    let sample = Sample::choose(&programs, args.process)?;
    step(&format!("a daemon in a folder of its own; runtime: {}", sample.runtime()));
    let mut daemon = Daemon::start_at(Site::with_own_proxy()?, &programs, Options::default())?;
    let report = play(args, &programs, &mut daemon, &sample)?;
    report.show(args.json);
    if args.stay {
        step("Ctrl-C ends it");
        while !stop.load(Ordering::Relaxed) {
            until("Ctrl-C", ANSWER, || false).ok();
        }
    }
    match report.requests_failed {
        0 => Ok(()),
        failed => Err(format!("{failed} requests failed in the swaps").into()),
    }
}

fn build(release: bool) -> Result<Programs> {
    let workspace = Workspace::load()?;
    step("building (the first time takes a few minutes)");
    let mut cargo = process::cargo();
    cargo.args(["build", "--quiet", "--package", "nextdeployd", "--package", "nextdeploy"]);
    process::run(cargo.args(release.then_some("--release")))?;
    let folder = workspace.target.join(if release { "release" } else { "debug" });
    let testapp = testapp::build(&workspace)?;
    Ok(Programs { daemon: folder.join("nextdeployd"), cli: folder.join("nextdeploy"), testapp })
}

fn play(args: &Args, programs: &Programs, daemon: &mut Daemon, sample: &Sample) -> Result<Report> {
    fs::create_dir(folder(daemon))?;
    step("deploy v1");
    let url = deploy(daemon, sample, "v1")?;
    let (target, host, _) = daemon.route(&url)?;
    step(&format!("{url} answers; load on {} connections", args.connections));
    let mut load = Load::new(&target, &host, &["v1"]);
    load.requests(args.connections, PAUSE)?;
    linger(&load)?;
    step("deploy v2 under load");
    let swap = change(&load, "v1", "v2", || deploy(daemon, sample, "v2").map(drop))?;
    step("rollback to v1");
    let rollback = change(&load, "v2", "v1", || {
        let words = ["rollback", sample::APP];
        daemon.type_in(&folder(daemon), &words)?.wait(ANSWER * 4)?.ok().map(drop)
    })?;
    let (swapped, failures) = (load.tally(), load.failures());

    step("kill the app (SIGKILL)");
    let app_recovery = sample.kill_app(daemon, &url)?;
    step(&format!("it answered again after {} ms", report::ms(app_recovery)));
    linger(&load)?;
    step("kill the daemon (SIGKILL), and start it again");
    let daemon_recovery = kill_daemon(daemon, &url)?;
    step(&format!("the app answered again after {} ms", report::ms(daemon_recovery)));
    linger(&load)?;
    let failed_during_kills = load.stop().failed - swapped.failed;
    Ok(Report {
        runtime: sample.runtime(),
        requests_sent: swapped.sent,
        requests_failed: swapped.failed,
        failures,
        swap,
        rollback,
        failed_during_kills,
        app_recovery,
        daemon_recovery,
        play_on: commands(args, programs, daemon, &url),
    })
}

/// Changes the version under load; gives the time from the command to the first answer of the new one.
fn change(load: &Load, from: &str, to: &str, command: impl FnOnce() -> Result) -> Result<Duration> {
    let begun = Instant::now();
    load.allow(&[from, to]);
    command()?;
    let first = load.first_answer(to);
    // Acknowledged: from here on the old version answers nothing that begins.
    load.allow(&[to]);
    linger(load)?;
    let first = first.ok_or_else(|| format!("{to} did not answer although the swap was over"))?;
    let (swap, tally) = (first.duration_since(begun), load.tally());
    step(&format!(
        "{to} answered after {} ms; {} requests, {} failed",
        report::ms(swap),
        tally.sent,
        tally.failed
    ));
    Ok(swap)
}

/// Kills the daemon and starts it again; gives the time until the app answers.
fn kill_daemon(daemon: &mut Daemon, url: &str) -> Result<Duration> {
    let killed = Instant::now();
    daemon.kill();
    daemon.spawn()?;
    until("an answer of the app", ANSWER, || daemon.get(url).is_ok_and(|answer| answer.status == 200))?;
    let recovery = killed.elapsed();
    daemon.wait_phase(sample::APP, "running")?;
    Ok(recovery)
}

/// Deploys a release of the sample from its `nextdeploy.yml`; gives the URL, which is all of stdout.
fn deploy(daemon: &Daemon, sample: &Sample, release: &str) -> Result<String> {
    let folder = folder(daemon);
    fs::write(folder.join("nextdeploy.yml"), sample.manifest(release))?;
    let outcome = daemon.type_in(&folder, &["deploy"])?.wait(ANSWER * 4)?.ok()?;
    Ok(outcome.stdout.trim().to_owned())
}

/// Where the sample's `nextdeploy.yml` is.
fn folder(daemon: &Daemon) -> PathBuf {
    daemon.site().folder().join("demo")
}

/// Lets the load go on for a while, and at least until it has got further.
fn linger(load: &Load) -> Result {
    let (begun, before) = (Instant::now(), load.tally().sent);
    until("requests", ANSWER, || begun.elapsed() >= AFTER && load.tally().sent > before)?;
    Ok(())
}

fn commands(args: &Args, programs: &Programs, daemon: &Daemon, url: &str) -> Vec<String> {
    let (cli, server) = (programs.cli.display(), programs.daemon.display());
    if args.stay {
        let host = daemon.host_flag();
        let verbs = ["ls", "status demo", "logs demo --follow", "scale demo 3", "deployments demo", "events"];
        let typed = verbs.iter().map(|verb| format!("{cli} {host} {verb}"));
        return std::iter::once(format!("curl -i {url}")).chain(typed).collect();
    }
    let user = if runs_as_root() { "--user root " } else { "" };
    vec![
        "cargo xtask demo --stay".to_owned(),
        format!("{server} run --dev --data-dir /tmp/nextdeploy &"),
        "export NEXTDEPLOY_HOST=unix:///tmp/nextdeploy/nextdeployd.sock".to_owned(),
        format!("{cli} deploy --name hello {user}-- {}", programs.testapp.display()),
        format!("{cli} ls"),
    ]
}

/// Says how far it is. On stderr: stdout is for the report.
fn step(what: &str) {
    eprintln!("==> {what}");
}
