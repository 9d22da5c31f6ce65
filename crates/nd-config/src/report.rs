//! Mistakes, and the three ways they are shown.

mod code;
mod render;

use std::fmt;
use std::ops::Range;

use nd_api::v1::FieldError;

pub use self::code::Code;
use crate::node::{Path, Span};

/// How much a mistake weighs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// Nothing can be made of the text.
    Error,
    /// It works, but not as someone may think.
    Warning,
    /// Good to know.
    Note,
}

impl Severity {
    /// The word for it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warning => "warning",
            Self::Note => "note",
        }
    }
}

/// One thing that is wrong or noteworthy in a text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mistake {
    /// How much it weighs.
    pub severity: Severity,
    /// Its stable code.
    pub code: Code,
    /// What is wrong, lower case, one cause.
    pub message: String,
    /// How to write it instead.
    pub help: Option<String>,
    /// The value, as a JSON pointer (RFC 6901), where it has one.
    pub pointer: Option<String>,
    /// Where it stands in the text, in bytes.
    pub span: Option<Range<usize>>,
    /// A second place that belongs to it.
    pub related: Option<Box<Related>>,
}

/// A second place that belongs to a mistake.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Related {
    /// Where it stands in the text, in bytes.
    pub span: Range<usize>,
    /// What there is to say about it.
    pub label: String,
}

impl Mistake {
    pub(crate) fn new(severity: Severity, code: Code, message: impl Into<String>) -> Self {
        Self { severity, code, message: message.into(), help: None, pointer: None, span: None, related: None }
    }

    pub(crate) fn error(code: Code, message: impl Into<String>) -> Self {
        Self::new(Severity::Error, code, message)
    }

    pub(crate) fn at(mut self, span: Span) -> Self {
        self.span = span;
        self
    }

    pub(crate) fn on(mut self, path: &Path) -> Self {
        self.pointer = Some(path.pointer.clone());
        self
    }

    pub(crate) fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    pub(crate) fn also(mut self, span: Span, label: &str) -> Self {
        self.related = span.map(|span| Box::new(Related { span, label: label.to_owned() }));
        self
    }
}

/// Whether a report is printed in colour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Colour {
    /// For a terminal.
    Always,
    /// For files, pipes and `NO_COLOR`.
    Never,
}

/// Everything there is to say about one text. As an error its `Display` is one line a mistake.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    name: String,
    text: String,
    mistakes: Vec<Mistake>,
}

impl std::error::Error for Report {}

impl Report {
    /// Sorts mistakes by their place and leaves out what is said twice.
    pub(crate) fn new(name: &str, text: &str, mut mistakes: Vec<Mistake>) -> Self {
        mistakes.sort_by_key(|mistake| mistake.span.as_ref().map_or(0, |span| span.start));
        let mut kept: Vec<Mistake> = Vec::with_capacity(mistakes.len());
        for mistake in mistakes {
            let said = |known: &Mistake| known.span == mistake.span && known.message == mistake.message;
            if !kept.iter().any(said) {
                kept.push(mistake);
            }
        }
        Self { name: name.to_owned(), text: text.to_owned(), mistakes: kept }
    }

    /// Whether there is nothing to say.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.mistakes.is_empty()
    }

    /// Whether anything is an error.
    #[must_use]
    pub fn has_errors(&self) -> bool {
        self.mistakes.iter().any(|mistake| mistake.severity == Severity::Error)
    }

    /// Everything, in the order of the text.
    #[must_use]
    pub fn mistakes(&self) -> &[Mistake] {
        &self.mistakes
    }

    /// The name of the text, as in `nextdeploy.yml`.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Rustc-like snippets, one a mistake, each ending with a line break.
    #[must_use]
    pub fn render(&self, colour: Colour) -> String {
        render::snippets(self, colour)
    }

    /// The errors as a problem body holds them.
    #[must_use]
    pub fn to_field_errors(&self) -> Vec<FieldError> {
        let errors = self.mistakes.iter().filter(|mistake| mistake.severity == Severity::Error);
        errors.map(|mistake| self.field_error(mistake)).collect()
    }

    /// Warnings and notes as lines for `notes`.
    #[must_use]
    pub fn to_notes(&self) -> Vec<String> {
        let rest = self.mistakes.iter().filter(|mistake| mistake.severity != Severity::Error);
        rest.map(|mistake| match &mistake.help {
            Some(help) => format!("{}; {help}", mistake.message),
            None => mistake.message.clone(),
        })
        .collect()
    }

    /// Line and column of a place, both from 1, the column in characters.
    #[must_use]
    pub fn line_column(&self, offset: usize) -> (u32, u32) {
        let head = self.text.get(..offset).unwrap_or(&self.text);
        let line_start = head.rfind('\n').map_or(0, |newline| newline + 1);
        let line = head.bytes().filter(|byte| *byte == b'\n').count() + 1;
        let column = head.get(line_start..).unwrap_or_default().chars().count() + 1;
        (u32::try_from(line).unwrap_or(u32::MAX), u32::try_from(column).unwrap_or(u32::MAX))
    }

    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    fn field_error(&self, mistake: &Mistake) -> FieldError {
        let place = mistake.span.as_ref().map(|span| self.line_column(span.start));
        FieldError {
            pointer: mistake.pointer.clone(),
            line: place.map(|(line, _)| line),
            column: place.map(|(_, column)| column),
            code: Some(mistake.code.as_str().to_owned()),
            message: mistake.message.clone(),
            help: mistake.help.clone(),
        }
    }
}

impl fmt::Display for Report {
    /// One line a mistake: `error[ND0110] nextdeploy.yml:12:7: unknown key …; help: …`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, mistake) in self.mistakes.iter().enumerate() {
            if index > 0 {
                f.write_str("\n")?;
            }
            write!(f, "{}[{}] {}", mistake.severity.as_str(), mistake.code, self.name)?;
            match (&mistake.span, &mistake.pointer) {
                (Some(span), _) => {
                    let (line, column) = self.line_column(span.start);
                    write!(f, ":{line}:{column}: ")?;
                }
                (None, Some(pointer)) if !pointer.is_empty() => write!(f, " {pointer}: ")?,
                (None, _) => f.write_str(": ")?,
            }
            f.write_str(&mistake.message)?;
            if let Some(help) = &mistake.help {
                write!(f, "; help: {help}")?;
            }
        }
        Ok(())
    }
}
