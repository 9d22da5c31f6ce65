//! The lines of the selected app, wrapped to the width there is, the newest at the bottom.

use nd_api::v1::{LogLevel, LogLine, LogStream};
use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::style::{Color, Modifier, Style, Stylize};
use ratatui::text::{Line, Span};
use ratatui::widgets::Paragraph;
use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

use super::state::{Entry, Logs};
use crate::render::time;

/// Rows that one line takes at most; what is longer ends with `…`.
const ROWS: usize = 6;

/// Columns of text below which it is not worth showing the time.
const TEXT: usize = 40;

/// Draws the last lines that fit.
pub(super) fn draw(logs: &Logs, frame: &mut Frame<'_>, area: Rect) {
    let (width, height) = (usize::from(area.width), usize::from(area.height));
    let mut rows: Vec<Line<'_>> = Vec::with_capacity(height);
    let shown = logs.entries.iter().rev().filter(|entry| logs.admits(entry)).skip(logs.back);
    for entry in shown {
        let entry_rows = match entry {
            Entry::Line(line) => rows_of(line, &logs.text, width),
            Entry::Gap(1) => vec![Line::from("── 1 line skipped, it came too fast ──").dark_gray()],
            Entry::Gap(count) => {
                vec![Line::from(format!("── {count} lines skipped, they came too fast ──")).dark_gray()]
            }
        };
        rows.extend(entry_rows.into_iter().rev());
        if rows.len() >= height {
            break;
        }
    }
    rows.truncate(height);
    rows.reverse();
    frame.render_widget(Paragraph::new(rows), area);
}

/// `15:04:05.120 1 ERR text`, and further rows under the text.
fn rows_of(line: &LogLine, wanted: &str, width: usize) -> Vec<Line<'static>> {
    let mut head = Vec::new();
    if width >= TEXT + 20 {
        head.push(Span::from(format!("{} ", time::clock_millis(line.ts))).dark_gray());
    }
    if let Some(instance) = &line.instance {
        head.push(Span::from(format!("{} ", instance.slot())).cyan());
    }
    let (tag, style) = tag(line);
    head.push(Span::styled(tag, style.add_modifier(Modifier::BOLD)));
    head.push(Span::from(" "));
    let indent: usize = head.iter().map(|span| span.content.width()).sum();
    let text_style = match line.level {
        Some(LogLevel::Fatal | LogLevel::Error) => Style::new().light_red(),
        Some(LogLevel::Warn) => Style::new().yellow(),
        Some(LogLevel::Debug | LogLevel::Trace) => Style::new().dark_gray(),
        Some(LogLevel::Info) | None => Style::new(),
    };
    let pieces = wrapped(&plain(&line.line), width.saturating_sub(indent).max(8));
    let mut rows = Vec::with_capacity(pieces.len());
    for (index, piece) in pieces.iter().enumerate() {
        let mut spans =
            if index == 0 { std::mem::take(&mut head) } else { vec![Span::from(" ".repeat(indent))] };
        spans.extend(marked(piece, wanted, text_style));
        rows.push(Line::from(spans));
    }
    rows
}

/// The level where it says something, else the stream.
fn tag(line: &LogLine) -> (&'static str, Style) {
    match (line.level, line.stream) {
        (Some(LogLevel::Fatal | LogLevel::Error), _) => ("ERR", Style::new().red()),
        (Some(LogLevel::Warn), _) => ("WRN", Style::new().yellow()),
        (Some(LogLevel::Debug | LogLevel::Trace), _) => ("DBG", Style::new().dark_gray()),
        (_, LogStream::Stderr) => ("err", Style::new().magenta()),
        (_, LogStream::Stdout) => ("out", Style::new().dark_gray()),
    }
}

/// A line without what would move the cursor or recolour it.
fn plain(text: &str) -> String {
    let plain = anstream::adapter::strip_str(text).to_string().replace('\t', "  ");
    plain.chars().filter(|c| !c.is_control()).collect()
}

/// Pieces of at most `width` columns, at most [`ROWS`] of them.
fn wrapped(text: &str, width: usize) -> Vec<String> {
    let mut pieces = vec![String::new()];
    let mut used = 0;
    for c in text.chars() {
        let columns = c.width().unwrap_or(0);
        if used + columns > width {
            if pieces.len() == ROWS {
                if let Some(last) = pieces.last_mut() {
                    last.pop();
                    last.push('…');
                }
                break;
            }
            pieces.push(String::new());
            used = 0;
        }
        used += columns;
        if let Some(last) = pieces.last_mut() {
            last.push(c);
        }
    }
    pieces
}

/// A piece with every place marked where the wanted text stands.
fn marked(piece: &str, wanted: &str, style: Style) -> Vec<Span<'static>> {
    let whole = || vec![Span::styled(piece.to_owned(), style)];
    // Letters that change their length with their case would put the marks in the wrong place.
    if wanted.is_empty() || !piece.is_ascii() || !wanted.is_ascii() {
        return whole();
    }
    let (lower, wanted) = (piece.to_ascii_lowercase(), wanted.to_ascii_lowercase());
    let mark = style.bg(Color::Yellow).fg(Color::Black);
    let mut spans = Vec::new();
    let mut from = 0;
    for (at, _) in lower.match_indices(&wanted) {
        let end = at + wanted.len();
        let (before, found) = (piece.get(from..at), piece.get(at..end));
        spans.extend(before.map(|text| Span::styled(text.to_owned(), style)));
        spans.extend(found.map(|text| Span::styled(text.to_owned(), mark)));
        from = end;
    }
    spans.extend(piece.get(from..).map(|text| Span::styled(text.to_owned(), style)));
    spans
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_line_goes_on_in_the_next_row_and_ends_somewhere() {
        assert_eq!(wrapped("abcdef", 4), ["abcd", "ef"]);
        assert_eq!(wrapped("漢字漢字", 5), ["漢字", "漢字"]);
        let long = wrapped(&"x".repeat(1_000), 10);
        assert_eq!(long.len(), ROWS);
        assert!(long.last().unwrap().ends_with('…'));
    }

    #[test]
    fn what_is_looked_for_is_marked_whatever_its_case() {
        let texts: Vec<_> = marked("A Timeout, timeout", "TIME", Style::new())
            .into_iter()
            .map(|span| (span.content.into_owned(), span.style.bg.is_some()))
            .collect();
        let expected = [("A ", false), ("Time", true), ("out, ", false), ("time", true), ("out", false)];
        assert_eq!(texts, expected.map(|(text, is_marked)| (text.to_owned(), is_marked)));
    }

    #[test]
    fn a_line_cannot_move_the_cursor() {
        assert_eq!(plain("a\u{1b}[2Jb\rc\td"), "abc  d");
    }
}
