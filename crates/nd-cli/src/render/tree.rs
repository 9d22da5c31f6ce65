//! Apps as a tree: environment, instances, domains, volumes and schedules of each.

use nd_api::v1::{AppView, InstanceView};

use super::{app, time, unit};
use crate::output::Output;

/// A line and what hangs under it.
struct Node {
    text: String,
    under: Vec<Node>,
}

/// The tree of all apps.
pub(crate) fn apps(apps: &[AppView], output: &Output) -> String {
    let mut lines = Vec::new();
    for view in apps {
        lines.push(app::title(view, output));
        branches(&node(view, output).under, "", &mut lines);
    }
    lines.join("\n")
}

fn branches(nodes: &[Node], before: &str, lines: &mut Vec<String>) {
    for (index, node) in nodes.iter().enumerate() {
        let (turn, further) = if index + 1 == nodes.len() { ("└─", "  ") } else { ("├─", "│ ") };
        lines.push(format!("{before}{turn} {}", node.text));
        branches(&node.under, &format!("{before}{further} "), lines);
    }
}

fn node(view: &AppView, output: &Output) -> Node {
    let group = |name: &str, items: Vec<String>| {
        let under = items.into_iter().map(leaf).collect::<Vec<_>>();
        (!under.is_empty()).then(|| Node { text: output.dim(name), under })
    };
    let (current, _) = unit::current(view);
    let units = current.iter().map(|unit| instance(unit, output)).collect();
    let config = view.config.as_deref();
    let volumes = config.map(|config| config.volumes.clone()).unwrap_or_default();
    let schedules = config.and_then(|config| config.restart.cron.clone());
    let schedules = schedules.map(|cron| format!("restart at `{cron}`")).into_iter().collect();
    let groups = [
        group(&format!("instances {}", app::instances(view)), units),
        group("domains", view.urls.clone()),
        group("volumes", volumes),
        group("cron", schedules),
    ];
    let environment = view.environment.as_deref().unwrap_or("no environment");
    let under = groups.into_iter().flatten().collect();
    Node { text: String::new(), under: vec![Node { text: environment.to_owned(), under }] }
}

fn instance(unit: &InstanceView, output: &Output) -> String {
    let state = app::toned(&unit.state.to_string(), unit::tone(unit.state), output);
    let up = unit.uptime_ms.map(|ms| format!(", up {}", time::uptime(ms))).unwrap_or_default();
    let at = unit.address.as_ref().map(|address| format!(", {address}")).unwrap_or_default();
    format!("{} {state}{up}{at}", unit.id)
}

fn leaf(text: String) -> Node {
    Node { text, under: Vec::new() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tree_names_what_belongs_to_an_app() {
        let views: Vec<AppView> = serde_json::from_value(serde_json::json!([
            {
                "name": "shop", "phase": "running", "status": "running", "desired_state": "running",
                "policy": "always", "instances": {"ready": 2, "desired": 2}, "release": "8f3k2a",
                "runtime": "docker", "environment": "prod", "urls": ["https://app.example.com"], "restarts": 0,
                "restarts_24h": 0, "crashes": 0, "updated_at": "2026-01-01T00:00:00Z",
                "config": {
                    "limits": {}, "drain_ms": 30_000, "volumes": ["uploads:/app/uploads"], "log_dir": "/logs/shop",
                    "restart": {
                        "policy": "always", "min_uptime_ms": 1, "delay_ms": 1, "backoff": 2, "max_delay_ms": 1,
                        "crash_threshold": 5, "crash_window_ms": 1, "cron": "0 3 * * *"
                    },
                    "health": {
                        "probe": "tcp", "interval_ms": 1, "timeout_ms": 1, "retries": 3, "start_period_ms": 0
                    },
                    "stop": {"grace_ms": 1}
                },
                "units": [
                    {
                        "id": "shop-8f3k2a-1", "slot": 1, "release": "8f3k2a", "runtime": "docker",
                        "state": "ready", "restarts": 0, "uptime_ms": 60_000, "address": "172.30.0.2:3000"
                    },
                    {
                        "id": "shop-8f3k2a-2", "slot": 2, "release": "8f3k2a", "runtime": "docker",
                        "state": "starting", "restarts": 0
                    }
                ]
            },
            {
                "name": "worker", "phase": "stopped", "status": "stopped", "desired_state": "stopped",
                "policy": "never", "instances": {"ready": 0, "desired": 1}, "runtime": "process", "restarts": 0,
                "restarts_24h": 0, "crashes": 0, "updated_at": "2026-01-01T00:00:00Z"
            }
        ]))
        .unwrap();
        insta::assert_snapshot!(apps(&views, &Output::default()));
    }
}
