//! The steps of a deployment: a live line on a terminal, one line each elsewhere.

use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use nd_api::v1::{StepRecord, StepState};
use nd_types::Timestamp;

use super::time;
use crate::output::Output;

/// How long a silent step may be silent where nobody sees it move.
pub(crate) const HEARTBEAT: Duration = Duration::from_secs(15);

/// Shows steps as they come.
pub(crate) struct Steps {
    output: Output,
    /// The line that moves; none where there is no terminal.
    live: Option<ProgressBar>,
    current: Option<(String, Instant)>,
    spoke: Instant,
}

impl Steps {
    pub(crate) fn new(output: Output) -> Self {
        Self { live: output.live.then(spinner), output, current: None, spoke: Instant::now() }
    }

    /// Shows one record.
    pub(crate) fn show(&mut self, record: &StepRecord) {
        if record.is_last() {
            return self.clear();
        }
        match record.state {
            StepState::Start => self.current = Some((record.step.clone(), Instant::now())),
            StepState::Ok | StepState::Fail | StepState::Skip => {
                if self.current.as_ref().is_some_and(|(step, _)| *step == record.step) {
                    self.current = None;
                }
            }
            StepState::Progress | StepState::Log => {}
        }
        if self.output.quiet {
            return;
        }
        match &self.live {
            Some(bar) => show_live(bar, record, &self.output),
            None => self.show_plain(record),
        }
    }

    /// Says that a step goes on, where nothing else does.
    pub(crate) fn heartbeat(&mut self) {
        if self.live.is_some() || self.output.quiet || self.spoke.elapsed() < HEARTBEAT {
            return;
        }
        self.spoke = Instant::now();
        let now = time::clock(Timestamp::now());
        match &self.current {
            Some((step, since)) => {
                let since = nd_types::format_duration(Duration::from_secs(since.elapsed().as_secs()));
                eprintln!("{now} [{step}] still at it after {since}");
            }
            None => eprintln!("{now} still at it"),
        }
    }

    /// Takes the moving line away.
    pub(crate) fn clear(&mut self) {
        if let Some(bar) = &self.live {
            bar.finish_and_clear();
        }
    }

    /// Prints a line above the moving one.
    pub(crate) fn say(&self, text: &str) {
        match &self.live {
            Some(bar) => bar.suspend(|| self.output.note(text)),
            None => self.output.note(text),
        }
    }

    fn show_plain(&mut self, record: &StepRecord) {
        let state = match record.state {
            StepState::Start => "start",
            StepState::Progress | StepState::Log => "…",
            StepState::Ok => "ok",
            StepState::Fail => "fail",
            StepState::Skip => "skip",
        };
        let ended = matches!(record.state, StepState::Ok | StepState::Fail);
        let took = record.ms.filter(|_| ended).map(|ms| format!(" {}", time::took(ms))).unwrap_or_default();
        let message = if record.message.is_empty() { String::new() } else { format!(" {}", record.message) };
        eprintln!("{} [{}] {state}{took}{message}", time::clock(record.ts), record.step);
        self.spoke = Instant::now();
    }
}

fn show_live(bar: &ProgressBar, record: &StepRecord, output: &Output) {
    let name = title(&record.step);
    match record.state {
        StepState::Start | StepState::Progress => bar.set_message(format!("{name:<9} {}", record.message)),
        StepState::Log => bar.println(format!("            {}", output.dim_err(&record.message))),
        StepState::Skip => {}
        StepState::Ok => {
            let took = record.ms.map(time::took).unwrap_or_default();
            bar.println(format!("  {name:<9} {:<58} {}", record.message, output.dim_err(&took)));
        }
        StepState::Fail => {
            bar.println(format!("  {} {}", output.bad_err(&format!("{name:<9}")), record.message));
        }
    }
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
