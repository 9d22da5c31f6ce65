//! Calls that block a thread, kept off the runtime's own.

use crate::TaskFailure;
use crate::task::panic_message;

/// Runs `f` on the pool for blocking calls and returns what it returned.
///
/// Dropping the future does not stop `f`: a thread cannot be stopped from outside. Give `f` a deadline of its own.
///
/// # Errors
/// [`TaskFailure::Panicked`] when `f` panicked, which is logged with `name`; [`TaskFailure::Cancelled`] when the runtime
/// went down before `f` began.
///
/// # Panics
/// Outside a tokio runtime.
pub async fn blocking<T>(name: &'static str, f: impl FnOnce() -> T + Send + 'static) -> Result<T, TaskFailure>
where
    T: Send + 'static,
{
    let span = tracing::Span::current();
    tokio::task::spawn_blocking(move || span.in_scope(f)).await.map_err(|error| {
        match error.try_into_panic() {
            Ok(payload) => {
                let message = panic_message(&*payload);
                tracing::error!(task = name, panic = message, "blocking call panicked");
                TaskFailure::Panicked(message)
            }
            Err(_) => TaskFailure::Cancelled,
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_blocking_call_returns_its_value() {
        assert_eq!(blocking("sum", || 2 + 3).await, Ok(5));
    }

    #[tokio::test]
    async fn a_panic_in_a_blocking_call_is_an_error() {
        let result = blocking("broken", || -> () { panic!("no {}", "luck") }).await;
        assert_eq!(result, Err(TaskFailure::Panicked("no luck".to_owned())));
    }
}
