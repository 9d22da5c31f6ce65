//! `cargo xtask fuzz`: looks for inputs that break a promise of a parser, with libFuzzer.
//!
//! The targets and what they promise are those of `crates/nd-fuzz`, whose tests give each of them a short run. This one
//! goes on as long as it may: it counts which ways through the code an input takes, and keeps those that find a new one
//! in `target/fuzz/`. It needs a C++ compiler, and no other Rust than the usual one.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::workspace::Workspace;
use crate::{Result, process};

/// What makes the compiler count ways, the same as `cargo fuzz` asks for; no sanitizer, since no code of ours is unsafe.
const COUNTED: &str = "--cfg fuzzing -Ccodegen-units=1 -Cpasses=sancov-module \
    -Cllvm-args=-sanitizer-coverage-level=4 -Cllvm-args=-sanitizer-coverage-inline-8bit-counters \
    -Cllvm-args=-sanitizer-coverage-pc-table -Cllvm-args=-sanitizer-coverage-trace-compares \
    -Cllvm-args=-simplifycfg-branch-fold-threshold=0";

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Only these targets, by the names in crates/nd-fuzz/corpus
    target: Vec<String>,
    /// Seconds for each target
    #[arg(long, default_value_t = 60, value_name = "SECONDS")]
    time: u64,
}

/// `cargo xtask fuzz [TARGET…] [--time SECONDS]`.
pub(crate) fn run(args: &Args) -> Result {
    let workspace = Workspace::load()?;
    let seeds = workspace.root.join("crates/nd-fuzz/corpus");
    let targets = select(&seeds, &args.target)?;
    let folder = workspace.target.join("fuzz");
    let program = build(&workspace.root, &folder)?;
    let mut broken = Vec::new();
    for target in &targets {
        let run = Run { program: &program, folder: &folder, seeds: &seeds.join(target), target };
        match run.go(args.time) {
            Ok(summary) => println!("{target:<16} {summary}"),
            Err(error) => {
                println!("{target:<16} {error}");
                broken.push(target.as_str());
            }
        }
    }
    if broken.is_empty() { Ok(()) } else { Err(format!("broken promises: {}", broken.join(", ")).into()) }
}

/// The targets that have a corpus, or those of them that were asked for.
fn select(seeds: &Path, asked: &[String]) -> Result<Vec<String>> {
    let entries = fs::read_dir(seeds).map_err(|error| format!("read {}: {error}", seeds.display()))?;
    let names = entries.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()));
    let mut names = names.collect::<Result<Vec<String>>>()?;
    names.sort();
    if let Some(unknown) = asked.iter().find(|name| !names.contains(name)) {
        return Err(format!("there is no target {unknown}; there are {}", names.join(", ")).into());
    }
    Ok(if asked.is_empty() { names } else { asked.to_vec() })
}

fn build(root: &Path, folder: &Path) -> Result<PathBuf> {
    let version = process::output(Command::new("rustc").arg("-vV"))?;
    let version = String::from_utf8_lossy(&version).into_owned();
    let host =
        version.lines().find_map(|line| line.strip_prefix("host: ")).ok_or("rustc -vV names no host")?;
    let mut command = process::cargo();
    command.args(["build", "--release", "--quiet", "--locked", "--manifest-path"]);
    command.arg(root.join("crates/nd-fuzz/libfuzzer/Cargo.toml"));
    // With a target named, what only runs while building is left uncounted.
    command.args(["--target", host, "--target-dir"]).arg(folder).env("RUSTFLAGS", COUNTED);
    process::run(&mut command)?;
    Ok(folder.join(host).join("release/nd-fuzz-libfuzzer"))
}

/// One target's turn.
struct Run<'a> {
    program: &'a Path,
    folder: &'a Path,
    seeds: &'a Path,
    target: &'a str,
}

impl Run<'_> {
    fn go(&self, seconds: u64) -> Result<String> {
        let (kept, found) = (self.folder.join("corpus").join(self.target), self.folder.join("found"));
        fs::create_dir_all(&kept)?;
        fs::create_dir_all(&found)?;
        let log_path = self.folder.join(format!("{}.log", self.target));
        let log = File::create(&log_path)?;
        let mut command = Command::new(self.program);
        command.env("ND_FUZZ_TARGET", self.target);
        command.arg(format!("-max_total_time={seconds}")).args(["-timeout=10", "-print_final_stats=1"]);
        command.arg(format!("-artifact_prefix={}/{}-", found.display(), self.target));
        command.arg(kept).arg(self.seeds).stdout(log.try_clone()?).stderr(log);
        let status = command.status().map_err(|error| format!("{}: {error}", self.program.display()))?;
        let log = String::from_utf8_lossy(&fs::read(&log_path)?).into_owned();
        if status.success() {
            return Ok(summary(&log));
        }
        let why = log.lines().skip_while(|line| !line.contains("panicked")).take(6).collect::<Vec<_>>();
        let input =
            log.lines().find_map(|line| line.split_once("Test unit written to ").map(|(_, path)| path));
        let input = input.unwrap_or("nowhere");
        let (why, seeds, log) = (why.join("\n"), self.seeds.display(), log_path.display());
        Err(format!("{status}\n{why}\n  all of it: {log}\n  keep the input: cp {input} {seeds}/").into())
    }
}

/// How much was tried, from what libFuzzer says at its end.
fn summary(log: &str) -> String {
    let after = |word: &str| log.rsplit_once(word).and_then(|(_, rest)| rest.split_whitespace().next());
    let inputs = after("stat::number_of_executed_units:").unwrap_or("?");
    let ways = after(" cov: ").unwrap_or("?");
    format!("{inputs} inputs, {ways} branches reached, nothing broken")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_a_log_becomes_one_line() {
        let log = "#2 INITED cov: 5 ft: 6\n#9 DONE   cov: 17 ft: 20 corp: 3/9b\nstat::number_of_executed_units: 901\n";
        assert_eq!(summary(log), "901 inputs, 17 branches reached, nothing broken");
    }
}
