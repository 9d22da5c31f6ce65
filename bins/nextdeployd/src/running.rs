//! A daemon that runs, and its end in order.

use std::sync::Arc;
use std::time::Duration;

use nd_core::EngineHandle;
use nd_logs::{Collector, SegmentLog};
use nd_server::Server;
use nd_supervise::{CancellationToken, Supervisor};

use crate::proxy::DataPlane;

/// How long `--stop-apps` may take; the whole daemon has 25 s.
const STOP_APPS: Duration = Duration::from_secs(14);

/// How long requests through the proxy may take to finish when the daemon ends.
const DRAIN: Duration = Duration::from_secs(5);

/// How long the workers may take.
const STOP_WORKERS: Duration = Duration::from_secs(4);

/// How long the lines that were read last may take to the disk.
const LAST_LINES: Duration = Duration::from_secs(1);

/// What becomes of the apps when the daemon ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Apps {
    /// They are stopped, for the next daemon to start.
    Stopped,
    /// They run on, and a proxy of its own serves on as long as there are any.
    Running,
    /// As before, and another daemon is about to take over.
    Served,
}

/// Everything that is to be ended.
pub(crate) struct Running {
    pub(crate) supervisor: Supervisor,
    pub(crate) server: Server,
    pub(crate) engine: EngineHandle,
    pub(crate) proxy: DataPlane,
    pub(crate) collector: Collector,
    pub(crate) logs: Arc<SegmentLog>,
    /// Cancelled when the API is to take no more requests.
    pub(crate) api: CancellationToken,
    /// Cancelled when the daemon ends.
    pub(crate) ending: CancellationToken,
}

impl Running {
    /// Ends all of it: first what comes in, then what is done, at last what is written.
    pub(crate) async fn end(self, apps: Apps) {
        self.api.cancel();
        self.server.close();
        let serves_on = match apps {
            Apps::Stopped => {
                self.stop_apps().await;
                false
            }
            Apps::Running => !self.engine.list().is_empty(),
            Apps::Served => true,
        };
        self.proxy.end(serves_on, DRAIN).await;
        self.ending.cancel();
        let report = self.supervisor.shutdown(STOP_WORKERS).await;
        self.keep_last_lines().await;
        if !report.is_clean() {
            tracing::warn!(aborted = ?report.aborted, "workers did not end in time");
        }
        tracing::info!("{}", self.server.statistics());
    }

    async fn stop_apps(&self) {
        for app in self.engine.suspend(STOP_APPS).await {
            tracing::warn!(%app, "did not stop in time");
        }
    }

    /// Stops reading what apps write, and waits until what was read is on disk. The next daemon reads on from there.
    async fn keep_last_lines(&self) {
        let kept = async {
            self.collector.shutdown().await;
            self.logs.flush().await
        };
        match tokio::time::timeout(LAST_LINES, kept).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::warn!(%error, "the last lines of the apps may not be kept"),
            Err(_) => tracing::warn!("the last lines of the apps may not be kept: the disk does not answer"),
        }
    }
}
