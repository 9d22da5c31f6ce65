//! `check` of a file: reads the project's file and says what is wrong with it. The daemon is not asked.

use std::path::Path;

use nd_config::{Report, Severity, Workload};
use serde::Serialize;

use crate::args::Global;
use crate::commands::{Outcome, config};
use crate::failure::{Exit, Failure};
use crate::output::Output;
use crate::project;

/// What `--json` prints.
#[derive(Serialize)]
struct CheckView {
    file: String,
    errors: usize,
    warnings: usize,
    mistakes: Vec<MistakeView>,
}

#[derive(Serialize)]
struct MistakeView {
    severity: &'static str,
    code: &'static str,
    message: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    help: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pointer: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    line: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    column: Option<u32>,
    /// In bytes, from and to.
    #[serde(skip_serializing_if = "Option::is_none")]
    span: Option<[usize; 2]>,
}

pub(super) fn run(file: Option<&Path>, strict: bool, global: &Global, output: &Output) -> Outcome {
    let path = config::project_file(file, global)
        .ok_or_else(|| Failure::usage("there is no nextdeploy.yml here").fix("nextdeploy check FILE"))?;
    let report = match project::read(&path, global.env, Workload::Required) {
        Ok(read) => read.notes,
        Err(failure) => match failure.report {
            Some(report) => report,
            None => return Err(failure),
        },
    };
    let (errors, warnings) = (count(&report, Severity::Error), count(&report, Severity::Warning));
    if output.json {
        let mistakes = report.mistakes().iter().map(|mistake| view(&report, mistake)).collect();
        output.object(&CheckView { file: path.display().to_string(), errors, warnings, mistakes });
    } else {
        output.report(&report);
        if errors == 0 && warnings == 0 {
            output.result(&format!("{} is in order", path.display()));
        } else {
            let (errors, warnings) = (counted(errors, "error"), counted(warnings, "warning"));
            output.result(&format!("{}: {errors}, {warnings}", path.display()));
        }
    }
    let found = errors > 0 || (strict && warnings > 0);
    Ok(if found { Exit::Found } else { Exit::Ok })
}

fn counted(count: usize, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}

fn count(report: &Report, severity: Severity) -> usize {
    report.mistakes().iter().filter(|mistake| mistake.severity == severity).count()
}

fn view(report: &Report, mistake: &nd_config::Mistake) -> MistakeView {
    let place = mistake.span.as_ref().map(|span| report.line_column(span.start));
    MistakeView {
        severity: mistake.severity.as_str(),
        code: mistake.code.as_str(),
        message: mistake.message.clone(),
        help: mistake.help.clone(),
        pointer: mistake.pointer.clone(),
        line: place.map(|(line, _)| line),
        column: place.map(|(_, column)| column),
        span: mistake.span.as_ref().map(|span| [span.start, span.end]),
    }
}
