//! Apps: the table of all, and one with all there is to know.

use std::time::Duration;

use nd_api::flat::Status;
use nd_api::v1::{AppView, CanaryView, MirrorView, Phase};
use nd_types::Timestamp;

use super::rows::Rows;
use super::table::{self, Column, Layouts, Text, Tone, cut};
use super::{time, unit};
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
const MEMORY: Of = Column { name: "mem", cell: |app| Text::or_dash(app.memory.map(unit::memory)) };
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
    let mut rows = Rows::under(title(app, output), output);
    rows.row("reason", app.reason.clone());
    rows.row("image", app.image.clone());
    rows.row("command", app.command.clone());
    rows.row("upstream", app.upstream.clone());
    app.urls.iter().for_each(|url| rows.row("url", url.clone()));
    rows.row("release", app.release.as_ref().map(ToString::to_string));
    rows.row("canary", app.canary.as_ref().map(|canary| tried(canary, Timestamp::now())));
    rows.row("mirror", app.mirror.as_ref().map(|mirror| stands(mirror, Timestamp::now())));
    rows.row("instances", format!("{} ready", instances(app)));
    rows.row("restart", format!("{}, {}", app.policy, restarts(app)));
    rows.row("usage", usage(app));
    app.notes.iter().for_each(|note| rows.row("note", note.clone()));
    rows.lines(instances_of(app, output));
    rows.text()
}

/// Its name and how it is.
pub(super) fn title(app: &AppView, output: &Output) -> String {
    let (word, tone) = status_word(app);
    format!("{} {}", output.bold(app.name.as_str()), toned(&word, tone, output))
}

/// `2 in 24h, 7 in all, 5 crashes`.
pub(super) fn restarts(app: &AppView) -> String {
    format!("{} in 24h, {} in all, {} crashes", app.restarts_24h, app.restarts, app.crashes)
}

/// `up 3d4h, cpu 12.4%, memory 310M/512M`.
pub(super) fn usage(app: &AppView) -> String {
    let parts = [
        app.uptime_ms.map(|ms| format!("up {}", time::uptime(ms))),
        app.cpu.map(|cpu| format!("cpu {:.1}%", cpu.percent)),
        app.memory.map(|used| format!("memory {}", unit::memory(used))),
    ];
    parts.into_iter().flatten().collect::<Vec<_>>().join(", ")
}

/// `25% of clients get 8f3k2a, step 2 of 3, the next one in 41s`.
pub(super) fn tried(canary: &CanaryView, now: Timestamp) -> String {
    let CanaryView { release, percent, step, steps, until } = canary;
    let left = until.and_then(|until| Duration::try_from(until.duration_since(now)).ok());
    let next = if step < steps { "the next one" } else { "all of them" };
    let next = left.map(|left| {
        format!(", {next} in {}", nd_types::format_duration(Duration::from_secs(left.as_secs())))
    });
    format!("{percent}% of clients get {release}, step {step} of {steps}{}", next.unwrap_or_default())
}

/// `shop-8f3k2a-2 serves, what failed is tried again in 21s`.
pub(super) fn stands(mirror: &MirrorView, now: Timestamp) -> String {
    let left = mirror.until.and_then(|until| Duration::try_from(until.duration_since(now)).ok());
    let left = left.map(|left| Duration::from_secs(left.as_secs())).filter(|left| !left.is_zero());
    let how = match (mirror.serves, mirror.ready) {
        (true, _) => "serves",
        (false, true) => "stands by",
        (false, false) => "is not ready",
    };
    let again =
        left.map(|left| format!(", what failed is tried again in {}", nd_types::format_duration(left)));
    format!("{} {how}{}", mirror.instance, again.unwrap_or_default())
}

/// The table of its instances, and a word about those that are kept for a rollback.
pub(super) fn instances_of(app: &AppView, output: &Output) -> Vec<String> {
    let (current, kept) = unit::current(app);
    let mut lines = Vec::new();
    if !current.is_empty() {
        let width = table::width().saturating_sub(2);
        lines.push(String::new());
        lines.push(indented(&unit::table(&current, width, output)));
    }
    if kept > 0 {
        let stopped = if kept == 1 { "instance" } else { "instances" };
        let text = format!("{kept} stopped {stopped} of earlier releases kept for rollback");
        lines.push(format!("  {}", output.dim(&text)));
    }
    lines
}

pub(super) fn indented(text: &str) -> String {
    text.lines().map(|line| format!("  {line}")).collect::<Vec<_>>().join("\n")
}

pub(super) fn instances(app: &AppView) -> String {
    format!("{}/{}", app.instances.ready, app.instances.desired)
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

/// A word in the colour of its tone.
pub(super) fn toned(word: &str, tone: Tone, output: &Output) -> String {
    match tone {
        Tone::Good => output.good(word),
        Tone::Bad => output.bad(word),
        Tone::Odd => output.odd(word),
        Tone::Plain | Tone::Dim => output.dim(word),
    }
}

fn status_word(app: &AppView) -> (String, Tone) {
    match (app.phase, app.status) {
        (Phase::Running, _) => ("● running".to_owned(), Tone::Good),
        (Phase::Degraded, Status::Error) => ("✕ down".to_owned(), Tone::Bad),
        (Phase::Degraded, _) => ("◐ degraded".to_owned(), Tone::Odd),
        (Phase::Failed, Status::Stopped) => ("○ ended".to_owned(), Tone::Dim),
        (Phase::Failed, _) => ("✕ failed".to_owned(), Tone::Bad),
        (Phase::Sleeping, _) => ("☾ sleeping".to_owned(), Tone::Dim),
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
    fn a_trial_says_who_gets_what_and_for_how_long() {
        let mut canary: CanaryView = serde_json::from_str(
            r#"{"release":"8f3k2a","percent":25,"step":2,"steps":3,"until":"2026-01-01T00:01:00Z"}"#,
        )
        .unwrap();
        let now = "2026-01-01T00:00:19Z".parse().unwrap();
        let said = tried(&canary, now);
        assert_eq!(said, "25% of clients get 8f3k2a, step 2 of 3, the next one in 41s");
        canary.until = None;
        assert_eq!(tried(&canary, now), "25% of clients get 8f3k2a, step 2 of 3");
    }

    #[test]
    fn a_mirror_says_whether_it_serves_and_for_how_long() {
        let mut mirror: MirrorView =
            serde_json::from_str(r#"{"instance":"shop-8f3k2a-2","ready":true,"serves":false}"#).unwrap();
        let now: Timestamp = "2026-01-01T00:00:19Z".parse().unwrap();
        assert_eq!(stands(&mirror, now), "shop-8f3k2a-2 stands by");
        (mirror.serves, mirror.until) = (true, "2026-01-01T00:00:40Z".parse().ok());
        assert_eq!(stands(&mirror, now), "shop-8f3k2a-2 serves, what failed is tried again in 21s");
    }

    #[test]
    fn a_terminal_that_is_too_narrow_for_the_reason_does_without() {
        let table = apps(&two(), 30, &Output::default());
        assert!(!table.contains("ECONN") && table.contains("failed"), "{table}");
    }
}
