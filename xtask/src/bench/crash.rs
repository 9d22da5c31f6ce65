//! An app dies, and is back: beside its own start, the engine's own restart policy, and the supervisors of processes.

use std::time::{Duration, Instant};

use nd_e2e::{Daemon, Docker, Options, Programs, Target, get, has_ended, kill, until_closely};
use rustix::process::Signal;
use serde_json::Value;

use super::peers::{self, Peer};
use super::stage::{Bare, BareContainer, Image, LIMIT, Workload, deploy, destroy, pass};
use super::{Bench, Figure, Report, median, ms, percentile, step};
use crate::Result;

pub(super) fn measure(bench: &Bench, report: &mut Report) -> Result {
    let rounds = bench.rounds;
    step(&format!("{rounds} crashes beside bare starts and the engine's restart policy"));
    let daemon = Daemon::start(&bench.programs, Options::default())?;
    let (mut ours, mut bare) = (Vec::new(), Vec::new());
    for round in 0..rounds {
        let app = format!("process-{round}");
        ours.push(crash_of_ours(&daemon, &app, &bench.programs)?);
        bare.push(ms(Bare::start(&bench.programs.testapp)?.took));
    }
    let (ours, bare) = (median(ours), median(bare));
    let figure = Figure::new("crash: process back in service", ours, "ms").beside("its own start:", bare);
    report.add(figure.at_most(bare * 1.2 + 50.0));
    match &bench.docker {
        Some(docker) => containers(&daemon, docker, bench, report),
        None => Ok(()),
    }
}

/// Rounds enough for a 95th percentile.
const MANY: usize = 30;

/// How long an app has been up when it is killed.
const UP: Duration = Duration::from_secs(1);

/// The crash of a plain process beside PM2 and systemd, as far as they are to be had: in each round all of them start
/// the app, and then it is killed under one after the other.
pub(super) fn beside_peers(bench: &Bench, report: &mut Report) -> Result {
    let peers = peers::find(bench);
    let names: Vec<&str> = peers.iter().map(|peer| peer.name()).collect();
    step(&format!("{MANY} crashes beside {}", names.join(" and ")));
    let daemon = Daemon::start(&bench.programs, Options::default())?;
    let mut times = vec![Vec::new(); peers.len() + 1];
    for round in 0..MANY {
        let app = format!("round-{round}");
        let found = round_of(&daemon, &peers, &app, round, &bench.programs)?;
        times.iter_mut().zip(found).for_each(|(times, time)| times.push(time));
    }
    let mut times = times.into_iter();
    let ours = times.next().unwrap_or_default();
    let (middle, high) = (median(ours.clone()), percentile(&ours, 95));
    let middle = || Figure::new(format!("restart: process, median of {MANY}"), middle, "ms");
    let high = || Figure::new(format!("restart: process, p95 of {MANY}"), high, "ms");
    if peers.is_empty() {
        report.add(middle());
        report.add(high());
    }
    for (peer, theirs) in peers.iter().zip(times) {
        let name = format!("{}:", peer.name());
        let (theirs, theirs_high) = (median(theirs.clone()), percentile(&theirs, 95));
        report.add(middle().beside(&name, theirs).at_most(theirs));
        report.add(high().beside(&name, theirs_high).at_most(theirs_high));
    }
    Ok(())
}

/// One crash under each: ours first in what it gives, another one first in time with every round.
fn round_of(
    daemon: &Daemon,
    peers: &[Box<dyn Peer>],
    app: &str,
    round: usize,
    programs: &Programs,
) -> Result<Vec<f64>> {
    deploy(daemon, app, Workload::Program(&programs.testapp))?;
    let mut places = vec![(Target::Tcp(daemon.site().http), format!("{app}.localhost"))];
    for peer in peers {
        places.push((peer.start(app, &programs.testapp)?, "bare".to_owned()));
    }
    pass(UP)?;
    let mut times = vec![0.0; places.len()];
    for turn in 0..places.len() {
        let which = (round + turn) % places.len();
        if let (Some((target, host)), Some(time)) = (places.get(which), times.get_mut(which)) {
            let pid = process_of(target, host)?;
            *time = ms(recovery(target, host, pid)?);
        }
    }
    destroy(daemon, app)?;
    peers.iter().try_for_each(|peer| peer.stop(app))?;
    Ok(times)
}

fn crash_of_ours(daemon: &Daemon, app: &str, programs: &Programs) -> Result<f64> {
    deploy(daemon, app, Workload::Program(&programs.testapp))?;
    let (target, host) = (Target::Tcp(daemon.site().http), format!("{app}.localhost"));
    let took = recovery(&target, &host, process_of(&target, &host)?)?;
    destroy(daemon, app)?;
    Ok(ms(took))
}

fn containers(daemon: &Daemon, docker: &Docker, bench: &Bench, report: &mut Report) -> Result {
    let image = Image::new(docker, &bench.programs.testapp)?;
    let (mut ours, mut policy, mut start) = (Vec::new(), Vec::new(), Vec::new());
    for round in 0..bench.rounds {
        let app = format!("container-{round}");
        deploy(daemon, &app, Workload::Image(&image.reference))?;
        let containers = daemon.containers(docker)?;
        let running = containers
            .iter()
            .find(|one| one.pointer("/Labels/nextdeploy.app").and_then(Value::as_str) == Some(app.as_str()));
        let id =
            running.and_then(|one| one.get("Id")).and_then(Value::as_str).ok_or("no container")?.to_owned();
        let target = Target::Tcp(daemon.site().http);
        ours.push(ms(recovery(&target, &format!("{app}.localhost"), docker.pid(&id)?)?));
        destroy(daemon, &app)?;
        let bare = BareContainer::start(docker, &image.reference, "always")?;
        start.push(ms(bare.took));
        policy.push(ms(restart_by_policy(docker, &bare)?));
    }
    let (ours, policy, start) = (median(ours), median(policy), median(start));
    let figure = || Figure::new("crash: container back in service", ours, "ms");
    report.add(figure().beside("bare start:", start).at_most(start * 1.2 + 50.0));
    report.add(figure().beside("engine's restart policy:", policy).at_most(policy));
    Ok(())
}

/// From the kill to the next good answer.
fn recovery(target: &Target, host: &str, pid: i32) -> Result<Duration> {
    let killed = Instant::now();
    kill(pid, Signal::KILL);
    until_closely("the end of the app", LIMIT, || has_ended(pid))?;
    until_closely("an answer", LIMIT, || get(target, host, "/").is_ok_and(|answer| answer.status == 200))?;
    Ok(killed.elapsed())
}

fn restart_by_policy(docker: &Docker, bare: &BareContainer<'_>) -> Result<Duration> {
    let pid = docker.pid(&bare.id)?;
    let killed = Instant::now();
    // As its death, not as a wish: the engine does not restart what was killed through its API.
    kill(pid, Signal::KILL);
    until_closely("the end of the app", LIMIT, || has_ended(pid))?;
    until_closely("an answer", LIMIT, || {
        let target = bare.address();
        target.is_ok_and(|target| get(&target, "bare", "/").is_ok_and(|answer| answer.status == 200))
    })?;
    Ok(killed.elapsed())
}

/// The process that answers there.
fn process_of(target: &Target, host: &str) -> Result<i32> {
    let answer = get(target, host, "/")?;
    let instance = answer.header("x-instance").unwrap_or_default();
    Ok(instance.rsplit('-').next().unwrap_or_default().parse()?)
}
