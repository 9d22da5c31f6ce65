//! Apps and their instances.

use nd_api::flat::{AppStatus as FlatStatus, Status};
use nd_api::v1::{
    AppView, CanaryView, DesiredState, ExitView, InstanceState, InstanceView, InstancesView, MirrorView,
    Phase, RestartView,
};
use nd_core::events::RestartReason;
use nd_core::model::{AppPhase, AppStatus, CanaryStatus, MirrorStatus, UnitView};
use nd_core::records::RunIntent;
use nd_core::spec::{AppSpec, RestartPolicy, Workload};
use nd_types::{ExitStatus, RuntimeKind, Timestamp, format_duration};

use crate::server::Api;
use crate::spec::{ENVIRONMENT, written_policy};
use crate::tally::{Exit, Restart};

/// An app as `/api/v1` shows it, without instances and log lines.
pub(crate) async fn app_view(api: &Api, status: &AppStatus) -> AppView {
    let services = &api.services;
    let now = services.clock.wall();
    let (cpu, memory) = api.usage.of(&services.engine, &*services.clock, status).await;
    let (total, restarts_24h) = api.tally.of(&status.app, now);
    let last = api.tally.last_of(&status.app);
    let spec = status.spec.as_deref();
    let urls = api.engine().urls(status);
    let started = status.units.iter().filter_map(|unit| unit.started).min();
    let notes = status.deployment.as_ref().map(|deployment| deployment.notes.clone()).unwrap_or_default();
    AppView {
        name: status.app.clone(),
        phase: phase(status.phase),
        status: word(status),
        reason: status.reason.clone(),
        desired_state: match status.run {
            RunIntent::Running => DesiredState::Running,
            RunIntent::Stopped | RunIntent::Removed => DesiredState::Stopped,
        },
        policy: written_policy(spec.map_or(RestartPolicy::Always, |spec| spec.restart.policy)),
        instances: InstancesView { ready: status.ready.into(), desired: status.replicas.into() },
        release: status.release.clone(),
        canary: status.canary.as_ref().map(canary_view),
        mirror: status.mirror.as_ref().map(mirror_view),
        runtime: spec.map_or(RuntimeKind::Process, AppSpec::runtime),
        image: spec.and_then(image),
        command: spec.and_then(command),
        upstream: spec.and_then(upstream),
        url: urls.first().cloned(),
        urls,
        port: spec.and_then(|spec| spec.port).map(std::num::NonZeroU16::get),
        domain: domain(status),
        environment: spec.and_then(|spec| spec.env.get(ENVIRONMENT).cloned()),
        uptime_ms: started.map(|started| millis(now.duration_since(started).unsigned_abs())),
        restarts: total.restarts,
        restarts_24h,
        crashes: total.crashes,
        last_exit: last.exit.map(exit_view),
        last_restart: last.restart.map(restart_view),
        cpu,
        memory,
        last_checked: Some(now),
        updated_at: status.updated_at,
        config: None,
        units: Vec::new(),
        logs: Vec::new(),
        notes,
    }
}

fn canary_view(canary: &CanaryStatus) -> CanaryView {
    let CanaryStatus { release, percent, step, steps, until } = canary.clone();
    CanaryView { release, percent, step, steps, until }
}

fn mirror_view(mirror: &MirrorStatus) -> MirrorView {
    let MirrorStatus { unit: instance, ready, serves, since, until } = mirror.clone();
    MirrorView { instance, ready, serves, since, until }
}

/// An app as the flat paths show it.
pub(crate) fn flat_status(status: &AppStatus) -> FlatStatus {
    let spec = status.spec.as_deref();
    FlatStatus {
        app_name: status.app.clone(),
        image: spec.and_then(image).unwrap_or_default(),
        status: word(status),
        port: spec.and_then(|spec| spec.port).map(std::num::NonZeroU16::get),
        domain: domain(status),
        updated_at: status.updated_at,
        phase: Some(phase(status.phase)),
        reason: status.reason.clone(),
        deployment_id: status.deployment.as_ref().map(|deployment| deployment.id.clone()),
        notes: Vec::new(),
    }
}

/// The app's instances, with what each of them uses.
pub(crate) async fn instances(api: &Api, status: &AppStatus) -> Vec<InstanceView> {
    let services = &api.services;
    let runtime = status.spec.as_deref().map_or(RuntimeKind::Process, AppSpec::runtime);
    let now = services.clock.wall();
    let mut views: Vec<_> = status.units.iter().map(|unit| instance(api, unit, runtime, now)).collect();
    api.usage.add_to(&services.engine, &*services.clock, status, &mut views).await;
    views
}

