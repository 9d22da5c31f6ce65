//! `start`: a stopped app again, or like PM2 an app from an image or a command.

use std::path::Path;

use nd_types::AppName;

use super::{Context, Outcome, several, verbs};
use crate::args::{StartArgs, WorkloadFlags};
use crate::failure::{Exit, Failure};
use crate::project::{self, Asked, requests, script};
use crate::targets;
use crate::typed::Typed;

pub(super) async fn run(args: &StartArgs, context: &Context<'_>) -> Outcome {
    let scripted = scripted(args, context).await?;
    let args = scripted.as_ref().unwrap_or(args);
    let file = args.targets.first().map(String::as_str).filter(|target| is_file(target));
    let defines = args.workload.image.is_some() || !args.command.is_empty() || file.is_some();
    if defines {
        return deployed(&named(args, file.is_some())?, file, context, false).await;
    }
    if args.workload.says_something() || args.health.says_something() {
        return changed(args, context).await;
    }
    let flags: Vec<String> = args.workload.name.iter().map(ToString::to_string).collect();
    let apps = targets::several(&args.targets, &flags, context.global, &context.client).await?;
    let wait = args.wait.limit().unwrap_or_default();
    verbs::each(&apps, "started", &args.wait, context, |app| context.client.start(app, wait)).await
}

/// A known app with flags over what it is.
async fn changed(args: &StartArgs, context: &Context<'_>) -> Outcome {
    let args = named(args, false)?;
    let app = targets::one(None, args.workload.name.as_ref().map(AppName::as_str), context.global)?;
    let known = context.client.app(&app).await.map_err(Failure::from);
    if known.as_ref().is_err_and(|failure| failure.exit == Exit::NotFound) {
        return Err(unknown(&app, context.typed));
    }
    known?;
    let workload = WorkloadFlags { name: Some(app), ..args.workload.clone() };
    deployed(&StartArgs { workload, ..args }, None, context, true).await
}

/// `start server.js -i max -- --port 80` as the command that it means, under the script's name where none is given. An
/// app of the name that was typed is meant before a file.
async fn scripted(args: &StartArgs, context: &Context<'_>) -> Result<Option<StartArgs>, Failure> {
    let [target, more @ ..] = args.targets.as_slice() else { return Ok(None) };
    if args.workload.image.is_some() || is_file(target) {
        return Ok(None);
    }
    let Some(command) = script::command(target) else { return Ok(None) };
    if let Ok(app) = target.parse::<AppName>()
        && context.client.app(&app).await.is_ok()
    {
        return Ok(None);
    }
    let name = args.workload.name.clone().or_else(|| project::of_file(Path::new(target)));
    Ok(Some(StartArgs {
        targets: more.to_vec(),
        workload: WorkloadFlags { name, ..args.workload.clone() },
        command: [command, args.command.clone()].concat(),
        ..args.clone()
    }))
}

async fn deployed(args: &StartArgs, file: Option<&str>, context: &Context<'_>, inherit: bool) -> Outcome {
    let asked = Asked { inherit, ..Asked::of_start(args, context.global, file) };
    let bodies = requests(&asked, context.global, context.client.host(), context.output).await?;
    several::deployed(bodies, None, &args.wait, context).await
}

/// Takes the app that stands alone before the flags as its name: `start myapp --image=node:18`.
fn named(args: &StartArgs, has_file: bool) -> Result<StartArgs, Failure> {
    let names = args.targets.get(usize::from(has_file)..).unwrap_or_default();
    match (names, &args.workload.name) {
        ([], _) => Ok(args.clone()),
        ([name], None) => {
            let workload = WorkloadFlags { name: Some(targets::parse(name)?), ..args.workload.clone() };
            Ok(StartArgs { workload, ..args.clone() })
        }
        _ => Err(Failure::usage("say one app, either by its name or with --name")),
    }
}

/// A project's file, or PM2's.
fn is_file(target: &str) -> bool {
    let path = Path::new(target);
    let yaml = path.extension().is_some_and(|ending| ending == "yml" || ending == "yaml");
    (yaml || project::is_ecosystem(path)) && path.is_file()
}

/// An unknown app needs to be told what it runs; all that was typed stays in the command to type.
fn unknown(app: &AppName, typed: &Typed) -> Failure {
    Failure::usage(format!("Application {app} not found in monitoring; to start a new one, say what it runs"))
        .fix(typed.with("--image=IMAGE"))
        .fix(typed.with("-- COMMAND"))
}
