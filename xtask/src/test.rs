//! `cargo xtask test`: everything that must hold, from the format to the end-to-end tests.
//!
//! It runs on a machine with only Rust and git: what the tests need besides is looked for first, installed where that is
//! possible, and named otherwise. Phases stop at the first that fails, and cheap ones come first; the last lines say what
//! was not tried and count the tests.

use std::collections::BTreeSet;
use std::process::Command;
use std::time::Instant;
use std::{env, fs};

use crate::workspace::Workspace;
use crate::{Result, process, testapp, tidy, units};

mod engine;
mod needs;
mod tally;

use tally::Tally;

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Only what needs nothing but Rust: format, house rules, lints, unit tests
    #[arg(long)]
    fast: bool,
    /// Only these tests: a crate's name runs that crate, any other word the tests whose name contains it
    filter: Vec<String>,
}

/// `cargo xtask test [--fast] [FILTER…]`.
pub(crate) fn run(args: &Args) -> Result {
    let mut run = Run::default();
    let result = phases(&mut run, args);
    let stopped = result.is_err() && run.tally.failed == 0;
    println!("\n{} · {:.0} s", run.times.join(" · "), run.started.elapsed().as_secs_f64());
    for untried in &run.untried {
        println!("not tried: {untried}");
    }
    println!("{} passed, {} failed", run.tally.passed, run.tally.failed + u64::from(stopped));
    result.map_err(|error| format!("{error}\nto run it again: {}", typed(args)).into())
}

fn phases(run: &mut Run, args: &Args) -> Result {
    let workspace = Workspace::load()?;
    let selected = !args.filter.is_empty();
    // Held to the end: an engine of our own stops when this is dropped.
    let provided = match args.fast {
        true => None,
        false => {
            Some(run.phase("needs", "what the tests need on this machine", || needs::provide(&workspace))?)
        }
    };
    run.untried.extend(provided.iter().flat_map(|provided| provided.missing.iter().cloned()));
    if !selected {
        run.command("format", process::cargo().args(["fmt", "--all", "--check"]))?;
        run.phase("tidy", "the rules of the house", || {
            println!("   {}", tidy::check(&workspace)?);
            Ok(())
        })?;
        run.phase("units", "what systemd says of deploy/systemd", || {
            println!("   {}", units::check(&workspace)?);
            Ok(())
        })?;
        let clippy = ["clippy", "--workspace", "--all-targets", "--quiet", "--", "-D", "warnings"];
        run.command("lints", process::cargo().args(clippy))?;
        if !args.fast {
            let doc = ["doc", "--workspace", "--no-deps", "--quiet"];
            run.command("docs", process::cargo().args(doc).env("RUSTDOCFLAGS", "-D warnings"))?;
        }
    }
    let mut tests = process::cargo();
    tests.args(["test", "--no-fail-fast"]);
    let untried = workspace.target.join("xtask").join("not-tried");
    if let Some(provided) = &provided {
        let app = run.phase("test application", "static, for containers", || testapp::build(&workspace))?;
        // The very set that the tests link: a narrower one would be built twice.
        run.command("build", process::cargo().args(["build", "--workspace", "--all-targets", "--quiet"]))?;
        tests.env("ND_TESTAPP", app);
        tests.env("ND_DAEMON", workspace.debug_binary("nextdeployd"));
        tests.env("ND_CLI", workspace.debug_binary("nextdeploy"));
        fs::create_dir_all(workspace.target.join("xtask"))?;
        fs::write(&untried, "")?;
        tests.env("ND_NOT_TRIED", &untried).env("PATH", &provided.path);
    } else {
        tests.args(["--lib", "--bins"]);
    }
    seed(&mut tests);
    select(&mut tests, &workspace, &args.filter);
    let result = run.tests(&mut tests);
    if !args.fast {
        run.untried.extend(fs::read_to_string(&untried)?.lines().map(str::to_owned));
    }
    result
}

struct Run {
    started: Instant,
    times: Vec<String>,
    /// What the machine lacks, and what tests could not try for it.
    untried: BTreeSet<String>,
    tally: Tally,
}

impl Default for Run {
    fn default() -> Self {
        Self { started: Instant::now(), times: Vec::new(), untried: BTreeSet::new(), tally: Tally::default() }
    }
}

impl Run {
    fn phase<T>(&mut self, name: &str, what: &str, work: impl FnOnce() -> Result<T>) -> Result<T> {
        println!("\n== {name}: {what}");
        let started = Instant::now();
        let result = work().map_err(|error| format!("{name}: {error}").into());
        self.times.push(format!("{name} {:.1} s", started.elapsed().as_secs_f64()));
        result
    }

    fn command(&mut self, name: &str, command: &mut Command) -> Result {
        self.phase(name, &process::line(command), || process::run(command))
    }

    fn tests(&mut self, command: &mut Command) -> Result {
        let mut tally = Tally::default();
        let result = self.phase("tests", &process::line(command), || tally.run(command));
        self.tally = tally;
        result
    }
}

/// What every property test draws its cases from.
const SEED: &str = "PROPTEST_RNG_SEED";

/// Makes the random cases those of the committed tree: other ones with every change, and for one state of the sources
/// the same on every machine.
fn seed(tests: &mut Command) {
    if env::var_os(SEED).is_some() {
        return;
    }
    let tree = process::output(Command::new("git").args(["rev-parse", "HEAD^{tree}"])).unwrap_or_default();
    let digits = String::from_utf8_lossy(&tree).chars().take(16).collect::<String>();
    let seed = u64::from_str_radix(&digits, 16).unwrap_or_default();
    println!("\nrandom cases of {SEED}={seed}");
    tests.env(SEED, seed.to_string());
}

/// Narrows `tests` down to the packages and names of `filter`.
fn select(tests: &mut Command, workspace: &Workspace, filter: &[String]) {
    let is_package = |word: &&String| workspace.members().any(|package| package.name == **word);
    let (packages, names): (Vec<&String>, Vec<&String>) = filter.iter().partition(is_package);
    if packages.is_empty() {
        tests.arg("--workspace");
    }
    for package in packages {
        tests.args(["--package", package]);
    }
    if !names.is_empty() {
        tests.arg("--").args(names);
    }
}

/// The command line that `args` came from.
fn typed(args: &Args) -> String {
    let mut line = String::from("cargo xtask test");
    if args.fast {
        line.push_str(" --fast");
    }
    for word in &args.filter {
        line.push(' ');
        line.push_str(word);
    }
    line
}