fn instance(api: &Api, unit: &UnitView, runtime: RuntimeKind, now: Timestamp) -> InstanceView {
    let last = api.tally.last_of_unit(&unit.id);
    let state = state(unit);
    let reason = match state {
        InstanceState::Unhealthy => last.unhealthy,
        InstanceState::Crashed => {
            last.exit.as_ref().map(told).or_else(|| unit.exit.map(|exit| exit.to_string()))
        }
        _ => None,
    };
    InstanceView {
        id: unit.id.clone(),
        slot: unit.id.slot(),
        release: unit.id.release().clone(),
        runtime,
        state,
        since: unit.started,
        uptime_ms: unit.started.map(|started| millis(now.duration_since(started).unsigned_abs())),
        restarts: unit.restarts.into(),
        exit: unit.exit,
        reason,
        last_exit: last.exit.map(exit_view),
        last_restart: last.restart.map(restart_view),
        cpu: None,
        memory: None,
        address: unit.address.map(|address| address.to_string()),
        pid: unit.pid,
        container: (runtime == RuntimeKind::Docker).then(|| unit.id.to_string()),
    }
}

fn exit_view(exit: Exit) -> ExitView {
    let reason = told(&exit);
    ExitView { instance: exit.unit, at: exit.at, exit: exit.exit, uptime_ms: millis(exit.uptime), reason }
}

/// As in `exit code 1 after 2.3s`.
fn told(exit: &Exit) -> String {
    format!("{} after {}", exit.exit, format_duration(exit.uptime))
}

fn restart_view(restart: Restart) -> RestartView {
    let cause = match restart.reason {
        RestartReason::Exited => "exited",
        RestartReason::OutOfMemory => "out_of_memory",
        RestartReason::Health => "health",
        RestartReason::MemoryLimit => "memory_limit",
        RestartReason::Cron => "cron",
        RestartReason::Manual => "manual",
        RestartReason::FoundStopped => "found_stopped",
    };
    let reason = restart.reason.as_str().to_owned();
    RestartView { instance: restart.unit, at: restart.at, cause: cause.to_owned(), reason }
}

fn state(unit: &UnitView) -> InstanceState {
    match unit.state {
        "absent" | "removing" => InstanceState::Gone,
        "creating" => InstanceState::Preparing,
        "created" => InstanceState::Created,
        "warming" => InstanceState::Warming,
        "ready" => InstanceState::Ready,
        "unhealthy" => InstanceState::Unhealthy,
        "draining" => InstanceState::Draining,
        "stopping" | "stopped" => InstanceState::Stopped,
        "exited" | "crash loop" | "backoff" => InstanceState::Crashed,
        _ if unit.ready => InstanceState::Ready,
        _ => InstanceState::Starting,
    }
}

/// The phase as the API writes it.
pub(crate) fn phase(phase: AppPhase) -> Phase {
    match phase {
        AppPhase::Deploying => Phase::Deploying,
        AppPhase::Running => Phase::Running,
        AppPhase::Degraded => Phase::Degraded,
        AppPhase::RollingBack => Phase::RollingBack,
        AppPhase::Failed => Phase::Failed,
        AppPhase::Sleeping => Phase::Sleeping,
        AppPhase::Stopping => Phase::Stopping,
        AppPhase::Stopped => Phase::Stopped,
        AppPhase::Removing => Phase::Removing,
    }
}

/// One of four words. An app of which nothing serves, as far as was looked, is in error even while it is started again; one that ended well
/// and is not to be started again has stopped.
fn word(status: &AppStatus) -> Status {
    if status.phase == AppPhase::Degraded && status.ready == 0 && status.observed {
        return Status::Error;
    }
    let ended = !status.units.is_empty()
        && status.units.iter().all(|unit| unit.exit.is_some_and(ExitStatus::is_success));
    if status.phase == AppPhase::Failed && ended {
        return Status::Stopped;
    }
    phase(status.phase).into()
}

fn image(spec: &AppSpec) -> Option<String> {
    match &spec.workload {
        Workload::Image(image) => Some(image.reference.clone()),
        Workload::Command(_) | Workload::External(_) => None,
    }
}

fn upstream(spec: &AppSpec) -> Option<String> {
    match &spec.workload {
        Workload::External(upstream) => Some(upstream.to_string()),
        Workload::Image(_) | Workload::Command(_) => None,
    }
}

fn command(spec: &AppSpec) -> Option<String> {
    let argv = match &spec.workload {
        Workload::Image(image) => &image.command,
        Workload::Command(command) => &command.argv,
        Workload::External(_) => return None,
    };
    (!argv.is_empty()).then(|| argv.join(" "))
}

fn domain(status: &AppStatus) -> Option<String> {
    status.routes().iter().find(|route| route.is_place()).map(|route| route.host.to_string())
}

/// A duration in whole milliseconds.
pub(super) fn millis(duration: std::time::Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
