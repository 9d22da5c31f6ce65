//! Every question to the outside world has a deadline.

use std::future::Future;
use std::time::Duration;

use super::{PortError, PortErrorKind, PortResult};

/// What `call` answers within `limit`; `what` says what was tried.
///
/// # Errors
/// Those of the call, and `Timeout` when it has not answered by then; it is dropped.
pub async fn within<T>(
    what: &str,
    limit: Duration,
    call: impl Future<Output = PortResult<T>>,
) -> PortResult<T> {
    match tokio::time::timeout(limit, call).await {
        Ok(result) => result,
        Err(_) => {
            let limit = nd_types::format_duration(limit);
            Err(PortError::new(PortErrorKind::Timeout, format!("{what}: no answer within {limit}")))
        }
    }
}
