//! `stop`, `restart`, `reload` and `flush`, of one app or several, and what they share with `start` and `scale`.

use nd_api::v1::{AppView, OperationView, Phase};
use nd_client::ClientError;
use nd_types::AppName;

use super::{Context, Outcome};
use crate::args::{AppsArgs, Command, WaitFlags};
use crate::failure::{Exit, Failure};
use crate::targets;

pub(super) async fn run(command: &Command, context: &Context<'_>) -> Outcome {
    match command {
        Command::Stop(args) => stop(args, context).await,
        Command::Restart(args) => restart(args, context).await,
        Command::Reload(args) => reload(args, context).await,
        _ => Ok(Exit::Ok),
    }
}

async fn stop(args: &AppsArgs, context: &Context<'_>) -> Outcome {
    let apps = targets::several(&args.apps, &args.name, context.global, &context.client).await?;
    let wait = args.wait.limit().unwrap_or_default();
    each(&apps, "stopped", &args.wait, context, |app| context.client.stop(app, wait)).await
}

async fn restart(args: &AppsArgs, context: &Context<'_>) -> Outcome {
    let apps = targets::several(&args.apps, &args.name, context.global, &context.client).await?;
    let wait = args.wait.limit().unwrap_or_default();
    each(&apps, "restarted", &args.wait, context, |app| context.client.restart(app, wait)).await
}

async fn reload(args: &AppsArgs, context: &Context<'_>) -> Outcome {
    let apps = targets::several(&args.apps, &args.name, context.global, &context.client).await?;
    let wait = args.wait.limit().unwrap_or_default();
    each(&apps, "reloaded", &args.wait, context, |app| context.client.reload_app(app, wait)).await
}

/// Does one thing to each app, and goes on when one of them fails.
pub(super) async fn each<'a, F>(
    apps: &'a [AppName],
    done: &str,
    wait: &WaitFlags,
    context: &Context<'_>,
    act: impl Fn(&'a AppName) -> F,
) -> Outcome
where
    F: Future<Output = Result<OperationView, ClientError>>,
{
    let mut views = Vec::new();
    let mut failures = Vec::new();
    let mut exit = Exit::Ok;
    for app in apps {
        match act(app).await {
            Ok(view) => {
                match said(&view, done, wait, context).await {
                    Ok(Exit::Ok) => {}
                    Ok(late) => exit = late,
                    Err(failure) => {
                        failures.push(failure);
                        continue;
                    }
                }
                views.push(view);
            }
            Err(error) => failures.push(Failure::from(error)),
        }
    }
    if context.output.json {
        match views.as_slice() {
            [view] if apps.len() == 1 => context.output.object(view),
            [] if apps.len() == 1 => {}
            views => context.output.list(views),
        }
    }
    match failures.as_slice() {
        [] => Ok(exit),
        [_] if apps.len() == 1 => failures.pop().map_or(Ok(exit), Err),
        [first, ..] => {
            let exit = if views.is_empty() { first.exit } else { Exit::Partial };
            if context.output.json {
                return Err(Failure::several(&failures, apps.len(), exit));
            }
            failures.iter().for_each(|failure| context.output.failure(failure));
            Ok(exit)
        }
    }
}

/// Says how it ended, and whether it has. An app that was to run and does not is a failure.
pub(super) async fn said(
    view: &OperationView,
    done: &str,
    wait: &WaitFlags,
    context: &Context<'_>,
) -> Result<Exit, Failure> {
    let output = context.output;
    view.notes.iter().for_each(|note| output.warning(note));
    let failed = view.status.as_deref().filter(|status| view.settled && status.phase == Phase::Failed);
    if let Some(status) = failed {
        return Err(down(status, context).await);
    }
    let (text, exit) = if view.settled {
        let runs = !matches!(done, "stopped" | "destroyed");
        let ready = view.status.as_ref().map(|status| status.instances);
        let count = ready.filter(|count| count.desired > 1 || count.ready != count.desired);
        let count =
            count.map(|count| format!(", {}/{} ready", count.ready, count.desired)).unwrap_or_default();
        (format!("{} {done}{}", view.app, if runs { count } else { String::new() }), Exit::Ok)
    } else if wait.no_wait {
        (format!("{}: {} begun", view.app, view.operation), Exit::Ok)
    } else {
        let limit = nd_types::format_duration(wait.wait_timeout);
        let text = format!(
            "{}: {} is not done after {limit}; it goes on: nextdeploy status {0}",
            view.app, view.operation
        );
        output.note(&text);
        return Ok(Exit::TimedOut);
    };
    if !output.json {
        output.result(&text);
    }
    if let Some(reason) = view.status.as_ref().and_then(|status| status.reason.as_ref()) {
        output.warning(reason);
    }
    Ok(exit)
}

/// Why an app does not run, with the last it wrote.
async fn down(status: &AppView, context: &Context<'_>) -> Failure {
    let app = &status.name;
    let view = context.client.app(app).await;
    let mut failure =
        Failure::failed(format!("{app} does not run")).fix(format!("nextdeploy logs {app} -n 50"));
    failure.what.clone_from(&status.reason);
    failure.unexplained = failure.what.is_some();
    failure.logs = view.map(|view| view.logs.into_iter().map(|line| line.line).collect()).unwrap_or_default();
    failure
}
