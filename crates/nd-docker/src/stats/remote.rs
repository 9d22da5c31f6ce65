//! Figures from the engine, where its containers are not processes of this machine.

use std::sync::Arc;
use std::time::Duration;

use bollard::models::ContainerStatsResponse;
use hyper::Method;
use nd_core::ports::UnitStats;

use crate::engine::{EngineError, JsonLines, request};
use crate::runtime::Shared;

/// One sample, without the second that an engine waits to give a rate.
pub(super) async fn read(shared: &Arc<Shared>, container: &str) -> Result<UnitStats, EngineError> {
    let path = format!("/containers/{container}/stats?stream=false&one-shot=true");
    let body = shared.engine.open(request(Method::GET, &path)?).await?;
    let mut samples = JsonLines::<ContainerStatsResponse>::new(body);
    let sample = tokio::time::timeout(shared.settings.call_timeout, samples.next()).await;
    let sample = sample.unwrap_or(Err(EngineError::Timeout(shared.settings.call_timeout)))?;
    Ok(sample.as_ref().map(figures).unwrap_or_default())
}

fn figures(sample: &ContainerStatsResponse) -> UnitStats {
    let cpu =
        sample.cpu_stats.as_ref().and_then(|cpu| cpu.cpu_usage.as_ref()).and_then(|usage| usage.total_usage);
    let memory = sample.memory_stats.as_ref();
    let cache = memory.and_then(|memory| memory.stats.as_ref()).and_then(|stats| {
        // The names of the first and of the second layout of control groups.
        stats.get("total_inactive_file").or_else(|| stats.get("inactive_file")).copied()
    });
    let used = memory.and_then(|memory| memory.usage).unwrap_or(0);
    let traffic = |bytes: fn(&bollard::models::ContainerNetworkStats) -> Option<u64>| {
        let networks = sample.networks.as_ref()?;
        Some(networks.values().filter_map(bytes).fold(0, u64::saturating_add))
    };
    UnitStats {
        cpu: Duration::from_nanos(cpu.unwrap_or(0)),
        memory_bytes: used.saturating_sub(cache.unwrap_or(0)),
        memory_limit_bytes: memory.and_then(|memory| memory.limit).filter(|limit| *limit > 0),
        processes: sample
            .pids_stats
            .as_ref()
            .and_then(|pids| pids.current)
            .map_or(0, |count| u32::try_from(count).unwrap_or(u32::MAX)),
        received_bytes: traffic(|network| network.rx_bytes),
        sent_bytes: traffic(|network| network.tx_bytes),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_engines_sample_becomes_the_same_figures() {
        let sample = serde_json::from_str(
            r#"{"cpu_stats":{"cpu_usage":{"total_usage":1500000000}},
                "memory_stats":{"usage":5000000,"limit":67108864,"stats":{"inactive_file":1000000}},
                "pids_stats":{"current":3},"networks":{"eth0":{"rx_bytes":7,"tx_bytes":9}}}"#,
        );
        let stats = figures(&sample.unwrap());
        assert_eq!((stats.cpu, stats.memory_bytes), (Duration::from_millis(1500), 4_000_000));
        assert_eq!((stats.processes, stats.received_bytes, stats.sent_bytes), (3, Some(7), Some(9)));
    }

    #[test]
    fn an_empty_sample_is_no_use() {
        assert_eq!(figures(&ContainerStatsResponse::default()), UnitStats::default());
    }
}
