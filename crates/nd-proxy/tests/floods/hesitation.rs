//! How late this thread was, so that a busy machine is not taken for a slow proxy.

use std::cell::Cell;
use std::time::{Duration, Instant};

/// What a future gives, and for how long this thread itself was late meanwhile: the attackers are on it as well, and the
/// machine may have other work.
pub(crate) async fn with_hesitation<T>(future: impl Future<Output = T>) -> (T, Duration) {
    const TICK: Duration = Duration::from_millis(5);
    let late = Cell::new(Duration::ZERO);
    let ticks = async {
        loop {
            let began = Instant::now();
            tokio::time::sleep(TICK).await;
            late.set(late.get() + began.elapsed().saturating_sub(TICK));
        }
    };
    tokio::select! {
        value = future => (value, late.get()),
        () = ticks => unreachable!("it never ends"),
    }
}
