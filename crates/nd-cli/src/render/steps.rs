//! The steps of a deployment: a live line on a terminal, one line each elsewhere, an object each for programs.

use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use nd_api::v1::{DeploymentView, StepRecord, StepState};
use nd_types::{AppName, DeploymentId, Timestamp};
use serde::Serialize;

use super::time;
use crate::github;
use crate::output::Output;

/// How long a silent step may be silent where nobody sees it move.
pub(crate) const HEARTBEAT: Duration = Duration::from_secs(15);

/// Shows steps as they come.
pub(crate) struct Steps {
    app: AppName,
    deployment: DeploymentId,
    output: Output,
    /// The line that moves; none where there is no terminal.
    live: Option<ProgressBar>,
    current: Option<Current>,
    spoke: Instant,
    /// The last record of each step that has ended.
    ended: Vec<StepRecord>,
    /// Whether lines are being folded away.
    folds: bool,
}

/// The step under way.
struct Current {
    step: String,
    since: Instant,
    /// What it said last.
    message: String,
}

/// One record, and what it belongs to.
#[derive(Serialize)]
struct StepLine<'a> {
    app: &'a AppName,
    deployment: &'a DeploymentId,
    #[serde(flatten)]
    record: &'a StepRecord,
}

impl Steps {
    pub(crate) fn new(deployment: &DeploymentView, output: &Output) -> Self {
        let folds = output.github && output.talks();
        if folds {
            eprintln!("{}", github::group(&format!("deploy {} ({})", deployment.app, deployment.id)));
        }
        Self {
            app: deployment.app.clone(),
            deployment: deployment.id.clone(),
            live: output.live.then(spinner),
            output: output.clone(),
            current: None,
            spoke: Instant::now(),
            ended: Vec::new(),
            folds,
        }
    }

    /// Shows one record.
    pub(crate) fn show(&mut self, record: &StepRecord) {
        if self.output.json && (record.is_last() || !self.output.quiet) {
            let (app, deployment) = (&self.app, &self.deployment);
            // Whether anybody still reads changes nothing for the deployment.
            self.output.line(&StepLine { app, deployment, record });
        }
        if record.is_last() {
            return self.end();
        }
        if self.output.talks() {
            self.show_to_people(record);
        }
        self.note(record);
    }

    fn show_to_people(&mut self, record: &StepRecord) {
        let Some(bar) = &self.live else {
            eprintln!("{}", plain(record));
            self.spoke = Instant::now();
            return;
        };
        let current = self.current.as_ref().filter(|current| current.step == record.step);
        // A step that ends in silence did what it said it would.
        let said = current.map(|current| current.message.as_str()).filter(|_| record.message.is_empty());
        show_live(bar, record, said.unwrap_or(&record.message), &self.output);
    }

    fn note(&mut self, record: &StepRecord) {
        let current = self.current.as_mut().filter(|current| current.step == record.step);
        match (record.state, current) {
            (StepState::Start, _) => {
                let (step, message) = (record.step.clone(), record.message.clone());
                self.current = Some(Current { step, since: Instant::now(), message });
            }
            (StepState::Progress, Some(current)) => current.message.clone_from(&record.message),
            (StepState::Ok | StepState::Fail | StepState::Skip, current) => {
                if current.is_some() {
                    self.current = None;
                }
                self.ended.push(record.clone());
            }
            (StepState::Progress | StepState::Log, _) => {}
        }
    }

    /// The steps that have ended, in the order they did.
    pub(crate) fn ended(&self) -> &[StepRecord] {
        &self.ended
    }

    /// Says that a step goes on, where nothing else does.
    pub(crate) fn heartbeat(&mut self) {
        if self.live.is_some() || !self.output.talks() || self.spoke.elapsed() < HEARTBEAT {
            return;
        }
        self.spoke = Instant::now();
        let now = time::clock(Timestamp::now());
        match &self.current {
            Some(Current { step, since, .. }) => {
                let since = nd_types::format_duration(Duration::from_secs(since.elapsed().as_secs()));
                eprintln!("{now} [{step}] still at it after {since}");
            }
            None => eprintln!("{now} still at it"),
        }
    }

