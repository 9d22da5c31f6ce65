//! An authority, an edge, and an issuer between them.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use nd_certs::{Acme, AcmeSettings, Dns, DnsSettings, ExecDns, ExecSettings};
use nd_core::ports::{CertIssuer, CertOrder, ChallengeKind, ChallengeSolver, IssuedCert, PortError};
use nd_supervise::{Clock, Mono, SystemClock};
use nd_testkit::{Pebble, PebbleOptions};
use nd_types::{HostPattern, Timestamp};

use crate::edge::Edge;

pub(crate) type Result<T, E = Box<dyn std::error::Error>> = std::result::Result<T, E>;

/// An authority that looks at an edge, and where an issuer keeps its account.
pub(crate) struct World {
    pub(crate) pebble: Pebble,
    pub(crate) edge: Arc<Edge>,
    pub(crate) place: tempfile::TempDir,
}

impl World {
    pub(crate) async fn new(kinds: &[ChallengeKind]) -> Result<Self> {
        Self::with(kinds, PebbleOptions::default()).await
    }

    pub(crate) async fn with(kinds: &[ChallengeKind], options: PebbleOptions) -> Result<Self> {
        let edge = Arc::new(Edge::listen(kinds).await?);
        let options = PebbleOptions { http_port: edge.http_port, tls_port: edge.tls_port, ..options };
        let pebble = nd_supervise::blocking("pebble", move || {
            Pebble::start(&options).map_err(|error| error.to_string())
        })
        .await??;
        Ok(Self { pebble, edge, place: tempfile::tempdir()? })
    }

    pub(crate) fn settings(&self) -> AcmeSettings {
        AcmeSettings {
            directory: self.pebble.directory().to_owned(),
            ca_file: Some(self.pebble.ca_file()),
            email: Some("me@example.com".to_owned()),
            timeout: Duration::from_secs(60),
            ..AcmeSettings::default()
        }
    }

    pub(crate) fn issuer(&self, settings: AcmeSettings) -> Result<Acme> {
        self.issuer_at(settings, Arc::new(SystemClock))
    }

    pub(crate) fn issuer_at(&self, settings: AcmeSettings, clock: Arc<dyn Clock>) -> Result<Acme> {
        Ok(Acme::new("pebble".parse()?, settings, self.place.path(), self.dns()?, clock)?)
    }

    pub(crate) fn dns(&self) -> Result<Dns> {
        Ok(Dns::new(&DnsSettings { servers: vec![self.pebble.dns()] })?)
    }

    /// Proves names by a hook that writes into the authority's DNS.
    pub(crate) fn hook(&self) -> Result<Arc<dyn ChallengeSolver>> {
        let command = ["sh", "-c", &self.pebble.dns_hook()].map(str::to_owned).into();
        let propagation_timeout = Duration::from_secs(20);
        let settings = ExecSettings { command, propagation_timeout, ..ExecSettings::default() };
        Ok(Arc::new(ExecDns::new(settings, self.dns()?)?))
    }

    pub(crate) fn solvers(&self) -> [Arc<dyn ChallengeSolver>; 1] {
        [self.edge.clone()]
    }

    /// A certificate for these names, by an issuer of the usual settings.
    pub(crate) async fn issue(&self, names: &[&str]) -> Result<IssuedCert> {
        Ok(self.issuer(self.settings())?.issue(&order(names)?, &self.solvers()).await?)
    }
}

pub(crate) fn order(names: &[&str]) -> Result<CertOrder> {
    let names = names.iter().map(|name| HostPattern::pattern(name)).collect::<std::result::Result<_, _>>()?;
    Ok(CertOrder { names, ..CertOrder::default() })
}

/// What a user reads of an error.
pub(crate) fn told(error: &PortError) -> String {
    format!("{error}; {}", error.fix.as_deref().unwrap_or("no fix"))
}

/// The error that an order must end with.
pub(crate) async fn refused(
    issuer: &Acme,
    order: &CertOrder,
    solvers: &[Arc<dyn ChallengeSolver>],
) -> Result<PortError> {
    match issuer.issue(order, solvers).await {
        Ok(cert) => Err(format!("certificate {} was issued", cert.serial).into()),
        Err(error) => Ok(error),
    }
}

/// A clock that is off by so many days.
pub(crate) struct Off(pub(crate) i64);

impl Clock for Off {
    fn mono(&self) -> Mono {
        SystemClock.mono()
    }

    fn wall(&self) -> Timestamp {
        let now = SystemClock.wall();
        now.saturating_add(jiff::SignedDuration::from_hours(24 * self.0)).unwrap_or(now)
    }
}

/// The files below a directory.
pub(crate) fn files(dir: &Path) -> Result<Vec<std::path::PathBuf>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(dir)? {
        let path = entry?.path();
        if path.is_dir() { found.extend(files(&path)?) } else { found.push(path) }
    }
    found.sort();
    Ok(found)
}
