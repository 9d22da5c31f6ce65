//! Doing what a reconciler decided: every step against its port, each with a deadline.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::try_join_all;
use nd_types::{AppName, ExitStatus, ReleaseId, RuntimeKind, UnitId};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::checks;
use super::readiness;
use super::shared::Shared;
use super::stopping;
use crate::diagnosis::Diagnosis;
use crate::events::{StepEvent, StepState};
use crate::model::{
    Action, ActionEnd, ActionError, AppModel, CheckReport, Fact, NotReady, RoutesServing, Started, UnitAction,
};
use crate::ports::{
    DrainReport, PortError, PortErrorKind, PortResult, Prepared, Progress, Runtime, Scope, UnitObserved,
    UnitSpec, UnitStatus, within,
};
use crate::routes::AppRoutes;
use crate::spec::AppSpec;

/// How long one call of a runtime may take, pulls and waits apart.
const CALL: Duration = Duration::from_secs(60);

/// How long a look may take.
const LOOK: Duration = Duration::from_secs(15);

/// How long a look may take into a runtime that the app has nothing to do with.
const GLANCE: Duration = Duration::from_millis(250);

/// How long the counters may take: a deployment waits for them at its end.
const GLANCE_AT_TRAFFIC: Duration = Duration::from_secs(2);

/// Pulls have deadlines of their own; this one only ends what hangs for good.
const PREPARE: Duration = Duration::from_secs(1800);

/// What an action needs to know of the model it came from.
pub(crate) struct Context {
    pub(crate) app: AppName,
    pub(crate) spec: Option<Arc<AppSpec>>,
    pub(crate) prepared: Prepared,
    /// Every runtime that a unit of the app may be in, and whether the release that serves, or is to, runs there.
    kinds: Vec<(RuntimeKind, bool)>,
    deployment: Option<nd_types::DeploymentId>,
    ingress: Option<nd_types::IngressKind>,
    drain: Duration,
    /// Cancelled when nobody waits for the unit to become ready any more.
    wait: CancellationToken,
}

impl Context {
    pub(crate) fn of(model: &AppModel, action: &Action, shared: &Shared, wait: CancellationToken) -> Self {
        let release = match action {
            Action::Unit(unit, _) => Some(unit.release()),
            Action::Prepare(release) => Some(release),
            Action::Check { unit, .. } => Some(unit.release()),
            Action::Observe { .. } | Action::Apply(_) | Action::Withdraw | Action::Measure => None,
        };
        let known = release.and_then(|release| model.release(release));
        let spec = known.map(|release| Arc::clone(&release.spec));
        Self {
            app: model.app().clone(),
            wait,
            drain: spec.as_ref().map_or(AppSpec::DRAIN, |spec| spec.drain),
            prepared: known.and_then(|release| release.prepared.clone()).unwrap_or_default(),
            spec,
            kinds: shared.registry.runtimes().map(|(kind, _)| (kind, runs_in(model, kind))).collect(),
            ingress: model.record().ingress,
            deployment: model.record().rollout.as_ref().map(|rollout| rollout.deployment.clone()),
        }
    }
}

/// Does it, and says what came of it.
pub(crate) async fn perform(shared: Arc<Shared>, context: Context, action: Action) -> ActionEnd {
    let name = name_of(&action);
    let fail_at = |moment: &str| {
        if let Some(fail_point) = &shared.fail_point {
            fail_point(&format!("{moment}-{name}"));
        }
    };
    fail_at("before");
    let end = attempt(&shared, &context, action).await;
    fail_at("after");
    end
}

fn name_of(action: &Action) -> &'static str {
    match action {
        Action::Observe { .. } => "observe",
        Action::Prepare(_) => "prepare",
        Action::Apply(_) => "apply",
        Action::Withdraw => "withdraw",
        Action::Measure => "measure",
        Action::Check { .. } => "check",
        Action::Unit(_, UnitAction::Create) => "create",
        Action::Unit(_, UnitAction::Start(_)) => "start",
        Action::Unit(_, UnitAction::WaitReady { .. }) => "health",
        Action::Unit(_, UnitAction::Drain) => "drain",
        Action::Unit(_, UnitAction::Stop) => "stop",
        Action::Unit(_, UnitAction::Remove) => "remove",
    }
}

