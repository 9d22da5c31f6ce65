//! `destroy`: says what will vanish, asks for the name of each app, and removes them.

use std::io::BufRead;

use nd_api::v1::AppView;

use super::{Context, Outcome, verbs};
use crate::args::DestroyArgs;
use crate::failure::{Exit, Failure};
use crate::output::Output;
use crate::targets;

pub(super) async fn run(args: &DestroyArgs, context: &Context<'_>) -> Outcome {
    // The project's own app is never meant by accident.
    if args.apps.is_empty() && args.name.is_empty() {
        return Err(Failure::usage("say which app to destroy").fix("nextdeploy destroy APP"));
    }
    let apps = targets::several(&args.apps, &args.name, context.global, &context.client).await?;
    if !context.global.yes {
        for app in &apps {
            confirm(&context.client.app(app).await?, context.output)?;
        }
    }
    let wait = args.wait.limit().unwrap_or_default();
    verbs::each(&apps, "destroyed", &args.wait, context, |app| context.client.destroy(app, args.force, wait))
        .await
}

fn confirm(app: &AppView, output: &Output) -> Result<(), Failure> {
    if !output.asks {
        let title = format!("destroying `{}` must be confirmed, and nobody can be asked here", app.name);
        return Err(Failure::usage(title).fix(format!("nextdeploy destroy {} --yes", app.name)));
    }
    eprintln!("This removes {}:", output.bad_err(app.name.as_str()));
    eprintln!("  {} instances, all of its releases and logs", app.units.len());
    for url in &app.urls {
        eprintln!("  {url} stops answering");
    }
    eprintln!("Named volumes and directories of the host stay.");
    eprint!("Type the name of the app to go on: ");
    let mut answer = String::new();
    std::io::stdin()
        .lock()
        .read_line(&mut answer)
        .map_err(|error| Failure::usage(format!("read the answer: {error}")))?;
    if answer.trim() == app.name.as_str() {
        return Ok(());
    }
    Err(Failure::new(Exit::Usage, format!("`{}` is not `{}`; nothing was removed", answer.trim(), app.name)))
}
