//! Following a deployment to its end, whatever happens to the daemon or the terminal meanwhile.

use std::time::Duration;

use futures_util::StreamExt;
use nd_api::v1::{DeploymentView, StepRecord};
use nd_types::DeploymentId;
use tokio::time::{Instant, interval, sleep, sleep_until, timeout};

use super::{Context, Outcome, conclusion};
use crate::args::WaitFlags;
use crate::failure::{Exit, Failure};
use crate::interrupt::Interrupts;
use crate::render::steps::{HEARTBEAT, Steps};

/// The pause before asking a daemon again that went away.
const PAUSE: Duration = Duration::from_millis(500);

/// How long after the first Ctrl-C a second one cancels the deployment.
const SECOND: Duration = Duration::from_secs(3);

/// Follows a deployment that has begun and prints its result: on standard output the URL, and nothing else.
pub(super) async fn finish(view: DeploymentView, wait: &WaitFlags, context: &Context<'_>) -> Outcome {
    let output = context.output;
    output.note(&format!("{} → {}   {}", view.app, context.client.host(), output.dim_err(view.id.as_str())));
    view.notes.iter().for_each(|note| output.warning(note));
    let Some(limit) = wait.limit() else {
        output.note(&format!("it goes on without waiting: nextdeploy deployments logs -f {}", view.id));
        if output.json {
            output.line(&view);
        } else if let Some(url) = &view.url {
            output.result(url);
        }
        return Ok(Exit::Ok);
    };
    let mut steps = Steps::new(&view, output);
    let mut interrupts = Interrupts::new()?;
    let ended = follow(&view.id, Some(limit), &mut steps, &mut interrupts, context).await;
    steps.end();
    match ended? {
        Ended::Done(record) => conclusion::told(&view, &record, &steps, output),
        Ended::TimedOut => {
            let limit = nd_types::format_duration(limit);
            let title = format!("{} is not done after {limit}; it goes on", view.id);
            Err(Failure::new(Exit::TimedOut, title)
                .fix(format!("nextdeploy deployments logs -f {}", view.id))
                .fix(format!("nextdeploy cancel {}", view.id)))
        }
        Ended::Interrupted => interrupted(&view.id, &mut interrupts, context).await,
    }
}

/// Shows the steps of a deployment to its end, for whoever looks on: leaving it changes nothing.
pub(super) async fn watch(view: &DeploymentView, context: &Context<'_>) -> Outcome {
    let mut steps = Steps::new(view, context.output);
    let mut interrupts = Interrupts::new()?;
    let ended = follow(&view.id, None, &mut steps, &mut interrupts, context).await;
    steps.end();
    match ended? {
        Ended::Done(record) => conclusion::told(view, &record, &steps, context.output),
        Ended::TimedOut | Ended::Interrupted => Ok(Exit::Interrupted),
    }
}

enum Ended {
    Done(Box<StepRecord>),
    TimedOut,
    Interrupted,
}

async fn follow(
    id: &DeploymentId,
    limit: Option<Duration>,
    steps: &mut Steps,
    interrupts: &mut Interrupts,
    context: &Context<'_>,
) -> Result<Ended, Failure> {
    let deadline = limit.map(|limit| Instant::now() + limit);
    let over = async || match deadline {
        Some(deadline) => sleep_until(deadline).await,
        None => std::future::pending().await,
    };
    let mut seen = 0;
    let mut told = false;
    loop {
        let read = tokio::select! {
            read = read(id, &mut seen, steps, context) => read,
            () = over() => return Ok(Ended::TimedOut),
            () = interrupts.pressed() => return Ok(Ended::Interrupted),
        };
        match read {
            Ok(Some(record)) => return Ok(Ended::Done(Box::new(record))),
            Err(failure) if failure.exit != Exit::Unreachable && failure.exit != Exit::TimedOut => {
                return Err(failure);
            }
            // The stream ended without an end: the daemon is on its way down, or gone. It goes on when it is back.
            Ok(None) | Err(_) => {}
        }
        if !told {
            steps.say("the daemon is gone; the deployment goes on when it is back");
            told = true;
        }
        tokio::select! {
            () = sleep(PAUSE) => {}
            () = over() => return Ok(Ended::TimedOut),
            () = interrupts.pressed() => return Ok(Ended::Interrupted),
        }
    }
}

/// Shows the steps that were not shown yet, up to the last one.
async fn read(
    id: &DeploymentId,
    seen: &mut u64,
    steps: &mut Steps,
    context: &Context<'_>,
) -> Result<Option<StepRecord>, Failure> {
    let mut records = context.client.steps(id).await?;
    let mut pulse = interval(HEARTBEAT / 3);
    loop {
        let record = tokio::select! {
            record = records.next() => record,
            _ = pulse.tick() => {
                steps.heartbeat();
                continue;
            }
        };
        let Some(record) = record else { return Ok(None) };
        let record = record?;
        // Replayed from the start after a broken connection.
        if record.seq > *seen {
            *seen = record.seq;
            steps.show(&record);
        }
        if record.is_last() {
            return Ok(Some(record));
        }
    }
}

/// The first Ctrl-C leaves the deployment alone; a second one cancels it.
async fn interrupted(id: &DeploymentId, interrupts: &mut Interrupts, context: &Context<'_>) -> Outcome {
    let output = context.output;
    let detached = format!("detached; {id} goes on");
    let (follow, cancel) =
        (format!("nextdeploy deployments logs -f {id}"), format!("nextdeploy cancel {id}"));
    if output.json {
        return Err(Failure::new(Exit::Interrupted, detached).fix(follow).fix(cancel));
    }
    output.note(&format!(
        "{detached}\n  follow it: {follow}\n  cancel it: {cancel}, or Ctrl-C again within {}",
        nd_types::format_duration(SECOND)
    ));
    if timeout(SECOND, interrupts.pressed()).await.is_ok() {
        let view = context.client.cancel(id).await?;
        output.note(&format!("{id} is being cancelled; {} goes back to what served before", view.app));
    }
    Ok(Exit::Interrupted)
}
