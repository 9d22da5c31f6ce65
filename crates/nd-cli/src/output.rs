//! Where everything that is printed goes: results to standard output, all else to standard error.

mod json;

use std::io::{IsTerminal, Write};

use anstyle::{AnsiColor, Style};
use nd_config::{Colour, Report, Severity};
use serde::Serialize;

use crate::args::{ColorWhen, Fields, Global};
use crate::failure::Failure;
use crate::github::{self, Annotation, Grade};
use crate::render;
use json::Shown;

const RED: Style = AnsiColor::Red.on_default().bold();
const YELLOW: Style = AnsiColor::Yellow.on_default();
const GREEN: Style = AnsiColor::Green.on_default();
const DIM: Style = Style::new().dimmed();
const BOLD: Style = Style::new().bold();

/// How to print.
#[derive(Clone, Debug, Default)]
pub(crate) struct Output {
    pub(crate) json: bool,
    pub(crate) quiet: bool,
    pub(crate) verbose: bool,
    /// Whether standard error is a person who watches.
    pub(crate) live: bool,
    /// Whether standard output is a terminal whose text can be drawn over.
    pub(crate) redraws: bool,
    /// Whether somebody can be asked.
    pub(crate) asks: bool,
    /// Whether GitHub Actions reads along.
    pub(crate) github: bool,
    /// What of a view `--json` prints.
    fields: Fields,
    colour_out: bool,
    colour_err: bool,
}

impl Output {
    pub(crate) fn new(global: &Global) -> Self {
        let env = |name: &str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
        let dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
        let plain = env("NO_COLOR") || dumb;
        let wants = |terminal: bool| match global.color {
            _ if global.no_color => false,
            ColorWhen::Always => true,
            ColorWhen::Never => false,
            ColorWhen::Auto => terminal && !plain,
        };
        let (out, err) = (std::io::stdout().is_terminal(), std::io::stderr().is_terminal());
        let json = global.json.is_some();
        Self {
            json,
            quiet: global.quiet,
            verbose: global.verbose > 0,
            live: err && !dumb && !env("CI") && !global.quiet && !json,
            redraws: out && !dumb,
            asks: std::io::stdin().is_terminal() && err && !global.no_input,
            github: github::is_here(),
            fields: global.json.clone().unwrap_or_default(),
            colour_out: wants(out),
            colour_err: wants(err),
        }
    }

    /// Plain, and nothing but results.
    #[cfg(test)]
    pub(crate) fn silent() -> Self {
        Self { quiet: true, ..Self::default() }
    }

    /// A result.
    pub(crate) fn result(&self, text: &str) {
        // A reader that went away (`| head`) is no mistake of ours.
        writeln!(anstream::stdout(), "{text}").ok();
    }

    /// One object as JSON, with its version in front.
    pub(crate) fn object(&self, view: &impl Serialize) {
        if let Ok(text) = serde_json::to_string_pretty(&self.shown(view)) {
            self.result(&text);
        }
    }

    /// A list as JSON, each entry with its version.
    pub(crate) fn list<T: Serialize>(&self, views: &[T]) {
        let views: Vec<_> = views.iter().map(|view| self.shown(view)).collect();
        if let Ok(text) = serde_json::to_string_pretty(&views) {
            self.result(&text);
        }
    }

    /// One entry of a stream as JSON. False: nobody reads any more.
    pub(crate) fn line(&self, view: &impl Serialize) -> bool {
        match serde_json::to_string(&self.shown(view)) {
            Ok(text) => self.stream(&text),
            Err(_) => true,
        }
    }

    /// One line of a stream. False: nobody reads any more.
    pub(crate) fn stream(&self, text: &str) -> bool {
        writeln!(anstream::stdout(), "{text}").is_ok()
    }

    /// Whether standard error takes more than errors. With `--json` a program reads both, and an error is all it expects.
    pub(crate) fn talks(&self) -> bool {
        !self.quiet && (!self.json || self.verbose)
    }

    /// What the user may like to know.
    pub(crate) fn note(&self, text: &str) {
        if self.talks() {
            eprintln!("{text}");
        }
    }

    /// What the user should know.
    pub(crate) fn warning(&self, text: &str) {
        self.note(&format!("{} {text}", self.err("note:", YELLOW)));
    }

    /// What is wrong with, or noteworthy in, a file.
    pub(crate) fn report(&self, report: &Report) {
        let colour = if self.colour_err { Colour::Always } else { Colour::Never };
        eprint!("{}", report.render(colour));
        if self.github {
            annotate(report);
        }
    }

    /// Why the command failed: a block for people, or one object for programs.
    pub(crate) fn failure(&self, failure: &Failure) {
        if self.json {
            return eprintln!("{}", failure.to_json());
        }
        if let Some(report) = &failure.report {
            return self.report(report);
        }
        eprintln!("{}", render::failure::block(failure, self));
        if self.github {
            let message = failure.what.as_deref().map(|what| format!("{}: {what}", failure.title));
            let message = message.as_deref().unwrap_or(&failure.title);
            let title = failure.code.as_deref();
            eprintln!("{}", Annotation { grade: Grade::Error, title, place: None, message }.command());
        }
    }

    /// Whether results are coloured.
    pub(crate) fn paints_results(&self) -> bool {
        self.colour_out
    }

    pub(crate) fn good(&self, text: &str) -> String {
        self.out(text, GREEN)
    }

    pub(crate) fn bad(&self, text: &str) -> String {
        self.out(text, RED)
    }

    pub(crate) fn odd(&self, text: &str) -> String {
        self.out(text, YELLOW)
    }

    pub(crate) fn dim(&self, text: &str) -> String {
        self.out(text, DIM)
    }

    pub(crate) fn bold(&self, text: &str) -> String {
        self.out(text, BOLD)
    }

    pub(crate) fn good_err(&self, text: &str) -> String {
        self.err(text, GREEN)
    }

    pub(crate) fn dim_err(&self, text: &str) -> String {
        self.err(text, DIM)
    }

    pub(crate) fn bad_err(&self, text: &str) -> String {
        self.err(text, RED)
    }

    pub(crate) fn bold_err(&self, text: &str) -> String {
        self.err(text, BOLD)
    }

    fn shown<'a, T: Serialize>(&'a self, view: &'a T) -> Shown<'a, T> {
        Shown { view, fields: self.fields.names() }
    }

    fn out(&self, text: &str, style: Style) -> String {
        painted(text, style, self.colour_out)
    }

    fn err(&self, text: &str, style: Style) -> String {
        painted(text, style, self.colour_err)
    }
}

fn annotate(report: &Report) {
    for mistake in report.mistakes() {
        let place = mistake.span.as_ref().map(|span| {
            let (line, column) = report.line_column(span.start);
            (report.name(), line, column)
        });
        let grade = match mistake.severity {
            Severity::Error => Grade::Error,
            Severity::Warning => Grade::Warning,
            Severity::Note => Grade::Notice,
        };
        let help = mistake.help.as_ref().map(|help| format!("; {help}")).unwrap_or_default();
        let message = format!("{}{help}", mistake.message);
        let title = Some(mistake.code.as_str());
        eprintln!("{}", Annotation { grade, title, place, message: &message }.command());
    }
}

fn painted(text: &str, style: Style, colour: bool) -> String {
    if colour { format!("{style}{text}{style:#}") } else { text.to_owned() }
}
