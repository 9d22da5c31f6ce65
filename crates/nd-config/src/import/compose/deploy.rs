//! `deploy:`, limits and `healthcheck:`.

use super::service::Service;
use super::{scalar, texts};
use crate::import::draft::{Origin, Out, literal};
use crate::node::{Node, Value};

pub(super) fn read(service: &mut Service<'_>, node: &Node, at: &Origin) {
    let Value::Map(entries) = &node.value else { return service.app.lose(at, "it is no map") };
    for entry in entries {
        let below = at.below(entry);
        match entry.key.as_str() {
            "replicas" => service.set("scale.instances", &entry.value, &below),
            "resources" => resources(service, &entry.value, &below),
            "restart_policy" => restart(service, &entry.value, &below),
            "mode" if scalar(&entry.value) == Some("replicated") => {}
            "mode" | "placement" | "endpoint_mode" => service.app.lose(&below, "there is one server"),
            "update_config" | "rollback_config" => {
                service.app.lose(
                    &below,
                    "a new version starts beside the old one, and one that fails is never served",
                );
            }
            "labels" => service.app.lose(&below, "containers bear labels of NextDeploy"),
            _ => service.app.lose(&below, "it is no key of a Compose file that NextDeploy knows"),
        }
    }
}

fn resources(service: &mut Service<'_>, node: &Node, at: &Origin) {
    let Value::Map(entries) = &node.value else { return service.app.lose(at, "it is no map") };
    for entry in entries {
        let below = at.below(entry);
        let Value::Map(limits) = entry.value.value.clone() else { continue };
        for limit in limits {
            let place = below.below(&limit);
            match (entry.key.as_str(), limit.key.as_str()) {
                ("limits", "memory") => memory(service, &limit.value, &place),
                ("limits", "cpus") => cpus(service, &limit.value, &place),
                ("limits", "pids") => pids(service, &limit.value, &place),
                ("reservations", _) => service.app.lose(&place, "nothing is reserved; limits are"),
                _ => service.app.lose(&place, "limits are those of processor time, memory and processes"),
            }
        }
    }
}

/// Compose and NextDeploy write sizes alike, apart from `b` for bytes.
pub(super) fn memory(service: &mut Service<'_>, node: &Node, at: &Origin) {
    let Some(text) = service.text(node, at) else { return };
    service.app.set("app.resources.memory_max", Out::Text(literal(&text.to_uppercase())), at);
}

/// Cores as a share of one core.
pub(super) fn cpus(service: &mut Service<'_>, node: &Node, at: &Origin) {
    let Some(text) = service.text(node, at) else { return };
    match text.parse::<f64>() {
        Ok(cores) if cores.is_finite() && (0.01..=1024.0).contains(&cores) => {
            let percent = format!("{:.0}%", cores * 100.0);
            service.app.set("app.resources.cpu_quota", Out::text(percent), at);
        }
        // No limit.
        Ok(0.0) => {}
        _ => service.app.lose(at, format!("`{text}` is no number of cores from 0.01 to 1024")),
    }
}

pub(super) fn pids(service: &mut Service<'_>, node: &Node, at: &Origin) {
    // -1 is no limit, which is the default.
    if scalar(node) != Some("-1") {
        service.set("app.resources.pids", node, at);
    }
}

/// Swarm's policy, which Compose reads too.
fn restart(service: &mut Service<'_>, node: &Node, at: &Origin) {
    let Value::Map(entries) = &node.value else { return service.app.lose(at, "it is no map") };
    for entry in entries {
        let below = at.below(entry);
        match entry.key.as_str() {
            "condition" => {
                let policy = match service.text(&entry.value, &below).as_deref() {
                    Some("none") => "never",
                    Some("on-failure") => "on-failure",
                    Some("any") => "always",
                    _ => {
                        service.app.lose(&below, "it is none of none, on-failure and any");
                        continue;
                    }
                };
                service.app.set("deployment.container.restart", Out::text(policy), &below);
            }
            "delay" => service.set("restart.delay", &entry.value, &below),
            "max_attempts" => service.set("restart.max", &entry.value, &below),
            // How long it must run to count as started again.
            "window" => service.set("restart.min_uptime", &entry.value, &below),
            _ => service.app.lose(&below, "it is no key of a Compose file that NextDeploy knows"),
        }
    }
}

pub(super) fn healthcheck(service: &mut Service<'_>, node: &Node, at: &Origin) {
    let Value::Map(entries) = &node.value else { return service.app.lose(at, "it is no map") };
    // What is switched off may have been taken over from another service.
    let disabled =
        entries.iter().find(|entry| entry.key == "disable" && scalar(&entry.value) == Some("true"));
    for entry in entries.iter().filter(|entry| disabled.is_none_or(|disable| entry.key == disable.key)) {
        let below = at.below(entry);
        let path = format!("deployment.container.healthcheck.{}", entry.key);
        match entry.key.as_str() {
            "test" => test(service, &entry.value, &below),
            "interval" | "timeout" | "start_period" | "retries" => service.set(&path, &entry.value, &below),
            "disable" if scalar(&entry.value) == Some("true") => {
                service.app.lose(&below, "whether its port answers is looked at all the same");
            }
            "disable" => {}
            "start_interval" => {
                service.app.lose(&below, "a starting app is looked at every few milliseconds");
            }
            _ => service.app.lose(&below, "it is no key of a Compose file that NextDeploy knows"),
        }
    }
}

/// `[CMD, …]`, `[CMD-SHELL, line]`, `[NONE]`, or a line for the shell.
fn test(service: &mut Service<'_>, node: &Node, at: &Origin) {
    let words = texts(Some(node));
    let is_list = matches!(node.value, Value::List(_));
    let out = match words.split_first() {
        Some((first, [])) if is_list && first == "NONE" => {
            return service.app.lose(at, "whether its port answers is looked at all the same");
        }
        Some((first, rest)) if is_list && first == "CMD" => {
            let words: Option<Vec<String>> = rest.iter().map(|word| now(service, word, at)).collect();
            words.map(Out::Words)
        }
        Some((first, [line])) if is_list && first == "CMD-SHELL" => now(service, line, at).map(Out::Text),
        Some((line, [])) if !is_list => now(service, line, at).map(Out::Text),
        _ => return service.app.lose(at, "a test begins with CMD, CMD-SHELL or NONE"),
    };
    if let Some(out) = out {
        service.app.set("deployment.container.healthcheck.cmd", out, at);
    }
}

fn now(service: &mut Service<'_>, text: &str, at: &Origin) -> Option<String> {
    let node = Node::scalar(text, true, at.span.clone());
    service.text(&node, at).map(|text| literal(&text))
}
