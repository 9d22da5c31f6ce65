//! Deployments of the apps of one file, one after the other: each begins once those it depends on are as it wants them.

use std::time::Duration;

use nd_api::flat::Status;
use nd_api::manifest::Condition;
use nd_api::v1::DeployBody;
use nd_types::AppName;
use tokio::time::{Instant, sleep};

use super::{Context, Outcome, deploy, follow};
use crate::args::WaitFlags;
use crate::failure::{Exit, Failure};

/// The pause between two looks at an app that is to end.
const PAUSE: Duration = Duration::from_millis(250);

/// Deploys each app; the first that fails ends it, and those behind it stay as they are.
pub(super) async fn deployed(
    bodies: Vec<DeployBody>,
    lock_wait: Option<Duration>,
    wait: &WaitFlags,
    context: &Context<'_>,
) -> Outcome {
    let names: Vec<AppName> = bodies.iter().map(|body| body.manifest.app.name.clone()).collect();
    for (done, body) in bodies.iter().enumerate() {
        let outcome = match ready(body, wait, context).await {
            Ok(()) => one(body, lock_wait, wait, context).await,
            Err(failure) => Err(failure),
        };
        let left = names.get(done + 1..).unwrap_or_default();
        match outcome {
            Ok(Exit::Ok) => {}
            Ok(exit) => return Ok(exit),
            Err(failure) => return Err(stopped(failure, done, left)),
        }
    }
    Ok(Exit::Ok)
}

async fn one(
    body: &DeployBody,
    lock_wait: Option<Duration>,
    wait: &WaitFlags,
    context: &Context<'_>,
) -> Outcome {
    let view = deploy::begin(body, lock_wait, context).await?;
    follow::finish(view, wait, context).await
}

/// Waits for those that are to have ended. One that was deployed is up and healthy already: its deployment waited.
async fn ready(body: &DeployBody, wait: &WaitFlags, context: &Context<'_>) -> Result<(), Failure> {
    let Some(limit) = wait.limit() else { return Ok(()) };
    for (app, condition) in body.manifest.depends_on.iter() {
        if condition == Condition::Completed {
            ended(app, &body.manifest.app.name, limit, context).await?;
        }
    }
    Ok(())
}

/// Waits until an app has done its work and ended well.
async fn ended(
    app: &AppName,
    wants: &AppName,
    limit: Duration,
    context: &Context<'_>,
) -> Result<(), Failure> {
    let deadline = Instant::now() + limit;
    loop {
        let view = context.client.app(app).await?;
        match view.status {
            Status::Stopped => return Ok(()),
            Status::Error => {
                let mut failure =
                    Failure::failed(format!("{wants} waits for {app} to end well, and it failed"))
                        .fix(format!("nextdeploy why {app}"));
                failure.what = view.reason;
                return Err(failure);
            }
            Status::Running | Status::Updating => {}
        }
        if Instant::now() >= deadline {
            let limit = nd_types::format_duration(limit);
            let title = format!("{wants} waits for {app} to end, and it still runs after {limit}");
            return Err(Failure::new(Exit::TimedOut, title).fix(format!("nextdeploy logs {app}")));
        }
        sleep(PAUSE).await;
    }
}

/// A failure in the middle: what was deployed before stays, and what is behind it was not touched.
fn stopped(failure: Failure, done: usize, left: &[AppName]) -> Failure {
    let names: Vec<_> = left.iter().map(AppName::as_str).collect();
    let title = match names.as_slice() {
        [] => failure.title,
        names => format!("{}; not deployed after it: {}", failure.title, names.join(", ")),
    };
    let exit = if done > 0 && failure.exit == Exit::Failed { Exit::Partial } else { failure.exit };
    Failure { title, exit, ..failure }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_in_the_middle_names_what_was_not_deployed() {
        let left = ["web".parse().unwrap()];
        let failure = stopped(Failure::failed("db was not deployed"), 0, &left);
        assert_eq!(
            (failure.title.as_str(), failure.exit.code()),
            ("db was not deployed; not deployed after it: web", 1)
        );
        assert_eq!(stopped(Failure::failed("x"), 1, &[]).exit.code(), 9);
    }
}
