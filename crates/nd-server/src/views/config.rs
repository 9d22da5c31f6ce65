//! What a release says about how its instances run.

use nd_api::manifest::ProxyType;
use nd_api::v1::{AppConfigView, HealthCheckView, LimitsView, RestartRulesView, StopView};
use nd_core::model::AppStatus;
use nd_core::spec::{AppSpec, ProbeKind, ReadinessSpec, RestartSpec, VolumeSource, VolumeSpec, Workload};

use super::app::millis;
use crate::server::Api;
use crate::spec::written_policy;

/// The release's own settings; nothing for an app that has none.
pub(crate) fn config(api: &Api, status: &AppStatus) -> Option<AppConfigView> {
    let spec = status.spec.as_deref()?;
    let (cwd, user) = match &spec.workload {
        Workload::Image(image) => (image.working_dir.clone(), image.user.clone()),
        Workload::Command(command) => (Some(command.cwd.display().to_string()), command.user.clone()),
        Workload::External(_) => (None, None),
    };
    let image = match &spec.workload {
        Workload::Image(image) => Some(image),
        Workload::Command(_) | Workload::External(_) => None,
    };
    let own_name = image.map(|_| status.app.to_string()).into_iter();
    Some(AppConfigView {
        entrypoint: image.and_then(|image| image.entrypoint.as_ref()).map(|words| words.join(" ")),
        names: own_name.chain(image.into_iter().flat_map(|image| image.aliases.clone())).collect(),
        cwd,
        user,
        variables: spec.env.keys().cloned().collect(),
        limits: limits(spec),
        restart: restart(&spec.restart),
        health: health(&spec.readiness),
        stop: StopView { signal: spec.stop.signal, grace_ms: millis(spec.stop.grace) },
        deletion_protection: status.protected,
        direct: spec.direct,
        proxy_type: Some(api.engine().ingress_of(status).into())
            .filter(|proxy| *proxy != ProxyType::Embedded),
        host_ports: spec.host_ports.iter().map(|port| format!("{}→{}", port.bind, port.port)).collect(),
        volumes: spec.volumes.iter().map(volume).collect(),
        strategy: spec.strategy,
        drain_ms: millis(spec.drain),
        kept_releases: status.kept.clone(),
        log_dir: api.facts.data_dir.join("logs").join(status.app.as_str()).display().to_string(),
    })
}

fn limits(spec: &AppSpec) -> LimitsView {
    LimitsView {
        cpu_percent: spec.resources.cpu_millis.map(|millis| millis.get().div_ceil(10)),
        memory_bytes: spec.resources.memory.map(|size| size.0),
        pids: spec.resources.pids.map(std::num::NonZeroU32::get),
    }
}

fn restart(spec: &RestartSpec) -> RestartRulesView {
    RestartRulesView {
        policy: written_policy(spec.policy),
        max: spec.max_restarts,
        min_uptime_ms: millis(spec.min_uptime),
        delay_ms: millis(spec.delay),
        delay_first: spec.delay_declared,
        backoff: spec.backoff_factor,
        max_delay_ms: millis(spec.max_delay),
        crash_threshold: spec.crash_threshold,
        crash_window_ms: millis(spec.crash_window),
        stop_exit_codes: spec.stop_exit_codes.clone(),
        max_memory_bytes: spec.max_memory.map(|size| size.0),
        cron: spec.cron.as_ref().map(ToString::to_string),
    }
}

fn health(spec: &ReadinessSpec) -> HealthCheckView {
    let probe = match &spec.kind {
        ProbeKind::Auto => "auto".to_owned(),
        ProbeKind::Tcp => "tcp".to_owned(),
        ProbeKind::Http(http) => format!("GET {} ({})", http.path, http.accept),
        ProbeKind::Command(argv) => argv.join(" "),
    };
    // Values of headers may be secrets.
    let headers = match &spec.kind {
        ProbeKind::Http(http) => http.headers.keys().cloned().collect(),
        ProbeKind::Auto | ProbeKind::Tcp | ProbeKind::Command(_) => Vec::new(),
    };
    HealthCheckView {
        probe,
        headers,
        port: spec.port.map(std::num::NonZeroU16::get),
        interval_ms: millis(spec.interval),
        timeout_ms: millis(spec.timeout),
        retries: spec.retries.into(),
        start_period_ms: millis(spec.start_period),
    }
}

fn volume(volume: &VolumeSpec) -> String {
    let source = match &volume.source {
        VolumeSource::Named(name) => name.clone(),
        VolumeSource::Path(path) => path.display().to_string(),
    };
    format!("{source}:{}{}", volume.target, if volume.read_only { ":ro" } else { "" })
}
