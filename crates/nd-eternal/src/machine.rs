//! What eternal mode does about what happens: a pure state machine. Times are counted from the start of eternal mode.

use std::time::Duration;

use nd_types::ExitStatus;

use crate::options::Options;
use crate::policy::{Tally, Verdict};
use crate::stats::{Stats, Status};

/// What is killed and still there after this time hangs in the kernel, and is given up.
const KILL_LIMIT: Duration = Duration::from_secs(5);

/// Something happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Event {
    /// The command was started.
    Started,
    /// The command could not be started, and why.
    NotStarted(String),
    /// The command itself has ended.
    Ended {
        /// How.
        exit: ExitStatus,
        /// Whether other processes of its group are left.
        rest: bool,
    },
    /// Somebody wants all of it to end, by this signal.
    Stop(&'static str),
    /// Somebody wants the command to start anew.
    Reload,
    /// Nothing but time has passed.
    Time,
}

/// Something to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Effect {
    /// Start the command; answered by [`Event::Started`] or [`Event::NotStarted`].
    Start,
    /// Ask the command and its group to stop.
    Terminate,
    /// Kill the command and its group.
    Kill,
    /// Kill whatever the command has left behind, and wait for that.
    Clean,
    /// Write this to the log.
    Say(String),
    /// End, with this exit code.
    End(u8),
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum State {
    /// The command is started now, or runs.
    Running,
    /// It is started again then.
    Waiting { until: Duration },
    /// It is asked to end; killed, and in the end given up, then.
    Stopping { next: Next, until: Duration, killed: bool },
    /// All is over.
    Over { failed: bool },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Next {
    End,
    Restart,
}

/// Eternal mode, as far as it decides.
#[derive(Clone, Debug)]
pub(crate) struct Machine {
    options: Options,
    tally: Tally,
    state: State,
    next_stats: Duration,
}

impl Machine {
    /// A machine whose command is about to be started for the first time.
    pub(crate) fn new(options: Options) -> Self {
        let next_stats = options.stats_interval;
        Self { options, tally: Tally::default(), state: State::Running, next_stats }
    }

    /// What follows from an event.
    pub(crate) fn handle(&mut self, event: &Event, now: Duration) -> Vec<Effect> {
        match event {
            Event::Started => self.started(),
            Event::NotStarted(why) => {
                let mut effects = vec![say(why)];
                effects.extend(self.crashed(ExitStatus::Unknown, now));
                effects
            }
            Event::Ended { exit, rest } => self.ended(*exit, *rest, now),
            Event::Stop(signal) => self.stop(signal, now),
            Event::Reload => self.reload(now),
            Event::Time => self.pass(now),
        }
    }

    /// When [`Event::Time`] has something to do next.
    pub(crate) fn wake_at(&self) -> Duration {
        match self.state {
            State::Running | State::Over { .. } => self.next_stats,
            State::Waiting { until } | State::Stopping { until, .. } => until.min(self.next_stats),
        }
    }

    /// How it went so far.
    pub(crate) fn stats(&self, now: Duration) -> Stats {
        let status = match self.state {
            State::Running => Status::Running,
            State::Waiting { .. } => Status::Restarting,
            State::Stopping { .. } => Status::Stopping,
            State::Over { failed: false } => Status::Stopped,
            State::Over { failed: true } => Status::Failed,
        };
        Stats { uptime: now, restarts: self.tally.restarts, crashes: self.tally.crashes, status }
    }

    fn started(&mut self) -> Vec<Effect> {
        match self.state {
            // Somebody was faster than the start.
            State::Stopping { .. } => vec![Effect::Terminate],
            _ => Vec::new(),
        }
    }

    fn ended(&mut self, exit: ExitStatus, rest: bool, now: Duration) -> Vec<Effect> {
        match self.state {
            State::Running => {
                let mut effects = vec![Effect::Clean, Effect::Say(format!("the command ended with {exit}"))];
                effects.extend(self.crashed(exit, now));
                effects
            }
            State::Stopping { next, .. } if !rest => self.stopped(next, now),
            State::Waiting { .. } | State::Stopping { .. } | State::Over { .. } => Vec::new(),
        }
    }

    fn crashed(&mut self, exit: ExitStatus, now: Duration) -> Vec<Effect> {
        match self.tally.ended(&self.options.policy, exit, now) {
            Verdict::Done => self.over(false, now),
            Verdict::Again(after) => {
                self.state = State::Waiting { until: now + after };
                let after = nd_types::format_duration(after);
                vec![Effect::Say(format!("crash {}; starting again in {after}", self.tally.crashes))]
            }
            Verdict::GiveUp(why) => {
                let mut effects = vec![Effect::Say(format!("giving up: {why}"))];
                effects.extend(self.over(true, now));
                effects
            }
        }
    }

    fn stop(&mut self, signal: &str, now: Duration) -> Vec<Effect> {
        let mut effects = vec![Effect::Say(format!("Received {signal}, starting graceful shutdown..."))];
        match &mut self.state {
            State::Running => effects.push(self.terminate(Next::End, now)),
            State::Waiting { .. } => effects.extend(self.over(false, now)),
            State::Stopping { next: next @ Next::Restart, .. } => *next = Next::End,
            // Asked twice: at once.
            State::Stopping { next: Next::End, .. } => effects.push(self.kill(now)),
            State::Over { .. } => effects.clear(),
        }
        effects
    }

    fn reload(&mut self, now: Duration) -> Vec<Effect> {
        let mut effects = vec![say("Received SIGHUP, restarting the command")];
        match self.state {
            State::Running => effects.push(self.terminate(Next::Restart, now)),
            State::Waiting { .. } => {
                self.tally.asked();
                effects.push(self.start());
            }
            State::Stopping { .. } | State::Over { .. } => effects.clear(),
        }
        effects
    }

    fn pass(&mut self, now: Duration) -> Vec<Effect> {
        let mut effects = Vec::new();
        match self.state {
            State::Waiting { until } if now >= until => effects.push(self.start()),
            State::Stopping { until, killed: false, .. } if now >= until => {
                let waited = nd_types::format_duration(self.options.kill_timeout);
                effects.push(Effect::Say(format!(
                    "the command did not stop within {waited}: killing its group"
                )));
                effects.push(self.kill(now));
            }
            State::Stopping { next, until, killed: true } if now >= until => {
                effects.push(say("a killed process does not end; going on without it"));
                effects.extend(self.stopped(next, now));
            }
            _ => {}
        }
        if now >= self.next_stats {
            self.next_stats = now + self.options.stats_interval;
            effects.push(Effect::Say(self.stats(now).to_string()));
        }
        effects
    }

    fn start(&mut self) -> Effect {
        self.tally.restarts += 1;
        self.state = State::Running;
        Effect::Start
    }

    fn terminate(&mut self, next: Next, now: Duration) -> Effect {
        self.state = State::Stopping { next, until: now + self.options.kill_timeout, killed: false };
        Effect::Terminate
    }

    fn kill(&mut self, now: Duration) -> Effect {
        if let State::Stopping { until, killed, .. } = &mut self.state {
            (*until, *killed) = (now + KILL_LIMIT, true);
        }
        Effect::Kill
    }

    fn stopped(&mut self, next: Next, now: Duration) -> Vec<Effect> {
        let mut effects = vec![Effect::Clean];
        match next {
            Next::End => effects.extend(self.over(false, now)),
            Next::Restart => {
                self.tally.asked();
                effects.push(self.start());
            }
        }
        effects
    }

    fn over(&mut self, failed: bool, now: Duration) -> Vec<Effect> {
        self.state = State::Over { failed };
        vec![Effect::Say(self.stats(now).to_string()), Effect::End(u8::from(failed))]
    }
}

fn say(text: &str) -> Effect {
    Effect::Say(text.to_owned())
}

#[cfg(test)]
#[path = "machine/tests.rs"]
mod tests;
