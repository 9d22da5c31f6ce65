//! Apps: the table of all, and one with all there is to know.

use nd_api::flat::Status;
use nd_api::v1::{AppView, InstanceState, InstanceView, Phase};

use super::table::{self, Column, Layouts, Text, Tone, cut, render};
use super::time;
use crate::output::Output;

type Of = Column<AppView>;

const NAME: Of = Column { name: "app", cell: |app| Text::plain(cut(app.name.as_str(), 24)) };
const SHORT_NAME: Of = Column { name: "app", cell: |app| Text::plain(cut(app.name.as_str(), 16)) };
const ENV: Of = Column { name: "env", cell: |app| Text::or_dash(app.environment.clone()) };
const VERSION: Of = Column { name: "ver", cell: |app| Text::shown_or_dash(app.release.as_ref()) };
const STATUS: Of = Column { name: "status", cell: status };
const INSTANCES: Of = Column { name: "inst", cell: |app| Text::plain(instances(app)) };
const UP: Of = Column { name: "up", cell: |app| Text::or_dash(app.uptime_ms.map(time::uptime)) };
const RESTARTS: Of = Column { name: "↺ 24h", cell: |app| Text::plain(app.restarts_24h.to_string()) };
const CPU: Of =
    Column { name: "cpu", cell: |app| Text::or_dash(app.cpu.map(|cpu| format!("{:.0}%", cpu.percent))) };
const MEMORY: Of = Column { name: "mem", cell: |app| Text::or_dash(app.memory.map(memory)) };
const PLACE: Of = Column { name: "url", cell: place };

const LAYOUTS: Layouts<AppView> = Layouts {
    columns: &[
        &[NAME, ENV, VERSION, STATUS, INSTANCES, UP, RESTARTS, CPU, MEMORY],
        &[SHORT_NAME, VERSION, STATUS, INSTANCES, UP],
        &[SHORT_NAME, STATUS, INSTANCES],
    ],
    last: PLACE,
};

/// The table of all apps: full, condensed or mini, whichever fits into `width` columns of the terminal.
pub(crate) fn apps(apps: &[AppView], width: usize, output: &Output) -> String {
    LAYOUTS.table(apps, width, output)
}

/// One app.
pub(crate) fn one(app: &AppView, output: &Output) -> String {
    let mut lines = vec![format!("{} {}", output.bold(app.name.as_str()), painted_status(app, output))];
    let mut row =
        |name: &str, text: String| lines.push(format!("  {} {text}", output.dim(&format!("{name:<10}"))));
    if let Some(reason) = &app.reason {
        row("reason", reason.clone());
    }
    if let Some(image) = &app.image {
        row("image", image.clone());
    }
    if let Some(command) = &app.command {
        row("command", command.clone());
    }
    for url in &app.urls {
        row("url", url.clone());
    }
    if let Some(release) = &app.release {
        row("release", release.to_string());
    }
    row("instances", format!("{} ready", instances(app)));
    row(
        "restart",
        format!(
            "{}, {} in 24h, {} in all, {} crashes",
            app.policy, app.restarts_24h, app.restarts, app.crashes
        ),
    );
    let uptime = app.uptime_ms.map(|ms| format!("up {}", time::uptime(ms)));
    let usage = [
        uptime,
        app.cpu.map(|cpu| format!("cpu {:.1}%", cpu.percent)),
        app.memory.map(|used| format!("memory {}", memory(used))),
    ];
    let usage: Vec<String> = usage.into_iter().flatten().collect();
    if !usage.is_empty() {
        row("usage", usage.join(", "));
    }
    for note in &app.notes {
        row("note", note.clone());
    }
    let (kept, current): (Vec<_>, Vec<_>) = app.units.iter().partition(|unit| is_kept(unit, app));
    if !current.is_empty() {
        lines.push(String::new());
        lines.push(indented(&units(&current, output)));
    }
    if !kept.is_empty() {
        let (count, stopped) = (kept.len(), if kept.len() == 1 { "instance" } else { "instances" });
        let text = format!("{count} stopped {stopped} of earlier releases kept for rollback");
        lines.push(format!("  {}", output.dim(&text)));
    }
    lines.join("\n")
}

/// Whether an instance waits for nothing but a rollback.
fn is_kept(unit: &InstanceView, app: &AppView) -> bool {
    unit.state == InstanceState::Stopped
        && app.release.as_ref().is_some_and(|release| unit.release != *release)
}

