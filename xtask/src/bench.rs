//! `cargo xtask bench`: how well the main job is done, each figure beside its reference of the same run.
//!
//! Programs are optimised, rounds of ours and of the reference alternate, and the median counts: a busy machine slows
//! both. Figures of two runs are not comparable, ratios are.

use std::time::Duration;

use nd_e2e::{Docker, Programs};
use serde_json::json;

use crate::workspace::Workspace;
use crate::{Result, process, testapp};

mod crash;
mod deploy;
mod idle;
mod pm2;
mod proxy;
mod stage;
mod swap;

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
    /// Only these
    #[arg(value_name = "NAME", value_parser = ["swap", "deploy", "crash", "proxy", "idle"])]
    only: Vec<String>,
}

/// One figure beside what it is compared with.
#[derive(Debug)]
struct Figure {
    name: String,
    value: f64,
    unit: &'static str,
    /// What it is compared with, and what that came to.
    reference: Option<(String, f64)>,
    /// The most that [`Figure::value`] may be.
    bar: Option<f64>,
}

impl Figure {
    fn new(name: impl Into<String>, value: f64, unit: &'static str) -> Self {
        Self { name: name.into(), value, unit, reference: None, bar: None }
    }

    fn beside(mut self, reference: impl Into<String>, value: f64) -> Self {
        self.reference = Some((reference.into(), value));
        self
    }

    fn at_most(mut self, bar: f64) -> Self {
        self.bar = Some(bar);
        self
    }

    fn holds(&self) -> bool {
        self.bar.is_none_or(|bar| self.value <= bar)
    }

    fn ratio(&self) -> Option<f64> {
        self.reference.as_ref().filter(|(_, value)| *value > 0.0).map(|(_, value)| self.value / value)
    }
}

/// `cargo xtask bench [--json] [NAME…]`.
pub(crate) fn run(args: &Args) -> Result {
    let programs = build()?;
    let docker = Docker::find();
    if docker.is_none() {
        step("no Docker engine answers: figures of containers are left out");
    }
    let mut figures = Vec::new();
    let wanted = |name: &str| args.only.is_empty() || args.only.iter().any(|only| only == name);
    if wanted("swap") {
        figures.extend(swap::measure(&programs, args.swaps)?);
    }
    if wanted("deploy") {
        figures.extend(deploy::measure(&programs, docker.as_ref(), args.rounds)?);
    }
    if wanted("crash") {
        figures.extend(crash::measure(&programs, docker.as_ref(), args.rounds)?);
        figures.extend(crash::beside_pm2(&programs)?);
    }
    if wanted("proxy") {
        figures.extend(proxy::measure(&programs, args.rounds)?);
    }
    if wanted("idle") {
        figures.extend(idle::measure(&programs)?);
    }
    if args.json {
        println!("{}", as_json(&figures));
    } else {
        print!("{}", table(&figures));
    }
    let missed: Vec<&str> =
        figures.iter().filter(|figure| !figure.holds()).map(|one| one.name.as_str()).collect();
    match missed.as_slice() {
        [] => Ok(()),
        missed => Err(format!("over the bar: {}", missed.join(", ")).into()),
    }
}

fn build() -> Result<Programs> {
    let workspace = Workspace::load()?;
    step("building optimised programs");
    let packages = ["build", "--quiet", "--release", "--package", "nextdeployd", "--package", "nextdeploy"];
    process::run(process::cargo().args(packages))?;
    let folder = workspace.target.join("release");
    let testapp = testapp::build(&workspace)?;
    Ok(Programs { daemon: folder.join("nextdeployd"), cli: folder.join("nextdeploy"), testapp })
}

fn table(figures: &[Figure]) -> String {
    let mut table =
        format!("\n{:<44} {:>10} {:<8} {:>32} {:>7} {:>9}\n", "", "ours", "", "reference", "ratio", "bar");
    for figure in figures {
        let reference = figure.reference.as_ref().map(|(name, value)| format!("{name} {value:.2}"));
        let ratio = figure.ratio().map(|ratio| format!("{ratio:.2}"));
        let bar = figure.bar.map(|bar| format!("≤ {bar:.1}{}", if figure.holds() { "" } else { " ✗" }));
        table.push_str(&format!(
            "{:<44} {:>10.2} {:<8} {:>32} {:>7} {:>9}\n",
            figure.name,
            figure.value,
            figure.unit,
            reference.unwrap_or_default(),
            ratio.unwrap_or_default(),
            bar.unwrap_or_default()
        ));
    }
    table
}

fn as_json(figures: &[Figure]) -> serde_json::Value {
    let figures = figures.iter().map(|figure| {
        json!({
            "name": figure.name,
            "value": figure.value,
            "unit": figure.unit,
            "reference": figure.reference.as_ref().map(|(name, value)| json!({"name": name, "value": value})),
            "ratio": figure.ratio(),
            "bar": figure.bar,
            "holds": figure.holds(),
        })
    });
    json!({ "v": 1, "figures": figures.collect::<Vec<_>>() })
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
    fn the_table_marks_what_is_over_its_bar() {
        let figures = [
            Figure::new("good", 10.0, "ms").beside("bare", 9.0).at_most(11.7),
            Figure::new("bad", 12.0, "ms").beside("bare", 9.0).at_most(11.7),
        ];
        let table = table(&figures);
        assert_eq!(table.matches('✗').count(), 1, "{table}");
        assert_eq!(as_json(&figures).pointer("/figures/1/holds"), Some(&json!(false)));
    }

    #[test]
    fn the_median_is_the_middle_one() {
        assert_eq!(median(vec![9.0, 1.0, 2.0]).to_bits(), 2.0_f64.to_bits());
    }
}
