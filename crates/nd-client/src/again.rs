//! Sending a request again when its connection broke, under the key that has the daemon do it once
//! (draft-ietf-httpapi-idempotency-key-header).

use std::time::Duration;

use tokio::time::{Instant, sleep};

use crate::client::Call;
use crate::error::ClientError;

/// How long a daemon that went away in the middle of a request is looked for.
const COMES_BACK: Duration = Duration::from_secs(10);

/// The pause before each look.
const PAUSE: Duration = Duration::from_millis(250);

/// The daemon's code for "the first request with this key is still under way".
const UNDER_WAY: &str = "ND1014";

/// Sends until an answer is there, for a call that has a key. One that never reached the daemon is an error at once:
/// there may be none.
pub(crate) async fn again<F>(call: &Call<'_>, send: impl Fn() -> F) -> Result<Vec<u8>, ClientError>
where
    F: Future<Output = Result<Vec<u8>, ClientError>>,
{
    let began = Instant::now();
    let mut broke: Option<Instant> = None;
    loop {
        let error = match send().await {
            Ok(answer) => return Ok(answer),
            Err(error) => error,
        };
        let worth_it = match (&error, broke) {
            _ if call.key.is_none() => false,
            (ClientError::Broken { .. }, None) => true,
            (ClientError::Broken { .. } | ClientError::Unreachable { .. }, Some(broke)) => {
                broke.elapsed() < COMES_BACK
            }
            (ClientError::Refused(problem), Some(_)) if problem.code.as_deref() == Some(UNDER_WAY) => {
                began.elapsed() < COMES_BACK + call.patience
            }
            _ => false,
        };
        if !worth_it {
            return Err(error);
        }
        broke.get_or_insert_with(Instant::now);
        sleep(PAUSE).await;
    }
}
