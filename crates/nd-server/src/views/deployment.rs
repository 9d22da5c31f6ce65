//! Deployments and their steps.

use nd_api::v1::{DeploymentStatus, DeploymentView, Diagnosis, Receipt, StepRecord, StepState};
use nd_core::diagnosis::Diagnosis as CoreDiagnosis;
use nd_core::events::{Event, StepState as CoreState, StoredEvent};
use nd_core::records::{DeploymentRecord, DeploymentStatus as CoreStatus, Receipt as CoreReceipt};
use nd_types::DeploymentId;

use crate::server::Api;

/// A deployment as `/api/v1` shows it.
pub(crate) fn deployment_view(api: &Api, record: DeploymentRecord) -> DeploymentView {
    let status = api.engine().status(&record.app);
    let serving = status.as_ref().is_some_and(|status| status.release.as_ref() == Some(&record.release));
    let url = status.as_ref().and_then(|status| api.engine().url(status));
    DeploymentView {
        id: record.id,
        app: record.app,
        release: Some(record.release),
        previous: record.previous,
        status: status_word(record.status),
        serving,
        started_at: record.created_at,
        finished_at: record.finished_at,
        strategy: Some(record.strategy),
        source: status
            .and_then(|status| status.spec.clone())
            .filter(|_| serving)
            .map(|spec| spec.workload.to_string()),
        url,
        actor: Some(record.actor),
        message: record.message,
        error: record.error.map(diagnosis),
        notes: record.notes,
        receipt: record.receipt.map(receipt),
    }
}

/// An event of a deployment as a record of its stream; events that are no step of it give none.
pub(crate) fn step_record(api: &Api, seq: u64, event: &StoredEvent) -> Option<StepRecord> {
    let record = |step: &str, state| StepRecord::new(seq, event.at, step, state);
    let done = |state, status| StepRecord {
        status: Some(status),
        url: url(api, event),
        previous: previous(api, event),
        ..record(StepRecord::DONE, state)
    };
    Some(match &event.what {
        Event::DeployStep(step) => StepRecord {
            ms: Some(step.ms),
            message: step.message.clone(),
            data: figures(api, &step.step, event),
            ..record(&step.step, step_state(step.state))
        },
        Event::DeploySucceeded { took_ms, .. } => {
            StepRecord { ms: Some(*took_ms), ..done(StepState::Ok, DeploymentStatus::Succeeded) }
        }
        Event::DeployFailed { diagnosis: why, old_serves, lost } => StepRecord {
            message: headline(event, *old_serves),
            error: Some(diagnosis(why.clone())),
            fix: why.fix.clone(),
            data: Some(serde_json::json!({ "old_serves": old_serves, "lost": lost })),
            ..done(StepState::Fail, ended(api, event).unwrap_or(DeploymentStatus::Failed))
        },
        Event::DeployStarted { release, strategy } => StepRecord {
            message: format!("release {release}, {strategy}"),
            data: Some(serde_json::json!({ "release": release, "strategy": strategy })),
            ..record("accept", StepState::Ok)
        },
        Event::Drained { .. } | Event::Note { .. } => {
            StepRecord { message: event.what.title(), ..record("drain", StepState::Log) }
        }
        Event::Trouble { message } => {
            StepRecord { message: message.clone(), ..record("trouble", StepState::Log) }
        }
        _ => return None,
    })
}

/// The last record of a deployment that has ended; nothing while it goes on.
pub(crate) fn last_record(api: &Api, seq: u64, id: &DeploymentId) -> Option<StepRecord> {
    let ended = api.engine().deployment(id)?;
    let status = status_word(ended.status);
    let state = if status == DeploymentStatus::Succeeded { StepState::Ok } else { StepState::Fail };
    let app = api.engine().status(&ended.app);
    let fix = ended.error.as_ref().map(|error| error.fix.clone()).unwrap_or_default();
    Some(StepRecord {
        message: ended.error.as_ref().map(|error| error.what.clone()).unwrap_or_default(),
        url: app.and_then(|app| api.engine().url(&app)),
        previous: ended.previous,
        status: Some(status),
        error: ended.error.map(diagnosis),
        fix,
        ..StepRecord::new(seq, ended.finished_at?, StepRecord::DONE, state)
    })
}

/// What became of requests, behind the words of it.
fn figures(api: &Api, step: &str, event: &StoredEvent) -> Option<serde_json::Value> {
    let id = event.deployment.as_ref().filter(|_| step == "receipt")?;
    serde_json::to_value(api.engine().deployment(id)?.receipt.map(receipt)?).ok()
}

fn receipt(record: CoreReceipt) -> Receipt {
    let CoreReceipt { served, held, retried, failed, cut } = record;
    Receipt { served, held, retried, failed, cut }
}

fn headline(event: &StoredEvent, old_serves: bool) -> String {
    let app = event.app.as_ref().map_or_else(|| "the app".to_owned(), ToString::to_string);
    if old_serves {
        format!("{app} was not deployed; what served before serves on")
    } else {
        format!("{app} was not deployed")
    }
}

fn url(api: &Api, event: &StoredEvent) -> Option<String> {
    let status = api.engine().status(event.app.as_ref()?)?;
    api.engine().url(&status)
}

fn previous(api: &Api, event: &StoredEvent) -> Option<nd_types::ReleaseId> {
    api.engine().deployment(event.deployment.as_ref()?)?.previous
}

fn ended(api: &Api, event: &StoredEvent) -> Option<DeploymentStatus> {
    let status = status_word(api.engine().deployment(event.deployment.as_ref()?)?.status);
    status.is_final().then_some(status)
}

fn status_word(status: CoreStatus) -> DeploymentStatus {
    match status {
        CoreStatus::Running => DeploymentStatus::Running,
        CoreStatus::Succeeded => DeploymentStatus::Succeeded,
        CoreStatus::Failed | CoreStatus::RollbackFailed => DeploymentStatus::Failed,
        CoreStatus::RolledBack => DeploymentStatus::RolledBack,
        CoreStatus::Cancelled => DeploymentStatus::Cancelled,
    }
}

fn step_state(state: CoreState) -> StepState {
    match state {
        CoreState::Start => StepState::Start,
        CoreState::Progress => StepState::Progress,
        CoreState::Ok => StepState::Ok,
        CoreState::Fail => StepState::Fail,
        CoreState::Skip => StepState::Skip,
    }
}

fn diagnosis(why: CoreDiagnosis) -> Diagnosis {
    let CoreDiagnosis { what, why, exit, probe, logs, fix } = why;
    Diagnosis { what, why, exit, probe, logs, fix }
}
