//! `rollback`.

use nd_api::v1::RollbackBody;
use nd_types::DeploymentId;

use super::{Context, Outcome, follow};
use crate::args::RollbackArgs;
use crate::failure::Failure;
use crate::targets;

pub(super) async fn run(args: &RollbackArgs, context: &Context<'_>) -> Outcome {
    let (app, to) = match args.words.as_slice() {
        [] => (None, args.to.clone()),
        [word] if args.name.is_some() || word.starts_with(targets::DEPLOYMENT) => (None, Some(word.clone())),
        [app] => (Some(app.as_str()), args.to.clone()),
        [app, to, ..] => (Some(app.as_str()), Some(to.clone())),
    };
    if to.is_some() && args.steps.is_some() {
        return Err(Failure::usage("say either a deployment or --steps"));
    }
    let app = match to.as_deref().map(str::parse::<DeploymentId>) {
        // A deployment knows its app.
        Some(Ok(id)) if app.is_none() && args.name.is_none() => context.client.deployment(&id).await?.app,
        _ => targets::one(app, args.name.as_deref(), context.global)?,
    };
    let body = RollbackBody { to, steps: args.steps, message: args.message.clone() };
    let view = context.client.rollback(&app, &body).await?;
    follow::finish(view, &args.wait, context).await
}
