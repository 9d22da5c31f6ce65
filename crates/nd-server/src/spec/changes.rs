//! What would change from one release to the next, one line each, for people. Values of variables are never shown.

use std::fmt::Debug;

use nd_core::spec::{AppSpec, CommandSpec, ImageSpec, RouteSpec, Workload};
use nd_types::format_duration;

/// The differences between what runs and what is asked for.
pub(crate) fn changes(old: &AppSpec, new: &AppSpec) -> Vec<String> {
    let mut lines = Vec::new();
    workload(&old.workload, &new.workload, &mut lines);
    variables(old, new, &mut lines);
    let port =
        |spec: &AppSpec| spec.port.map_or_else(|| "found at start".to_owned(), |port| port.to_string());
    line("port", &port(old), &port(new), &mut lines);
    let routes = |spec: &AppSpec| list(spec.routes.iter().map(route));
    line("routes", &routes(old), &routes(new), &mut lines);
    let ports =
        |spec: &AppSpec| list(spec.host_ports.iter().map(|port| format!("{}→{}", port.bind, port.port)));
    line("host ports", &ports(old), &ports(new), &mut lines);
    let proxy = |spec: &AppSpec| if spec.direct { "off" } else { "on" };
    line("proxy", proxy(old), proxy(new), &mut lines);
    let other = [
        ("protocol", differs(&old.protocol, &new.protocol)),
        ("volumes", differs(&old.volumes, &new.volumes)),
        ("limits", differs(&old.resources, &new.resources)),
        ("health check", differs(&old.readiness, &new.readiness)),
        ("stopping", differs(&old.stop, &new.stop)),
        ("proxy rules", differs(&old.rules, &new.rules)),
        ("proxy limits", differs(&old.limits, &new.limits)),
        ("certificates", differs(&old.tls, &new.tls)),
        ("mirror", differs(&old.mirror, &new.mirror)),
        ("rollout", differs(&old.rollout, &new.rollout)),
        ("drain time", differs(&old.drain, &new.drain)),
    ];
    lines.extend(other.iter().filter(|(_, differs)| *differs).map(|(name, _)| format!("{name} changed")));
    line("restart", &old.restart.policy.to_string(), &new.restart.policy.to_string(), &mut lines);
    if old.restart.policy == new.restart.policy && differs(&old.restart, &new.restart) {
        lines.push("restart limits changed".to_owned());
    }
    lines
}

/// A route with what happens on it.
fn route(route: &RouteSpec) -> String {
    let options = &route.options;
    let happens = [
        options.strip.then(|| "stripped".to_owned()),
        options.port.map(|port| format!("to port {port}")),
        options.timeout.map(|timeout| format!("within {}", format_duration(timeout))),
        options.redirect.as_ref().map(|host| format!("sent on to {host}")),
    ];
    let happens: Vec<String> = happens.into_iter().flatten().collect();
    let place = format!("{}{}", route.host, route.path.as_str());
    if happens.is_empty() { place } else { format!("{place} ({})", happens.join(", ")) }
}

fn workload(old: &Workload, new: &Workload, lines: &mut Vec<String>) {
    match (old, new) {
        (Workload::Image(old), Workload::Image(new)) => image(old, new, lines),
        (Workload::Command(old), Workload::Command(new)) => command(old, new, lines),
        (Workload::External(old), Workload::External(new)) => {
            line("upstream", &old.to_string(), &new.to_string(), lines);
        }
        (old, new) => lines.push(format!("{} {old} → {} {new}", kind(old), kind(new))),
    }
}

fn kind(workload: &Workload) -> &'static str {
    match workload {
        Workload::Image(_) => "container",
        Workload::Command(_) => "process",
        Workload::External(_) => "upstream",
    }
}

fn image(old: &ImageSpec, new: &ImageSpec, lines: &mut Vec<String>) {
    line("image", &old.reference, &new.reference, lines);
    let own = |said: &Option<String>| said.clone().unwrap_or_else(|| "image's".to_owned());
    let entrypoint = |image: &ImageSpec| own(&image.entrypoint.as_ref().map(|words| words.join(" ")));
    line("entrypoint", &entrypoint(old), &entrypoint(new), lines);
    line("command", &old.command.join(" "), &new.command.join(" "), lines);
    line("working_dir", &own(&old.working_dir), &own(&new.working_dir), lines);
    line("user", &own(&old.user), &own(&new.user), lines);
    line("aliases", &old.aliases.join(", "), &new.aliases.join(", "), lines);
}

fn command(old: &CommandSpec, new: &CommandSpec, lines: &mut Vec<String>) {
    line("command", &old.argv.join(" "), &new.argv.join(" "), lines);
    line("cwd", &old.cwd.display().to_string(), &new.cwd.display().to_string(), lines);
    line("user", old.user.as_deref().unwrap_or("daemon's"), new.user.as_deref().unwrap_or("daemon's"), lines);
    if old.path != new.path {
        lines.push("PATH changed".to_owned());
    }
}

fn variables(old: &AppSpec, new: &AppSpec, lines: &mut Vec<String>) {
    let added = new.env.keys().filter(|name| !old.env.contains_key(*name)).map(|name| format!("+{name}"));
    let changed = new.env.iter().filter(|(name, value)| old.env.get(*name).is_some_and(|was| was != *value));
    let removed = old.env.keys().filter(|name| !new.env.contains_key(*name)).map(|name| format!("-{name}"));
    let names: Vec<String> =
        added.chain(changed.map(|(name, _)| format!("~{name}"))).chain(removed).collect();
    if !names.is_empty() {
        lines.push(format!("env {}", names.join(" ")));
    }
}

fn line(name: &str, old: &str, new: &str, lines: &mut Vec<String>) {
    if old != new {
        let shown = |text: &str| if text.is_empty() { "none".to_owned() } else { text.to_owned() };
        lines.push(format!("{name} {} → {}", shown(old), shown(new)));
    }
}

fn list(items: impl Iterator<Item = String>) -> String {
    items.collect::<Vec<_>>().join(", ")
}

fn differs<T: PartialEq + Debug>(old: &T, new: &T) -> bool {
    old != new
}
