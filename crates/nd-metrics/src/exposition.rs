//! Prometheus' text format, version 0.0.4, in base units and with the names its conventions ask for.

mod http;

use std::collections::BTreeMap;
use std::time::Duration;

use prometheus::core::Collector;
use prometheus::{CounterVec, Encoder, Gauge, GaugeVec, IntCounter, Opts, Registry, TextEncoder};

use crate::host::HostSample;

pub use http::ReleaseSeries;

/// Everything that is measured, at one moment.
#[derive(Clone, Debug, Default)]
pub struct Snapshot {
    /// The daemon's version.
    pub version: String,
    /// Since the daemon started.
    pub uptime: Duration,
    /// API requests answered.
    pub api_requests: u64,
    /// Errors of the daemon itself.
    pub errors: u64,
    /// Workers that are not in order.
    pub workers_down: u32,
    /// Client connections of the proxy, now.
    pub proxy_connections: u64,
    /// Client connections of the proxy so far: accepted, and of those turned away.
    pub proxy_accepted: [u64; 2],
    /// Requests that the proxy refused before they could be routed.
    pub proxy_unrouted: u64,
    /// TLS handshakes that succeeded.
    pub proxy_handshakes: u64,
    /// Those that did not, by cause.
    pub proxy_handshakes_failed: BTreeMap<String, u64>,
    /// Access records that were dropped because nobody took them in time.
    pub records_dropped: u64,
    /// Every certificate by its first name, and when it ends, in seconds since 1970.
    pub certs: Vec<(String, i64)>,
    /// The host.
    pub host: HostSample,
    /// Every app.
    pub apps: Vec<AppSeries>,
}

/// One app's series.
#[derive(Clone, Debug, Default)]
pub struct AppSeries {
    /// The app's name, as the label `app`.
    pub app: String,
    /// Instances that serve.
    pub ready: u32,
    /// Instances that should.
    pub desired: u32,
    /// Restarts nobody asked for.
    pub restarts: u64,
    /// Ends nobody asked for.
    pub crashes: u64,
    /// Deployments that ended well, and that did not.
    pub deployments: [u64; 2],
    /// Answers by status class, `1xx` to `5xx`.
    pub responses: [u64; 5],
    /// Bytes of requests and of answers.
    pub traffic_bytes: [u64; 2],
    /// Requests in flight.
    pub in_flight: u64,
    /// Requests that wait for an instance.
    pub held: u64,
    /// Requests that were sent a second time.
    pub retries: u64,
    /// Connections that left HTTP.
    pub upgrades: u64,
    /// What each release answered.
    pub releases: Vec<ReleaseSeries>,
}

/// Writes a snapshot down.
///
/// # Errors
/// Never in practice: the names are fixed, and checked by a test.
pub fn exposition(snapshot: &Snapshot) -> Result<String, prometheus::Error> {
    let registry = Registry::new();
    daemon(&registry, snapshot)?;
    host(&registry, &snapshot.host)?;
    apps(&registry, &snapshot.apps)?;
    http::releases(&registry, &snapshot.apps)?;
    let mut text = Vec::new();
    TextEncoder::new().encode(&registry.gather(), &mut text)?;
    Ok(String::from_utf8_lossy(&text).into_owned())
}

fn daemon(registry: &Registry, snapshot: &Snapshot) -> prometheus::Result<()> {
    let build =
        GaugeVec::new(Opts::new("nextdeploy_build_info", "The daemon's version; always 1"), &["version"])?;
    build.with_label_values(&[snapshot.version.as_str()]).set(1.0);
    add(registry, build)?;
    gauge(registry, "nextdeploy_uptime_seconds", "Since the daemon started", snapshot.uptime.as_secs_f64())?;
    counter(registry, "nextdeploy_api_requests_total", "API requests answered", snapshot.api_requests)?;
    counter(registry, "nextdeploy_errors_total", "Errors of the daemon itself", snapshot.errors)?;
    let down = f64::from(snapshot.workers_down);
    gauge(registry, "nextdeploy_workers_down", "Workers of the daemon that are not in order", down)?;
    let connections = snapshot.proxy_connections as f64;
    gauge(registry, "nextdeploy_proxy_connections", "Client connections of the proxy", connections)?;
    let ends = Opts::new("nextdeploy_cert_not_after_seconds", "When a certificate ends, since 1970");
    let ends = GaugeVec::new(ends, &["name"])?;
    for (name, end) in &snapshot.certs {
        ends.with_label_values(&[name.as_str()]).set(*end as f64);
    }
    add(registry, ends)?;
    let [accepted, turned_away] = snapshot.proxy_accepted;
    let failed = Opts::new("nextdeploy_tls_handshakes_failed_total", "TLS handshakes that did not succeed");
    let failed = CounterVec::new(failed, &["cause"])?;
    for (cause, count) in &snapshot.proxy_handshakes_failed {
        failed.with_label_values(&[cause.as_str()]).inc_by(*count as f64);
    }
    add(registry, failed)?;
    for (name, help, value) in [
        ("nextdeploy_proxy_accepted_connections_total", "Client connections accepted", accepted),
        ("nextdeploy_proxy_turned_away_connections_total", "Client connections over the limit", turned_away),
        ("nextdeploy_proxy_unrouted_requests_total", "Requests that lead to no app", snapshot.proxy_unrouted),
        ("nextdeploy_tls_handshakes_total", "TLS handshakes that succeeded", snapshot.proxy_handshakes),
        ("nextdeploy_access_records_dropped_total", "Access records nobody took", snapshot.records_dropped),
    ] {
        counter(registry, name, help, value)?;
    }
    Ok(())
}

