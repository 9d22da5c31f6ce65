//! Waiting for events, always with a deadline.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::thread;
use std::time::{Duration, Instant};

use crate::Result;

/// How long an event may take that needs no longer than a few process starts, on a busy machine.
pub const WAIT: Duration = Duration::from_secs(30);

/// Set when whoever started this wants it to end.
static INTERRUPTED: OnceLock<Arc<AtomicBool>> = OnceLock::new();

const PACE: Duration = Duration::from_millis(5);

/// Where the time itself is measured.
const CLOSE: Duration = Duration::from_micros(500);

/// Looks until `happened`, and says how long it took.
///
/// # Errors
/// After `within`, naming `what`.
pub fn until(what: &str, within: Duration, mut happened: impl FnMut() -> bool) -> Result<Duration> {
    let started = Instant::now();
    look_until(what, within, PACE, || happened().then_some(()))?;
    Ok(started.elapsed())
}

/// The same, looking so often that the time it took is worth something.
///
/// # Errors
/// As [`until`].
pub fn until_closely(what: &str, within: Duration, mut happened: impl FnMut() -> bool) -> Result<Duration> {
    let started = Instant::now();
    look_until(what, within, CLOSE, || happened().then_some(()))?;
    Ok(started.elapsed())
}

/// What ends every wait at once when it is set, as by Ctrl-C.
pub fn interruption() -> Arc<AtomicBool> {
    Arc::clone(INTERRUPTED.get_or_init(Arc::default))
}

/// Looks until there is something.
///
/// # Errors
/// After `within`, naming `what`; at once on an [`interruption`].
pub fn until_some<T>(what: &str, within: Duration, look: impl FnMut() -> Option<T>) -> Result<T> {
    look_until(what, within, PACE, look)
}

fn look_until<T>(
    what: &str,
    within: Duration,
    pace: Duration,
    mut look: impl FnMut() -> Option<T>,
) -> Result<T> {
    let deadline = Instant::now() + within;
    loop {
        if let Some(found) = look() {
            return Ok(found);
        }
        if INTERRUPTED.get().is_some_and(|flag| flag.load(Ordering::Relaxed)) {
            return Err("interrupted".into());
        }
        if Instant::now() >= deadline {
            return Err(format!("{what}: not within {:.1} s", within.as_secs_f64()).into());
        }
        thread::sleep(pace);
    }
}
