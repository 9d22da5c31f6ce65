//! What happened to an app and why, as one line of time.

use nd_api::v1::{AppView, PressureStall, PressureView, Severity, TimelineEntry, TimelineView};

use super::log::shown;
use super::{app, time};
use crate::output::Output;

/// How it stands, what led there, and what its host waits for.
pub(crate) fn all(timeline: &TimelineView, now: &AppView, output: &Output) -> String {
    let mut lines = vec![app::title(now, output)];
    lines.push(format!("  {}", because(now)));
    if timeline.more {
        lines.push(output.dim("  … what happened before: nextdeploy why APP -n 500"));
    }
    let mut day = String::new();
    for entry in &timeline.items {
        let date = time::date(entry.ts);
        if date != day {
            lines.push(output.dim(&date));
            day = date;
        }
        lines.push(line(entry, output));
        lines.extend(entry.logs.iter().map(|text| format!("{:14}{} {}", "", output.dim("│"), shown(text))));
    }
    if timeline.items.is_empty() {
        lines.push("  nothing has happened in this time".to_owned());
    }
    lines.extend(timeline.pressure.as_ref().and_then(pressure));
    lines.join("\n")
}

/// The cause in one sentence, as far as it is known.
fn because(now: &AppView) -> String {
    let ended = now
        .last_exit
        .as_ref()
        .map(|last| format!("{} ended with {}, {} ago", last.instance, last.reason, time::ago(last.at)));
    match (&now.reason, ended) {
        (Some(reason), Some(ended)) if !reason.contains("ended") => format!("{reason}; {ended}"),
        (Some(reason), _) => reason.clone(),
        (None, Some(ended)) => format!("nothing is wrong now; {ended}"),
        (None, None) => "nothing is wrong, and no instance ever ended by itself".to_owned(),
    }
}

/// `15:04:05 ✕ shop-8f3k2a-1  ended by itself with exit code 1 after 2300 ms`.
fn line(entry: &TimelineEntry, output: &Output) -> String {
    let sign = match (entry.kind.as_str(), entry.severity) {
        ("instance.exited" | "deploy.failed" | "app.crash_loop", _) | (_, Severity::Error) => output.bad("✕"),
        ("instance.unhealthy", _) => output.odd("◐"),
        ("instance.ready" | "instance.recovered" | "deploy.succeeded", _) => output.good("●"),
        ("app.changed" | "deploy.started", _) => output.bold("▸"),
        (_, Severity::Warning) => output.odd("!"),
        (_, Severity::Info) => output.dim("·"),
    };
    let place = entry.instance.as_ref().map(|unit| format!("{unit} ")).unwrap_or_default();
    let id = entry.deployment.as_ref().filter(|_| entry.kind.starts_with("deploy."));
    let id = id.map(|id| format!(" {}", output.dim(id.as_str()))).unwrap_or_default();
    let actor = entry.actor.as_ref().map(|actor| format!(" (by {actor})")).unwrap_or_default();
    format!(
        "  {} {sign} {}{}{id}{actor}",
        output.dim(&time::clock(entry.ts)),
        output.dim(&place),
        entry.title
    )
}

/// `host: cpu waited 3% of the last minute, memory 0%, disk 12%`.
fn pressure(pressure: &PressureView) -> Option<String> {
    let part = |name: &str, stall: Option<PressureStall>| {
        stall.map(|stall| format!("{name} {:.0}%/{:.0}%/{:.0}%", stall.avg10, stall.avg60, stall.avg300))
    };
    let parts = [part("cpu", pressure.cpu), part("memory", pressure.memory), part("disk", pressure.io)];
    let parts: Vec<_> = parts.into_iter().flatten().collect();
    let text = format!("host: work waits for {} (of the last 10s/1m/5m)", parts.join(", "));
    (!parts.is_empty()).then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn causes_stand_before_what_they_led_to() {
        let timeline: TimelineView = serde_json::from_value(serde_json::json!({
            "app": "shop",
            "more": true,
            "items": [
                {
                    "id": 1, "ts": "2026-01-01T10:00:00Z", "type": "deploy.started", "severity": "info",
                    "deployment": "dpl_8f3k2a1", "actor": "ana", "title": "deployment of release 8f3k2a started"
                },
                {
                    "id": 2, "ts": "2026-01-01T10:00:02Z", "type": "instance.ready", "severity": "info",
                    "instance": "shop-8f3k2a-1", "title": "ready after 900 ms: GET / 200"
                },
                {
                    "id": 3, "ts": "2026-01-01T10:04:00Z", "type": "instance.exited", "severity": "warning",
                    "instance": "shop-8f3k2a-1", "title": "ended by itself with exit code 1 after 238000 ms",
                    "logs": ["connecting to redis:6379", "Error: ECONNREFUSED"]
                },
                {
                    "id": 4, "ts": "2026-01-01T10:04:00Z", "type": "instance.started", "severity": "info",
                    "instance": "shop-8f3k2a-1", "title": "started again (it had ended by itself)"
                }
            ],
            "pressure": {"cpu": {"avg10": 3.2, "avg60": 1.0, "avg300": 0.4}}
        }))
        .unwrap();
        let now: AppView = serde_json::from_value(serde_json::json!({
            "name": "shop", "phase": "degraded", "status": "error", "desired_state": "running", "policy": "always",
            "reason": "no instance is ready", "instances": {"ready": 0, "desired": 1}, "runtime": "process",
            "restarts": 1, "restarts_24h": 1, "crashes": 1, "updated_at": "2026-01-01T00:00:00Z"
        }))
        .unwrap();
        let text = all(&timeline, &now, &Output::default());
        let order =
            ["✕ down", "no instance is ready", "▸", "●", "│ Error: ECONNREFUSED", "started again", "host:"];
        let places: Vec<_> = order.iter().map(|part| text.find(part)).collect();
        assert!(places.iter().all(Option::is_some) && places.is_sorted(), "{places:?}\n{text}");
    }
}
