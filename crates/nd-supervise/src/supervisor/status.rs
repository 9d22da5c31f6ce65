//! What a monitor writes down about its worker, for everybody to read.

use std::sync::Arc;

use jiff::Timestamp;

use crate::worker::Pulse;
use crate::{FailureKind, FailureView, WorkerExit, WorkerSpec, WorkerState, WorkerView};

/// The state of one worker.
pub(super) struct Status {
    state: WorkerState,
    since: Timestamp,
    pub(super) restarts: u64,
    panics: u64,
    last_failure: Option<FailureView>,
    /// The last run ended in a failure.
    failed: bool,
    stalled: bool,
    quarantined: bool,
    /// The last run was aborted on the way out.
    pub(super) aborted: bool,
    /// Of the present run.
    pulse: Option<Arc<Pulse>>,
}

impl Status {
    pub(super) const fn new(now: Timestamp) -> Self {
        Self {
            state: WorkerState::Starting,
            since: now,
            restarts: 0,
            panics: 0,
            last_failure: None,
            failed: false,
            stalled: false,
            quarantined: false,
            aborted: false,
            pulse: None,
        }
    }

    pub(super) const fn enter(&mut self, state: WorkerState, now: Timestamp) {
        self.state = state;
        self.since = now;
    }

    /// A new run begins.
    pub(super) fn begin(&mut self, pulse: Arc<Pulse>, now: Timestamp) {
        self.enter(WorkerState::Running, now);
        (self.failed, self.stalled, self.aborted) = (false, false, false);
        self.pulse = Some(pulse);
    }

    /// The run gave no sign of life: it is aborted.
    pub(super) const fn stall(&mut self, now: Timestamp) {
        self.enter(WorkerState::Stopping, now);
        self.stalled = true;
    }

    /// The run has ended.
    pub(super) fn end(&mut self, exit: &WorkerExit, now: Timestamp) {
        self.pulse = None;
        let failure = exit.failure();
        self.failed = failure.is_some();
        if let Some((kind, message)) = failure {
            self.panics += u64::from(kind == FailureKind::Panicked);
            self.last_failure = Some(FailureView { at: now, kind, message });
        }
    }

    pub(super) const fn set_quarantined(&mut self, quarantined: bool) {
        self.quarantined = quarantined;
    }

    pub(super) fn is_well(&self) -> bool {
        let gave_up = self.failed && self.state == WorkerState::Stopped;
        !(self.stalled || self.quarantined || gave_up)
    }

    pub(super) fn view(&self, spec: &WorkerSpec) -> WorkerView {
        let heartbeat_age = self.pulse.as_ref().and_then(|pulse| pulse.age());
        let awaits_heartbeat = spec.stall_after.is_some() && heartbeat_age.is_none();
        let state = match self.state {
            WorkerState::Running if awaits_heartbeat => WorkerState::Starting,
            state => state,
        };
        WorkerView {
            name: spec.name,
            state,
            since: self.since,
            critical: spec.critical,
            restarts: self.restarts,
            panics: self.panics,
            last_failure: self.last_failure.clone(),
            heartbeat_age,
        }
    }
}
