//! Plain rows, for a pipe, a file or a look in passing.

use nd_api::flat::SystemMetrics;
use nd_api::v1::AppView;
use nd_types::Timestamp;
use serde::Serialize;
use tokio::time::{MissedTickBehavior, interval};

use super::feed;
use crate::args::MonitArgs;
use crate::commands::{Context, Outcome};
use crate::failure::{Exit, Failure};
use crate::interrupt::Interrupts;
use crate::output::Output;
use crate::render;
use crate::targets;

/// What `--json` prints.
#[derive(Serialize)]
struct MonitView {
    at: Timestamp,
    host: SystemMetrics,
    apps: Vec<AppView>,
}

/// Prints rows once; with a pause and without `--once` again and again. The pause has to be written: a script that
/// forgot its terminal ends.
pub(super) async fn run(args: &MonitArgs, context: &Context<'_>) -> Outcome {
    let Some(pause) = args.interval.filter(|_| !args.once) else {
        let view = look(args, context).await?;
        if context.output.json {
            context.output.object(&view);
        } else {
            context.output.result(&text(&view, context.output));
        }
        return Ok(Exit::Ok);
    };
    let mut interrupts = Interrupts::new()?;
    let mut tick = interval(pause);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut is_first = true;
    loop {
        let looked = async {
            tick.tick().await;
            look(args, context).await
        };
        let looked = tokio::select! {
            looked = looked => looked,
            () = interrupts.pressed() => return Ok(Exit::Interrupted),
        };
        let is_read = match looked {
            Ok(view) if context.output.json => context.output.line(&view),
            Ok(view) => context.output.stream(&text(&view, context.output)),
            Err(failure) if is_first => return Err(failure),
            // It may come back.
            Err(failure) => {
                context.output.note(&failure.title);
                true
            }
        };
        if !is_read {
            return Ok(Exit::Ok);
        }
        is_first = false;
    }
}

async fn look(args: &MonitArgs, context: &Context<'_>) -> Result<MonitView, Failure> {
    let (mut apps, mut host) = feed::figures(&context.client).await?;
    // They stand beside it, whole.
    host.apps.clear();
    if let Some(name) = args.app.as_deref().or(args.name.as_deref()) {
        let name = targets::parse(name)?;
        apps.retain(|app| app.name == name);
        if apps.is_empty() {
            let title = format!("Application {name} not found in monitoring");
            return Err(Failure::new(Exit::NotFound, title).fix("nextdeploy ls"));
        }
    }
    Ok(MonitView { at: Timestamp::now(), host, apps })
}

fn text(view: &MonitView, output: &Output) -> String {
    let host = &view.host;
    let head = format!(
        "{}  host  cpu {:.0}%  memory {:.0}%  disk {:.0}%  up {}",
        output.dim(&render::time::clock(view.at)),
        host.cpu,
        host.memory,
        host.disk,
        host.uptime
    );
    if view.apps.is_empty() {
        return format!("{head}\nno apps");
    }
    format!("{head}\n{}", render::app::apps(&view.apps, render::table::width(), output))
}
