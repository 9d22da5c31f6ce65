//! How often clients may ask: token buckets, one for each client or one for all, shared by all workers.
//!
//! Each bucket is one number, the time at which it would be full again (the generic cell rate algorithm, ITU-T I.371). At most
//! 65,536 clients have a bucket of a rule at once (1 MiB of memory); beyond that the one that is fullest gives way, and its
//! client begins anew: limits get looser then, never stricter.

use std::hash::{BuildHasher as _, RandomState};
use std::net::{IpAddr, Ipv6Addr};
use std::time::Duration;

use nd_types::{LimitedBy, RateLimit};
use parking_lot::Mutex;
use tokio::time::Instant;

/// Locks, so that workers hardly ever meet.
const SHARDS: usize = 64;
/// Places where a client's bucket may be.
const WAYS: usize = 8;
/// Sets of such places in each shard.
const SETS: usize = 128;

/// All limits of one app.
#[derive(Debug)]
pub(crate) struct Limiter {
    limits: Vec<RateLimit>,
    rules: Vec<Rule>,
    began: Instant,
}

/// A request that is let through: how its client stands with the limit that has least left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Standing {
    quota: u32,
    window: u64,
    /// How many more would be let through at once.
    left: u64,
    /// How long until there is one more.
    wait: Duration,
}

impl Standing {
    /// The fields that say so.
    pub(crate) fn fields(&self) -> String {
        fields(self.quota, self.window, self.left, seconds(self.wait))
    }
}

/// A request beyond a limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Exceeded {
    pub(crate) status: u16,
    /// How long until the next one is let through.
    pub(crate) wait: Duration,
    /// What is allowed: so many requests …
    pub(crate) quota: u32,
    /// … in so many seconds.
    pub(crate) window: u64,
}

impl Exceeded {
    /// Whole seconds until the next request is let through, at least one.
    pub(crate) fn seconds(&self) -> u32 {
        seconds(self.wait)
    }

    /// The fields that say what is allowed, and that nothing of it is left.
    pub(crate) fn fields(&self) -> String {
        fields(self.quota, self.window, 0, self.seconds())
    }
}

/// What is allowed, what is left of it, and in how many seconds there is more (draft-ietf-httpapi-ratelimit-headers-10,
/// sections 3 and 4).
fn fields(quota: u32, window: u64, left: u64, seconds: u32) -> String {
    format!(
        "RateLimit-Policy: \"default\";q={quota};w={window}\r\nRateLimit: \"default\";r={left};t={seconds}\r\n"
    )
}

/// Whole seconds, at least one.
fn seconds(wait: Duration) -> u32 {
    u32::try_from(wait.as_millis().div_ceil(1000).max(1)).unwrap_or(u32::MAX)
}

#[derive(Debug)]
struct Rule {
    limit: RateLimit,
    /// Between two requests, in nanoseconds.
    interval: u64,
    /// How far ahead a bucket's time may be, in nanoseconds.
    tolerance: u64,
    buckets: Buckets,
}

#[derive(Debug)]
enum Buckets {
    One(Mutex<u64>),
    Clients { hasher: RandomState, shards: Box<[Mutex<Vec<Bucket>>]> },
}

/// One client's bucket; an empty place has no key.
#[derive(Clone, Copy, Debug, Default)]
struct Bucket {
    key: u64,
    full_at: u64,
}

impl Limiter {
    pub(crate) fn new(limits: &[RateLimit]) -> Self {
        let rules = limits.iter().cloned().map(Rule::new).collect();
        Self { limits: limits.to_vec(), rules, began: Instant::now() }
    }

    /// Whether it is for these limits.
    pub(crate) fn is_for(&self, limits: &[RateLimit]) -> bool {
        self.limits == limits
    }