async fn attempt(shared: &Arc<Shared>, context: &Context, action: Action) -> ActionEnd {
    match action {
        Action::Observe { epoch } => {
            let result = observe(shared, context).await;
            ActionEnd::Observed { epoch, result: result.map_err(|error| failed(&error)) }
        }
        Action::Prepare(release) => {
            let result = within("prepare", PREPARE, prepare(shared, context, &release)).await;
            ActionEnd::Prepared(release, result.map_err(|error| failed(&error)))
        }
        Action::Apply(routes) => {
            let result = apply(shared, &context.app, Some((*routes).clone())).await;
            ActionEnd::Applied(routes, result)
        }
        Action::Withdraw => ActionEnd::Withdrawn(apply(shared, &context.app, None).await.map(|_| ())),
        Action::Measure => {
            let traffic = async { shared.registry.ingress(context.ingress)?.traffic(&context.app).await };
            let result = within("read what became of requests", GLANCE_AT_TRAFFIC, traffic).await;
            ActionEnd::Measured(result.map_err(|error| failed(&error)))
        }
        Action::Check { unit, since, checks } => {
            let report = checks::check(shared, context, &unit, checks).await;
            ActionEnd::Checked(unit, since, report)
        }
        Action::Unit(unit, action) => perform_on(shared, context, unit, action).await,
    }
}

async fn perform_on(shared: &Arc<Shared>, context: &Context, unit: UnitId, action: UnitAction) -> ActionEnd {
    match action {
        UnitAction::Create => {
            let result = within("create", CALL, create(shared, context, &unit)).await;
            ActionEnd::Created(unit, result.map_err(|error| failed(&error)))
        }
        UnitAction::Start(_) => {
            let result = within("start", CALL, start(shared, context, &unit)).await;
            ActionEnd::Started(unit, result.map_err(|error| failed(&error)))
        }
        UnitAction::WaitReady { within } => {
            let result = match runtime_of(shared, context) {
                Ok(runtime) => tokio::select! {
                    result = readiness::wait_ready(shared, &*runtime, context, &unit, within) => result,
                    () = context.wait.cancelled() => Err(no_longer_awaited(&unit)),
                },
                Err(error) => {
                    Err(NotReady { exit: None, diagnosis: failed(&error).diagnosis, unknown: true })
                }
            };
            ActionEnd::Warmed(unit, result)
        }
        UnitAction::Drain => {
            let drained = drain(shared, &unit, context.drain);
            let result = within("drain", context.drain + CALL, drained).await;
            ActionEnd::Drained(unit, result.map_err(|error| failed(&error)))
        }
        UnitAction::Stop => {
            let result = stopping::stop(shared, context, &unit).await;
            ActionEnd::Stopped(unit, result.map_err(|error| failed(&error)))
        }
        UnitAction::Remove => {
            let result = within("remove", CALL, stopping::remove(shared, context, &unit)).await;
            ActionEnd::Removed(unit, result.map_err(|error| failed(&error)))
        }
    }
}

/// Waits for the requests that each ingress has in flight on the unit: its app may have moved from one to another.
async fn drain(shared: &Shared, unit: &UnitId, deadline: Duration) -> PortResult<DrainReport> {
    let unit = std::slice::from_ref(unit);
    let drains = shared.registry.ingresses().map(|(_, ingress)| ingress.drain(unit, deadline));
    let reports = try_join_all(drains).await?;
    let sum = |of: fn(&DrainReport) -> u64| reports.iter().map(of).sum();
    Ok(DrainReport {
        finished: sum(|report| report.finished),
        cut: sum(|report| report.cut),
        websockets_closed: sum(|report| report.websockets_closed),
        websockets_cut: sum(|report| report.websockets_cut),
    })
}

/// Whether ending the action in the middle loses nothing but time.
pub(crate) fn only_waits(action: &Action) -> bool {
    matches!(
        action,
        Action::Observe { .. }
            | Action::Prepare(_)
            | Action::Measure
            | Action::Check { .. }
            | Action::Unit(_, UnitAction::WaitReady { .. } | UnitAction::Drain)
    )
}

fn no_longer_awaited(unit: &UnitId) -> NotReady {
    let what = format!("{unit} is not wanted any more; it was not ready yet");
    NotReady { exit: None, diagnosis: Diagnosis::new(what), unknown: false }
}

/// The end of an action that was interrupted by a panic.
pub(crate) fn interrupted(action: &Action, app: &AppName) -> impl FnOnce(String) -> ActionEnd + Send + use<> {
    let (action, app) = (action.clone(), app.clone());
    move |why| {
        let error = ActionError {
            kind: PortErrorKind::Transient,
            diagnosis: Diagnosis::new(format!("{app}: a defect interrupted this step: {why}")),
        };
        match action {
            Action::Observe { epoch } => ActionEnd::Observed { epoch, result: Err(error) },
            Action::Prepare(release) => ActionEnd::Prepared(release, Err(error)),
            Action::Apply(routes) => ActionEnd::Applied(routes, Err(error)),
            Action::Withdraw => ActionEnd::Withdrawn(Err(error)),
            Action::Measure => ActionEnd::Measured(Err(error)),
            Action::Check { unit, since, .. } => ActionEnd::Checked(unit, since, CheckReport::default()),
            Action::Unit(unit, action) => match action {
                UnitAction::Create => ActionEnd::Created(unit, Err(error)),
                UnitAction::Start(_) => ActionEnd::Started(unit, Err(error)),
                UnitAction::WaitReady { .. } => ActionEnd::Warmed(
                    unit,
                    Err(NotReady { exit: None, diagnosis: error.diagnosis, unknown: true }),
                ),
                UnitAction::Drain => ActionEnd::Drained(unit, Err(error)),
                UnitAction::Stop => ActionEnd::Stopped(unit, Err(error)),
                UnitAction::Remove => ActionEnd::Removed(unit, Err(error)),
            },
        }
    }
}

