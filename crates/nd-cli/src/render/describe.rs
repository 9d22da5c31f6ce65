//! Everything that is known about an app.

use nd_api::manifest::StopSignal;
use nd_api::v1::{
    AppConfigView, AppView, EventView, HealthCheckView, LimitsView, RestartRulesView, StopView,
};

use super::log::LogStyle;
use super::rows::Rows;
use super::{app, log, table, time};
use crate::output::Output;

/// An app with the last restarts of its instances, newest first.
pub(crate) fn everything(view: &AppView, restarts: &[EventView], output: &Output) -> String {
    let mut rows = Rows::under(app::title(view, output), output);
    rows.row("reason", view.reason.clone());
    view.notes.iter().for_each(|note| rows.row("note", note.clone()));
    rows.gap();
    what_runs(view, &mut rows);
    rows.gap();
    how_it_is_reached(view, &mut rows);
    rows.gap();
    if let Some(config) = &view.config {
        how_it_is_kept_running(view, config, &mut rows);
        rows.gap();
    }
    rows.row("usage", app::usage(view));
    rows.row("restarts", app::restarts(view));
    for event in restarts {
        let place = event.instance.as_ref().map(ToString::to_string).unwrap_or_default();
        rows.row("", format!("{} {place} {}", output.dim(&time::date_clock(event.ts)), event.title));
    }
    if let Some(last) = &view.last_exit {
        rows.row("last end", format!("{} {}, {} ago", last.instance, last.reason, time::ago(last.at)));
    }
    rows.lines(app::instances_of(view, output));
    rows.gap();
    let style = LogStyle { raw: false, time: true };
    rows.lines(view.logs.iter().map(|line| format!("  {}", log::line(line, style, output))));
    rows.text()
}

fn what_runs(view: &AppView, rows: &mut Rows<'_>) {
    rows.row("image", view.image.clone());
    rows.row("command", view.command.clone());
    rows.row("upstream", view.upstream.clone());
    rows.row("runtime", view.runtime.to_string());
    rows.row("for", view.environment.clone());
    rows.row("release", view.release.as_ref().map(ToString::to_string));
    let Some(config) = &view.config else { return };
    rows.row("entrypoint", config.entrypoint.clone());
    rows.row("directory", config.cwd.clone());
    rows.row("user", config.user.clone());
    rows.row("variables", config.variables.join(" "));
    rows.row("volumes", config.volumes.join(", "));
    rows.row("limits", limits(&config.limits));
    rows.row("proxy", config.proxy_type.map(|proxy| proxy.to_string()));
    rows.row("protected", config.deletion_protection.then(|| "destroy needs --force".to_owned()));
    let kept: Vec<_> = config.kept_releases.iter().map(ToString::to_string).collect();
    rows.row("kept", kept.join(" "));
}

fn how_it_is_reached(view: &AppView, rows: &mut Rows<'_>) {
    for (index, url) in view.urls.iter().enumerate() {
        rows.row(if index == 0 { "url" } else { "" }, url.clone());
    }
    rows.row("port", view.port.map(|port| port.to_string()));
    let Some(config) = &view.config else { return };
    rows.row("host ports", config.host_ports.join(", "));
    rows.row("proxy", config.direct.then(|| "off: its ports are its own".to_owned()));
    rows.row("to containers", config.names.join(", "));
    let strategy =
        config.strategy.map_or_else(|| "chosen at each deployment".to_owned(), |name| name.to_string());
    rows.row("strategy", format!("{strategy}, requests in flight get {}", span(config.drain_ms)));
}

fn how_it_is_kept_running(view: &AppView, config: &AppConfigView, rows: &mut Rows<'_>) {
    rows.row("health", health(&config.health));
    if view.upstream.is_some() {
        // Whoever runs it keeps it running.
        return;
    }
    rows.row("restart", restart(&config.restart));
    rows.row("crash loop", crash_loop(&config.restart));
    rows.row(
        "max memory",
        config.restart.max_memory_bytes.map(|bytes| format!("replaced at {}", table::size(bytes))),
    );
    rows.row("schedule", config.restart.cron.as_ref().map(|cron| format!("started anew at `{cron}`")));
    rows.row("stop", stop(config.stop));
    rows.row("logs", config.log_dir.clone());
}

fn limits(limits: &LimitsView) -> String {
    let parts = [
        limits.cpu_percent.map(|percent| format!("cpu {percent}%")),
        limits.memory_bytes.map(|bytes| format!("memory {}", table::size(bytes))),
        limits.pids.map(|count| format!("{count} processes")),
    ];
    let parts: Vec<_> = parts.into_iter().flatten().collect();
    if parts.is_empty() { "none".to_owned() } else { parts.join(", ") }
}

