//! The picture: the title, apps at the left, lines at the right, figures below, keys at the bottom.

use nd_api::flat::Status;
use nd_api::v1::{AppView, Phase};
use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Modifier, Style, Stylize};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Block, BorderType, List, ListItem, ListState, Padding, Paragraph};

use super::state::{Mode, State};
use super::{charts, lines, overlay};
use crate::render::{
    table::{cut, size},
    time,
};

/// Less than this shows nothing of use.
const LEAST: (u16, u16) = (40, 8);

/// Figures are left out of a terminal with fewer rows than this, so that lines have room.
const WITH_CHARTS: u16 = 16;

/// Columns of the list of apps: with figures, and with names alone.
const WIDE: u16 = 40;
const NARROW: u16 = 22;

/// The keys at the bottom, the most wanted first.
const FOOT: &[(&str, &str)] = &[
    ("q", "quit"),
    ("?", "keys"),
    ("j k", "app"),
    ("/", "filter"),
    ("l", "level"),
    ("space", "pause"),
    ("r", "restart"),
    ("s", "scale"),
    ("R", "roll back"),
];

/// Draws everything.
pub(super) fn draw(state: &State, frame: &mut Frame<'_>) {
    let area = frame.area();
    if area.width < LEAST.0 || area.height < LEAST.1 {
        let text = format!("the terminal is smaller than {}x{}", LEAST.0, LEAST.1);
        return frame.render_widget(Paragraph::new(text), area);
    }
    let charts_height = if area.height >= WITH_CHARTS { 5 } else { 0 };
    let [top, middle, bottom, foot] = Layout::vertical([
        Constraint::Length(1),
        Constraint::Min(3),
        Constraint::Length(charts_height),
        Constraint::Length(1),
    ])
    .areas(area);
    let side = if area.width >= 100 { WIDE } else { NARROW };
    let columns = [Constraint::Length(side), Constraint::Min(0)];
    let [left, right] = Layout::horizontal(columns).areas(middle);
    title(state, frame, top);
    apps(state, frame, left);
    logs(state, frame, right);
    if charts_height > 0 {
        let halves = if area.width >= 100 { columns } else { [Constraint::Fill(1), Constraint::Fill(1)] };
        let [left, right] = Layout::horizontal(halves).areas(bottom);
        let host = panel(" host ".to_owned(), false);
        charts::host(state, frame, host.inner(left));
        frame.render_widget(host, left);
        let name = state.selected.as_ref().map(|app| format!(" {app} ")).unwrap_or_default();
        let app = panel(name, false);
        charts::app(state, frame, app.inner(right));
        frame.render_widget(app, right);
    }
    footer(state, frame, foot);
    overlay::draw(state, frame);
}

fn title(state: &State, frame: &mut Frame<'_>, area: Rect) {
    let mut left =
        vec![Span::from(" nextdeploy ").bold().cyan(), Span::from(state.host_name.clone()).dark_gray()];
    if let Some(reason) = &state.lost {
        left.truncate(1);
        let room = usize::from(area.width).saturating_sub(14);
        left.push(Span::from(cut(&format!("✕ what is shown is old: {reason}"), room)).light_red());
    }
    let clock = state.at.map(|at| format!("{} ", time::clock(at))).unwrap_or_default();
    let up = state.host.as_ref().map(|host| format!("up {}   ", host.uptime)).unwrap_or_default();
    frame.render_widget(Line::from(left), area);
    if state.lost.is_none() {
        frame.render_widget(Line::from(format!("{up}{clock}")).dark_gray().right_aligned(), area);
    }
}

fn apps(state: &State, frame: &mut Frame<'_>, area: Rect) {
    let block = panel(format!(" apps {} ", state.apps.len()), true);
    let inner = block.inner(area);
    frame.render_widget(block, area);
    if state.apps.is_empty() {
        let text = if state.at.is_some() { "no apps yet\n\nnextdeploy deploy" } else { "asking …" };
        return frame.render_widget(Paragraph::new(text).dark_gray(), inner);
    }
    let items = state.apps.iter().map(|app| ListItem::new(row(app, inner.width)));
    let list =
        List::new(items).highlight_style(Style::new().bg(Color::Indexed(237)).add_modifier(Modifier::BOLD));
    let mut selected = ListState::default().with_selected(state.place());
    frame.render_stateful_widget(list, inner, &mut selected);
}

