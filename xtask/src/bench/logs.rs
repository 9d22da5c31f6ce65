//! The way of a line from an app to the disk: one app that floods, beside PM2's log file.

use std::collections::BTreeSet;
use std::fs;
use std::time::{Duration, Instant};

use nd_e2e::{Daemon, Options, cpu_time, until};

use super::stage::{LIMIT, pass};
use super::{Bench, Figure, Report, peers, step};
use crate::Result;

const PER_SECOND: usize = 50_000;
const SECONDS: usize = 20;
const LINES: usize = PER_SECOND * SECONDS;

/// The most cores that the daemon may need.
const CORES: f64 = 1.0;

/// As many lines as one answer has.
const PAGE: usize = 50_000;

/// What the product writes in place of lines that it could not keep.
const TOLD: &str = "of output were lost";

pub(super) fn measure(bench: &Bench, report: &mut Report) -> Result {
    step(&format!("one app that writes {PER_SECOND} lines a second for {SECONDS} s"));
    let daemon = Daemon::start(&bench.programs, Options::default())?;
    let pid = daemon.pid().ok_or("the daemon is gone")?;
    let before = cpu_time(pid).ok_or("the daemon is gone")?;
    let (rate, lines) = variables();
    daemon.deploy("flood", "v1", &["-e", &rate, "-e", &lines])?;
    let begun = Instant::now();
    let last = format!("flood line {}", LINES - 1);
    until("the last line", LIMIT, || {
        // Once a second: each look costs the daemon time too.
        pass(Duration::from_secs(1)).is_ok() && newest(&daemon).is_ok_and(|line| line.contains(&last))
    })?;
    let took = begun.elapsed();
    let used = cpu_time(pid).ok_or("the daemon is gone")? - before;
    let shims = daemon.shims().into_iter().filter_map(cpu_time).sum::<Duration>();
    let kept = Kept::read(&daemon)?;
    let missing = LINES - kept.numbers.len();
    report.add(Figure::new("logs: until the last line was stored", took.as_secs_f64(), "s"));
    report.add(Figure::new(format!("logs: stored of {LINES} lines"), kept.numbers.len() as f64, ""));
    report.add(Figure::new("logs: stored twice", kept.twice as f64, "").at_most(0.0));
    let silent = if kept.told > 0 { 0 } else { missing };
    report.add(Figure::new("logs: missing, and nobody says so", silent as f64, "").at_most(0.0));
    let seconds = SECONDS as f64;
    let daemons = Figure::new("logs: CPU of the daemon", used.as_secs_f64() / seconds, "cores");
    report.add(daemons.at_most(CORES));
    let all = Figure::new("logs: CPU of daemon and shim", (used + shims).as_secs_f64() / seconds, "cores");
    drop(daemon);
    report.add(match beside_pm2(bench)? {
        Some(theirs) => all.beside("PM2's daemon:", theirs),
        None => all,
    });
    Ok(())
}

/// What makes the test application write.
fn variables() -> (String, String) {
    (format!("TESTAPP_FLOOD_LINES_PER_S={PER_SECOND}"), format!("TESTAPP_FLOOD_LINES={LINES}"))
}

/// The cores that PM2's daemon needs for the same.
fn beside_pm2(bench: &Bench) -> Result<Option<f64>> {
    let Some(pm2) = peers::pm2(bench) else { return Ok(None) };
    let pid = pm2.pid()?;
    let before = cpu_time(pid).ok_or("PM2 is gone")?;
    let (rate, lines) = variables();
    let variables: Vec<(&str, &str)> =
        [&rate, &lines].into_iter().filter_map(|one| one.split_once('=')).collect();
    pm2.start_with("flood", &bench.programs.testapp, &variables)?;
    let file = pm2.output("flood");
    let expected: u64 = (0..LINES).map(|number| format!("flood line {number}\n").len() as u64).sum();
    until("PM2's last line", LIMIT, || fs::metadata(&file).is_ok_and(|file| file.len() >= expected))?;
    let used = cpu_time(pid).ok_or("PM2 is gone")? - before;
    Ok(Some(used.as_secs_f64() / SECONDS as f64))
}

/// The newest line of the store.
fn newest(daemon: &Daemon) -> Result<String> {
    Ok(page(daemon, 1, None)?.pop().ok_or("no line")?.line)
}

/// What the store has of the flood.
#[derive(Default)]
struct Kept {
    numbers: BTreeSet<usize>,
    twice: usize,
    /// Lines that say that others are missing.
    told: usize,
}

impl Kept {
    /// Reads all there is, from the newest page back.
    fn read(daemon: &Daemon) -> Result<Self> {
        let (mut kept, mut seen, mut before) = (Self::default(), BTreeSet::new(), None);
        loop {
            let lines = page(daemon, PAGE, before.as_deref())?;
            for line in &lines {
                if !seen.insert(line.seq) {
                    continue;
                }
                kept.told += usize::from(line.line.contains(TOLD));
                let number = line.line.strip_prefix("flood line ").and_then(|number| number.parse().ok());
                kept.twice += number.map_or(0, |number| usize::from(!kept.numbers.insert(number)));
            }
            let Some(oldest) = lines.first().filter(|_| lines.len() == PAGE) else { return Ok(kept) };
            // Lines of the oldest moment may stand on the page before.
            let later = lines.iter().find(|line| line.ts != oldest.ts);
            before = Some(later.ok_or("a page of lines of one moment")?.ts.clone());
        }
    }
}

/// One line of the store.
#[derive(serde::Deserialize)]
struct Line {
    seq: u64,
    ts: String,
    line: String,
}

/// The last so many lines before a time.
fn page(daemon: &Daemon, tail: usize, before: Option<&str>) -> Result<Vec<Line>> {
    let until = before.map(|before| format!("&until={before}")).unwrap_or_default();
    let answer =
        daemon.control()?.request("GET", &format!("/api/v1/logs?app=flood&tail={tail}{until}"), &[], b"")?;
    if answer.status != 200 {
        return Err(format!("the lines: {}", answer.text()).into());
    }
    let lines = answer.text();
    lines.lines().map(|line| Ok(serde_json::from_str(line)?)).collect()
}
