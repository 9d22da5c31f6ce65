//! Where everything that is printed goes: results to standard output, all else to standard error.

use std::io::{IsTerminal, Write};

use anstyle::{AnsiColor, Style};
use nd_api::v1::Versioned;
use nd_config::{Colour, Report};
use serde::Serialize;

use crate::args::{ColorWhen, Global};
use crate::failure::Failure;

const RED: Style = AnsiColor::Red.on_default().bold();
const YELLOW: Style = AnsiColor::Yellow.on_default();
const GREEN: Style = AnsiColor::Green.on_default();
const DIM: Style = Style::new().dimmed();
const BOLD: Style = Style::new().bold();

/// How to print.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Output {
    pub(crate) json: bool,
    pub(crate) quiet: bool,
    pub(crate) verbose: bool,
    /// Whether standard error is a person who watches.
    pub(crate) live: bool,
    /// Whether somebody can be asked.
    pub(crate) asks: bool,
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
        Self {
            json: global.json,
            quiet: global.quiet,
            verbose: global.verbose > 0,
            live: err && !dumb && !env("CI") && !global.quiet,
            asks: std::io::stdin().is_terminal() && err && !global.no_input,
            colour_out: wants(out),
            colour_err: wants(err),
        }
    }

    /// A result.
    pub(crate) fn result(&self, text: &str) {
        // A reader that went away (`| head`) is no mistake of ours.
        writeln!(anstream::stdout(), "{text}").ok();
    }

    /// One object as JSON, with its version in front.
    pub(crate) fn object(&self, view: &impl Serialize) {
        if let Ok(text) = serde_json::to_string_pretty(&Versioned::new(view)) {
            self.result(&text);
        }
    }

    /// A list as JSON, each entry with its version.
    pub(crate) fn list<T: Serialize>(&self, views: &[T]) {
        let views: Vec<_> = views.iter().map(Versioned::new).collect();
        if let Ok(text) = serde_json::to_string_pretty(&views) {
            self.result(&text);
        }
    }

    /// One entry of a stream as JSON. False: nobody reads any more.
    pub(crate) fn line(&self, view: &impl Serialize) -> bool {
        match serde_json::to_string(&Versioned::new(view)) {
            Ok(text) => writeln!(anstream::stdout(), "{text}").is_ok(),
            Err(_) => true,
        }
    }

    /// One line of a stream. False: nobody reads any more.
    pub(crate) fn stream(&self, text: &str) -> bool {
        writeln!(anstream::stdout(), "{text}").is_ok()
    }

    /// What the user may like to know.
    pub(crate) fn note(&self, text: &str) {
        if !self.quiet {
            eprintln!("{text}");
        }
    }

    /// What the user should know.
    pub(crate) fn warning(&self, text: &str) {
        if !self.quiet {
            eprintln!("{} {text}", self.err("note:", YELLOW));
        }
    }

    /// What is wrong with, or noteworthy in, a file.
    pub(crate) fn report(&self, report: &Report) {
        let colour = if self.colour_err { Colour::Always } else { Colour::Never };
        eprint!("{}", report.render(colour));
    }

    pub(crate) fn failure(&self, failure: &Failure) {
        if let Some(report) = &failure.report {
            self.report(report);
            return;
        }
        let head = failure.code.as_ref().map_or_else(|| "error".to_owned(), |code| format!("error[{code}]"));
        eprintln!("{} {}", self.err(&format!("{head}:"), RED), failure.title);
        let row = |name: &str, text: &str| eprintln!("  {} {text}", self.err(&format!("{name}:"), BOLD));
        for error in failure.errors.iter().filter(|error| error.message != failure.title) {
            let place = error.pointer.as_deref().unwrap_or_default();
            row(place, &error.message);
        }
        if let Some(what) = &failure.what {
            row("what", what);
        }
        match &failure.why {
            Some(why) => row("why", &format!(" {why}")),
            None if failure.what.is_some() => row("why", " cause unknown"),
            None => {}
        }
        if !failure.logs.is_empty() {
            let count = failure.logs.len();
            row("logs", &format!("the last {count} line{}", if count == 1 { "" } else { "s" }));
            for line in &failure.logs {
                eprintln!("        {} {line}", self.err("│", DIM));
            }
        }
        for fix in &failure.fix {
            row("fix", &format!(" {fix}"));
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

    fn out(&self, text: &str, style: Style) -> String {
        painted(text, style, self.colour_out)
    }

    fn err(&self, text: &str, style: Style) -> String {
        painted(text, style, self.colour_err)
    }
}

fn painted(text: &str, style: Style, colour: bool) -> String {
    if colour { format!("{style}{text}{style:#}") } else { text.to_owned() }
}
