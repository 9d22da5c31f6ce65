//! How the host was in the last hour.

use std::collections::VecDeque;
use std::time::Duration;

use nd_api::monitoring::HostFigures;
use nd_supervise::CancellationToken;
use nd_types::Timestamp;
use parking_lot::Mutex;

use crate::host::{Host, HostSample};

/// Time between two samples.
pub(crate) const INTERVAL: Duration = Duration::from_secs(10);

/// Samples of one hour.
const SAMPLES: usize = 360;

/// Samples of the host, oldest first.
#[derive(Debug, Default)]
pub(crate) struct HostHistory {
    samples: Mutex<VecDeque<HostFigures>>,
}

impl HostHistory {
    /// Samples the host until `shutdown`. What was sampled by an earlier run is kept.
    pub(crate) async fn run(&self, host: &dyn Host, shutdown: CancellationToken) {
        let mut due = tokio::time::interval(INTERVAL);
        due.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        while shutdown.run_until_cancelled(due.tick()).await.is_some() {
            let figures = figures(Timestamp::now(), &host.sample().await);
            let mut samples = self.samples.lock();
            if samples.len() == SAMPLES {
                samples.pop_front();
            }
            samples.push_back(figures);
        }
    }

    pub(crate) fn samples(&self) -> Vec<HostFigures> {
        self.samples.lock().iter().copied().collect()
    }
}

/// A sample as the API shows it.
pub(crate) fn figures(ts: Timestamp, sample: &HostSample) -> HostFigures {
    HostFigures {
        ts,
        cpu: sample.cpu_percent,
        memory: sample.memory_percent,
        disk: sample.disk_percent,
        rss: sample.rss_bytes,
        zombies: sample.zombies,
        pressure: sample.pressure,
    }
}
