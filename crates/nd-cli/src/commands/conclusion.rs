//! What is said at the end of a deployment, by its last record.

use std::fmt::Write as _;

use nd_api::v1::{DeploymentStatus, DeploymentView, StepRecord};

use super::Outcome;
use crate::failure::{Exit, Failure};
use crate::github;
use crate::output::Output;
use crate::render::steps::Steps;
use crate::render::time;

/// Prints the URL, or says why there is none; and writes the summary of the job where one is read.
pub(super) fn told(begun: &DeploymentView, record: &StepRecord, steps: &Steps, output: &Output) -> Outcome {
    let outcome = if record.status == Some(DeploymentStatus::Succeeded) {
        succeeded(begun, record, output);
        Ok(Exit::Ok)
    } else {
        Err(failed(begun, record))
    };
    if output.github
        && let Err(error) = github::summarise(&summary(begun, record, steps, outcome.as_ref().err()))
    {
        output.warning(&format!("the job's summary was not written: {error}"));
    }
    outcome
}

fn succeeded(begun: &DeploymentView, record: &StepRecord, output: &Output) {
    let took = record.ms.map(time::took).unwrap_or_default();
    let url = record.url.as_deref().unwrap_or("no port, nothing to visit");
    let undo = match &record.previous {
        Some(_) => format!("   undo: nextdeploy rollback {}", begun.app),
        None => String::new(),
    };
    output.note(&format!("  {} {url}  {took}{}", output.good_err("Ready    "), output.dim_err(&undo)));
    if let Some(url) = record.url.as_ref().filter(|_| !output.json) {
        output.result(url);
    }
}

fn failed(begun: &DeploymentView, record: &StepRecord) -> Failure {
    let app = &begun.app;
    let says = |what: &str| record.data.as_ref().and_then(|data| data.get(what)?.as_bool());
    let lost = says("lost") == Some(true);
    let exit = if lost { Exit::Lost } else { Exit::Failed };
    let title = match (record.status, &record.previous) {
        (Some(DeploymentStatus::Cancelled), _) => format!("{} was cancelled", begun.id),
        _ if lost => format!("{app} was not deployed, and what served before does not serve any more"),
        (_, Some(previous)) if says("old_serves") != Some(false) => {
            format!("{app} was not deployed; traffic stayed on release {previous}")
        }
        _ => format!("{app} was not deployed"),
    };
    let mut failure = match &record.error {
        Some(error) => Failure::deployment(title, error.clone(), exit),
        None => Failure::new(exit, title),
    };
    if failure.fix.is_empty() {
        failure.fix.push(format!("nextdeploy logs {app} -n 50"));
    }
    failure
}

/// Markdown for the page of a job: what happened, the steps with their times, and what to do.
fn summary(begun: &DeploymentView, record: &StepRecord, steps: &Steps, failure: Option<&Failure>) -> String {
    let took = record.ms.map(|ms| format!(" {}", time::took(ms))).unwrap_or_default();
    let mut text = match (failure, &record.url) {
        (None, Some(url)) => format!("### {} is deployed: {url}\n\n", begun.app),
        (None, None) => format!("### {} is deployed\n\n", begun.app),
        (Some(failure), _) => format!("### {}\n\n", github::cell(&failure.title)),
    };
    let mut line = |line: std::fmt::Arguments<'_>| {
        // Writing to a String does not fail.
        writeln!(text, "{line}").ok();
    };
    line(format_args!("`{}`{took}\n", begun.id));
    line(format_args!("| step | result | took | |\n|---|---|---|---|"));
    for step in steps.ended() {
        let took = step.ms.map(time::took).unwrap_or_default();
        let state = crate::render::steps::state(step.state);
        line(format_args!("| {} | {state} | {took} | {} |", step.step, github::cell(&step.message)));
    }
    let Some(failure) = failure else { return text };
    if let Some(what) = &failure.what {
        line(format_args!("\n**what** {}", github::cell(what)));
    }
    if let Some(why) = failure.why.as_deref().or_else(|| failure.unexplained.then_some("cause unknown")) {
        line(format_args!("\n**why** {}", github::cell(why)));
    }
    if !failure.logs.is_empty() {
        line(format_args!("\n{}", github::fenced(&failure.logs)));
    }
    for fix in &failure.fix {
        line(format_args!("\n**fix** {}", github::cell(fix)));
    }
    text
}

#[cfg(test)]
mod tests {
    use nd_api::v1::Diagnosis;

    use super::*;

    fn begun() -> DeploymentView {
        serde_json::from_str(
            r#"{"id":"dpl_8f3k2a1","app":"shop","status":"running","started_at":"2026-01-01T00:00:00Z"}"#,
        )
        .unwrap()
    }

    fn record(text: &str) -> StepRecord {
        serde_json::from_str(text).unwrap()
    }

    fn steps() -> Steps {
        let output = Output::silent();
        let mut steps = Steps::new(&begun(), &output);
        for text in [
            r#"{"seq":1,"ts":"2026-01-01T00:00:00Z","step":"start","state":"start"}"#,
            r#"{"seq":2,"ts":"2026-01-01T00:00:01Z","step":"start","state":"ok","ms":1200,"message":"shop-8f3k2a-1"}"#,
            r#"{"seq":3,"ts":"2026-01-01T00:00:02Z","step":"health","state":"fail","ms":30,"message":"a | b"}"#,
        ] {
            steps.show(&record(text));
        }
        steps
    }

    #[test]
    fn the_summary_of_a_job_says_where_it_answers() {
        let last = record(
            r#"{"seq":9,"ts":"2026-01-01T00:00:02Z","step":"done","state":"ok","ms":1900,"url":"https://shop.example","status":"succeeded"}"#,
        );
        insta::assert_snapshot!(summary(&begun(), &last, &steps(), None));
    }

    #[test]
    fn the_summary_of_a_job_says_what_failed_and_why() {
        let mut last =
            record(r#"{"seq":9,"ts":"2026-01-01T00:00:02Z","step":"done","state":"fail","status":"failed"}"#);
        last.error = Some(Diagnosis {
            what: "container exited with code 1".to_owned(),
            probe: Some("GET :3000/health: connection refused".to_owned()),
            logs: vec!["Error: no DATABASE_URL".to_owned()],
            fix: vec!["set DATABASE_URL".to_owned()],
            ..Diagnosis::default()
        });
        let failure = failed(&begun(), &last);
        assert_eq!(failure.exit, Exit::Failed);
        insta::assert_snapshot!(summary(&begun(), &last, &steps(), Some(&failure)));
    }

    #[test]
    fn a_release_that_took_the_old_one_with_it_is_exit_code_10() {
        let last = record(
            r#"{"seq":9,"ts":"2026-01-01T00:00:02Z","step":"done","state":"fail","status":"failed","previous":"aaaaaa","data":{"old_serves":false,"lost":true}}"#,
        );
        assert_eq!(failed(&begun(), &last).exit.code(), 10);
    }
}
