//! What apps use of the machine.

use nd_api::v1::AppView;

use super::table::{Text, render};
use super::{app, time, unit};
use crate::output::Output;

const HEADER: [&str; 8] = ["app", "inst", "cpu", "mem", "up", "↺ 24h", "↺", "crashes"];

/// A row for each app.
pub(crate) fn apps(apps: &[AppView], output: &Output) -> String {
    if apps.is_empty() {
        return "Monitoring 0 applications".to_owned();
    }
    render(&HEADER, apps.iter().map(row).collect(), output)
}

/// An app and its instances.
pub(crate) fn one(view: &AppView, output: &Output) -> String {
    let mut lines = vec![render(&HEADER, vec![row(view)], output)];
    lines.extend(app::instances_of(view, output));
    lines.join("\n")
}

fn row(view: &AppView) -> Vec<Text> {
    vec![
        Text::plain(view.name.as_str()),
        Text::plain(app::instances(view)),
        Text::or_dash(view.cpu.map(|cpu| format!("{:.1}%", cpu.percent))),
        Text::or_dash(view.memory.map(unit::memory)),
        Text::or_dash(view.uptime_ms.map(time::uptime)),
        Text::plain(view.restarts_24h.to_string()),
        Text::plain(view.restarts.to_string()),
        Text::plain(view.crashes.to_string()),
    ]
}