/// Looks at the app's units in every runtime: an app may have moved from a process to a container. A runtime that does
/// not answer only matters to apps that run in it.
async fn observe(shared: &Shared, context: &Context) -> PortResult<Vec<UnitObserved>> {
    let scope = &Scope::App(shared.daemon.clone(), context.app.clone());
    let looks = context.kinds.iter().map(|(kind, needed)| async move {
        let Some(runtime) = shared.registry.runtime(*kind) else { return Ok(Vec::new()) };
        let patience = if *needed { LOOK } else { GLANCE };
        match within("look at the units", patience, runtime.observe(scope)).await {
            Err(_) if !needed => Ok(Vec::new()),
            seen => seen,
        }
    });
    Ok(try_join_all(looks).await?.concat())
}

fn runs_in(model: &AppModel, kind: RuntimeKind) -> bool {
    let record = model.record();
    let wanted = [record.active.as_ref(), record.rollout.as_ref().map(|rollout| &rollout.release)];
    let mut releases = wanted.into_iter().flatten().filter_map(|id| model.release(id));
    releases.any(|release| release.spec.runtime() == kind)
}

async fn prepare(shared: &Arc<Shared>, context: &Context, release: &ReleaseId) -> PortResult<Prepared> {
    let runtime = runtime_of(shared, context)?;
    let spec = spec_of(context)?;
    let login = shared.logins.lock().get(release).cloned();
    let (sender, mut said) = mpsc::channel(64);
    let reporter = Arc::clone(shared);
    let (app, deployment) = (context.app.clone(), context.deployment.clone());
    shared.tasks.spawn("progress", async move {
        while let Some(message) = said.recv().await {
            let step = StepEvent { step: "prepare".to_owned(), state: StepState::Progress, message, ms: 0 };
            let what = crate::events::Event::DeployStep(step);
            let fact = Fact { unit: None, deployment: deployment.clone(), what };
            reporter.bus.publish(Some(&app), fact, None, reporter.clock.wall());
        }
    });
    runtime.prepare(&spec, login.as_ref(), &Progress::to(sender)).await
}

async fn create(shared: &Shared, context: &Context, unit: &UnitId) -> PortResult<()> {
    let spec = UnitSpec {
        id: unit.clone(),
        daemon: shared.daemon.clone(),
        spec: spec_of(context)?,
        prepared: context.prepared.clone(),
    };
    runtime_of(shared, context)?.create(&spec).await.map(|_| ())
}

async fn start(shared: &Shared, context: &Context, unit: &UnitId) -> PortResult<Started> {
    let seen = runtime_of(shared, context)?.start(unit).await?;
    let at = match seen.status {
        UnitStatus::Running { since, .. } => since,
        // It has ended already; the wait for readiness finds out how.
        UnitStatus::Created | UnitStatus::Exited { .. } => shared.clock.wall(),
    };
    Ok(Started { pid: seen.pid, at })
}

async fn apply(
    shared: &Shared,
    app: &AppName,
    routes: Option<AppRoutes>,
) -> Result<RoutesServing, ActionError> {
    shared.books.set(app, routes).await.map_err(|error| failed(&error))
}

pub(crate) fn runtime_of(shared: &Shared, context: &Context) -> PortResult<Arc<dyn Runtime>> {
    let kind = spec_of(context)?.runtime();
    let missing =
        || PortError::new(PortErrorKind::Unavailable, format!("runtime {kind} is not part of this daemon"));
    shared.registry.runtime(kind).cloned().ok_or_else(missing)
}

fn spec_of(context: &Context) -> PortResult<Arc<AppSpec>> {
    let unknown = || {
        PortError::new(PortErrorKind::Internal, format!("{}: the release is not known any more", context.app))
    };
    context.spec.clone().ok_or_else(unknown)
}

pub(crate) fn failed(error: &PortError) -> ActionError {
    let fix = error.fix.iter().cloned().collect();
    ActionError { kind: error.kind, diagnosis: Diagnosis { fix, ..Diagnosis::new(error.to_string()) } }
}

/// How a unit ended, when nobody saw it.
pub(crate) const UNSEEN: ExitStatus = ExitStatus::Unknown;
