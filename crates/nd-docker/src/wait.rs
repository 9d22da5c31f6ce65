//! Waiting for a container's end.

use std::sync::Arc;
use std::time::Duration;

use hyper::Method;
use nd_core::ports::PortResult;
use nd_supervise::{Backoff, jitter};
use nd_types::{ExitStatus, UnitId};
use serde::Deserialize;

use crate::engine::{EngineError, JsonLines, request};
use crate::find::{self, Found};
use crate::observed;
use crate::oom::{self, Patience};
use crate::runtime::Shared;

/// Between tries while the engine is away.
const RETRY: Backoff = Backoff { first: Duration::from_millis(100), factor: 2, cap: Duration::from_secs(2) };

/// Waits until the unit does not run, and says how it ended. An engine that is away is waited for: whoever waits sets
/// the deadline. Cancel safe.
pub(crate) async fn wait(shared: &Arc<Shared>, unit: &UnitId) -> PortResult<ExitStatus> {
    let mut tries = 0;
    let mut found = loop {
        match find::unit(shared, unit).await {
            Ok(found) => break found,
            Err(error) if error.kind.may_pass() => pause(&mut tries).await,
            Err(error) => return Err(error),
        }
    };
    loop {
        if !found.runs() {
            oom::complete(shared, &mut found, Patience::ForTheEngine).await;
            return Ok(ended(&found));
        }
        let code = next_end(shared, &found.id).await;
        match (code, find::inspect(shared, &found.id).await) {
            // It ended and was started again before we looked.
            (Ok(Some(code)), Ok(Some(now))) if now.runs() => {
                return Ok(ExitStatus::from_engine_code(code, false));
            }
            (Ok(_), Ok(Some(now))) => {
                tries = 0;
                found = now;
            }
            (Ok(Some(code)), Ok(None)) => return Ok(ExitStatus::from_engine_code(code, false)),
            (_, Ok(None)) => return Ok(ExitStatus::Unknown),
            (Err(error), Ok(Some(now))) => {
                tracing::debug!(%unit, %error, "waiting for a container's end failed");
                found = now;
                pause(&mut tries).await;
            }
            (_, Err(error)) => {
                tracing::debug!(%unit, %error, "docker engine cannot be asked for a container's end");
                pause(&mut tries).await;
            }
        }
    }
}

fn ended(found: &Found) -> ExitStatus {
    match &found.inspected.state {
        // It never ran.
        Some(state) if state.started_at.as_deref().is_none_or(|time| time.starts_with("0001")) => {
            ExitStatus::Unknown
        }
        Some(state) => observed::exit_status(state),
        None => ExitStatus::Unknown,
    }
}

/// The code of the container's next end; `None` when the engine does not say.
async fn next_end(shared: &Arc<Shared>, container: &str) -> Result<Option<i64>, EngineError> {
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct End {
        status_code: Option<i64>,
    }
    let request = request(Method::POST, &format!("/containers/{container}/wait?condition=not-running"))?;
    let body = shared.engine.open(request).await?;
    let end = JsonLines::<End>::new(body).next().await?;
    Ok(end.and_then(|end| end.status_code))
}

async fn pause(tries: &mut u32) {
    tokio::time::sleep(RETRY.delay(*tries, jitter())).await;
    *tries = tries.saturating_add(1);
}
