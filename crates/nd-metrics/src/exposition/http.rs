//! What each release answered, and how fast.

use std::collections::HashMap;

use prometheus::core::{Collector, Desc};
use prometheus::proto::{Bucket, Histogram, LabelPair, Metric, MetricFamily, MetricType};
use prometheus::{CounterVec, Opts, Registry};

use super::{AppSeries, add};

/// One release's series.
#[derive(Clone, Debug, Default)]
pub struct ReleaseSeries {
    /// The release, as the label `release`.
    pub release: String,
    /// Answers by status, as the label `code`.
    pub codes: Vec<(String, u64)>,
    /// Bytes of requests and of answers.
    pub bytes: [u64; 2],
    /// Requests by how long they took: each bucket's upper bound in seconds, and how many lie in it, not added up. What
    /// took longer than the last bound is in `latency_count` alone.
    pub latency: Vec<(f64, u64)>,
    /// How many were measured.
    pub latency_count: u64,
    /// All of them together, in seconds.
    pub latency_seconds: f64,
}

/// Registers the families of all releases.
pub(super) fn releases(registry: &Registry, apps: &[AppSeries]) -> prometheus::Result<()> {
    let count = |name: &str, help: &str, labels: &[&str]| CounterVec::new(Opts::new(name, help), labels);
    let requests = count(
        "nextdeploy_http_requests_total",
        "Requests by status; 499 is a client that left first",
        &["app", "release", "code"],
    )?;
    let of_release = &["app", "release"];
    let received =
        count("nextdeploy_http_request_bytes_total", "Bytes of request bodies by release", of_release)?;
    let sent =
        count("nextdeploy_http_response_bytes_total", "Bytes of response bodies by release", of_release)?;
    let mut durations = Vec::new();
    for app in apps {
        for release in &app.releases {
            let labels = [app.app.as_str(), release.release.as_str()];
            for (code, number) in &release.codes {
                requests.with_label_values(&[labels[0], labels[1], code]).inc_by(*number as f64);
            }
            let [bytes_in, bytes_out] = release.bytes;
            received.with_label_values(&labels).inc_by(bytes_in as f64);
            sent.with_label_values(&labels).inc_by(bytes_out as f64);
            durations.push(histogram(labels, release));
        }
    }
    for family in [requests, received, sent] {
        add(registry, family)?;
    }
    if durations.is_empty() {
        return Ok(());
    }
    add(registry, Durations::new(durations)?)
}

fn histogram(labels: [&str; 2], release: &ReleaseSeries) -> Metric {
    let mut metric = Metric::default();
    let pairs = ["app", "release"].iter().zip(labels).map(|(name, value)| {
        let mut pair = LabelPair::default();
        pair.set_name((*name).to_owned());
        pair.set_value(value.to_owned());
        pair
    });
    metric.set_label(pairs.collect());
    let mut below = 0;
    let buckets = release.latency.iter().map(|(bound, number)| {
        below += number;
        let mut bucket = Bucket::default();
        bucket.set_upper_bound(*bound);
        bucket.set_cumulative_count(below);
        bucket
    });
    let mut histogram = Histogram::default();
    histogram.set_bucket(buckets.collect());
    histogram.set_sample_count(release.latency_count);
    histogram.set_sample_sum(release.latency_seconds);
    metric.set_histogram(histogram);
    metric
}

/// Histograms that were filled elsewhere.
struct Durations {
    desc: Desc,
    metrics: Vec<Metric>,
}

const NAME: &str = "nextdeploy_http_request_duration_seconds";
const HELP: &str = "From the request head to the end of the answer";

impl Durations {
    fn new(metrics: Vec<Metric>) -> prometheus::Result<Self> {
        let labels = vec!["app".to_owned(), "release".to_owned()];
        Ok(Self { desc: Desc::new(NAME.to_owned(), HELP.to_owned(), labels, HashMap::new())?, metrics })
    }
}

impl Collector for Durations {
    fn desc(&self) -> Vec<&Desc> {
        vec![&self.desc]
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let mut family = MetricFamily::default();
        family.set_name(NAME.to_owned());
        family.set_help(HELP.to_owned());
        family.set_field_type(MetricType::HISTOGRAM);
        family.set_metric(self.metrics.clone());
        vec![family]
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Snapshot, exposition};
    use super::*;

    #[test]
    fn a_releases_requests_and_their_times_are_as_prometheus_wants_them() {
        let release = ReleaseSeries {
            release: "aaaaaa".into(),
            codes: vec![("200".into(), 7), ("5xx".into(), 1)],
            bytes: [1, 2],
            latency: vec![(0.001, 3), (0.0025, 4)],
            latency_count: 8,
            latency_seconds: 1.5,
        };
        let app = AppSeries { app: "shop".into(), releases: vec![release], ..AppSeries::default() };
        let text = exposition(&Snapshot { apps: vec![app], ..Snapshot::default() }).unwrap();
        for line in [
            "nextdeploy_http_requests_total{app=\"shop\",code=\"200\",release=\"aaaaaa\"} 7",
            "# TYPE nextdeploy_http_request_duration_seconds histogram",
            "nextdeploy_http_request_duration_seconds_bucket{app=\"shop\",release=\"aaaaaa\",le=\"0.001\"} 3",
            "nextdeploy_http_request_duration_seconds_bucket{app=\"shop\",release=\"aaaaaa\",le=\"0.0025\"} 7",
            "nextdeploy_http_request_duration_seconds_bucket{app=\"shop\",release=\"aaaaaa\",le=\"+Inf\"} 8",
            "nextdeploy_http_request_duration_seconds_sum{app=\"shop\",release=\"aaaaaa\"} 1.5",
            "nextdeploy_http_request_duration_seconds_count{app=\"shop\",release=\"aaaaaa\"} 8",
        ] {
            assert!(text.contains(line), "{line} in {text}");
        }
    }
}
