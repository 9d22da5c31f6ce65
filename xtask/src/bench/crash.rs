//! An app dies, and is back: beside its own start, and beside the engine's own restart policy.

use std::time::{Duration, Instant};

use nd_e2e::{Daemon, Docker, Options, Programs, Target, get, has_ended, kill, until};
use rustix::process::Signal;
use serde_json::Value;

use super::pm2::Pm2;
use super::stage::{Bare, BareContainer, Image, LIMIT, Workload, answers, deploy, destroy};
use super::{Figure, median, ms, percentile, step};
use crate::Result;

pub(super) fn measure(programs: &Programs, docker: Option<&Docker>, rounds: usize) -> Result<Vec<Figure>> {
    step(&format!("{rounds} crashes beside bare starts and the engine's restart policy"));
    let daemon = Daemon::start(programs, Options::default())?;
    let (mut ours, mut bare) = (Vec::new(), Vec::new());
    for round in 0..rounds {
        let app = format!("process-{round}");
        deploy(&daemon, &app, Workload::Program(&programs.testapp))?;
        let pid = process_of(&daemon, &app)?;
        ours.push(ms(recovery(&daemon, &app, pid)?));
        destroy(&daemon, &app)?;
        bare.push(ms(Bare::start(&programs.testapp)?.took));
    }
    let (ours, bare) = (median(ours), median(bare));
    let figure = Figure::new("crash: process back in service", ours, "ms").beside("its own start:", bare);
    let mut figures = vec![figure.at_most(bare * 1.2 + 50.0)];
    if let Some(docker) = docker {
        figures.extend(containers(&daemon, docker, programs, rounds)?);
    }
    Ok(figures)
}

/// Rounds enough for a 95th percentile.
const MANY: usize = 30;

/// The same beside PM2, where it is installed.
pub(super) fn beside_pm2(programs: &Programs) -> Result<Vec<Figure>> {
    let Some(pm2) = Pm2::find() else {
        step("pm2 is not on the PATH: the figures beside it are left out");
        return Ok(Vec::new());
    };
    step(&format!("{MANY} crashes beside PM2"));
    let daemon = Daemon::start(programs, Options::default())?;
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for round in 0..MANY {
        let app = format!("beside-{round}");
        deploy(&daemon, &app, Workload::Program(&programs.testapp))?;
        ours.push(ms(recovery(&daemon, &app, process_of(&daemon, &app)?)?));
        destroy(&daemon, &app)?;
        let target = pm2.start(&app, &programs.testapp)?;
        theirs.push(pm2.recovery(&app, &target)?);
        pm2.delete(&app)?;
    }
    let high = |values: &[f64]| percentile(values, 95);
    let (ours_high, theirs_high) = (high(&ours), high(&theirs));
    let (ours, theirs) = (median(ours), median(theirs));
    Ok(vec![
        Figure::new("crash: process, median of 30", ours, "ms").beside("PM2:", theirs).at_most(theirs),
        Figure::new("crash: process, p95 of 30", ours_high, "ms")
            .beside("PM2:", theirs_high)
            .at_most(theirs_high),
    ])
}

fn containers(daemon: &Daemon, docker: &Docker, programs: &Programs, rounds: usize) -> Result<Vec<Figure>> {
    let image = Image::new(docker, &programs.testapp)?;
    let (mut ours, mut policy, mut start) = (Vec::new(), Vec::new(), Vec::new());
    for round in 0..rounds {
        let app = format!("container-{round}");
        deploy(daemon, &app, Workload::Image(&image.reference))?;
        let containers = daemon.containers(docker)?;
        let running = containers
            .iter()
            .find(|one| one.pointer("/Labels/nextdeploy.app").and_then(Value::as_str) == Some(app.as_str()));
        let id =
            running.and_then(|one| one.get("Id")).and_then(Value::as_str).ok_or("no container")?.to_owned();
        ours.push(ms(recovery(daemon, &app, docker.pid(&id)?)?));
        destroy(daemon, &app)?;
        let bare = BareContainer::start(docker, &image.reference, "always")?;
        start.push(ms(bare.took));
        policy.push(ms(restart_by_policy(docker, &bare)?));
    }
    let (ours, policy, start) = (median(ours), median(policy), median(start));
    let name = "crash: container back in service";
    Ok(vec![
        Figure::new(name, ours, "ms").beside("bare start:", start).at_most(start * 1.2 + 50.0),
        Figure::new(name, ours, "ms").beside("engine's restart policy:", policy).at_most(policy),
    ])
}

/// From the kill to the next good answer through the proxy.
fn recovery(daemon: &Daemon, app: &str, pid: i32) -> Result<Duration> {
    let killed = Instant::now();
    kill(pid, Signal::KILL);
    until("the end of the app", LIMIT, || has_ended(pid))?;
    answers(&Target::Tcp(daemon.site().http), &format!("{app}.localhost"))?;
    Ok(killed.elapsed())
}

fn restart_by_policy(docker: &Docker, bare: &BareContainer<'_>) -> Result<Duration> {
    let pid = docker.pid(&bare.id)?;
    let killed = Instant::now();
    // As its death, not as a wish: the engine does not restart what was killed through its API.
    kill(pid, Signal::KILL);
    until("the end of the app", LIMIT, || has_ended(pid))?;
    until("an answer", LIMIT, || {
        let target = bare.address();
        target.is_ok_and(|target| get(&target, "bare", "/").is_ok_and(|answer| answer.status == 200))
    })?;
    Ok(killed.elapsed())
}

fn process_of(daemon: &Daemon, app: &str) -> Result<i32> {
    let answer = get(&Target::Tcp(daemon.site().http), &format!("{app}.localhost"), "/")?;
    let instance = answer.header("x-instance").unwrap_or_default();
    Ok(instance.rsplit('-').next().unwrap_or_default().parse()?)
}
