//! `deploy`.

use std::pin::pin;
use std::time::{Duration, Instant};

use nd_api::v1::{DeployBody, DeploymentView};
use tokio::time::sleep;

use super::{Context, Outcome, several};
use crate::args::DeployArgs;
use crate::failure::{Exit, Failure};
use crate::interrupt::Interrupts;
use crate::project::{Asked, requests};
use crate::render::steps::HEARTBEAT;

/// The daemon's code for "another deployment is under way".
const BUSY: &str = "ND1101";

pub(super) async fn run(args: &DeployArgs, context: &Context<'_>) -> Outcome {
    let asked = Asked::of_deploy(args, context.global);
    let bodies = requests(&asked, context.global, context.client.host(), context.output).await?;
    let bodies = bodies.into_iter().map(|body| DeployBody {
        strategy: args.strategy.as_ref().map(|strategy| strategy.name),
        canary_steps: args.strategy.as_ref().and_then(|strategy| strategy.steps.clone()),
        message: args.message.clone(),
        force: args.force,
        ..body
    });
    several::deployed(bodies.collect(), args.lock_wait, &args.wait, context).await
}

/// Begins a deployment; where another one is under way, says so and waits for its turn.
pub(super) async fn begin(
    body: &DeployBody,
    lock_wait: Option<Duration>,
    context: &Context<'_>,
) -> Result<DeploymentView, Failure> {
    let at_once = DeployBody { lock_wait_ms: Some(0), ..body.clone() };
    let busy = match context.client.deploy(&at_once).await {
        Ok(view) => return Ok(view),
        Err(error) => Failure::from(error),
    };
    if !busy.has_code(BUSY) || lock_wait.is_some_and(|wait| wait.is_zero()) {
        return Err(busy);
    }
    let mut interrupts = Interrupts::new()?;
    context.output.note(&format!("waiting: {}", busy.title));
    let lock_wait_ms = lock_wait.map(|wait| u64::try_from(wait.as_millis()).unwrap_or(u64::MAX));
    let queued = DeployBody { lock_wait_ms, ..body.clone() };
    let mut turn = pin!(context.client.deploy(&queued));
    let began = Instant::now();
    loop {
        tokio::select! {
            view = &mut turn => return Ok(view?),
            () = interrupts.pressed() => {
                return Err(Failure::new(Exit::Interrupted, "left the queue; nothing was deployed"));
            }
            () = sleep(HEARTBEAT) => {
                let waited = Duration::from_secs(began.elapsed().as_secs());
                context.output.note(&format!("still waiting after {}", nd_types::format_duration(waited)));
            }
        }
    }
}
