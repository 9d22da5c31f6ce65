//! `check`: reads a project's file, or looks at what runs. Which of the two is meant is decided here.

mod file;
mod look;

use std::path::{Path, PathBuf};

use nd_check::{InvalidTarget, Target};

use super::Outcome;
use crate::args::{CheckArgs, Global};
use crate::failure::Failure;
use crate::output::Output;

/// What is to be checked.
#[derive(Debug, PartialEq, Eq)]
enum Checked {
    /// A project's file.
    File(Option<PathBuf>),
    /// What runs: these targets, or all apps where there are none.
    Running(Vec<Target>),
}

pub(super) async fn run(program: &str, args: &CheckArgs, global: &Global, output: &Output) -> Outcome {
    match meant(program, args, Path::exists)? {
        Checked::File(path) => file::run(path.as_deref(), args.strict, global, output),
        Checked::Running(_) if args.strict => Err(Failure::usage("--strict is for a project's file")),
        Checked::Running(targets) => look::run(args, targets, global, output).await,
    }
}

/// The daemon's binary looks at what runs. The other one does with a target, or with a flag that is of no use for a
/// file; a word that is no file and could be an app is a target.
fn meant(program: &str, args: &CheckArgs, exists: impl Fn(&Path) -> bool) -> Result<Checked, Failure> {
    let looks = program == "nextdeployd"
        || args.once
        || args.interval.is_some()
        || args.url.is_some()
        || args.no_restart
        || args.words.len() > 1;
    let is_file = |word: &str| {
        !Target::names_manager(word) && (exists(Path::new(word)) || word.parse::<Target>().is_err())
    };
    match args.words.as_slice() {
        [] if !looks => Ok(Checked::File(None)),
        [word] if !looks && is_file(word) => Ok(Checked::File(Some(word.into()))),
        words => {
            let targets = words.iter().map(|word| word.parse());
            Ok(Checked::Running(targets.collect::<Result<_, InvalidTarget>>().map_err(no_target)?))
        }
    }
}

fn no_target(error: InvalidTarget) -> Failure {
    let failure = Failure::usage(error.to_string());
    match error {
        InvalidTarget::App(word, _) => {
            failure.fix(format!("nextdeploy check {word}    (for a project's file)"))
        }
        InvalidTarget::Nameless(..) | InvalidTarget::Manager(..) => failure,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(program: &str, words: &[&str], once: bool) -> Result<Checked, Failure> {
        let words = words.iter().map(ToString::to_string).collect();
        let args = CheckArgs { words, once, ..CheckArgs::default() };
        meant(program, &args, |path| path == Path::new("compose"))
    }

    fn running(targets: &[&str]) -> Checked {
        Checked::Running(targets.iter().map(|target| target.parse().unwrap()).collect())
    }

    #[test]
    fn the_tool_checks_the_file_unless_something_that_runs_is_meant() {
        let tool = |words: &[&str], once| check("nextdeploy", words, once).unwrap();
        assert_eq!(tool(&[], false), Checked::File(None));
        assert_eq!(
            tool(&["deploy/nextdeploy.yml"], false),
            Checked::File(Some("deploy/nextdeploy.yml".into()))
        );
        assert_eq!(tool(&["compose"], false), Checked::File(Some("compose".into())));
        assert_eq!(tool(&[], true), running(&[]));
        assert_eq!(tool(&["shop"], false), running(&["shop"]));
        assert_eq!(tool(&["docker:db"], false), running(&["docker:db"]));
        assert_eq!(tool(&["shop", "compose:compose"], false), running(&["shop", "compose:compose"]));
    }

    #[test]
    fn the_daemon_looks_at_what_runs() {
        assert_eq!(check("nextdeployd", &[], false).unwrap(), running(&[]));
        assert_eq!(check("nextdeployd", &["compose"], false).unwrap(), running(&["compose"]));
        let failure = check("nextdeployd", &["nextdeploy.yml"], false).unwrap_err();
        assert!(
            failure.fix.iter().any(|fix| fix.starts_with("nextdeploy check nextdeploy.yml")),
            "{failure:?}"
        );
    }
}
