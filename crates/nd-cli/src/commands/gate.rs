//! `maintenance`, `pause` and `resume`.

use nd_api::v1::MaintenanceBody;

use super::verbs::each;
use super::{Context, Outcome};
use crate::args::{AppsArgs, GateVerb, MaintenanceArgs, PauseArgs, Switch};
use crate::targets;

pub(super) async fn run(verb: &GateVerb, context: &Context<'_>) -> Outcome {
    match verb {
        GateVerb::Maintenance(args) => maintenance(args, context).await,
        GateVerb::Pause(args) => pause(args, context).await,
        GateVerb::Resume(args) => resume(args, context).await,
    }
}

async fn maintenance(args: &MaintenanceArgs, context: &Context<'_>) -> Outcome {
    let apps = targets::several(&args.apps, &args.name, context.global, &context.client).await?;
    let wait = args.wait.limit().unwrap_or_default();
    let seconds = |length: std::time::Duration| u32::try_from(length.as_secs()).unwrap_or(u32::MAX);
    let on = args.to == Switch::On;
    let body = MaintenanceBody { on, retry_after_s: args.retry_after.map(seconds) };
    let done = if on { "under maintenance" } else { "no longer under maintenance" };
    each(&apps, done, &args.wait, context, |app| context.client.maintenance(app, body, wait)).await
}

async fn pause(args: &PauseArgs, context: &Context<'_>) -> Outcome {
    let AppsArgs { apps, name, wait } = &args.apps;
    let apps = targets::several(apps, name, context.global, &context.client).await?;
    let limit = wait.limit().unwrap_or_default();
    each(&apps, "paused", wait, context, |app| context.client.pause(app, args.length, limit)).await
}

async fn resume(args: &AppsArgs, context: &Context<'_>) -> Outcome {
    let apps = targets::several(&args.apps, &args.name, context.global, &context.client).await?;
    let wait = args.wait.limit().unwrap_or_default();
    each(&apps, "resumed", &args.wait, context, |app| context.client.resume(app, wait)).await
}
