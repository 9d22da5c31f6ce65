//! Tables that fit the terminal.

use comfy_table::presets::NOTHING;
use comfy_table::{Cell, Color, ContentArrangement, Table};
use rustix::termios::tcgetwinsize;

use crate::output::Output;

/// The width where nobody knows it: a file or a pipe takes long lines.
const UNKNOWN: usize = 160;

/// The longest line of running text that is easily read.
pub(crate) const READABLE: usize = 80;

/// The space around a cell.
const PADDING: usize = 2;

/// What the last column is given at least before a lesser layout is tried, and in the least of them before it is left
/// out.
const ROOMY: usize = 26;
const TIGHT: usize = 14;

/// How a cell is coloured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tone {
    Plain,
    Good,
    Odd,
    Bad,
    Dim,
}

/// One cell.
#[derive(Clone, Debug)]
pub(crate) struct Text(pub(crate) String, pub(crate) Tone);

impl Text {
    pub(crate) fn plain(text: impl Into<String>) -> Self {
        Self(text.into(), Tone::Plain)
    }

    /// `—` for nothing.
    pub(crate) fn or_dash(text: Option<String>) -> Self {
        text.map_or_else(|| Self("—".to_owned(), Tone::Dim), Self::plain)
    }

    /// The same for what is not a text yet.
    pub(crate) fn shown_or_dash(value: Option<&impl ToString>) -> Self {
        Self::or_dash(value.map(ToString::to_string))
    }

    fn width(&self) -> usize {
        self.0.chars().count()
    }
}

/// One column: its name, and what it shows of a row.
#[derive(Debug)]
pub(crate) struct Column<T> {
    pub(crate) name: &'static str,
    pub(crate) cell: fn(&T) -> Text,
}

/// The layouts of one table, from the fullest to the least, and the column at the end of each of them, which takes the
/// room that is left and is cut to it.
#[derive(Debug)]
pub(crate) struct Layouts<T: 'static> {
    pub(crate) columns: &'static [&'static [Column<T>]],
    pub(crate) last: Column<T>,
}

impl<T> Layouts<T> {
    /// The fullest table that fits into `width` columns of the terminal.
    pub(crate) fn table(&self, items: &[T], width: usize, output: &Output) -> String {
        let longest = items.iter().map(|item| (self.last.cell)(item).width()).max().unwrap_or(0);
        let longest = longest.max(self.last.name.len());
        let mut layouts = self.columns.iter().copied().peekable();
        let mut least: &[Column<T>] = &[];
        while let Some(columns) = layouts.next() {
            let enough = longest.min(if layouts.peek().is_some() { ROOMY } else { TIGHT });
            let room = width.saturating_sub(used(items, columns) + PADDING);
            if room >= enough {
                return self.render(items, columns, Some(room), output);
            }
            least = columns;
        }
        self.render(items, least, None, output)
    }

    fn render(&self, items: &[T], columns: &[Column<T>], room: Option<usize>, output: &Output) -> String {
        let mut header: Vec<_> = columns.iter().map(|column| column.name).collect();
        header.extend(room.map(|_| self.last.name));
        let rows = items.iter().map(|item| {
            let mut row: Vec<Text> = columns.iter().map(|column| (column.cell)(item)).collect();
            row.extend(room.map(|room| {
                let Text(text, tone) = (self.last.cell)(item);
                Text(cut(&text, room), tone)
            }));
            row
        });
        render(&header, rows.collect(), output)
    }
}

/// Columns of the terminal that some columns of a table need.
fn used<T>(items: &[T], columns: &[Column<T>]) -> usize {
    let width = |column: &Column<T>| {
        let cells = items.iter().map(|item| (column.cell)(item).width()).max().unwrap_or(0);
        cells.max(column.name.chars().count()) + PADDING
    };
    columns.iter().map(width).sum()
}
/// A table without lines around it.
pub(crate) fn render(header: &[&str], rows: Vec<Vec<Text>>, output: &Output) -> String {
    let mut table = Table::new();
    table.load_style(NOTHING).set_content_arrangement(ContentArrangement::Disabled);
    if output.paints_results() {
        table.enforce_styling();
    } else {
        table.force_no_tty();
    }
    table.set_header(header.iter().map(|name| Cell::new(name).fg(Color::DarkGrey)));
    for row in rows {
        table.add_row(row.into_iter().map(|Text(text, tone)| match tone {
            Tone::Plain => Cell::new(text),
            Tone::Good => Cell::new(text).fg(Color::Green),
            Tone::Odd => Cell::new(text).fg(Color::Yellow),
            Tone::Bad => Cell::new(text).fg(Color::Red),
            Tone::Dim => Cell::new(text).fg(Color::DarkGrey),
        }));
    }
    table.lines().map(|line| line.trim_end().to_owned()).collect::<Vec<_>>().join("\n")
}

/// Columns of the terminal that results are shown on.
pub(crate) fn width() -> usize {
    let from_terminal = tcgetwinsize(std::io::stdout()).ok().map(|size| usize::from(size.ws_col));
    let from_env = || std::env::var("COLUMNS").ok()?.parse().ok();
    from_terminal.filter(|width| *width > 0).or_else(from_env).unwrap_or(UNKNOWN)
}

/// Rows of the terminal that results are shown on.
pub(crate) fn height() -> usize {
    let rows = tcgetwinsize(std::io::stdout()).ok().map(|size| usize::from(size.ws_row));
    rows.filter(|rows| *rows > 0).unwrap_or(24)
}

/// Cuts a text that is too long, with `…` in the place of its end.
pub(crate) fn cut(text: &str, width: usize) -> String {
    let width = width.max(2);
    if text.chars().count() <= width {
        return text.to_owned();
    }
    let mut head: String = text.chars().take(width - 1).collect();
    head.push('…');
    head
}

/// Breaks a paragraph between words.
pub(crate) fn wrapped(text: &str, width: usize) -> String {
    let mut lines = vec![String::new()];
    for word in text.split_whitespace() {
        let used = lines.last().map_or(0, |line| line.chars().count());
        if used > 0 && used + 1 + word.chars().count() > width {
            lines.push(String::new());
        }
        if let Some(line) = lines.last_mut() {
            if !line.is_empty() {
                line.push(' ');
            }
            line.push_str(word);
        }
    }
    lines.join("\n")
}

/// `310M`.
pub(crate) fn size(bytes: u64) -> String {
    let units = [("G", 1u64 << 30), ("M", 1 << 20), ("K", 1 << 10)];
    match units.iter().find(|(_, unit)| bytes >= *unit) {
        Some((name, unit)) if bytes / unit >= 10 => format!("{}{name}", bytes / unit),
        Some((name, unit)) => format!("{}.{}{name}", bytes / unit, bytes % unit * 10 / unit),
        None => format!("{bytes}B"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_text_is_cut_at_a_character() {
        assert_eq!(cut("prismaclient", 6), "prism…");
        assert_eq!(cut("größe", 5), "größe");
        assert_eq!(cut("größer als", 4), "grö…");
    }

    #[test]
    fn a_paragraph_is_broken_between_words() {
        assert_eq!(wrapped("one two three four", 9), "one two\nthree\nfour");
        assert_eq!(wrapped("longer-than-that", 5), "longer-than-that");
    }

    #[test]
    fn a_size_has_at_most_one_digit_behind_its_point() {
        assert_eq!(size(310 << 20), "310M");
        assert_eq!(size((3 << 30) + (1 << 29)), "3.5G");
        assert_eq!(size(512), "512B");
    }
}
