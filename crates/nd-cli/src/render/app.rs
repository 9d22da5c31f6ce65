//! Apps: the table of all, and one with all there is to know.

use nd_api::flat::Status;
use nd_api::v1::{AppView, InstanceState, InstanceView, Phase};

use super::table::{self, Text, Tone, cut, render};
use super::time;
use crate::output::Output;

/// Below this width the table is condensed, and below the next one it is mini.
const FULL: usize = 100;
const CONDENSED: usize = 70;

/// The table of all apps.
pub(crate) fn apps(apps: &[AppView], output: &Output) -> String {
    let width = table::width();
    let rest = if width >= FULL { width.saturating_sub(72) } else { width.saturating_sub(44) };
    let header: &[&str] = match width {
        FULL.. => &["app", "env", "ver", "status", "inst", "up", "↺ 24h", "cpu", "mem", "url"],
        CONDENSED..FULL => &["app", "ver", "status", "inst", "up", "url"],
        _ => &["app", "status", "inst"],
    };
    let rows = apps.iter().map(|app| {
        let name = Text::plain(cut(app.name.as_str(), 24));
        let (status, inst) = (status(app), Text::plain(instances(app)));
        let version = Text::or_dash(app.release.as_ref().map(ToString::to_string));
        let up = Text::or_dash(app.uptime_ms.map(table::uptime));
        let place = place(app, rest.max(20));
        match width {
            FULL.. => vec![
                name,
                Text::or_dash(app.environment.clone()),
                version,
                status,
                inst,
                up,
                Text::plain(app.restarts_24h.to_string()),
                Text::or_dash(app.cpu.map(|cpu| format!("{:.0}%", cpu.percent))),
                Text::or_dash(app.memory.map(memory)),
                place,
            ],
            CONDENSED..FULL => vec![name, version, status, inst, up, place],
            _ => vec![name, status, inst],
        }
    });
    render(header, rows.collect(), output)
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
    let uptime = app.uptime_ms.map(|ms| format!("up {}", table::uptime(ms)));
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
    if !app.units.is_empty() {
        lines.push(String::new());
        lines.push(indented(&units(&app.units, output)));
    }
    lines.join("\n")
}

fn units(units: &[InstanceView], output: &Output) -> String {
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
fn place(app: &AppView, width: usize) -> Text {
    match (&app.reason, &app.url) {
        (Some(reason), _) => Text(cut(reason, width), Tone::Odd),
        (None, Some(url)) => Text::plain(cut(url, width)),
        (None, None) => Text::or_dash(None),
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
