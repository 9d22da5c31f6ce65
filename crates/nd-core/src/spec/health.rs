//! When a unit counts as ready.

use std::num::NonZeroU16;
use std::time::Duration;

use nd_types::PathPrefix;

/// How readiness is found out, and how long that may take.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReadinessSpec {
    /// What is asked.
    pub kind: ProbeKind,
    /// The port that is asked; the app's own when absent.
    pub port: Option<NonZeroU16>,
    /// How long one probe may take.
    pub timeout: Duration,
    /// How often a ready unit is asked again.
    pub interval: Duration,
    /// How many failures in a row make a ready unit unhealthy.
    pub retries: u16,
    /// How long a unit may take to boot before a failure counts.
    pub start_period: Duration,
    /// How long a new unit may take to become ready, on top of `start_period`.
    pub deadline: Duration,
}

impl Default for ReadinessSpec {
    /// No probe declared; 5 s a probe, 60 s to become ready, then every 10 s with 3 tries.
    fn default() -> Self {
        Self {
            kind: ProbeKind::Auto,
            port: None,
            timeout: Duration::from_secs(5),
            interval: Duration::from_secs(10),
            retries: 3,
            start_period: Duration::ZERO,
            deadline: Duration::from_secs(60),
        }
    }
}

/// What is asked of a unit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ProbeKind {
    /// The image's `HEALTHCHECK` if it has one; else the port accepts and `GET /` answers below 500, or, when the port
    /// speaks no HTTP, it accepts twice half a second apart. A unit without any port is ready when it runs.
    Auto,
    /// `GET path` answers with an accepted status, twice in a row.
    Http {
        /// The path, with a query if there is one.
        path: String,
        /// The statuses that count as healthy.
        accept: StatusRange,
    },
    /// The port accepts a connection.
    Tcp,
    /// This command, run inside the container or beside the process, ends with 0.
    Command(Vec<String>),
}

/// Statuses from `first` to `last`, both included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StatusRange {
    /// The lowest status.
    pub first: u16,
    /// The highest status.
    pub last: u16,
}

impl StatusRange {
    /// 200 to 399: a redirect to a login page is a healthy answer (basecamp/kamal#1041).
    pub const DEFAULT: Self = Self { first: 200, last: 399 };

    /// Whether `status` lies in the range.
    #[must_use]
    pub fn contains(self, status: u16) -> bool {
        (self.first..=self.last).contains(&status)
    }
}

impl ProbeKind {
    /// An HTTP probe of `path` with the default statuses.
    #[must_use]
    pub fn http(path: &str) -> Self {
        Self::Http { path: PathPrefix::new(path).as_str().to_owned(), accept: StatusRange::DEFAULT }
    }
}
