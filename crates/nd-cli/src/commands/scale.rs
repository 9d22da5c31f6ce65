//! `scale APP N`, `scale APP +2`, `scale --name=APP --instances=N`.

use nd_api::manifest::Instances;
use nd_types::AppName;

use super::{Context, Outcome, verbs};
use crate::args::{Count, ScaleArgs};
use crate::failure::Failure;
use crate::targets;

pub(super) async fn run(args: &ScaleArgs, context: &Context<'_>) -> Outcome {
    let (app, count) = meant(args, context)?;
    let instances = match count {
        Count::Of(instances) => instances,
        Count::More(more) => changed(&app, i32::from(more.get()), context).await?,
        Count::Fewer(fewer) => changed(&app, -i32::from(fewer.get()), context).await?,
    };
    let apps = [app];
    let wait = args.wait.limit().unwrap_or_default();
    let done = format!("scaled to {instances}");
    verbs::each(&apps, &done, &args.wait, context, |app| context.client.scale(app, instances, wait)).await
}

fn meant(args: &ScaleArgs, context: &Context<'_>) -> Result<(AppName, Count), Failure> {
    let number = |text: &str| text.parse::<Count>().map_err(|error| Failure::usage(error.to_string()));
    let app = |word: Option<&str>| targets::one(word, args.name.as_deref(), context.global);
    match (args.words.as_slice(), args.instances) {
        ([word, count], None) => Ok((app(Some(word))?, number(count)?)),
        ([word], Some(count)) => Ok((app(Some(word))?, count)),
        // Alone it is the number where the app is known otherwise.
        ([count], None) => Ok((app(None)?, number(count)?)),
        ([], Some(count)) => Ok((app(None)?, count)),
        _ => Err(Failure::usage("say how many instances").fix("nextdeploy scale APP N")),
    }
}

/// So many more instances than are wanted now, or fewer.
async fn changed(app: &AppName, change: i32, context: &Context<'_>) -> Result<Instances, Failure> {
    let now = context.client.app(app).await?.instances.desired;
    let wanted = i64::from(now) + i64::from(change);
    if wanted < 1 {
        let title = format!("{app} has {now} of them, so {change} leaves none");
        return Err(Failure::usage(title).fix(format!("nextdeploy stop {app}")));
    }
    wanted.to_string().parse().map_err(|error| Failure::usage(format!("{app}: {error}")))
}
