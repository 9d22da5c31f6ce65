//! `plan` and `deploy --dry-run`.

use nd_api::v1::{DeployBody, PlanView};

use super::{Context, Outcome};
use crate::args::DeployArgs;
use crate::failure::Exit;
use crate::output::Output;
use crate::project::{Asked, request};

/// Shows the plan; `changed` is the exit code where there is something to do.
pub(super) async fn run(args: &DeployArgs, context: &Context<'_>, changed: Exit) -> Outcome {
    let asked = Asked::of_deploy(args, context.global);
    let body = request(&asked, context.global, context.client.host(), context.output).await?;
    let body = DeployBody { strategy: args.strategy, dry_run: true, ..body };
    let plan = context.client.plan(&body).await?;
    if context.output.json {
        context.output.object(&plan);
    } else {
        show(&plan, context.output);
    }
    Ok(if plan.unchanged { Exit::Ok } else { changed })
}

fn show(plan: &PlanView, output: &Output) {
    output.result(&format!("{} by {}", output.bold(plan.app.as_str()), plan.strategy));
    if let Some(reason) = &plan.reason {
        output.result(&format!("  because {reason}"));
    }
    if plan.unchanged {
        output.result("  nothing would change");
    }
    for change in &plan.changes {
        output.result(&format!("  {} {change}", output.odd("~")));
    }
    for step in &plan.steps {
        output.result(&format!("  {} {}", output.dim(&format!("{:>2}.", step.stage)), step.text));
    }
    if let Some(url) = &plan.url {
        output.result(&format!("  answers at {url}"));
    }
    plan.notes.iter().for_each(|note| output.warning(note));
}