fn health(check: &HealthCheckView) -> String {
    let probe = match check.probe.as_str() {
        "auto" => "the image's own check, else whether the port answers",
        probe => probe,
    };
    let port = check.port.map(|port| format!(" on port {port}")).unwrap_or_default();
    let headers = match check.headers.as_slice() {
        [] => String::new(),
        names => format!(" with {}", names.join(", ")),
    };
    let start = match check.start_period_ms {
        0 => String::new(),
        ms => format!("; may fail for {} at the start", span(ms)),
    };
    format!(
        "{probe}{port}{headers}, every {}, {} each; no requests after {} failures, restarted after {}{start}",
        span(check.interval_ms),
        span(check.timeout_ms),
        check.retries,
        check.retries.saturating_mul(2)
    )
}

fn restart(rules: &RestartRulesView) -> String {
    let max = rules.max.map_or_else(|| "without limit".to_owned(), |max| format!("{max} times at most"));
    let first = if rules.delay_first { "" } else { "at once, then " };
    let mut text = format!(
        "{}, {max}; {first}after {} ×{} up to {}",
        rules.policy,
        span(rules.delay_ms),
        rules.backoff,
        span(rules.max_delay_ms)
    );
    if !rules.stop_exit_codes.is_empty() {
        let codes: Vec<_> = rules.stop_exit_codes.iter().map(ToString::to_string).collect();
        text.push_str(&format!("; not after exit code {}", codes.join(", ")));
    }
    text
}

fn crash_loop(rules: &RestartRulesView) -> String {
    format!(
        "{} ends within {}, each before {}",
        rules.crash_threshold,
        span(rules.crash_window_ms),
        span(rules.min_uptime_ms)
    )
}

fn stop(stop: StopView) -> String {
    let name = |number: i32| {
        number
            .to_string()
            .parse::<StopSignal>()
            .map_or_else(|_| format!("signal {number}"), |signal| signal.to_string())
    };
    let signal = stop.signal.map_or_else(|| "SIGTERM, or what its image says".to_owned(), name);
    format!("{signal}; killed after {}", span(stop.grace_ms))
}

fn span(ms: u64) -> String {
    nd_types::format_duration(std::time::Duration::from_millis(ms))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_about_an_app_is_said_in_words() {
        let view: AppView = serde_json::from_value(serde_json::json!({
            "name": "shop", "phase": "running", "status": "running", "desired_state": "running", "policy": "always",
            "instances": {"ready": 1, "desired": 1}, "release": "8f3k2a", "runtime": "process",
            "command": "node server.js", "url": "http://shop.localhost:8080", "urls": ["http://shop.localhost:8080"],
            "port": 3000, "restarts": 7, "restarts_24h": 2, "crashes": 5, "updated_at": "2026-01-01T00:00:00Z",
            "cpu": {"percent": 12.4}, "memory": {"used_bytes": 325_058_560},
            "config": {
                "names": ["shop"], "cwd": "/srv/shop", "user": "deploy", "variables": ["DATABASE_URL", "NODE_ENV"],
                "limits": {"cpu_percent": 80, "memory_bytes": 536_870_912},
                "restart": {
                    "policy": "always", "min_uptime_ms": 10_000, "delay_ms": 500, "backoff": 2,
                    "max_delay_ms": 30_000, "crash_threshold": 5, "crash_window_ms": 60_000,
                    "stop_exit_codes": [78], "max_memory_bytes": 503_316_480, "cron": "0 3 * * *"
                },
                "health": {
                    "probe": "GET /health (200-399)", "headers": ["Host"], "interval_ms": 10_000, "timeout_ms": 5000, "retries": 3,
                    "start_period_ms": 40_000
                },
                "stop": {"signal": 2, "grace_ms": 30_000}, "host_ports": ["127.0.0.1:3000→3000"],
                "volumes": ["data:/data"], "drain_ms": 30_000, "kept_releases": ["7c1d09"],
                "log_dir": "/var/lib/nextdeploy/logs/shop"
            },
            "units": [{
                "id": "shop-8f3k2a-1", "slot": 1, "release": "8f3k2a", "runtime": "process", "state": "ready",
                "restarts": 7, "uptime_ms": 273_600_000, "pid": 812, "address": "127.0.0.1:20000"
            }]
        }))
        .unwrap();
        insta::assert_snapshot!(everything(&view, &[], &Output::default()));
    }
}
