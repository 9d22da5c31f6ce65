//! `plan` and `deploy --dry-run`.

use nd_api::v1::{DeployBody, PlanStep, PlanView};

use super::{Context, Outcome};
use crate::args::DeployArgs;
use crate::failure::Exit;
use crate::output::Output;
use crate::project::{Asked, requests};

/// Shows the plan; `changed` is the exit code where there is something to do.
pub(super) async fn run(args: &DeployArgs, context: &Context<'_>, changed: Exit) -> Outcome {
    let asked = Asked::of_deploy(args, context.global);
    let bodies = requests(&asked, context.global, context.client.host(), context.output).await?;
    let mut plans = Vec::with_capacity(bodies.len());
    for body in bodies {
        let asked = args.strategy.as_ref();
        let body = DeployBody {
            strategy: asked.map(|strategy| strategy.name),
            canary_steps: asked.and_then(|strategy| strategy.steps.clone()),
            dry_run: true,
            ..body
        };
        plans.push(context.client.plan(&body).await?);
    }
    if context.output.json {
        match plans.as_slice() {
            [plan] => context.output.object(plan),
            several => context.output.list(several),
        }
    } else {
        plans.iter().for_each(|plan| show(plan, context.output));
    }
    Ok(if plans.iter().all(|plan| plan.unchanged) { Exit::Ok } else { changed })
}

fn show(plan: &PlanView, output: &Output) {
    output.result(&format!("{} by {}", output.bold(plan.app.as_str()), plan.strategy));
    if let Some(reason) = &plan.reason {
        output.result(&format!("  because {reason}"));
    }
    match (plan.unchanged, plan.steps.is_empty()) {
        (true, true) => output.result("  nothing would change"),
        // Behind a tag or a command there may be other code than the last time.
        (true, false) => output.result("  as it is deployed; its image or code is taken anew"),
        (false, _) => {}
    }
    for change in &plan.changes {
        output.result(&format!("  {} {change}", output.odd("~")));
    }
    for stage in plan.steps.chunk_by(|a, b| a.stage == b.stage) {
        let number = stage.first().map_or(0, |step| step.stage);
        output.result(&format!("  {} {}", output.dim(&format!("{number:>2}.")), together(stage)));
    }
    if let Some(url) = &plan.url {
        output.result(&format!("  answers at {url}"));
    }
    plan.notes.iter().for_each(|note| output.warning(note));
}

/// The steps of one stage in one line: `create shop-8f3k2a-1, shop-8f3k2a-2`.
fn together(stage: &[PlanStep]) -> String {
    let mut line = String::new();
    let mut verb = "";
    for step in stage {
        let (word, rest) = step.text.split_once(' ').unwrap_or((&step.text, ""));
        if line.is_empty() {
            line.push_str(&step.text);
        } else {
            line.push_str(", ");
            line.push_str(if word == verb { rest } else { &step.text });
        }
        verb = word;
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_of_one_stage_stand_in_one_line() {
        let step = |text: &str| PlanStep { stage: 2, text: text.to_owned() };
        let line = together(&[step("create a-1"), step("create a-2"), step("stop b-1"), step("stop b-2")]);
        assert_eq!(line, "create a-1, a-2, stop b-1, b-2");
    }
}
