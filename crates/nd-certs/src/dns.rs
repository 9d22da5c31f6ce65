//! Questions to the DNS, without a cache: what was wrong a minute ago may be right now.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use hickory_resolver::TokioResolver;
use hickory_resolver::config::{ConnectionConfig, NameServerConfig, ResolveHosts, ResolverConfig};
use hickory_resolver::net::NetError;
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::proto::rr::{RData, RecordType};
use nd_core::ports::{PortError, PortErrorKind, PortResult, Proof};
use nd_types::HostPattern;
use tokio::time::{Instant, sleep};

use crate::DnsSettings;

/// How long one answer may take.
const DEADLINE: Duration = Duration::from_secs(10);

/// How often the DNS is asked whether a record is there.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Asks name servers.
#[derive(Clone)]
pub struct Dns {
    resolver: TokioResolver,
    /// Whether they were chosen by the operator, who then knows best.
    chosen: bool,
}

/// What an authority may do for a name (RFC 8659, section 4).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Caa {
    pub(crate) tag: String,
    pub(crate) value: String,
}

impl Dns {
    /// Asks the servers of the settings, else those of the system.
    ///
    /// # Errors
    /// When no socket can be had.
    pub fn new(settings: &DnsSettings) -> PortResult<Self> {
        if settings.servers.is_empty() {
            return match TokioResolver::builder_tokio() {
                Ok(mut builder) => {
                    tune(builder.options_mut());
                    Ok(Self { resolver: builder.build().map_err(failed)?, chosen: false })
                }
                Err(error) => {
                    // As resolv.conf(5) has it.
                    tracing::warn!(%error, "cannot read the system's name servers: asking one on this machine");
                    Self::asking(&[SocketAddr::from(([127, 0, 0, 1], 53))], true)
                }
            };
        }
        Self::asking(&settings.servers, true)
    }

    pub(crate) fn asking(servers: &[SocketAddr], recursion: bool) -> PortResult<Self> {
        let servers = servers.iter().map(|server| {
            let connections = [ConnectionConfig::udp(), ConnectionConfig::tcp()].map(|mut connection| {
                connection.port = server.port();
                connection
            });
            NameServerConfig::new(server.ip(), true, connections.into())
        });
        let config = ResolverConfig::from_parts(None, vec![], servers.collect());
        let mut builder = TokioResolver::builder_with_config(config, TokioRuntimeProvider::default());
        tune(builder.options_mut());
        builder.options_mut().recursion_desired = recursion;
        Ok(Self { resolver: builder.build().map_err(failed)?, chosen: true })
    }

    /// The addresses of a name: none where the DNS says there is none.
    pub(crate) async fn addresses(&self, name: &str) -> Result<Vec<IpAddr>, String> {
        let (four, six) = tokio::join!(self.ask(name, RecordType::A), self.ask(name, RecordType::AAAA));
        let address = |data: RData| match data {
            RData::A(four) => Some(IpAddr::V4(four.0)),
            RData::AAAA(six) => Some(IpAddr::V6(six.0)),
            _ => None,
        };
        match (four, six) {
            (Err(error), _) | (Ok(_), Err(error)) => Err(error),
            (Ok(four), Ok(six)) => Ok(four.into_iter().chain(six).filter_map(address).collect()),
        }
    }

    /// What the DNS says about who may issue for a name, at the name itself or the nearest one above it that says something
    /// (RFC 8659, section 3).
    pub(crate) async fn caa(&self, name: &str) -> Result<Vec<Caa>, String> {
        let mut at = Some(name);
        while let Some(name) = at {
            let found = self.ask(name, RecordType::CAA).await?.into_iter().filter_map(|data| match data {
                RData::CAA(caa) => {
                    let value = String::from_utf8_lossy(&caa.value).into_owned();
                    Some(Caa { tag: caa.tag.to_ascii_lowercase(), value })
                }
                _ => None,
            });
            let found: Vec<Caa> = found.collect();
            if !found.is_empty() {
                return Ok(found);
            }
            at = name.split_once('.').map(|(_, above)| above);
        }
        Ok(Vec::new())
    }

    /// Whether a TXT record of that value can be seen: at every server that is responsible for the name, where they are to be
    /// found and nobody chose other ones.
    pub(crate) async fn shows(&self, record: &str, value: &str) -> bool {
        let servers = if self.chosen { Vec::new() } else { self.responsible(record).await };
        let mut asked = false;
        for server in servers {
            let Ok(dns) = Self::asking(&[server], false) else { continue };
            // One that gives no answer tells nothing; the authority will not rely on it either.
            match dns.texts(record).await {
                Ok(texts) if !texts.iter().any(|text| text == value) => return false,
                Ok(_) => asked = true,
                Err(error) => tracing::debug!(%server, error, "a name server does not answer"),
            }
        }
        asked || self.texts(record).await.is_ok_and(|texts| texts.iter().any(|text| text == value))
    }

