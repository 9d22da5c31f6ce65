//! What the workload of a fake unit does, as its environment says.

use std::num::NonZeroU16;
use std::time::Duration;

use nd_core::ports::OutputStream;
use nd_core::spec::AppSpec;
use nd_types::{ExitStatus, parse_duration};

use super::network::Answer;

/// What a workload does. Without a script it listens at once, answers 200 and stops when it is asked to.
///
/// The script stands in the variable [`FAKE`](Self::VARIABLE), words separated by `;`, as in
/// `says:no database;exit:1`:
///
/// | word | meaning |
/// |---|---|
/// | `exit:CODE` | ends as soon as it has started |
/// | `dies-after:TIME` | ends with code 1 after that time |
/// | `oom-after:TIME` | is killed for memory after that time |
/// | `ready-after:TIME` | listens only after that time |
/// | `never-ready` | runs and never listens |
/// | `listens:PORT` | listens there, whatever it was told |
/// | `loopback` | listens on 127.0.0.1 only |
/// | `answers:STATUS`, `silent`, `raw` | how it answers HTTP: with that status, never, or with something else |
/// | `healthy-after:TIME` | the image declares a `HEALTHCHECK` that passes after that time |
/// | `stop-takes:TIME`, `ignores-stop` | how it takes a stop signal |
/// | `says:TEXT` | writes the line when it starts |
/// | `prints:N` | writes `out 0` … to its output and `err 0` … to its error output when it starts |
/// | `exec:CODE` | how commands inside it end; `exit CODE` and `hang` do what they say |
/// | `missing` | its image or program does not exist |
/// | `prepare-takes:TIME` | its image takes that long to pull |
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Behaviour {
    /// How it ends by itself, and how long after its start.
    pub ends: Option<(Duration, ExitStatus)>,
    /// How long after its start it listens; `None` is never.
    pub ready_after: Option<Duration>,
    /// The port it listens on whatever it was told.
    pub listens: Option<NonZeroU16>,
    /// Whether only the unit itself can reach the port.
    pub loopback: bool,
    /// How it answers.
    pub answers: Answer,
    /// How long after its start its `HEALTHCHECK` passes; `None` is an image without one.
    pub healthy_after: Option<Duration>,
    /// How it takes a stop signal.
    pub stopping: Stopping,
    /// What it writes when it starts, and where.
    pub says: Vec<(OutputStream, String)>,
    /// How commands inside it end.
    pub exec: ExitStatus,
    /// Whether its image or program does not exist.
    pub missing: bool,
    /// How long its image takes to pull.
    pub prepare_takes: Duration,
}

/// How a workload takes a stop signal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stopping {
    /// It dies of it.
    AtOnce,
    /// It ends with code 0 after this time.
    After(Duration),
    /// Only SIGKILL ends it.
    Never,
}

impl Default for Behaviour {
    fn default() -> Self {
        Self {
            ends: None,
            ready_after: Some(Duration::ZERO),
            listens: None,
            loopback: false,
            answers: Answer::Http(200),
            healthy_after: None,
            stopping: Stopping::AtOnce,
            says: Vec::new(),
            exec: ExitStatus::Code(0),
            missing: false,
            prepare_takes: Duration::ZERO,
        }
    }
}

impl Behaviour {
    /// The variable that holds the script.
    pub const VARIABLE: &str = "FAKE";

    /// What the workload of `spec` does.
    ///
    /// # Errors
    /// The word that means nothing.
    pub fn of(spec: &AppSpec) -> Result<Self, String> {
        let mut behaviour = Self::default();
        let script = spec.env.get(Self::VARIABLE).map_or("", String::as_str);
        for word in script.split(';').map(str::trim).filter(|word| !word.is_empty()) {
            behaviour.learn(word).ok_or_else(|| format!("{}: `{word}` means nothing", Self::VARIABLE))?;
        }
        Ok(behaviour)
    }

    fn learn(&mut self, word: &str) -> Option<()> {
        let (name, value) = word.split_once(':').unwrap_or((word, ""));
        let time = || parse_duration(value).ok();
        match name {
            "exit" => self.ends = Some((Duration::ZERO, ExitStatus::Code(value.parse().ok()?))),
            "dies-after" => self.ends = Some((time()?, ExitStatus::Code(1))),
            "oom-after" => self.ends = Some((time()?, ExitStatus::OutOfMemory)),
            "ready-after" => self.ready_after = Some(time()?),
            "never-ready" => self.ready_after = None,
            "listens" => self.listens = Some(value.parse().ok()?),
            "loopback" => self.loopback = true,
            "answers" => self.answers = Answer::Http(value.parse().ok()?),
            "silent" => self.answers = Answer::Silent,
            "raw" => self.answers = Answer::Raw,
            "healthy-after" => self.healthy_after = Some(time()?),
            "stop-takes" => self.stopping = Stopping::After(time()?),
            "ignores-stop" => self.stopping = Stopping::Never,
            "says" => self.says.push((OutputStream::Stdout, value.to_owned())),
            "prints" => self.says.extend(printed(value.parse().ok()?)),
            "exec" => self.exec = ExitStatus::Code(value.parse().ok()?),
            "missing" => self.missing = true,
            "prepare-takes" => self.prepare_takes = time()?,
            _ => return None,
        }
        Some(())
    }
}

fn printed(lines: u32) -> impl Iterator<Item = (OutputStream, String)> {
    (0..lines).flat_map(|line| {
        [(OutputStream::Stdout, format!("out {line}")), (OutputStream::Stderr, format!("err {line}"))]
    })
}

#[cfg(test)]
mod tests {
    use nd_core::spec::{CommandSpec, Workload};

    use super::*;

    fn script(text: &str) -> Result<Behaviour, String> {
        let argv = vec!["app".to_owned()];
        let command = CommandSpec { argv, cwd: "/".into(), user: None, path: None };
        let mut spec = AppSpec::new(Workload::Command(command));
        spec.env.insert(Behaviour::VARIABLE.to_owned(), text.to_owned());
        Behaviour::of(&spec)
    }

    #[test]
    fn a_script_says_what_a_workload_does() {
        let read = script("says:no database: gone; exit:3").unwrap();
        assert_eq!(read.says, [(OutputStream::Stdout, "no database: gone".to_owned())]);
        assert_eq!(read.ends, Some((Duration::ZERO, ExitStatus::Code(3))));
        assert_eq!(script("stop-takes:2s").unwrap().stopping, Stopping::After(Duration::from_secs(2)));
        assert_eq!(script(""), Ok(Behaviour::default()));
    }

    #[test]
    fn a_misspelt_word_is_refused() {
        assert_eq!(script("exit:1;exti:2"), Err("FAKE: `exti:2` means nothing".to_owned()));
        assert!(script("exit:one").is_err() && script("dies-after:5").is_err());
    }
}
