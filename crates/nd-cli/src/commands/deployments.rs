//! `deployments` and `cancel`.

use nd_api::v1::{DeploymentStatus, DeploymentView, PageQuery};
use nd_types::DeploymentId;

use super::{Context, Outcome};
use crate::args::DeploymentsArgs;
use crate::failure::{Exit, Failure};
use crate::output::Output;
use crate::render::table::{Text, Tone, cut, render};
use crate::render::time;
use crate::targets;

pub(super) async fn run(args: &DeploymentsArgs, context: &Context<'_>) -> Outcome {
    if let Some(id) = args.target.as_deref().filter(|target| target.starts_with("dpl_")) {
        let view = context.client.deployment(&parse(id)?).await?;
        show(&view, context.output);
        return Ok(Exit::Ok);
    }
    // `ls` is the word of the resource's other commands; on its own it lists.
    let word = args.target.as_deref().filter(|target| *target != "ls");
    let app = targets::one(word, args.name.as_deref(), context.global)?;
    let page = PageQuery { limit: Some(args.limit), cursor: None };
    let deployments = context.client.deployments(&app, &page).await?.items;
    if context.output.json {
        context.output.list(&deployments);
    } else {
        context.output.result(&table(&deployments, context.output));
    }
    Ok(Exit::Ok)
}

pub(super) async fn cancel(deployment: &str, context: &Context<'_>) -> Outcome {
    let view = context.client.cancel(&parse(deployment)?).await?;
    if context.output.json {
        context.output.object(&view);
    } else {
        context
            .output
            .result(&format!("{} is being cancelled; {} goes back to what served before", view.id, view.app));
    }
    Ok(Exit::Ok)
}

fn parse(id: &str) -> Result<DeploymentId, Failure> {
    id.parse().map_err(|error: nd_types::InvalidId| Failure::usage(error.to_string()))
}

fn table(deployments: &[DeploymentView], output: &Output) -> String {
    let rows = deployments.iter().map(|deployment| {
        let (word, tone) = status(deployment);
        vec![
            Text::plain(deployment.id.as_str()),
            Text::or_dash(deployment.release.as_ref().map(ToString::to_string)),
            Text(word, tone),
            Text::plain(format!("{} ago", time::ago(deployment.started_at))),
            Text::or_dash(took(deployment)),
            Text::or_dash(deployment.strategy.map(|strategy| strategy.to_string())),
            Text::or_dash(deployment.actor.clone()),
            Text::plain(cut(&about(deployment), 60)),
        ]
    });
    let header = ["deployment", "release", "status", "when", "took", "strategy", "by", "about"];
    render(&header, rows.collect(), output)
}

/// The reason where it failed, else what its author said.
fn about(deployment: &DeploymentView) -> String {
    let reason = deployment.error.as_ref().map(|error| error.what.clone());
    reason.or_else(|| deployment.message.clone()).unwrap_or_default()
}

fn status(deployment: &DeploymentView) -> (String, Tone) {
    let word = deployment.status.to_string().replace('_', " ");
    match deployment.status {
        DeploymentStatus::Succeeded if deployment.serving => (format!("{word}, serving"), Tone::Good),
        DeploymentStatus::Succeeded => (word, Tone::Plain),
        DeploymentStatus::Failed | DeploymentStatus::RolledBack => (word, Tone::Bad),
        DeploymentStatus::Cancelled => (word, Tone::Dim),
        DeploymentStatus::Queued | DeploymentStatus::Running => (word, Tone::Odd),
    }
}

fn took(deployment: &DeploymentView) -> Option<String> {
    let span = deployment.finished_at?.duration_since(deployment.started_at);
    Some(time::took(u64::try_from(span.as_millis()).unwrap_or(0)))
}

fn show(deployment: &DeploymentView, output: &Output) {
    if output.json {
        return output.object(deployment);
    }
    let (word, _) = status(deployment);
    output.result(&format!("{} {} {word}", output.bold(deployment.id.as_str()), deployment.app));
    let row =
        |name: &str, text: &str| output.result(&format!("  {} {text}", output.dim(&format!("{name:<9}"))));
    let optional = [
        ("release", deployment.release.as_ref().map(ToString::to_string)),
        ("before", deployment.previous.as_ref().map(ToString::to_string)),
        ("strategy", deployment.strategy.map(|strategy| strategy.to_string())),
        ("by", deployment.actor.clone()),
        ("message", deployment.message.clone()),
        ("started", Some(time::date_clock(deployment.started_at))),
        ("took", took(deployment)),
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
}
