//! Reports as rustc-like snippets.

use std::ops::Range;

use annotate_snippets::{AnnotationKind, Group, Level, Renderer, Snippet};

use super::{Colour, Mistake, Report, Severity};

/// Renders every mistake with the lines it stands in.
pub(super) fn snippets(report: &Report, colour: Colour) -> String {
    let renderer = match colour {
        Colour::Always => Renderer::styled(),
        Colour::Never => Renderer::plain(),
    };
    let mut out = String::new();
    for mistake in report.mistakes() {
        out.push_str(&renderer.render(&[group(report, mistake)]));
        out.push_str("\n\n");
    }
    out.pop();
    out
}

fn group<'a>(report: &'a Report, mistake: &'a Mistake) -> Group<'a> {
    let level = match mistake.severity {
        Severity::Error => Level::ERROR,
        Severity::Warning => Level::WARNING,
        Severity::Note => Level::NOTE,
    };
    let message = match (&mistake.span, mistake.pointer.as_deref()) {
        (None, Some(pointer)) if !pointer.is_empty() => format!("{pointer}: {}", mistake.message),
        _ => mistake.message.clone(),
    };
    let mut group = Group::with_title(level.primary_title(message).id(mistake.code.as_str()));
    if let Some(span) = &mistake.span {
        let mut snippet = Snippet::source(report.text())
            .path(report.name())
            .annotation(AnnotationKind::Primary.span(visible(report.text(), span)));
        if let Some(related) = &mistake.related {
            let place = visible(report.text(), &related.span);
            snippet = snippet.annotation(AnnotationKind::Context.span(place).label(related.label.as_str()));
        }
        group = group.element(snippet);
    }
    match &mistake.help {
        Some(help) => group.element(Level::HELP.message(help.as_str())),
        None => group,
    }
}

/// A place cut to the first line it stands in and to whole characters, so that a long section shows its beginning.
fn visible(text: &str, span: &Range<usize>) -> Range<usize> {
    let floor = |at: usize| (0..=at.min(text.len())).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
    let start = floor(span.start);
    let end = floor(span.end).max(start);
    let line = text.get(start..end).and_then(|place| place.lines().next()).unwrap_or_default();
    start..start + line.trim_end().len()
}
