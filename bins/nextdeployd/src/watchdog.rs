//! systemd's watchdog: a daemon that hangs is ended and started again, while its apps go on.

use std::time::Duration;

use nd_supervise::{CancellationToken, Supervisor};
use sd_notify::NotifyState;

/// Tells systemd, three times within the time that `WatchdogSec=` allows, that the daemon is alive, until `stop`. While a
/// worker that the daemon cannot do without is down it says nothing, and systemd starts the daemon anew.
pub(crate) async fn feed(workers: &Supervisor, allowed: Duration, stop: CancellationToken) {
    feed_with(workers, allowed, stop, || {
        if let Err(error) = sd_notify::notify(&[NotifyState::Watchdog]) {
            tracing::warn!(%error, "systemd's watchdog could not be told");
        }
    })
    .await;
}

async fn feed_with(workers: &Supervisor, allowed: Duration, stop: CancellationToken, tell: impl Fn()) {
    let mut due = tokio::time::interval(allowed / 3);
    let mut silent = false;
    while stop.run_until_cancelled(due.tick()).await.is_some() {
        let well = workers.is_healthy();
        if well {
            tell();
        } else if !silent {
            tracing::error!("systemd's watchdog is not told any more: a worker that is needed is down");
        }
        silent = !well;
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU32, Ordering};

    use nd_supervise::{RestartWhen, SystemClock, WorkerSpec};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn systemd_is_told_while_the_critical_workers_live_and_no_longer() {
        let supervisor = Supervisor::new(Arc::new(SystemClock));
        let spec = WorkerSpec::new("engine").critical().restart(RestartWhen::Never);
        supervisor
            .add(spec, |context| async move {
                context.shutdown.cancelled().await;
                Ok(())
            })
            .unwrap();
        let (told, stop) = (AtomicU32::new(0), CancellationToken::new());
        let feeding = feed_with(&supervisor, Duration::from_secs(30), stop.clone(), || {
            told.fetch_add(1, Ordering::Relaxed);
        });
        let watched = async {
            tokio::time::sleep(Duration::from_secs(61)).await;
            let alive = told.load(Ordering::Relaxed);
            supervisor.inject_panic("engine");
            tokio::time::sleep(Duration::from_secs(600)).await;
            stop.cancel();
            (alive, told.load(Ordering::Relaxed))
        };
        let ((), (alive, after)) = tokio::join!(feeding, watched);
        assert_eq!((alive, after), (7, 7));
    }
}
