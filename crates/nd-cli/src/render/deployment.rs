//! Deployments: the table of an app's, and one with all there is to know.

use nd_api::v1::{DeploymentStatus, DeploymentView};

use super::table::{Column, Layouts, Text, Tone};
use super::time;
use crate::output::Output;

type Of = Column<DeploymentView>;

const ID: Of = Column { name: "deployment", cell: |view| Text::plain(view.id.as_str()) };
const RELEASE: Of = Column { name: "release", cell: |view| Text::shown_or_dash(view.release.as_ref()) };
const STATUS: Of = Column { name: "status", cell: status };
const WHEN: Of =
    Column { name: "when", cell: |view| Text::plain(format!("{} ago", time::ago(view.started_at))) };
const TOOK: Of = Column { name: "took", cell: |view| Text::or_dash(took(view)) };
const STRATEGY: Of = Column { name: "strategy", cell: |view| Text::shown_or_dash(view.strategy.as_ref()) };
const BY: Of = Column { name: "by", cell: |view| Text::or_dash(view.actor.clone()) };
const ABOUT: Of = Column { name: "about", cell: |view| Text::plain(about(view)) };

const LAYOUTS: Layouts<DeploymentView> = Layouts {
    columns: &[
        &[ID, RELEASE, STATUS, WHEN, TOOK, STRATEGY, BY],
        &[ID, RELEASE, STATUS, WHEN, TOOK],
        &[ID, STATUS, WHEN],
    ],
    last: ABOUT,
};

/// The table of an app's deployments.
pub(crate) fn table(deployments: &[DeploymentView], width: usize, output: &Output) -> String {
    LAYOUTS.table(deployments, width, output)
}

/// One deployment.
pub(crate) fn one(deployment: &DeploymentView, output: &Output) -> String {
    let Text(word, _) = status(deployment);
    let mut lines = vec![format!("{} {} {word}", output.bold(deployment.id.as_str()), deployment.app)];
    let mut row =
        |name: &str, text: &str| lines.push(format!("  {} {text}", output.dim(&format!("{name:<9}"))));
    let optional = [
        ("release", deployment.release.as_ref().map(ToString::to_string)),
        ("before", deployment.previous.as_ref().map(ToString::to_string)),
        ("runs", deployment.source.clone()),
        ("strategy", deployment.strategy.map(|strategy| strategy.to_string())),
        ("by", deployment.actor.clone()),
        ("message", deployment.message.clone()),
        ("started", Some(time::date_clock(deployment.started_at))),
        ("took", took(deployment)),
        ("swap", deployment.receipt.map(|receipt| receipt.to_string())),
        ("url", deployment.url.clone().filter(|_| deployment.serving)),
    ];
    for (name, text) in optional {
        if let Some(text) = text {
            row(name, &text);
        }
    }
    if let Some(error) = &deployment.error {
        row("what", &error.what);
        row("why", error.why.as_deref().unwrap_or("cause unknown"));
        error.logs.iter().for_each(|line| row("log", line));
        error.fix.iter().for_each(|fix| row("fix", fix));
    }
    deployment.notes.iter().for_each(|note| row("note", note));
    row("steps", &format!("nextdeploy deployments logs {}", deployment.id));
    lines.join("\n")
}

fn status(deployment: &DeploymentView) -> Text {
    let word = deployment.status.to_string().replace('_', " ");
    match deployment.status {
        DeploymentStatus::Succeeded if deployment.serving => Text(format!("{word}, serving"), Tone::Good),
        DeploymentStatus::Succeeded => Text(word, Tone::Plain),
        DeploymentStatus::Failed | DeploymentStatus::RolledBack => Text(word, Tone::Bad),
        DeploymentStatus::Cancelled => Text(word, Tone::Dim),
        DeploymentStatus::Queued | DeploymentStatus::Running => Text(word, Tone::Odd),
    }
}

fn took(deployment: &DeploymentView) -> Option<String> {
    let span = deployment.finished_at?.duration_since(deployment.started_at);
    Some(time::took(u64::try_from(span.as_millis()).unwrap_or(0)))
}

/// The reason where it failed, else what its author said.
fn about(deployment: &DeploymentView) -> String {
    let reason = deployment.error.as_ref().map(|error| error.what.clone());
    reason.or_else(|| deployment.message.clone()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn deployments() -> Vec<DeploymentView> {
        serde_json::from_str(
            r#"[
            {"id":"dpl_8f3k2a1","app":"shop","release":"8f3k2a","previous":"7c1d09","status":"succeeded","serving":true,
             "started_at":"1970-01-01T00:00:00Z","finished_at":"1970-01-01T00:00:31.1Z","strategy":"bluegreen",
             "actor":"ana","message":"fix cart"},
            {"id":"dpl_6aa0e1b","app":"shop","release":"6aa0e1","status":"failed",
             "started_at":"1970-01-01T00:00:00Z","finished_at":"1970-01-01T00:00:02.3Z","strategy":"bluegreen","actor":"ci",
             "error":{"what":"container exited with code 1 after 2.3s, 1 of 20 probes sent (GET :3000/health, connection refused)",
                      "fix":["nextdeploy logs shop -n 50"],"logs":["Error: no DATABASE_URL"]}}]"#,
        )
        .unwrap()
    }

    #[test]
    fn the_table_of_deployments_adapts_to_the_terminal() {
        for width in [60, 80, 120] {
            let table = table(&deployments(), width, &Output::default());
            assert!(table.lines().all(|line| line.chars().count() <= width), "{width}\n{table}");
        }
    }

    #[test]
    fn a_deployment_is_shown_with_its_cause() {
        let views = deployments();
        let shown: Vec<_> = views.iter().map(|view| one(view, &Output::default())).collect();
        let text = shown.join("\n\n");
        let text: Vec<_> = text.lines().filter(|line| !line.contains("started")).collect();
        insta::assert_snapshot!(text.join("\n"));
    }
}