    /// Waits until [`shows`](Self::shows) says so, for `patience` at most and not at all with none. `table` is where the
    /// operator may set how long.
    pub(crate) async fn wait_for(
        &self,
        record: &str,
        value: &str,
        patience: Duration,
        table: &str,
    ) -> PortResult<()> {
        let until = Instant::now() + patience;
        while !patience.is_zero() && !self.shows(record, value).await {
            if Instant::now() + LOOK_EVERY > until {
                let context =
                    format!("the TXT record {record} cannot be seen {patience:?} after it was written");
                return Err(PortError::new(PortErrorKind::Timeout, context).with_fix(format!(
                    "look at `dig TXT {record}`; give it more time with `{table} propagation_timeout`, \
                     or do without the look: `propagation_timeout = \"0s\"`"
                )));
            }
            sleep(LOOK_EVERY).await;
        }
        Ok(())
    }

    /// The zone that holds a name: the nearest one at or above it that begins somewhere (RFC 1034, section 4.2).
    pub(crate) async fn zone(&self, name: &str) -> Result<Option<String>, String> {
        let mut at = Some(name);
        while let Some(name) = at {
            if self.begins_zone(name).await? {
                return Ok(Some(name.to_owned()));
            }
            at = name.split_once('.').map(|(_, above)| above);
        }
        Ok(None)
    }

    async fn begins_zone(&self, name: &str) -> Result<bool, String> {
        let lookup = self.resolver.lookup(format!("{name}."), RecordType::SOA);
        match tokio::time::timeout(DEADLINE, lookup).await {
            // What an alias leads to begins elsewhere.
            Ok(Ok(found)) => Ok(found.answers().iter().any(|record| {
                matches!(record.data, RData::SOA(_)) && record.name.to_ascii().trim_end_matches('.') == name
            })),
            Ok(Err(NetError::Dns(_))) => Ok(false),
            Ok(Err(error)) => Err(error.to_string()),
            Err(_) => Err(format!("no answer within {DEADLINE:?}")),
        }
    }

    async fn texts(&self, record: &str) -> Result<Vec<String>, String> {
        let texts = self.ask(record, RecordType::TXT).await?.into_iter().filter_map(|data| match data {
            RData::TXT(text) => {
                Some(text.txt_data.iter().map(|part| String::from_utf8_lossy(part)).collect())
            }
            _ => None,
        });
        Ok(texts.collect())
    }

    /// The servers that are responsible for a name: those of the nearest zone above it.
    async fn responsible(&self, record: &str) -> Vec<SocketAddr> {
        let mut at = Some(record);
        while let Some(name) = at {
            let names = self.ask(name, RecordType::NS).await.unwrap_or_default();
            let mut servers = Vec::new();
            for data in names.into_iter().take(4) {
                let RData::NS(server) = data else { continue };
                let addresses = self.addresses(server.0.to_ascii().trim_end_matches('.')).await;
                servers.extend(addresses.unwrap_or_default().first().map(|&ip| SocketAddr::new(ip, 53)));
            }
            if !servers.is_empty() {
                return servers;
            }
            at = name.split_once('.').map(|(_, above)| above);
        }
        Vec::new()
    }

    async fn ask(&self, name: &str, kind: RecordType) -> Result<Vec<RData>, String> {
        // The final dot keeps the search domains of the system out of it.
        let lookup = self.resolver.lookup(format!("{name}."), kind);
        match tokio::time::timeout(DEADLINE, lookup).await {
            Ok(Ok(found)) => Ok(found.answers().iter().map(|record| record.data.clone()).collect()),
            Ok(Err(error)) if error.is_no_records_found() => Ok(Vec::new()),
            Ok(Err(error)) => Err(error.to_string()),
            Err(_) => Err(format!("no answer within {DEADLINE:?}")),
        }
    }
}

fn failed(error: NetError) -> PortError {
    PortError::new(PortErrorKind::Internal, "ask name servers").with_source(error)
}

fn tune(options: &mut hickory_resolver::config::ResolverOpts) {
    options.cache_size = 0;
    options.use_hosts_file = ResolveHosts::Never;
    options.timeout = Duration::from_secs(3);
    options.attempts = 2;
}

/// The name of the TXT record that proves a name (RFC 8555, section 8.4).
pub(crate) fn record_of(name: &HostPattern) -> String {
    format!("_acme-challenge.{name}")
}

/// A proof that is none of the DNS was given to somebody who writes there.
pub(crate) fn wrong_kind(proof: &Proof) -> PortError {
    PortError::new(
        PortErrorKind::Internal,
        format!("prove {} by {} in the DNS", proof.name(), proof.kind().as_str()),
    )
}