    /// Takes a token for a request out of every bucket concerned; says how its client stands then, where there is one.
    pub(crate) fn take(
        &self,
        concerns: impl Fn(&RateLimit) -> bool,
        client: impl FnOnce() -> IpAddr,
        now: Instant,
    ) -> Result<Option<Standing>, Exceeded> {
        let mut concerned = self.rules.iter().filter(|rule| concerns(&rule.limit)).peekable();
        if concerned.peek().is_none() {
            return Ok(None);
        }
        let now = u64::try_from(now.saturating_duration_since(self.began).as_nanos()).unwrap_or(u64::MAX);
        let client = client();
        let mut least: Option<Standing> = None;
        for rule in concerned {
            let standing = rule.take(client, now)?;
            least = least.filter(|least| least.left <= standing.left).or(Some(standing));
        }
        Ok(least)
    }
}

impl Rule {
    fn new(limit: RateLimit) -> Self {
        let unit = u64::try_from(limit.rate.unit.duration().as_nanos()).unwrap_or(u64::MAX);
        let interval = (unit / u64::from(limit.rate.requests.get())).max(1);
        let tolerance = interval.saturating_mul(u64::from(limit.burst.get()));
        let buckets = match limit.per {
            LimitedBy::App => Buckets::One(Mutex::new(0)),
            LimitedBy::Ip => Buckets::Clients {
                hasher: RandomState::new(),
                shards: (0..SHARDS).map(|_| Mutex::default()).collect(),
            },
        };
        Self { limit, interval, tolerance, buckets }
    }

    fn take(&self, client: IpAddr, now: u64) -> Result<Standing, Exceeded> {
        match &self.buckets {
            Buckets::One(full_at) => self.draw(&mut full_at.lock(), now),
            Buckets::Clients { hasher, shards } => {
                let key = hasher.hash_one(network(client)).max(1);
                let place = |of: usize, shift: u32| usize::try_from(key >> shift).unwrap_or(0) % of;
                let Some(shard) = shards.get(place(SHARDS, 0)) else { return Ok(self.standing(0)) };
                let mut shard = shard.lock();
                if shard.is_empty() {
                    shard.resize(SETS * WAYS, Bucket::default());
                }
                let first = place(SETS, 32) * WAYS;
                let Some(set) = shard.get_mut(first..first + WAYS) else { return Ok(self.standing(0)) };
                let own = set.iter().position(|bucket| bucket.key == key);
                // An empty place, or the one that misses least.
                let spare =
                    || (0..set.len()).min_by_key(|at| set.get(*at).map_or(0, |bucket| bucket.full_at));
                let Some(bucket) = own.or_else(spare).and_then(|at| set.get_mut(at)) else {
                    return Ok(self.standing(0));
                };
                if bucket.key != key {
                    *bucket = Bucket { key, full_at: 0 };
                }
                self.draw(&mut bucket.full_at, now)
            }
        }
    }

    /// Takes a token out of a bucket.
    fn draw(&self, full_at: &mut u64, now: u64) -> Result<Standing, Exceeded> {
        let then = (*full_at).max(now).saturating_add(self.interval);
        let ahead = then - now;
        if ahead > self.tolerance {
            return Err(Exceeded {
                status: self.limit.status,
                wait: Duration::from_nanos(ahead - self.tolerance),
                quota: self.limit.rate.requests.get(),
                window: self.limit.rate.unit.duration().as_secs(),
            });
        }
        *full_at = then;
        Ok(self.standing(ahead))
    }

    /// What a bucket has whose time is so far ahead.
    fn standing(&self, ahead: u64) -> Standing {
        let room = self.tolerance.saturating_sub(ahead);
        let (left, part) = (room / self.interval, room % self.interval);
        Standing {
            quota: self.limit.rate.requests.get(),
            window: self.limit.rate.unit.duration().as_secs(),
            left,
            wait: Duration::from_nanos(self.interval - part),
        }
    }
}

/// What one client has: an address, and of IPv6 the 64 bits that providers give to each customer.
fn network(client: IpAddr) -> IpAddr {
    match client.to_canonical() {
        IpAddr::V6(v6) => IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() >> 64 << 64)),
        v4 @ IpAddr::V4(_) => v4,
    }
}

#[cfg(test)]
mod tests {
    use nd_types::PathPrefix;

    use super::*;

