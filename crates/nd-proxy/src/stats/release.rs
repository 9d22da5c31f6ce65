//! What one release has answered and how fast: a counter for each status, a histogram of fixed buckets.

use std::collections::BTreeMap;
use std::time::Duration;

use nd_types::ReleaseId;
use serde::{Deserialize, Serialize};

use super::Counter;

/// Upper bounds of the latency buckets, in microseconds; one more bucket is for what takes longer.
const BOUNDS_US: [u64; 14] = [
    1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000, 1_000_000, 2_500_000, 5_000_000,
    10_000_000, 30_000_000,
];
const BUCKETS: usize = BOUNDS_US.len() + 1;

/// The codes that are counted one by one: those of the IANA registry that proxies and apps send, and 499 for a client
/// that left before its answer. Any other counts for its class.
const CODES: [u16; 56] = [
    101, 200, 201, 202, 203, 204, 205, 206, 207, 208, 226, 300, 301, 302, 303, 304, 305, 307, 308, 400, 401,
    402, 403, 404, 405, 406, 407, 408, 409, 410, 411, 412, 413, 414, 415, 416, 417, 418, 421, 422, 423, 424,
    425, 426, 428, 429, 431, 451, 499, 500, 501, 502, 503, 504, 505, 507,
];
const CLASSES: usize = 9;
const SLOTS: usize = CODES.len() + CLASSES;

/// The traffic of one release of an app.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReleaseTraffic {
    /// Answers by status code, our own error pages included. An unusual code counts under its class, 1 to 9; 499 is a
    /// client that left before its answer.
    #[serde(with = "pairs")]
    pub codes: BTreeMap<u16, u64>,
    /// Bytes of request bodies.
    pub bytes_in: u64,
    /// Bytes of response bodies.
    pub bytes_out: u64,
    /// From the request head to the end of the answer. Upgraded connections are not part of it.
    pub latency: Latency,
}

impl ReleaseTraffic {
    /// Answers of a class, 1 to 9.
    #[must_use]
    pub fn class(&self, class: u16) -> u64 {
        let of_class = |code: u16| code == class || code / 100 == class;
        self.codes.iter().filter(|(code, _)| of_class(**code)).map(|(_, count)| count).sum()
    }
}

/// How long requests took, in fixed buckets.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Latency {
    /// Requests in each bucket, not added up: the bounds are those of [`Latency::bounds`], and the last bucket has none.
    pub buckets: Vec<u64>,
    /// All of them together, in microseconds.
    pub sum_us: u64,
}

impl Default for Latency {
    fn default() -> Self {
        Self { buckets: vec![0; BUCKETS], sum_us: 0 }
    }
}

impl Latency {
    /// The upper bounds of all buckets but the last.
    pub fn bounds() -> impl Iterator<Item = Duration> {
        BOUNDS_US.into_iter().map(Duration::from_micros)
    }

    /// How many requests were measured.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.buckets.iter().sum()
    }

    /// What was measured since `earlier`.
    #[must_use]
    pub fn since(&self, earlier: &Self) -> Self {
        let before = earlier.buckets.iter().copied().chain(std::iter::repeat(0));
        Self {
            buckets: self.buckets.iter().zip(before).map(|(now, then)| now.saturating_sub(then)).collect(),
            sum_us: self.sum_us.saturating_sub(earlier.sum_us),
        }
    }

    /// Below which time the share `quantile` (0 to 1) of the requests lies, spread evenly within its bucket; the last
    /// bound for what lies beyond all, and `None` when nothing was measured.
    #[must_use]
    pub fn quantile(&self, quantile: f64) -> Option<Duration> {
        let rank = self.count() as f64 * quantile.clamp(0.0, 1.0);
        let (mut below, mut from) = (0.0, Duration::ZERO);
        for (count, to) in self.buckets.iter().zip(Self::bounds()) {
            let count = *count as f64;
            if count > 0.0 && below + count >= rank {
                return Some(from + (to - from).mul_f64((rank - below) / count));
            }
            below += count;
            from = to;
        }
        (self.count() > 0).then_some(from)
    }
}

/// Counters of one release.
#[derive(Debug)]
pub(crate) struct ReleaseCounters {
    pub(crate) release: ReleaseId,
    workers: Box<[ReleaseShare]>,
}

/// One worker's share of a release's counters.
#[derive(Debug)]
#[repr(align(128))]
pub(crate) struct ReleaseShare {
    codes: [Counter; SLOTS],
    bytes_in: Counter,
    bytes_out: Counter,
    buckets: [Counter; BUCKETS],
    sum_us: Counter,
}

impl ReleaseCounters {
    pub(crate) fn new(release: ReleaseId, workers: usize) -> Self {
        Self { release, workers: (0..workers).map(|_| ReleaseShare::new()).collect() }
    }

