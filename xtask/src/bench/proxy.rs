//! What a request through the proxy costs, beside nginx, HAProxy and Caddy in front of the same server.
//!
//! Every proxy has one worker, on the first processor; the load and the server are on the second one. Ours routes, counts and
//! writes its access log, and its daemon is counted in; the others write none.

use std::time::Duration;

use super::stage::pass;
use super::{Bench, Figure, Report, median, percentile, step};
use crate::{Result, process};

mod config;
mod instructions;
mod kills;
mod load;
mod memory;
mod rival;
mod tls;

use load::Load;
use rival::{Ours, Rival};

/// Within this, two figures of a machine that does other things as well are the same.
const NOISE: f64 = 1.08;

/// A kind of load, with the most that we may need of what nginx does.
struct Row {
    name: &'static str,
    unit: &'static str,
    bar: f64,
    load: fn(&Load) -> Result<load::Done>,
    /// What one unit of `Done::amount` is divided by.
    per: f64,
}

const ROWS: [Row; 4] = [
    Row { name: "HTTP/1.1, 64 connections", unit: "s/10k", bar: 1.00, load: Load::keep_alive, per: 1e4 },
    Row { name: "a connection a request", unit: "s/10k", bar: 1.05, load: Load::connections, per: 1e4 },
    Row { name: "bodies of 10 MiB", unit: "s/GB", bar: 0.80, load: Load::bodies, per: 1e9 },
    Row { name: "HTTP/2 without TLS", unit: "s/10k", bar: 0.95, load: Load::http2, per: 1e4 },
];

/// The same behind TLS, and what connections cost that begin with a handshake.
const TLS_ROWS: [Row; 4] = [
    Row { name: "HTTP/1.1 over TLS, 64 connections", unit: "s/10k", bar: 0.95, load: Load::tls, per: 1e4 },
    Row { name: "HTTP/2 over TLS", unit: "s/10k", bar: 0.90, load: Load::http2_over_tls, per: 1e4 },
    Row { name: "full TLS handshakes", unit: "s/10k", bar: 0.75, load: Load::handshakes, per: 1e4 },
    Row { name: "resumed TLS handshakes", unit: "s/10k", bar: 0.75, load: Load::resumptions, per: 1e4 },
];

pub(super) fn measure(bench: &Bench, report: &mut Report) -> Result {
    for (program, package) in [("nginx", "nginx-light"), ("wrk", "wrk"), ("h2load", "nghttp2-client")] {
        if !process::in_path(program) {
            return Err(format!("{program} is not in PATH; install it (apt-get install {package})").into());
        }
    }
    let certificate = tls::Certificate::make(rival::HOST)?;
    let ours = Ours::start(&bench.programs, &certificate)?;
    let rivals = rival::all(ours.server, &certificate)?;
    if bench.tls {
        return TLS_ROWS.iter().try_for_each(|row| cost(row, &ours, &rivals, bench.rounds.min(3), report));
    }
    memory::idle(&ours, report)?;
    for row in &ROWS {
        cost(row, &ours, &rivals, bench.rounds.min(3), report)?;
    }
    tail(&ours, &rivals, bench.rounds.min(3), report)?;
    memory::loaded(&ours, report);
    kills::of_the_worker(&ours, bench.rounds, report)?;
    instructions::of_many_routes(&bench.workspace, ours.server, report)
}

/// CPU seconds of every proxy, rounds interleaved.
fn cost(row: &Row, ours: &Ours, rivals: &[Rival], rounds: usize, report: &mut Report) -> Result {
    step(&format!("{}: {rounds} rounds of {} proxies", row.name, rivals.len() + 1));
    let mut mine = Vec::new();
    let mut theirs = vec![Vec::new(); rivals.len()];
    for _ in 0..rounds {
        mine.push(round(row, &ours.load(), &|| ours.cpu())?);
        for (rival, costs) in rivals.iter().zip(&mut theirs) {
            costs.push(round(row, &rival.load(), &|| rival.cpu())?);
        }
    }
    let ours = median(mine);
    for (rival, costs) in rivals.iter().zip(theirs) {
        let theirs = median(costs);
        let figure = Figure::new(format!("proxy: {}", row.name), ours, row.unit);
        let figure = figure.beside(format!("{}:", rival.name), theirs);
        let is_measure = rival.name == rival::NGINX;
        report.add(if is_measure { figure.at_most(theirs * row.bar * NOISE) } else { figure });
    }
    Ok(())
}

fn round(row: &Row, load: &Load, cpu: &dyn Fn() -> Duration) -> Result<f64> {
    let before = cpu();
    let done = (row.load)(load)?;
    // What was counted in the kernel by then is not in `/proc` at once.
    pass(Duration::from_millis(20))?;
    Ok((cpu() - before).as_secs_f64() * row.per / done.amount)
}

/// The slowest of a hundred, at a rate that nobody has trouble with.
fn tail(ours: &Ours, rivals: &[Rival], rounds: usize, report: &mut Report) -> Result {
    step(&format!("{} requests a second: {rounds} rounds", load::RATE));
    let slowest = |load: &Load| -> Result<f64> { Ok(percentile(&load.at_a_rate()?, 99)) };
    let mut mine = Vec::new();
    let mut theirs = vec![Vec::new(); rivals.len()];
    for _ in 0..rounds {
        mine.push(slowest(&ours.load())?);
        for (rival, tails) in rivals.iter().zip(&mut theirs) {
            tails.push(slowest(&rival.load())?);
        }
    }
    let ours = median(mine);
    for (rival, tails) in rivals.iter().zip(theirs) {
        let theirs = median(tails);
        let figure = Figure::new(format!("proxy: p99 at {}/s", load::RATE), ours, "ms");
        let figure = figure.beside(format!("{}:", rival.name), theirs);
        report.add(if rival.name == rival::HAPROXY { figure.at_most(theirs * NOISE) } else { figure });
    }
    Ok(())
}