/// `● shop  2/2  12%  310M`; names alone where there is little room.
fn row(app: &AppView, width: u16) -> Line<'static> {
    let (sign, colour) = sign(app);
    let count = format!("{}/{}", app.instances.ready, app.instances.desired);
    let figures = if width + 4 >= WIDE {
        let cpu = app.cpu.map_or("—".to_owned(), |cpu| format!("{:.0}%", cpu.percent));
        let memory = app.memory.map_or("—".to_owned(), |memory| size(memory.used_bytes));
        format!("{count:>6}{cpu:>6}{memory:>7}")
    } else {
        format!("{count:>6}")
    };
    let room = usize::from(width).saturating_sub(figures.chars().count() + 2);
    let name = cut(app.name.as_str(), room);
    Line::from(vec![
        Span::from(format!("{sign} ")).fg(colour),
        Span::from(format!("{name:<room$}")),
        Span::from(figures).dark_gray(),
    ])
}

fn sign(app: &AppView) -> (&'static str, Color) {
    match (app.phase, app.status) {
        (Phase::Running, _) => ("●", Color::Green),
        (Phase::Failed, Status::Stopped) | (Phase::Stopped, _) => ("○", Color::DarkGray),
        (Phase::Sleeping, _) => ("☾", Color::DarkGray),
        (Phase::Degraded | Phase::Failed, Status::Error) => ("✕", Color::Red),
        (Phase::Degraded | Phase::Failed, _) => ("◐", Color::Yellow),
        _ => ("◌", Color::Yellow),
    }
}

fn logs(state: &State, frame: &mut Frame<'_>, area: Rect) {
    let name = state.selected.as_ref().map(ToString::to_string).unwrap_or_default();
    let mut block = panel(format!(" {name} "), true);
    let mut filters = Vec::new();
    if let Some(level) = state.logs.level {
        filters.push(format!("{level}+"));
    }
    if !state.logs.text.is_empty() {
        filters.push(format!("“{}”", state.logs.text));
    }
    if !filters.is_empty() {
        block = block.title(Line::from(format!(" {} ", filters.join("  "))).yellow());
    }
    let flow = match state.logs.paused {
        None if state.lost.is_some() => Line::from(" ◌ waiting ").yellow(),
        None => Line::from(" ● live ").green(),
        Some(0) => Line::from(" ▮▮ paused ").yellow(),
        Some(new) => Line::from(format!(" ▮▮ paused, {new} new below ")).yellow(),
    };
    let block = block.title(flow.right_aligned());
    let inner = block.inner(area);
    frame.render_widget(block, area);
    if state.logs.entries.is_empty() && state.selected.is_some() {
        let text = if filters.is_empty() { "nothing written yet" } else { "no line passes the filters" };
        return frame.render_widget(Paragraph::new(text).dark_gray(), inner);
    }
    lines::draw(&state.logs, frame, inner);
}

fn footer(state: &State, frame: &mut Frame<'_>, area: Rect) {
    if let Mode::Filter { .. } = state.mode {
        let line = vec![
            Span::from(" / ").cyan().bold(),
            Span::from(state.logs.text.clone()).bold(),
            Span::from("▏").cyan(),
            Span::from("   Enter keeps it, Esc leaves it").dark_gray(),
        ];
        return frame.render_widget(Line::from(line), area);
    }
    let mut left = usize::from(area.width).saturating_sub(1);
    let mut line = vec![Span::from(" ")];
    // What does not fit stands behind `?`.
    for (key, does) in FOOT {
        let width = key.len() + does.len() + 3;
        if width <= left {
            left -= width;
            line.extend([Span::from(*key).cyan().bold(), Span::from(format!(" {does}  ")).dark_gray()]);
        }
    }
    frame.render_widget(Line::from(line), area);
    if let Some(notice) = &state.notice {
        let style = if notice.is_bad { Style::new().light_red() } else { Style::new().green() };
        let room = usize::from(area.width).saturating_sub(2);
        let text = format!(" {} ", cut(&notice.text, room));
        let line = Line::styled(text, style);
        let width = u16::try_from(line.width()).unwrap_or(area.width).min(area.width);
        let place = Rect { x: area.right().saturating_sub(width), width, ..area };
        frame.render_widget(line, place);
    }
}

fn panel(title: String, is_strong: bool) -> Block<'static> {
    let title = Line::from(title);
    Block::bordered()
        .border_type(BorderType::Rounded)
        .border_style(Color::DarkGray)
        .padding(Padding::horizontal(1))
        .title(if is_strong { title.bold() } else { title.dark_gray() })
}

#[cfg(test)]
mod tests {
    use nd_types::Timestamp;
    use ratatui::Terminal;
    use ratatui::backend::TestBackend;
    use serde_json::json;