    /// The share of one worker, which alone may write to it.
    pub(crate) fn share(&self, worker: usize) -> &ReleaseShare {
        static NOBODY: ReleaseShare = ReleaseShare::new();
        self.workers.get(worker).unwrap_or(&NOBODY)
    }

    pub(crate) fn sum(&self) -> ReleaseTraffic {
        let mut total = ReleaseTraffic::default();
        for share in &self.workers {
            share.add_to(&mut total);
        }
        total
    }
}

impl ReleaseShare {
    const fn new() -> Self {
        Self {
            codes: [const { Counter::new() }; SLOTS],
            bytes_in: Counter::new(),
            bytes_out: Counter::new(),
            buckets: [const { Counter::new() }; BUCKETS],
            sum_us: Counter::new(),
        }
    }

    /// Counts a request that has ended; `took` is left out where it says nothing about the app.
    pub(crate) fn count(&self, status: u16, bytes_in: u64, bytes_out: u64, took: Option<Duration>) {
        let of_class = || CODES.len() + usize::from(status / 100).saturating_sub(1);
        if let Some(counter) = self.codes.get(CODES.binary_search(&status).unwrap_or_else(|_| of_class())) {
            counter.add(1);
        }
        self.bytes_in.add(bytes_in);
        self.bytes_out.add(bytes_out);
        if let Some(took) = took {
            let us = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
            let bucket = BOUNDS_US.iter().position(|bound| us <= *bound).unwrap_or(BOUNDS_US.len());
            if let Some(counter) = self.buckets.get(bucket) {
                counter.add(1);
            }
            self.sum_us.add(us);
        }
    }

    fn add_to(&self, total: &mut ReleaseTraffic) {
        let names = CODES.into_iter().chain(1..);
        for (code, counter) in names.zip(&self.codes) {
            match counter.get() {
                0 => {}
                count => *total.codes.entry(code).or_default() += count,
            }
        }
        total.bytes_in += self.bytes_in.get();
        total.bytes_out += self.bytes_out.get();
        for (sum, counter) in total.latency.buckets.iter_mut().zip(&self.buckets) {
            *sum += counter.get();
        }
        total.latency.sum_us += self.sum_us.get();
    }
}

/// A map of numbers as a list of pairs: as keys of JSON, numbers would become text, which is not read back as numbers within
/// a tagged message.
mod pairs {
    use std::collections::BTreeMap;

    use serde::{Deserialize, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(map: &BTreeMap<u16, u64>, to: S) -> Result<S::Ok, S::Error> {
        to.collect_seq(map)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<BTreeMap<u16, u64>, D::Error> {
        Ok(Vec::<(u16, u64)>::deserialize(from)?.into_iter().collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counters() -> ReleaseCounters {
        ReleaseCounters::new("aaaaaa".parse().unwrap(), 2)
    }

    #[test]
    fn each_usual_code_has_its_own_counter_and_the_others_share_that_of_their_class() {
        let counters = counters();
        for status in [200, 200, 404, 499, 299, 599, 999] {
            counters.share(usize::from(status % 2)).count(status, 1, 2, None);
        }
        let sum = counters.sum();
        assert_eq!(sum.codes, BTreeMap::from([(200, 2), (404, 1), (499, 1), (2, 1), (5, 1), (9, 1)]));
        assert_eq!((sum.class(2), sum.class(4), sum.class(5)), (3, 2, 1));
        assert_eq!((sum.bytes_in, sum.bytes_out, sum.latency.count()), (7, 14, 0));
    }

    #[test]
    fn a_quantile_lies_within_its_bucket() {
        let counters = counters();
        for _ in 0..90 {
            counters.share(0).count(200, 0, 0, Some(Duration::from_millis(2)));
        }
        for _ in 0..10 {
            counters.share(1).count(200, 0, 0, Some(Duration::from_millis(80)));
        }
        let latency = counters.sum().latency;
        let (half, high) = (latency.quantile(0.5).unwrap(), latency.quantile(0.95).unwrap());
        assert!(half > Duration::from_millis(1) && half <= Duration::from_micros(2500), "{half:?}");
        assert!(high > Duration::from_millis(50) && high <= Duration::from_millis(100), "{high:?}");
        assert_eq!(latency.sum_us, 90 * 2000 + 10 * 80_000);
        assert_eq!(latency.since(&latency).quantile(0.5), None);
    }

    #[test]
    fn what_takes_longest_counts_as_the_last_bound() {
        let counters = counters();
        counters.share(0).count(200, 0, 0, Some(Duration::from_secs(100)));
        assert_eq!(counters.sum().latency.quantile(0.5), Some(Duration::from_secs(30)));
    }
}
