//! Following a deployment to its end, whatever happens to the daemon or the terminal meanwhile.

use std::time::Duration;

use futures_util::StreamExt;
use nd_api::v1::{DeploymentStatus, DeploymentView, StepRecord};
use nd_types::DeploymentId;
use tokio::time::{Instant, interval, sleep, timeout};

use super::{Context, Outcome};
use crate::args::WaitFlags;
use crate::failure::{Exit, Failure};
use crate::render::steps::{HEARTBEAT, Steps};
use crate::render::time;

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
        output.note(&format!("it goes on without waiting: nextdeploy deployments {}", view.id));
        if output.json {
            output.object(&view);
        } else if let Some(url) = &view.url {
            output.result(url);
        }
        return Ok(Exit::Ok);
    };
    let mut steps = Steps::new(*output);
    let ended = follow(&view.id, limit, &mut steps, context).await;
    steps.clear();
    match ended? {
        Ended::Done(record) => concluded(&view, *record, context).await,
        Ended::TimedOut => {
            let limit = nd_types::format_duration(limit);
            let title = format!("{} is not done after {limit}; it goes on", view.id);
            Err(Failure::new(Exit::TimedOut, title)
                .fix(format!("nextdeploy deployments {}", view.id))
                .fix(format!("nextdeploy cancel {}", view.id)))
        }
        Ended::Interrupted => interrupted(&view.id, context).await,
    }
}

enum Ended {
    Done(Box<StepRecord>),
    TimedOut,
    Interrupted,
}

async fn follow(
    id: &DeploymentId,
    limit: Duration,
    steps: &mut Steps,
    context: &Context<'_>,
) -> Result<Ended, Failure> {
    let deadline = Instant::now() + limit;
    let mut seen = 0;
    let mut told = false;
    loop {
        let read = tokio::select! {
            read = read(id, &mut seen, steps, context) => read,
            () = tokio::time::sleep_until(deadline) => return Ok(Ended::TimedOut),
            _ = tokio::signal::ctrl_c() => return Ok(Ended::Interrupted),
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
            () = tokio::time::sleep_until(deadline) => return Ok(Ended::TimedOut),
            _ = tokio::signal::ctrl_c() => return Ok(Ended::Interrupted),
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

async fn concluded(begun: &DeploymentView, record: StepRecord, context: &Context<'_>) -> Outcome {
    let output = context.output;
    let succeeded = record.status == Some(DeploymentStatus::Succeeded);
    if output.json {
        let view = context.client.deployment(&begun.id).await?;
        output.object(&view);
    }
    if succeeded {
        let took = record.ms.map(time::took).unwrap_or_default();
        let url = record.url.as_deref().unwrap_or("no port, nothing to visit");
        let undo = if record.previous.is_some() {
            format!("   undo: nextdeploy rollback {}", begun.app)
        } else {
            String::new()
        };
        output.note(&format!("  {} {url}  {took}{}", output.good_err("Ready    "), output.dim_err(&undo)));
        if let Some(url) = record.url.filter(|_| !output.json) {
            output.result(&url);
        }
        return Ok(Exit::Ok);
    }
    let old_serves =
        record.data.as_ref().and_then(|data| data.get("old_serves")).and_then(serde_json::Value::as_bool);
    let lost = old_serves == Some(false) && record.previous.is_some();
    let exit = if lost { Exit::Lost } else { Exit::Failed };
    let title = match (record.status, &record.previous, lost) {
        (Some(DeploymentStatus::Cancelled), ..) => format!("{} was cancelled", begun.id),
        (_, Some(previous), false) => {
            format!("{} was not deployed; traffic stayed on release {previous}", begun.app)
        }
        (_, Some(_), true) => {
            format!("{} was not deployed, and what served before does not serve any more", begun.app)
        }
        (_, None, _) => format!("{} was not deployed", begun.app),
    };
    let mut failure = match record.error {
        Some(error) => Failure::deployment(title, error, exit),
        None => Failure::new(exit, title),
    };
    if failure.fix.is_empty() {
        failure.fix.push(format!("nextdeploy logs {} -n 50", begun.app));
    }
    Err(failure)
}

/// The first Ctrl-C leaves the deployment alone; a second one cancels it.
async fn interrupted(id: &DeploymentId, context: &Context<'_>) -> Outcome {
    context.output.note(&format!(
        "detached; {id} goes on: nextdeploy deployments {id}\npress Ctrl-C again to cancel it (nextdeploy cancel {id})"
    ));
    if timeout(SECOND, tokio::signal::ctrl_c()).await.is_ok() {
        context.client.cancel(id).await?;
        context.output.note(&format!("{id} is being cancelled"));
    }
    Ok(Exit::Interrupted)
}
