//! `rollback`.

use nd_api::v1::RollbackBody;

use super::{Context, Outcome, follow};
use crate::args::RollbackArgs;
use crate::failure::Failure;
use crate::targets;

pub(super) async fn run(args: &RollbackArgs, context: &Context<'_>) -> Outcome {
    let (app, to) = match args.words.as_slice() {
        [] => (None, args.to.clone()),
        [word] if args.name.is_some() || word.starts_with("dpl_") => (None, Some(word.clone())),
        [app] => (Some(app.as_str()), args.to.clone()),
        [app, to, ..] => (Some(app.as_str()), Some(to.clone())),
    };
    if to.is_some() && args.steps.is_some() {
        return Err(Failure::usage("say either a deployment or --steps"));
    }
    let app = targets::one(app, args.name.as_deref(), context.global)?;
    let body = RollbackBody { to, steps: args.steps, message: args.message.clone() };
    let view = context.client.rollback(&app, &body).await?;
    follow::finish(view, &args.wait, context).await
}
