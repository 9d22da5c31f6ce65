//! systemd's watchdog: a daemon that hangs is ended and started again, while its apps go on.

use nd_supervise::CancellationToken;
use sd_notify::NotifyState;

/// Tells systemd that the runtime still turns, three times within the time that `WatchdogSec=` allows, until `stop`.
/// Without a watchdog it ends at once.
pub(crate) async fn feed(stop: CancellationToken) {
    let Some(allowed) = sd_notify::watchdog_enabled() else { return };
    let mut due = tokio::time::interval(allowed / 3);
    while stop.run_until_cancelled(due.tick()).await.is_some() {
        if let Err(error) = sd_notify::notify(&[NotifyState::Watchdog]) {
            tracing::warn!(%error, "systemd's watchdog could not be told");
        }
    }
}
