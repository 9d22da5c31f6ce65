//! The block that says what failed, why, and what to type.

use crate::failure::Failure;
use crate::output::Output;

/// `error[ND1207]: …` with a row for each thing that is known.
pub(crate) fn block(failure: &Failure, output: &Output) -> String {
    let head = failure.code.as_ref().map_or_else(|| "error".to_owned(), |code| format!("error[{code}]"));
    let mut lines = vec![format!("{} {}", output.bad_err(&format!("{head}:")), failure.title)];
    let mut row = |name: &str, text: &str| {
        lines.push(format!("  {} {text}", output.bold_err(&format!("{:<5}", format!("{name}:")))));
    };
    for error in failure.errors.iter().filter(|error| error.message != failure.title) {
        let help = error.help.as_ref().map(|help| format!("; {help}")).unwrap_or_default();
        match error.pointer.as_deref().filter(|pointer| !pointer.is_empty()) {
            Some(pointer) => row("at", &format!("{pointer}: {}{help}", error.message)),
            None => row("what", &format!("{}{help}", error.message)),
        }
    }
    if let Some(what) = &failure.what {
        row("what", what);
    }
    match &failure.why {
        Some(why) => row("why", why),
        None if failure.unexplained => row("why", "cause unknown"),
        None => {}
    }
    if !failure.logs.is_empty() {
        let how_many = match failure.logs.len() {
            1 => "the last line".to_owned(),
            count => format!("the last {count} lines"),
        };
        row("logs", &how_many);
        for line in &failure.logs {
            lines.push(format!("        {} {line}", output.dim_err("│")));
        }
    }
    for fix in &failure.fix {
        lines.push(format!("  {} {fix}", output.bold_err("fix: ")));
    }
    if let Some(code) = failure.code.as_deref().filter(|_| failure.what.is_some()) {
        lines.push(format!("  {} nextdeploy explain {code}", output.bold_err("more:")));
    }
    lines.join("\n")
}