    fn limiter(rate: &str, burst: u32, per: LimitedBy) -> Limiter {
        let (rate, burst) = (rate.parse().unwrap(), burst.try_into().unwrap());
        Limiter::new(&[RateLimit { path: PathPrefix::root(), per, rate, burst, status: 429 }])
    }

    fn ask(limiter: &Limiter, client: &str, ms: u64) -> Result<Option<Standing>, Exceeded> {
        limiter.take(|_| true, || client.parse().unwrap(), limiter.began + Duration::from_millis(ms))
    }

    #[tokio::test]
    async fn a_burst_is_let_through_and_then_the_rate() {
        let limiter = limiter("10/s", 3, LimitedBy::Ip);
        assert!((0..3).all(|_| ask(&limiter, "192.0.2.1", 0).is_ok()));
        let exceeded = ask(&limiter, "192.0.2.1", 0).unwrap_err();
        assert_eq!((exceeded.wait, exceeded.quota, exceeded.window), (Duration::from_millis(100), 10, 1));
        assert!(ask(&limiter, "192.0.2.2", 0).is_ok(), "another client has a bucket of its own");
        assert!(ask(&limiter, "192.0.2.1", 100).is_ok());
        assert!(ask(&limiter, "192.0.2.1", 150).is_err());
        let later = (0..20).filter(|_| ask(&limiter, "192.0.2.1", 60_000).is_ok()).count();
        assert_eq!(later, 3, "no more than a bucket is saved up");
    }

    #[tokio::test]
    async fn who_is_let_through_hears_what_is_left() {
        let limiter = limiter("6/m", 3, LimitedBy::Ip);
        let fields = |ms| ask(&limiter, "192.0.2.1", ms).unwrap().unwrap().fields();
        let policy = "RateLimit-Policy: \"default\";q=6;w=60\r\n";
        assert_eq!(fields(0), format!("{policy}RateLimit: \"default\";r=2;t=10\r\n"));
        assert_eq!(fields(0), format!("{policy}RateLimit: \"default\";r=1;t=10\r\n"));
        assert_eq!(fields(4_000), format!("{policy}RateLimit: \"default\";r=0;t=6\r\n"));
        let exceeded = ask(&limiter, "192.0.2.1", 4_000).unwrap_err();
        assert_eq!(exceeded.fields(), fields_of_none_left(6));
    }

    fn fields_of_none_left(seconds: u32) -> String {
        fields(6, 60, 0, seconds)
    }

    #[tokio::test]
    async fn clients_with_ipv6_share_the_bucket_of_their_network() {
        let limiter = limiter("1/m", 1, LimitedBy::Ip);
        assert!(ask(&limiter, "2001:db8:0:1::1", 0).is_ok());
        assert!(ask(&limiter, "2001:db8:0:1:ffff::2", 0).is_err());
        assert!(ask(&limiter, "2001:db8:0:2::1", 0).is_ok());
        assert!(ask(&limiter, "::ffff:192.0.2.1", 0).is_ok());
        assert!(ask(&limiter, "192.0.2.1", 0).is_err());
    }

    #[tokio::test]
    async fn all_clients_share_the_bucket_of_an_app() {
        let limiter = limiter("1/m", 2, LimitedBy::App);
        assert!(ask(&limiter, "192.0.2.1", 0).is_ok() && ask(&limiter, "192.0.2.2", 0).is_ok());
        assert!(ask(&limiter, "192.0.2.3", 0).is_err());
    }

    #[tokio::test]
    async fn a_million_addresses_take_no_more_memory_and_get_no_stricter_limit() {
        let limiter = limiter("1/d", 2, LimitedBy::Ip);
        for number in 0..1_000_000_u32 {
            let client = IpAddr::from(number.to_be_bytes());
            assert!(limiter.take(|_| true, || client, limiter.began).is_ok());
        }
        let Buckets::Clients { shards, .. } = &limiter.rules.first().unwrap().buckets else { unreachable!() };
        let places: usize = shards.iter().map(|shard| shard.lock().len()).sum();
        assert_eq!((places, size_of::<Bucket>() * places), (65_536, 1 << 20));
    }
}