    use super::super::state::tests::{app, host, line};
    use super::*;

    fn busy() -> State {
        let mut state = State::new("vps-1".to_owned(), Some("shop".parse().unwrap()));
        for sample in [3.0, 12.0, 55.0, 30.0, 23.0] {
            let apps = vec![
                app("blog", &json!({"cpu": {"percent": 0.2}, "memory": {"used_bytes": 12_u64 << 20}})),
                app(
                    "shop",
                    &json!({"cpu": {"percent": sample}, "uptime_ms": 273_600_000_u64, "url": "https://app.example.com",
                        "memory": {"used_bytes": 310_u64 << 20, "limit_bytes": 512_u64 << 20}}),
                ),
                app(
                    "worker-of-the-night",
                    &json!({"phase": "failed", "status": "error", "instances": {"ready": 0, "desired": 1}}),
                ),
            ];
            state.figures(apps, host(sample), Timestamp::UNIX_EPOCH);
        }
        state.at = None; // it is shown in the time zone of whoever looks
        for (seq, level, text) in [
            (1, Some("info"), "GET /cart 200 12ms"),
            (2, Some("warn"), "redis is slow: 340ms"),
            (
                3,
                Some("error"),
                "Timeout of redis after 5s while the cart of a customer with a very long name was loaded, retried 3 times",
            ),
            (4, None, "plain text"),
        ] {
            state.frame(line(seq, level, text));
        }
        state
    }

    /// The picture, without the times at the head of lines: they are those of the user's time zone.
    fn picture(state: &State, width: u16, height: u16) -> String {
        let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
        terminal.draw(|frame| draw(state, frame)).unwrap();
        let buffer = terminal.backend().buffer().clone();
        let rows = (0..height).map(|y| {
            let cells = (0..width).filter_map(|x| buffer.cell((x, y)).map(ratatui::buffer::Cell::symbol));
            cells.collect::<String>().trim_end().to_owned()
        });
        let text = rows.collect::<Vec<_>>().join("\n");
        hide_times(&text)
    }

    fn hide_times(text: &str) -> String {
        let chars: Vec<char> = text.chars().collect();
        let mut shown = chars.clone();
        let shape = |window: &[char]| {
            window.iter().enumerate().all(|(at, c)| match at {
                2 | 5 => *c == ':',
                8 => *c == '.',
                _ => c.is_ascii_digit(),
            })
        };
        for (at, _) in chars.windows(12).enumerate().filter(|(_, window)| shape(window)) {
            for place in shown.iter_mut().skip(at).take(12).filter(|c| c.is_ascii_digit()) {
                *place = '0';
            }
        }
        shown.into_iter().collect()
    }

    #[test]
    fn apps_lines_and_figures_stand_side_by_side() {
        insta::assert_snapshot!("wide", picture(&busy(), 120, 24));
    }

    #[test]
    fn a_small_terminal_shows_less_and_stays_whole() {
        insta::assert_snapshot!("narrow", picture(&busy(), 80, 14));
        assert!(picture(&busy(), 30, 6).starts_with("the terminal is smaller"));
    }

    #[test]
    fn filters_are_named_and_what_comes_while_paused_is_counted() {
        let mut state = busy();
        state.logs.text = "redis".to_owned();
        state.logs.toggle_pause();
        state.frame(line(5, None, "redis is back"));
        insta::assert_snapshot!("filtered", picture(&state, 100, 16));
    }

    #[test]
    fn questions_and_keys_lie_over_the_picture() {
        let mut state = busy();
        state.mode = Mode::Keys;
        insta::assert_snapshot!("keys", picture(&state, 100, 20));
        state.mode = Mode::Scale { typed: "+1".to_owned() };
        insta::assert_snapshot!("scale", picture(&state, 100, 16));
        state.mode = Mode::Rollback;
        assert!(picture(&state, 100, 16).contains("roll shop from 8f3k2a back to the release before?"));
    }

    #[test]
    fn an_empty_daemon_and_a_lost_one_say_so() {
        let mut state = State::new("vps-1".to_owned(), None);
        assert!(picture(&state, 100, 16).contains("asking …"));
        state.figures(Vec::new(), host(1.0), Timestamp::UNIX_EPOCH);
        assert!(picture(&state, 100, 16).contains("no apps yet"));
        state.lost("the daemon is not reachable".to_owned());
        assert!(picture(&state, 100, 16).contains("✕ what is shown is old: the daemon is not reachable"));
    }
}