fn host(registry: &Registry, host: &HostSample) -> prometheus::Result<()> {
    let ratio = host.cpu_percent / 100.0;
    gauge(registry, "nextdeploy_host_cpu_usage_ratio", "Processor use, 1 is every core", ratio)?;
    gauge(registry, "nextdeploy_host_memory_total_bytes", "Memory", host.memory_total_bytes as f64)?;
    gauge(
        registry,
        "nextdeploy_host_memory_used_bytes",
        "Memory not available",
        host.memory_used_bytes as f64,
    )?;
    gauge(
        registry,
        "nextdeploy_host_disk_total_bytes",
        "Disk of the data directory",
        host.disk_total_bytes as f64,
    )?;
    gauge(registry, "nextdeploy_host_disk_used_bytes", "Disk not available", host.disk_used_bytes as f64)?;
    gauge(registry, "nextdeploy_host_load1", "Load average over one minute", host.load[0])?;
    counter(registry, "nextdeploy_host_network_received_bytes_total", "Bytes received", host.received_bytes)?;
    counter(registry, "nextdeploy_host_network_sent_bytes_total", "Bytes sent", host.sent_bytes)?;
    gauge(
        registry,
        "nextdeploy_resident_memory_bytes",
        "Resident memory of the daemon",
        host.rss_bytes as f64,
    )
}

fn apps(registry: &Registry, apps: &[AppSeries]) -> prometheus::Result<()> {
    let by_app = |name: &str, help: &str| GaugeVec::new(Opts::new(name, help), &["app"]);
    let ready = by_app("nextdeploy_app_instances_ready", "Instances that serve")?;
    let desired = by_app("nextdeploy_app_instances_desired", "Instances that should")?;
    let in_flight = by_app("nextdeploy_app_requests_in_flight", "Requests in flight")?;
    let held = by_app("nextdeploy_app_requests_held", "Requests that wait for an instance")?;
    let count = |name: &str, help: &str, labels: &[&str]| CounterVec::new(Opts::new(name, help), labels);
    let restarts = count("nextdeploy_app_restarts_total", "Restarts nobody asked for", &["app"])?;
    let crashes = count("nextdeploy_app_crashes_total", "Ends nobody asked for", &["app"])?;
    let deployments =
        count("nextdeploy_app_deployments_total", "Deployments that ended", &["app", "outcome"])?;
    let responses = count("nextdeploy_app_responses_total", "Answers by status class", &["app", "class"])?;
    let received = count("nextdeploy_app_received_bytes_total", "Bytes of requests", &["app"])?;
    let sent = count("nextdeploy_app_sent_bytes_total", "Bytes of answers", &["app"])?;
    let retries = count("nextdeploy_app_retries_total", "Requests that were sent again", &["app"])?;
    let upgrades = count("nextdeploy_app_upgrades_total", "Connections that left HTTP", &["app"])?;
    for series in apps {
        let app = series.app.as_str();
        ready.with_label_values(&[app]).set(f64::from(series.ready));
        desired.with_label_values(&[app]).set(f64::from(series.desired));
        in_flight.with_label_values(&[app]).set(series.in_flight as f64);
        held.with_label_values(&[app]).set(series.held as f64);
        retries.with_label_values(&[app]).inc_by(series.retries as f64);
        upgrades.with_label_values(&[app]).inc_by(series.upgrades as f64);
        restarts.with_label_values(&[app]).inc_by(series.restarts as f64);
        crashes.with_label_values(&[app]).inc_by(series.crashes as f64);
        for (outcome, number) in ["succeeded", "failed"].iter().zip(series.deployments) {
            deployments.with_label_values(&[app, outcome]).inc_by(number as f64);
        }
        for (class, number) in ["1xx", "2xx", "3xx", "4xx", "5xx"].iter().zip(series.responses) {
            responses.with_label_values(&[app, class]).inc_by(number as f64);
        }
        for (family, bytes) in [&received, &sent].into_iter().zip(series.traffic_bytes) {
            family.with_label_values(&[app]).inc_by(bytes as f64);
        }
    }
    for gauges in [ready, desired, in_flight, held] {
        add(registry, gauges)?;
    }
    [restarts, crashes, deployments, responses, received, sent, retries, upgrades]
        .into_iter()
        .try_for_each(|family| add(registry, family))
}

fn gauge(registry: &Registry, name: &str, help: &str, value: f64) -> prometheus::Result<()> {
    let gauge = Gauge::new(name, help)?;
    gauge.set(value);
    add(registry, gauge)
}

fn counter(registry: &Registry, name: &str, help: &str, value: u64) -> prometheus::Result<()> {
    let counter = IntCounter::new(name, help)?;
    counter.inc_by(value);
    add(registry, counter)
}

fn add(registry: &Registry, collector: impl Collector + 'static) -> prometheus::Result<()> {
    registry.register(Box::new(collector))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text() -> String {
        let app =
            AppSeries { app: "shop".into(), ready: 2, responses: [0, 7, 0, 1, 0], ..AppSeries::default() };
        exposition(&Snapshot { version: "1.2.3".into(), apps: vec![app], ..Snapshot::default() }).unwrap()
    }

    #[test]
    fn an_apps_series_carry_its_name() {
        assert!(text().contains(r#"nextdeploy_app_instances_ready{app="shop"} 2"#), "{}", text());
        assert!(text().contains(r#"nextdeploy_app_responses_total{app="shop",class="2xx"} 7"#), "{}", text());
    }

    #[test]
    fn counters_end_in_total_and_every_series_is_ours() {
        for line in text().lines().filter(|line| line.starts_with("# TYPE ")) {
            let mut words = line.split(' ').skip(2);
            let (name, kind) = (words.next().unwrap(), words.next().unwrap());
            assert!(name.starts_with("nextdeploy_"), "{line}");
            assert_eq!(kind == "counter", name.ends_with("_total"), "{line}");
        }
    }
}
