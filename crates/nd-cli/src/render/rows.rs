//! Facts about one thing, a row each: a name, and what there is to say.

use crate::output::Output;

/// Room for a name.
const NAME: usize = 10;

/// Rows under a first line.
pub(crate) struct Rows<'o> {
    lines: Vec<String>,
    output: &'o Output,
}

impl<'o> Rows<'o> {
    /// Begins with what the rows are about.
    pub(crate) fn under(first: String, output: &'o Output) -> Self {
        Self { lines: vec![first], output }
    }

    /// A row; nothing where there is nothing to say. A further line of the same has no name.
    pub(crate) fn row(&mut self, name: &str, text: impl Into<Option<String>>) {
        if let Some(text) = text.into().filter(|text| !text.is_empty()) {
            self.lines.push(format!("  {} {text}", self.output.dim(&format!("{name:<NAME$}"))));
        }
    }

    /// An empty line between groups of rows.
    pub(crate) fn gap(&mut self) {
        if self.lines.last().is_some_and(|line| !line.is_empty()) {
            self.lines.push(String::new());
        }
    }

    /// Lines that are no rows.
    pub(crate) fn lines(&mut self, lines: impl IntoIterator<Item = String>) {
        self.lines.extend(lines);
    }

    /// All of it.
    pub(crate) fn text(mut self) -> String {
        while self.lines.last().is_some_and(String::is_empty) {
            self.lines.pop();
        }
        self.lines.join("\n")
    }
}
