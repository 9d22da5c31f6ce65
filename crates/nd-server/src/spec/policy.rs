//! When a unit is ready, when it is started again, how it stops, and how releases replace each other.

use std::num::{NonZeroU16, NonZeroU32};

use nd_api::Manifest;
use nd_api::manifest::{
    CommandLine, Condition as WrittenCondition, Healthcheck, RestartPolicy as WrittenPolicy, TcpProbe,
};
use nd_core::spec::{
    AppSpec, Condition, Dependency, HttpProbe, InvalidSchedule, ProbeKind, RestartPolicy, Schedule,
    StatusRange, Statuses, Workload,
};

use super::mistake;
use crate::refusal::Refusal;

pub(super) fn readiness(manifest: &Manifest, spec: &mut AppSpec) {
    let written = &manifest.deployment.container.healthcheck;
    let readiness = &mut spec.readiness;
    if let Some(message) = manifest.wait_ready {
        readiness.message = message && matches!(spec.workload, Workload::Command(_));
    }
    if let Some(tcp) = written.tcp {
        readiness.kind = ProbeKind::Tcp;
        if let TcpProbe::Port(port) = tcp {
            readiness.port = NonZeroU16::new(port.get());
        }
    } else if let Some(command) = &written.cmd {
        readiness.kind = ProbeKind::Command(CommandLine::argv(command));
    } else if written.path.is_some() || written.status.is_some() || !written.headers.is_empty() {
        readiness.kind = ProbeKind::Http(http_probe(written, &readiness.kind));
    }
    if let Some(port) = written.port {
        readiness.port = NonZeroU16::new(port.get());
    }
    readiness.start_period = written.start_period.unwrap_or(readiness.start_period);
    readiness.interval = written.interval.unwrap_or(readiness.interval);
    if let Some(timeout) = written.timeout {
        readiness.timeout = timeout;
        // Given alone it raises the interval; both written were checked against each other.
        readiness.interval = readiness.interval.max(timeout);
    } else {
        readiness.timeout = readiness.timeout.min(readiness.interval);
    }
    if let Some(retries) = written.retries {
        readiness.retries = u16::try_from(retries).unwrap_or(u16::MAX);
    }
}

/// The question over HTTP; what is left out stays as it was asked before.
fn http_probe(written: &Healthcheck, before: &ProbeKind) -> HttpProbe {
    let mut probe = match before {
        ProbeKind::Http(http) => http.clone(),
        ProbeKind::Auto | ProbeKind::Tcp | ProbeKind::Command(_) => HttpProbe::new("/"),
    };
    if let Some(path) = &written.path {
        probe.path.clone_from(path);
    }
    if let Some(statuses) = &written.status {
        let ranges = statuses.ranges().iter();
        let range = ranges.map(|range| StatusRange { first: range.from(), last: range.to() });
        probe.accept = Statuses::new(range.collect());
    }
    if !written.headers.is_empty() {
        probe.headers.clone_from(&written.headers);
    }
    probe
}

pub(super) fn restart(
    manifest: &Manifest,
    spec: &mut AppSpec,
    notes: &mut Vec<String>,
) -> Result<(), Refusal> {
    let (written, restart) = (&manifest.restart, &mut spec.restart);
    if let Some(policy) = manifest.deployment.container.restart {
        restart.policy = core_policy(policy);
    }
    if let Some(max) = written.max {
        restart.max_restarts = max.limit().map(NonZeroU32::get);
    }
    restart.min_uptime = written.min_uptime.unwrap_or(restart.min_uptime);
    if let Some(delay) = written.delay {
        (restart.delay, restart.delay_declared) = (delay, true);
    }
    if let Some(factor) = written.backoff {
        restart.backoff_factor = factor.hundredths().div_ceil(100);
        if factor.hundredths() % 100 != 0 {
            notes.push(format!("restart.backoff {factor} counts as {}x", restart.backoff_factor));
        }
    }
    restart.max_delay = written.max_delay.unwrap_or(restart.max_delay).max(restart.delay);
    restart.crash_threshold = written.crash_threshold.unwrap_or(restart.crash_threshold);
    restart.crash_window = written.crash_window.unwrap_or(restart.crash_window);
    if !written.stop_exit_codes.is_empty() {
        restart.stop_exit_codes.clone_from(&written.stop_exit_codes);
    }
    restart.max_memory = written.max_memory.or(restart.max_memory);
    if let Some(cron) = &written.cron {
        let schedule: Schedule = cron.as_str().parse().map_err(|error: InvalidSchedule| {
            mistake("/restart/cron", error.to_string(), "write `0 3 * * *`")
        })?;
        restart.cron = Some(schedule);
    }
    if let (Some(at), Some(limit)) = (restart.max_memory, spec.resources.memory)
        && at >= limit
    {
        notes.push(format!(
            "restart.max_memory {at} is not below the limit of {limit}: the kernel kills an instance before it is replaced"
        ));
    }
    Ok(())
}

pub(super) fn rollout(manifest: &Manifest, spec: &mut AppSpec) {
    let (rollout, stop) = (&manifest.deployment.rollout, &manifest.deployment.stop);
    spec.strategy = rollout.strategy.or(spec.strategy);
    spec.keep_releases = rollout.keep.unwrap_or(spec.keep_releases);
    spec.drain = rollout.drain.unwrap_or(spec.drain);
    spec.rollout.bake = rollout.bake.unwrap_or(spec.rollout.bake);
    let (written, canary) = (&rollout.canary, &mut spec.rollout.canary);
    if !written.steps.is_empty() {
        canary.steps.clone_from(&written.steps);
    }
    canary.pause = written.pause.unwrap_or(canary.pause);
    let (rules, abort_if) = (&written.abort_if, &mut canary.abort_if);
    abort_if.error_rate = rules.error_rate.or(abort_if.error_rate);
    abort_if.p95 = rules.p95.or(abort_if.p95);
    spec.stop.signal = stop.signal.map(nd_api::manifest::StopSignal::number).or(spec.stop.signal);
    spec.stop.grace = stop.grace.unwrap_or(spec.stop.grace);
    if !manifest.depends_on.is_empty() {
        let dependencies = manifest.depends_on.iter();
        spec.depends_on = dependencies
            .map(|(app, condition)| Dependency { app: app.clone(), condition: core_condition(condition) })
            .collect();
    }
}

fn core_condition(condition: WrittenCondition) -> Condition {
    match condition {
        WrittenCondition::Started => Condition::Started,
        WrittenCondition::Healthy => Condition::Healthy,
        WrittenCondition::Completed => Condition::Completed,
    }
}

fn core_policy(policy: WrittenPolicy) -> RestartPolicy {
    match policy {
        WrittenPolicy::Always => RestartPolicy::Always,
        WrittenPolicy::OnFailure => RestartPolicy::OnFailure,
        WrittenPolicy::UnlessStopped => RestartPolicy::UnlessStopped,
        WrittenPolicy::Never => RestartPolicy::Never,
    }
}

/// The policy as the API writes it.
pub(crate) fn written_policy(policy: RestartPolicy) -> WrittenPolicy {
    match policy {
        RestartPolicy::Always => WrittenPolicy::Always,
        RestartPolicy::OnFailure => WrittenPolicy::OnFailure,
        RestartPolicy::UnlessStopped => WrittenPolicy::UnlessStopped,
        RestartPolicy::Never => WrittenPolicy::Never,
    }
}
