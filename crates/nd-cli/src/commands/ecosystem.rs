//! `ecosystem`: apps as a tree. With a file it imports it: see `import`.

use super::{Context, Outcome};
use crate::args::EcosystemArgs;
use crate::failure::Exit;
use crate::render;
use crate::targets;

pub(super) async fn run(args: &EcosystemArgs, context: &Context<'_>) -> Outcome {
    let names = match &args.name {
        Some(name) => vec![targets::parse(name)?],
        None => context.client.apps().await?.into_iter().map(|app| app.name).collect(),
    };
    let mut apps = Vec::with_capacity(names.len());
    for name in &names {
        // Whole views: lists come without instances and without what a release says.
        apps.push(context.client.app(name).await?);
    }
    let output = context.output;
    if output.json {
        output.list(&apps);
    } else if apps.is_empty() {
        output
            .note("there are no apps yet; deploy one: nextdeploy deploy --name APP --image REF --port PORT");
    } else {
        output.result(&render::tree::apps(&apps, output));
    }
    Ok(Exit::Ok)
}