fn units(units: &[&InstanceView], output: &Output) -> String {
    let rows = units.iter().map(|unit| {
        let tone = match unit.state {
            InstanceState::Ready => Tone::Good,
            InstanceState::Crashed | InstanceState::Unhealthy => Tone::Bad,
            InstanceState::Stopped | InstanceState::Gone => Tone::Dim,
            _ => Tone::Odd,
        };
        vec![
            Text::plain(unit.id.as_str()),
            Text(unit.state.to_string(), tone),
            Text::or_dash(unit.since.map(time::ago)),
            Text::plain(unit.restarts.to_string()),
            Text::or_dash(unit.address.clone()),
            Text::or_dash(unit.pid.map(|pid| pid.to_string())),
            Text::or_dash(unit.exit.map(|exit| exit.to_string())),
        ]
    });
    render(&["instance", "state", "up", "↺", "address", "pid", "exit"], rows.collect(), output)
}

fn indented(text: &str) -> String {
    text.lines().map(|line| format!("  {line}")).collect::<Vec<_>>().join("\n")
}

fn instances(app: &AppView) -> String {
    format!("{}/{}", app.instances.ready, app.instances.desired)
}

fn memory(used: nd_api::v1::MemoryView) -> String {
    match used.limit_bytes {
        Some(limit) => format!("{}/{}", table::size(used.used_bytes), table::size(limit)),
        None => table::size(used.used_bytes),
    }
}

/// Where it answers, or why it does not.
fn place(app: &AppView) -> Text {
    match (&app.reason, &app.url) {
        (Some(reason), _) => Text(reason.clone(), Tone::Odd),
        (None, url) => Text::or_dash(url.clone()),
    }
}

fn status(app: &AppView) -> Text {
    let (word, tone) = status_word(app);
    Text(word, tone)
}

fn painted_status(app: &AppView, output: &Output) -> String {
    let (word, tone) = status_word(app);
    match tone {
        Tone::Good => output.good(&word),
        Tone::Bad => output.bad(&word),
        Tone::Odd => output.odd(&word),
        Tone::Plain | Tone::Dim => output.dim(&word),
    }
}

fn status_word(app: &AppView) -> (String, Tone) {
    match (app.phase, app.status) {
        (Phase::Running, _) => ("● running".to_owned(), Tone::Good),
        (Phase::Degraded, Status::Error) => ("✕ down".to_owned(), Tone::Bad),
        (Phase::Degraded, _) => ("◐ degraded".to_owned(), Tone::Odd),
        (Phase::Failed, Status::Stopped) => ("○ ended".to_owned(), Tone::Dim),
        (Phase::Failed, _) => ("✕ failed".to_owned(), Tone::Bad),
        (Phase::Stopped, _) => ("○ stopped".to_owned(), Tone::Dim),
        (phase, _) => (format!("◌ {}", phase.to_string().replace('_', " ")), Tone::Odd),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn app(text: &str) -> AppView {
        let mut app: serde_json::Value = serde_json::from_str(
            r#"{"phase":"running","status":"running","desired_state":"running","policy":"always",
                "instances":{"ready":2,"desired":2},"release":"8f3k2a","runtime":"docker","restarts":0,
                "restarts_24h":0,"crashes":0,"updated_at":"2026-01-01T00:00:00Z"}"#,
        )
        .unwrap();
        let more: serde_json::Value = serde_json::from_str(text).unwrap();
        app.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        serde_json::from_value(app).unwrap()
    }

    fn two() -> Vec<AppView> {
        vec![
            app(
                r#"{"name":"shop","environment":"prod","url":"https://app.example.com","uptime_ms":273600000,
                    "cpu":{"percent":12.4},"memory":{"used_bytes":325058560,"limit_bytes":536870912}}"#,
            ),
            app(
                r#"{"name":"worker-with-a-very-long-name-indeed","phase":"failed","status":"error","release":"2b91cc",
                    "instances":{"ready":0,"desired":1},"restarts_24h":7,"cpu":{"percent":0},
                    "reason":"exit 1: ECONNREFUSED 127.0.0.1:6379, restarts after a pause of 8s"}"#,
            ),
        ]
    }

    #[test]
    fn the_table_of_apps_adapts_to_the_terminal() {
        for width in [60, 80, 120] {
            let table = apps(&two(), width, &Output::default());
            assert!(table.lines().all(|line| line.chars().count() <= width), "{width}\n{table}");
            insta::assert_snapshot!(format!("apps_at_{width}_columns"), table);
        }
    }

    #[test]
    fn a_terminal_that_is_too_narrow_for_the_reason_does_without() {
        let table = apps(&two(), 30, &Output::default());
        assert!(!table.contains("ECONN") && table.contains("failed"), "{table}");
    }
}