    /// Takes the moving line away, or folds what was shown.
    pub(crate) fn end(&mut self) {
        if let Some(bar) = &self.live {
            bar.finish_and_clear();
        }
        if std::mem::take(&mut self.folds) {
            eprintln!("{}", github::END_GROUP);
        }
    }

    /// Prints a line above the moving one.
    pub(crate) fn say(&self, text: &str) {
        match &self.live {
            Some(bar) => bar.suspend(|| self.output.note(text)),
            None => self.output.note(text),
        }
    }
}

/// The word for a state, as a line of a log has it.
pub(crate) fn state(state: StepState) -> &'static str {
    match state {
        StepState::Start => "start",
        StepState::Progress | StepState::Log => "…",
        StepState::Ok => "ok",
        StepState::Fail => "fail",
        StepState::Skip => "skip",
    }
}

/// `15:04:05 [build] ok 21.4s layers=14`.
pub(crate) fn plain(record: &StepRecord) -> String {
    let ended = matches!(record.state, StepState::Ok | StepState::Fail);
    let took = record.ms.filter(|_| ended).map(|ms| format!(" {}", time::took(ms))).unwrap_or_default();
    let message = record.url.clone().unwrap_or_else(|| without_verb(&record.step, &record.message));
    let message = if message.is_empty() { String::new() } else { format!(" {message}") };
    format!("{} [{}] {}{took}{message}", time::clock(record.ts), record.step, state(record.state))
}

fn show_live(bar: &ProgressBar, record: &StepRecord, message: &str, output: &Output) {
    let name = title(&record.step);
    let message = without_verb(&record.step, message);
    match record.state {
        StepState::Start | StepState::Progress => bar.set_message(format!("{name:<9} {message}")),
        StepState::Log => bar.println(format!("            {}", output.dim_err(&message))),
        StepState::Skip => {}
        StepState::Ok => {
            let took = record.ms.map(time::took).unwrap_or_default();
            bar.println(format!("  {name:<9} {message:<58} {}", output.dim_err(&took)).trim_end());
        }
        StepState::Fail => {
            bar.println(format!("  {} {message}", output.bad_err(&format!("{name:<9}"))));
        }
    }
}

/// `create shop-8f3k2a-1, create shop-8f3k2a-2` behind the step's name would say it thrice.
fn without_verb(step: &str, message: &str) -> String {
    let verb = format!("{step} ");
    let parts = message.split(", ").map(|part| part.strip_prefix(&verb).unwrap_or(part));
    parts.collect::<Vec<_>>().join(", ")
}

/// `health` → `Health`.
fn title(step: &str) -> String {
    let mut letters = step.chars();
    letters.next().map(|first| first.to_uppercase().chain(letters).collect()).unwrap_or_default()
}

fn spinner() -> ProgressBar {
    let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr_with_hz(10));
    let style = ProgressStyle::with_template("{spinner} {wide_msg} {elapsed:.dim}");
    if let Ok(style) = style {
        bar.set_style(style);
    }
    bar.enable_steady_tick(Duration::from_millis(120));
    bar
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(text: &str) -> String {
        let record: StepRecord = serde_json::from_str(text).unwrap();
        plain(&record).split_once(' ').map(|(_, line)| line.to_owned()).unwrap()
    }

    #[test]
    fn a_step_is_one_line_that_says_nothing_twice() {
        let start = r#"{"seq":1,"ts":"2026-01-01T00:00:00Z","step":"create","state":"start","ms":0,"message":"create a-1, create a-2"}"#;
        assert_eq!(said(start), "[create] start a-1, a-2");
        let ok = r#"{"seq":2,"ts":"2026-01-01T00:00:00Z","step":"create","state":"ok","ms":21400}"#;
        assert_eq!(said(ok), "[create] ok 21.4s");
        let fail = r#"{"seq":3,"ts":"2026-01-01T00:00:00Z","step":"health","state":"fail","ms":7,"message":"ended, too early"}"#;
        assert_eq!(said(fail), "[health] fail 7ms ended, too early");
    }
}
