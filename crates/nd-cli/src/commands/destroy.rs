//! `destroy`: says what will vanish, asks for the app's name, and removes it.

use std::io::BufRead;

use nd_api::v1::AppView;

use super::{Context, Outcome, verbs};
use crate::args::DestroyArgs;
use crate::failure::{Exit, Failure};
use crate::output::Output;
use crate::targets;

pub(super) async fn run(args: &DestroyArgs, context: &Context<'_>) -> Outcome {
    let app = match (&args.app, &args.name) {
        (None, None) => {
            return Err(Failure::usage("say which app to destroy").fix("nextdeploy destroy APP"));
        }
        (app, name) => targets::one(app.as_deref(), name.as_deref(), context.global)?,
    };
    let view = context.client.app(&app).await?;
    if !context.global.yes {
        confirm(&view, context.output)?;
    }
    let wait = args.wait.limit().unwrap_or_default();
    let operation = context.client.destroy(&app, args.force, wait).await?;
    let exit = verbs::said(&operation, "destroyed", &args.wait, context).await?;
    if context.output.json {
        context.output.object(&operation);
    }
    Ok(exit)
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
