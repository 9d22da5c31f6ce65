//! The figures of the data plane in the words of the port.

use nd_core::ports::{AppTraffic, ReleaseTraffic};
use nd_proxy::{Latency, ProxyStats};
use nd_types::AppName;

/// What has become of an app's requests; nothing of one that the state does not name.
pub(crate) fn of_app(stats: &ProxyStats, app: &AppName) -> AppTraffic {
    let Some(traffic) = stats.apps.get(app) else { return AppTraffic::default() };
    let releases = traffic.releases.iter();
    AppTraffic {
        requests: traffic.requests,
        in_flight: traffic.in_flight,
        answers: traffic.responses.iter().sum(),
        failed: traffic.responses.last().copied().unwrap_or(0),
        held: traffic.waited,
        retried: traffic.retries,
        releases: releases.map(|(id, traffic)| (id.clone(), of_release(traffic))).collect(),
    }
}

fn of_release(traffic: &nd_proxy::ReleaseTraffic) -> ReleaseTraffic {
    let bounds = Latency::bounds().map(|bound| u64::try_from(bound.as_micros()).unwrap_or(u64::MAX));
    let buckets = bounds.chain([u64::MAX]).zip(traffic.latency.buckets.iter().copied());
    ReleaseTraffic {
        answers: traffic.codes.values().sum(),
        failed: traffic.class(5),
        latency_us: buckets.collect(),
    }
}
