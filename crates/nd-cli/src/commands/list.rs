//! `ls`, once or again and again.

use nd_api::v1::AppView;

use super::{Context, Outcome};
use crate::args::ListArgs;
use crate::failure::Exit;
use crate::render;
use crate::watch;

pub(super) async fn run(args: &ListArgs, context: &Context<'_>) -> Outcome {
    let output = context.output;
    if args.watch && output.json {
        return watch::stream(async || Ok(output.line(&Apps { apps: context.client.apps().await? }))).await;
    }
    if args.watch {
        return watch::screen(async || Ok(text(&context.client.apps().await?, context)), output).await;
    }
    let apps = context.client.apps().await?;
    if output.json {
        output.list(&apps);
        return Ok(Exit::Ok);
    }
    output.result(&text(&apps, context));
    if apps.is_empty() {
        output.note("deploy one: nextdeploy deploy --name APP --image REF --port PORT");
    }
    Ok(Exit::Ok)
}

/// What `--watch --json` prints each time.
#[derive(serde::Serialize)]
struct Apps {
    apps: Vec<AppView>,
}

fn text(apps: &[AppView], context: &Context<'_>) -> String {
    let count = format!("Monitoring {} applications", apps.len());
    if apps.is_empty() {
        return count;
    }
    format!("{}\n{count}", render::app::apps(apps, render::table::width(), context.output))
}
