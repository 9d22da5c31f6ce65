//! What lies over the picture: the keys, and questions.

use nd_api::v1::AppView;
use ratatui::Frame;
use ratatui::layout::{Constraint, Rect};
use ratatui::style::{Color, Stylize};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Block, BorderType, Clear, Padding, Paragraph};

use super::keys::KEYS;
use super::state::{Mode, State};

/// Draws what the mode asks for.
pub(super) fn draw(state: &State, frame: &mut Frame<'_>) {
    match &state.mode {
        Mode::Watch | Mode::Filter { .. } => {}
        Mode::Keys => window("keys", keys(), frame),
        Mode::Scale { typed } => {
            if let Some(app) = state.app() {
                window("scale", scale(app, typed), frame);
            }
        }
        Mode::Rollback => {
            if let Some(app) = state.app() {
                window("roll back", rollback(app), frame);
            }
        }
    }
}

fn keys() -> Vec<Line<'static>> {
    let row = |(key, does): &(&'static str, &'static str)| {
        Line::from(vec![Span::from(format!("{key:<10}")).cyan().bold(), Span::from(*does)])
    };
    KEYS.iter().map(row).collect()
}

fn scale(app: &AppView, typed: &str) -> Vec<Line<'static>> {
    let now = app.instances.desired;
    vec![
        Line::from(vec![
            Span::from(format!("instances of {}, now {now}: ", app.name)),
            Span::from(typed.to_owned()).bold(),
            Span::from("▏").cyan(),
        ]),
        Line::from("a number, or +1 and -1; Enter does it, Esc leaves it").dark_gray(),
    ]
}

fn rollback(app: &AppView) -> Vec<Line<'static>> {
    let release = app.release.as_ref().map(|release| format!(" from {release}")).unwrap_or_default();
    vec![
        Line::from(format!("roll {}{release} back to the release before?", app.name)),
        Line::from(vec![
            Span::from("y").cyan().bold(),
            Span::from(" yes   "),
            Span::from("n").cyan().bold(),
            Span::from(" no"),
        ]),
    ]
}

/// A window in the middle, as large as its text.
fn window(title: &'static str, lines: Vec<Line<'static>>, frame: &mut Frame<'_>) {
    let columns = lines.iter().map(Line::width).max().unwrap_or(0) + 6;
    let width = u16::try_from(columns).unwrap_or(u16::MAX);
    let height = u16::try_from(lines.len() + 2).unwrap_or(u16::MAX);
    let area: Rect = frame.area().centered(Constraint::Length(width), Constraint::Length(height));
    let block = Block::bordered()
        .border_type(BorderType::Rounded)
        .border_style(Color::Cyan)
        .title(format!(" {title} "))
        .padding(Padding::horizontal(2));
    frame.render_widget(Clear, area);
    frame.render_widget(Paragraph::new(lines).block(block), area);
}
