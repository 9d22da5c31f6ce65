//! `deployments`, `cancel` and `promote`.

use nd_api::v1::{DeploymentStatus, DeploymentView, PageQuery};

use super::{Context, Outcome, follow};
use crate::args::{DeploymentListArgs, DeploymentsArgs, DeploymentsVerb};
use crate::failure::Exit;
use crate::render;
use crate::targets;

pub(super) async fn run(args: &DeploymentsArgs, context: &Context<'_>) -> Outcome {
    match &args.verb {
        None => list(&args.list, context).await,
        Some(DeploymentsVerb::Ls(args)) => list(args, context).await,
        Some(DeploymentsVerb::Show { deployment }) => show(deployment, context).await,
        Some(DeploymentsVerb::Logs { deployment, follow }) => logs(deployment, *follow, context).await,
    }
}

async fn list(args: &DeploymentListArgs, context: &Context<'_>) -> Outcome {
    if let Some(id) = args.target.as_deref().filter(|target| target.starts_with(targets::DEPLOYMENT)) {
        return show(id, context).await;
    }
    let app = targets::one(args.target.as_deref(), args.name.as_deref(), context.global)?;
    let page = PageQuery { limit: Some(args.limit), cursor: None };
    let deployments = context.client.deployments(&app, &page).await?.items;
    let output = context.output;
    if output.json {
        output.list(&deployments);
    } else if deployments.is_empty() {
        output.note(&format!("{app} has no deployments"));
    } else {
        output.result(&render::deployment::table(&deployments, render::table::width(), output));
    }
    Ok(Exit::Ok)
}

async fn show(word: &str, context: &Context<'_>) -> Outcome {
    let id = targets::deployment(word, &context.client).await?;
    let view = context.client.deployment(&id).await?;
    let output = context.output;
    if output.json {
        output.object(&view);
    } else {
        output.result(&render::deployment::one(&view, output));
    }
    Ok(Exit::Ok)
}

/// The steps so far are the result here; `--follow` goes on as the command does that began the deployment.
async fn logs(word: &str, to_its_end: bool, context: &Context<'_>) -> Outcome {
    let id = targets::deployment(word, &context.client).await?;
    let view = context.client.deployment(&id).await?;
    if to_its_end && is_under_way(&view) {
        return follow::watch(&view, context).await;
    }
    let output = context.output;
    for record in context.client.deployment_log(&id).await?.items {
        let goes_on =
            if output.json { output.line(&record) } else { output.stream(&render::steps::plain(&record)) };
        if !goes_on {
            break;
        }
    }
    Ok(Exit::Ok)
}

fn is_under_way(view: &DeploymentView) -> bool {
    matches!(view.status, DeploymentStatus::Queued | DeploymentStatus::Running)
}

pub(super) async fn cancel(word: &str, context: &Context<'_>) -> Outcome {
    let id = targets::deployment(word, &context.client).await?;
    let view = context.client.cancel(&id).await?;
    if context.output.json {
        context.output.object(&view);
    } else {
        context
            .output
            .result(&format!("{} is being cancelled; {} goes back to what served before", view.id, view.app));
    }
    Ok(Exit::Ok)
}

pub(super) async fn promote(word: &str, context: &Context<'_>) -> Outcome {
    let id = targets::deployment(word, &context.client).await?;
    let view = context.client.promote(&id).await?;
    if context.output.json {
        context.output.object(&view);
    } else {
        context.output.result(&format!("{} is being promoted; {} goes over to it", view.id, view.app));
    }
    Ok(Exit::Ok)
}
