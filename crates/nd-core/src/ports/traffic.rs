//! What became of an app's requests.

use std::collections::BTreeMap;
use std::time::Duration;

use nd_types::ReleaseId;
use serde::{Deserialize, Serialize};

/// Counters of one app since its data plane began; only their growth means something, and one that has shrunk began anew.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AppTraffic {
    /// Requests, those in flight included, and connections of host ports.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub requests: u64,
    /// How many of them are in flight now, or wait; upgraded connections among them.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub in_flight: u64,
    /// Answers, those of the data plane itself included.
    pub answers: u64,
    /// Answers with a status of 500 or more.
    pub failed: u64,
    /// Requests that had to wait for an instance.
    pub held: u64,
    /// Requests that were sent a second time.
    pub retried: u64,
    /// Which release answered how.
    pub releases: BTreeMap<ReleaseId, ReleaseTraffic>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands the field over by reference")]
fn is_zero(number: &u64) -> bool {
    *number == 0
}

/// How one release has answered.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReleaseTraffic {
    /// Answers.
    pub answers: u64,
    /// Answers with a status of 500 or more.
    pub failed: u64,
    /// How many answers took up to so many microseconds, and longer than the bucket below; `u64::MAX` is for all that
    /// took longer than that.
    #[serde(with = "pairs")]
    pub latency_us: BTreeMap<u64, u64>,
}

impl AppTraffic {
    /// The figures of a release.
    #[must_use]
    pub fn of(&self, release: &ReleaseId) -> ReleaseTraffic {
        self.releases.get(release).cloned().unwrap_or_default()
    }
}

impl ReleaseTraffic {
    /// What has come on top of `earlier`.
    #[must_use]
    pub fn since(&self, earlier: &Self) -> Self {
        if self.answers < earlier.answers {
            // The data plane has begun anew.
            return self.clone();
        }
        let before = |bound: &u64| earlier.latency_us.get(bound).copied().unwrap_or(0);
        Self {
            answers: self.answers - earlier.answers,
            failed: self.failed.saturating_sub(earlier.failed),
            latency_us: self
                .latency_us
                .iter()
                .map(|(bound, count)| (*bound, count.saturating_sub(before(bound))))
                .collect(),
        }
    }

    /// The share of failed answers, 0 to 1.
    #[must_use]
    pub fn error_rate(&self) -> f64 {
        if self.answers == 0 { 0.0 } else { self.failed as f64 / self.answers as f64 }
    }

    /// How many answers may have taken longer than `time`: all of the buckets that end above it.
    #[must_use]
    pub fn slower_than(&self, time: Duration) -> u64 {
        let time = u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        self.latency_us.iter().filter(|(bound, _)| **bound > time).map(|(_, count)| count).sum()
    }

    /// Below which time 95 of 100 answers lie: the bound of their bucket. Nothing where nothing was measured.
    #[must_use]
    pub fn p95(&self) -> Option<Duration> {
        let measured: u64 = self.latency_us.values().sum();
        let rank = measured - measured / 20;
        let mut below = 0;
        let bound = self.latency_us.iter().find(|(_, count)| {
            below += **count;
            measured > 0 && below >= rank
        });
        bound.map(|(bound, _)| Duration::from_micros(*bound))
    }
}

impl ReleaseTraffic {
    /// As [`Self::p95`], with the answers of its bucket spread evenly within it; of those above all bounds only that is
    /// known.
    #[must_use]
    pub fn p95_about(&self) -> Option<Duration> {
        let measured: u64 = self.latency_us.values().sum();
        let rank = measured as f64 * 0.95;
        let (mut below, mut from) = (0.0, Duration::ZERO);
        for (bound, count) in &self.latency_us {
            let (count, to) = (*count as f64, Duration::from_micros(*bound));
            if count > 0.0 && below + count >= rank {
                let known = *bound != u64::MAX;
                return Some(if known { from + (to - from).mul_f64((rank - below) / count) } else { from });
            }
            below += count;
            from = to;
        }
        None
    }
}

/// A map of numbers as a list of pairs: as keys of JSON, numbers would become text.
mod pairs {
    use std::collections::BTreeMap;

    use serde::{Deserialize, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(map: &BTreeMap<u64, u64>, to: S) -> Result<S::Ok, S::Error> {
        to.collect_seq(map)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<BTreeMap<u64, u64>, D::Error> {
        Ok(Vec::<(u64, u64)>::deserialize(from)?.into_iter().collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn traffic(answers: u64, failed: u64, buckets: &[(u64, u64)]) -> ReleaseTraffic {
        ReleaseTraffic { answers, failed, latency_us: buckets.iter().copied().collect() }
    }

    #[test]
    fn only_the_growth_counts() {
        let (earlier, later) = (traffic(10, 1, &[(1000, 10)]), traffic(30, 2, &[(1000, 12), (5000, 18)]));
        assert_eq!(later.since(&earlier), traffic(20, 1, &[(1000, 2), (5000, 18)]));
        assert_eq!(earlier.since(&later), earlier, "the counters began anew");
    }

    #[test]
    fn the_p95_is_the_bound_of_its_bucket() {
        assert_eq!(traffic(0, 0, &[]).p95(), None);
        assert_eq!(traffic(100, 0, &[(1000, 95), (9000, 5)]).p95(), Some(Duration::from_millis(1)));
        assert_eq!(traffic(100, 0, &[(1000, 94), (9000, 6)]).p95(), Some(Duration::from_millis(9)));
    }
}
