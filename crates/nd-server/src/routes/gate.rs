//! What is put in front of an app: maintenance, and a pause.

use std::time::Duration;

use axum::extract::Request;
use nd_api::v1::{MaintenanceBody, PauseBody};
use nd_types::{Gate, Timestamp};

use super::actions::{Answer, Asked};
use crate::body::json;
use crate::refusal::Refusal;

/// A longer time until the next try is none that anybody waits for.
const LONGEST_RETRY_S: u32 = 86_400;

pub(super) async fn maintenance(asked: Asked, request: Request) -> Answer {
    let (parts, body) = request.into_parts();
    let MaintenanceBody { on, retry_after_s } = json(&parts.headers, body).await?;
    if !on {
        return asked.gate("maintenance off", Gate::Open).await;
    }
    let retry_after_s = retry_after_s.unwrap_or(Gate::RETRY_AFTER_S);
    if !(1..=LONGEST_RETRY_S).contains(&retry_after_s) {
        return Err(Refusal::unprocessable(format!(
            "retry_after_s must be 1–{LONGEST_RETRY_S}, found {retry_after_s}"
        )));
    }
    asked.gate("maintenance on", Gate::Maintenance { retry_after_s }).await
}

pub(super) async fn pause(asked: Asked, request: Request) -> Answer {
    let (parts, body) = request.into_parts();
    let PauseBody { for_ms } = json(&parts.headers, body).await?;
    let longest = Gate::LONGEST_PAUSE;
    let length = Duration::from_millis(for_ms);
    let until = Timestamp::now().checked_add(length).ok();
    let Some(until) = until.filter(|_| !length.is_zero() && length <= longest) else {
        let most = longest.as_millis();
        return Err(Refusal::unprocessable(format!("for_ms must be 1–{most}, found {for_ms}")));
    };
    asked.gate("pause", Gate::Paused { until }).await
}

pub(super) async fn resume(asked: Asked) -> Answer {
    asked.gate("resume", Gate::Open).await
}
