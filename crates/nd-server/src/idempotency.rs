//! `Idempotency-Key` (draft-ietf-httpapi-idempotency-key-header): a request that is sent again is not done again.
//!
//! The key belongs to whoever sends it. Under one key the first request is done, to its end even when its client is
//! gone by then, and its answer is kept for a day; the same request again gets that answer, another one is refused. A
//! refusal that says "not now" (a conflict, no space) has changed nothing and is not kept: asking again is right.
//!
//! Answers are kept in memory, and the oldest go first when there are too many. A deployment keeps its key itself, stored
//! in one step with its acceptance, so that it is begun once whatever happens to the daemon.

mod answers;
mod key;

use std::time::Duration;

use http::StatusCode;

pub(crate) use answers::{Answer, Answers, Claim};
pub(crate) use key::Keyed;

use crate::refusal::Refusal;

/// How long an answer is kept.
const KEPT: Duration = Duration::from_secs(24 * 60 * 60);

/// A SHA-256.
type Hash = [u8; 32];

fn used_otherwise() -> Refusal {
    let title = "this Idempotency-Key was used for another request; use a new one";
    Refusal::new(StatusCode::UNPROCESSABLE_ENTITY, "ND1013", title)
}
