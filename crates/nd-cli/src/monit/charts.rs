//! The figures at the bottom: the host, and the selected app.

use nd_api::flat::SystemMetrics;
use nd_api::v1::AppView;
use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Style, Stylize};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Paragraph, Sparkline};

use super::state::{Samples, State};
use crate::render::{table::size, time};

/// Columns for the name of a figure, and for its value behind the sparkline.
const NAME: u16 = 5;
const VALUE: u16 = 16;

/// From this on a figure is drawn in the colours of a warning, and of an alarm.
const HIGH: u64 = 75;
const ALARM: u64 = 90;

/// One figure over time.
struct Chart<'c> {
    name: &'static str,
    samples: Option<&'c Samples>,
    /// What fills the whole height.
    full: u64,
    value: String,
}

/// The host: processor, memory, disk.
pub(super) fn host(state: &State, frame: &mut Frame<'_>, area: Rect) {
    let Some(host) = &state.host else { return };
    let of = |used: &str, total: &str| {
        let bytes = |key: &str| host.host.as_ref()?.get(key)?.as_u64();
        match (bytes(used), bytes(total)) {
            (Some(used), Some(total)) => format!(" {}/{}", size(used), size(total)),
            _ => String::new(),
        }
    };
    let percent = |value: f64| format!("{value:>3.0}%");
    let memory = percent(host.memory) + &of("memory_used_bytes", "memory_total_bytes");
    let disk = percent(host.disk) + &of("disk_used_bytes", "disk_total_bytes");
    let [cpu_area, memory_area, disk_area] = rows(area);
    let (cpu, used) = (&state.history.cpu, &state.history.memory);
    draw(&Chart { name: "cpu", samples: Some(cpu), full: 100, value: percent(host.cpu) }, frame, cpu_area);
    draw(&Chart { name: "mem", samples: Some(used), full: 100, value: memory }, frame, memory_area);
    gauge("disk", host, &disk, frame, disk_area);
}

/// The selected app: processor, memory, and what else there is to know.
pub(super) fn app(state: &State, frame: &mut Frame<'_>, area: Rect) {
    let Some(app) = state.app() else { return };
    let history = state.history.apps.get(&app.name);
    let [cpu_area, memory_area, facts_area] = rows(area);
    let cpu = history.map(|history| &history.cpu);
    let peak = cpu.iter().flat_map(|samples| samples.iter()).max().copied().unwrap_or(0);
    let value = app.cpu.map_or("   —".to_owned(), |cpu| format!("{:>3.0}%", cpu.percent));
    // Several cores make more than 100.
    draw(&Chart { name: "cpu", samples: cpu, full: peak.max(100), value }, frame, cpu_area);
    let memory = history.map(|history| &history.memory);
    let most = memory.iter().flat_map(|samples| samples.iter()).max().copied().unwrap_or(0);
    let limit = app.memory.and_then(|memory| memory.limit_bytes);
    let value = app.memory.map_or("   —".to_owned(), |memory| match memory.limit_bytes {
        Some(limit) => format!("{:>4} /{}", size(memory.used_bytes), size(limit)),
        None => format!("{:>4}", size(memory.used_bytes)),
    });
    // Without a limit the most there was fills three quarters.
    let full = limit.unwrap_or(most + most / 3).max(1);
    draw(&Chart { name: "mem", samples: memory, full, value }, frame, memory_area);
    frame.render_widget(Paragraph::new(facts(app)), facts_area);
}

/// `up 3d4h · ↺ 0 in 24h · 8f3k2a · https://app.example.com`
fn facts(app: &AppView) -> Line<'static> {
    let mut spans = Vec::new();
    let mut fact = |text: String, style: Style| {
        if !spans.is_empty() {
            spans.push(Span::from(" · ").dark_gray());
        }
        spans.push(Span::styled(text, style));
    };
    if let Some(reason) = &app.reason {
        fact(reason.clone(), Style::new().yellow());
    }
    if let Some(ms) = app.uptime_ms {
        fact(format!("up {}", time::uptime(ms)), Style::new());
    }
    let restarts = if app.restarts_24h > 0 { Style::new().yellow() } else { Style::new() };
    fact(format!("↺ {} in 24h", app.restarts_24h), restarts);
    if let Some(release) = &app.release {
        fact(release.to_string(), Style::new());
    }
    if let Some(url) = &app.url {
        fact(url.clone(), Style::new().cyan());
    }
    Line::from(spans)
}

fn draw(chart: &Chart<'_>, frame: &mut Frame<'_>, area: Rect) {
    let [name, bars, value] =
        Layout::horizontal([Constraint::Length(NAME), Constraint::Min(0), Constraint::Length(VALUE)])
            .areas(area);
    frame.render_widget(Span::from(chart.name).dark_gray(), name);
    let width = usize::from(bars.width);
    let now = chart.samples.and_then(|samples| samples.back()).map_or(0, |last| last * 100 / chart.full);
    // One step of eight is drawn for little and for nothing, so that it is seen that somebody measured.
    let least = chart.full.div_ceil(8);
    let samples = chart.samples.map(|samples| last(samples, width, least)).unwrap_or_default();
    let colour = match now {
        ALARM.. => Color::Red,
        HIGH.. => Color::Yellow,
        _ => Color::Green,
    };
    frame.render_widget(Sparkline::default().data(samples).max(chart.full).style(colour), bars);
    frame.render_widget(Span::from(format!(" {}", chart.value)).bold(), value);
}

/// What fills slowly is shown as a bar.
fn gauge(name: &'static str, host: &SystemMetrics, value: &str, frame: &mut Frame<'_>, area: Rect) {
    let [label, bar, text] =
        Layout::horizontal([Constraint::Length(NAME), Constraint::Min(0), Constraint::Length(VALUE)])
            .areas(area);
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a share of the columns of a terminal"
    )]
    let full = (host.disk.clamp(0.0, 100.0) / 100.0 * f64::from(bar.width)).round() as usize;
    let colour = if host.disk >= 90.0 { Color::Red } else { Color::Blue };
    let rest = usize::from(bar.width).saturating_sub(full);
    let filled = Span::styled("━".repeat(full), Style::new().fg(colour));
    frame.render_widget(Span::from(name).dark_gray(), label);
    frame.render_widget(Line::from(vec![filled, Span::from("─".repeat(rest)).dark_gray()]), bar);
    frame.render_widget(Span::from(format!(" {value}")).bold(), text);
}

fn rows(area: Rect) -> [Rect; 3] {
    Layout::vertical([Constraint::Length(1); 3]).areas(area)
}

/// The last samples, one a column, with the newest at the right.
fn last(samples: &Samples, width: usize, least: u64) -> Vec<u64> {
    let shown = samples.iter().skip(samples.len().saturating_sub(width)).map(|sample| (*sample).max(least));
    let missing = width.saturating_sub(samples.len());
    std::iter::repeat_n(0, missing).chain(shown).collect()
}
