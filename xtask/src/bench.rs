//! `cargo xtask bench`: how well the main job is done, each figure beside its reference of the same run.
//!
//! Programs are optimised, rounds of ours and of the reference alternate, and the median counts: a busy machine slows
//! both. Figures of two runs are not comparable, ratios are.

use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::time::Duration;

use nd_e2e::{Docker, Programs, interruption};

use crate::workspace::Workspace;
use crate::{Result, process, testapp};

mod crash;
mod deploy;
mod idle;
mod logs;
mod peers;
mod proxy;
mod report;
mod stage;
mod swap;

use report::{Figure, Report};

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Figures as JSON on stdout
    #[arg(long)]
    json: bool,
    /// How often the versions are swapped
    #[arg(long, default_value_t = 20, value_name = "N")]
    swaps: u32,
    /// Rounds of every other figure
    #[arg(long, default_value_t = 5, value_name = "N")]
    rounds: usize,
    /// Of the proxy: what TLS costs
    #[arg(long)]
    tls: bool,
    /// Measure the `nextdeployd` and `nextdeploy` of this folder in place of building them
    #[arg(long, value_name = "FOLDER")]
    programs: Option<PathBuf>,
    /// Only these
    #[arg(value_name = "NAME", value_parser = ["swap", "deploy", "crash", "restart", "proxy", "idle", "logs"])]
    only: Vec<String>,
}

/// What the parts share.
struct Bench {
    workspace: Workspace,
    programs: Programs,
    docker: Option<Docker>,
    swaps: u32,
    rounds: usize,
    tls: bool,
}

/// A part, with the name that chooses it.
type Part = (&'static str, fn(&Bench, &mut Report) -> Result);

const PARTS: [Part; 7] = [
    ("swap", swap::measure),
    ("deploy", deploy::measure),
    ("crash", crash::measure),
    ("restart", crash::beside_peers),
    ("proxy", proxy::measure),
    ("idle", idle::measure),
    ("logs", logs::measure),
];

/// `cargo xtask bench [--json] [NAME…]`. Each figure is told on stderr as soon as it is known; all of them stand in the
/// table at the end, also after Ctrl-C and where a part failed.
pub(crate) fn run(args: &Args) -> Result {
    let bench = Bench::new(args)?;
    let stop = interruption();
    for signal in [signal_hook::consts::SIGINT, signal_hook::consts::SIGTERM] {
        // The second one ends this at once.
        signal_hook::flag::register_conditional_shutdown(signal, 130, stop.clone())?;
        signal_hook::flag::register(signal, stop.clone())?;
    }
    let mut report = Report::default();
    let wanted = |name: &str| args.only.is_empty() || args.only.iter().any(|only| only == name);
    for (name, measure) in PARTS.into_iter().filter(|(name, _)| wanted(name)) {
        if let Err(error) = measure(&bench, &mut report) {
            report.failed(name, &error.to_string());
        }
        if stop.load(Ordering::Relaxed) {
            break;
        }
    }
    if args.json {
        println!("{}", report.as_json());
    } else {
        print!("{}", report.table());
    }
    report.verdict()
}

impl Bench {
    fn new(args: &Args) -> Result<Self> {
        let workspace = Workspace::load()?;
        let programs = match &args.programs {
            Some(folder) => programs(folder, testapp::build(&workspace)?)?,
            None => build(&workspace)?,
        };
        let docker = Docker::find();
        if docker.is_none() {
            step("no Docker engine answers: figures of containers are left out");
        }
        Ok(Self { workspace, programs, docker, swaps: args.swaps, rounds: args.rounds, tls: args.tls })
    }
}

fn build(workspace: &Workspace) -> Result<Programs> {
    step("building optimised programs");
    let packages = ["build", "--quiet", "--release", "--package", "nextdeployd", "--package", "nextdeploy"];
    process::run(process::cargo().args(packages))?;
    programs(&workspace.target.join("release"), testapp::build(workspace)?)
}

fn programs(folder: &Path, testapp: PathBuf) -> Result<Programs> {
    // A daemon is started in a folder of its own.
    let folder = std::path::absolute(folder)?;
    Ok(Programs { daemon: folder.join("nextdeployd"), cli: folder.join("nextdeploy"), testapp })
}

/// The middle one.
fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or_default()
}

/// The value that so many of a hundred do not exceed.
fn percentile(values: &[f64], percent: usize) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let rank = (sorted.len() * percent).div_ceil(100).max(1);
    sorted.get(rank - 1).copied().unwrap_or_default()
}

fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}

/// Says how far it is. On stderr: stdout is for the figures.
fn step(what: &str) {
    eprintln!("==> {what}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_percentile_is_the_value_that_so_many_do_not_exceed() {
        let values: Vec<f64> = (1..=30).rev().map(f64::from).collect();
        assert_eq!(
            (percentile(&values, 95), percentile(&values, 50), percentile(&[], 95)),
            (29.0, 15.0, 0.0)
        );
    }

    #[test]
    fn the_median_is_the_middle_one() {
        assert_eq!(median(vec![9.0, 1.0, 2.0]).to_bits(), 2.0_f64.to_bits());
    }
}
