//! `scale APP N`, `scale --name=APP --instances=N`.

use nd_api::manifest::Instances;
use nd_types::AppName;

use super::{Context, Outcome, verbs};
use crate::args::ScaleArgs;
use crate::failure::Failure;
use crate::targets;

pub(super) async fn run(args: &ScaleArgs, context: &Context<'_>) -> Outcome {
    let (app, instances) = meant(args, context)?;
    let apps = [app];
    let wait = args.wait.limit().unwrap_or_default();
    let done = format!("scaled to {instances}");
    verbs::each(&apps, &done, &args.wait, context, |app| context.client.scale(app, instances, wait)).await
}

fn meant(args: &ScaleArgs, context: &Context<'_>) -> Result<(AppName, Instances), Failure> {
    let number = |text: &str| text.parse::<Instances>().map_err(|error| Failure::usage(error.to_string()));
    let app = |word: Option<&str>| targets::one(word, args.name.as_deref(), context.global);
    match (args.words.as_slice(), args.instances) {
        ([word, count], None) => Ok((app(Some(word))?, number(count)?)),
        ([word], Some(instances)) => Ok((app(Some(word))?, instances)),
        // Alone it is the number where the app is known otherwise.
        ([count], None) => Ok((app(None)?, number(count)?)),
        ([], Some(instances)) => Ok((app(None)?, instances)),
        _ => Err(Failure::usage("say how many instances").fix("nextdeploy scale APP N")),
    }
}
