//! DNS-01 at whoever serves a zone: by an API of theirs, or by dynamic updates (RFC 2136), through dns-update.

mod services;
mod settings;

use async_trait::async_trait;
use dns_update::{DnsRecord, DnsRecordType, DnsUpdater, Error};
use nd_core::ports::{
    ChallengeKind, ChallengeSolver, PortError, PortErrorKind, PortResult, Proof, SolverName, within,
};
use nd_supervise::blocking;

use self::settings::Unreadable;
use crate::{Dns, dns};

pub use self::settings::{DnsProviderError, DnsProviderSettings};

/// Writes proofs into a zone, and waits until they can be seen there.
pub struct DnsProvider {
    name: SolverName,
    settings: DnsProviderSettings,
    dns: Dns,
}

/// What becomes of a record.
#[derive(Clone, Copy)]
enum Change {
    Add,
    Remove,
}

impl DnsProvider {
    /// The provider of these settings, which errors call by that name; `dns` tells which zone a name is in, and when a
    /// record can be seen. Nobody is asked yet.
    #[must_use]
    pub fn new(name: SolverName, settings: DnsProviderSettings, dns: Dns) -> Self {
        Self { name, settings, dns }
    }

    /// One value more or less of a TXT record; others of that name stay.
    async fn change(&self, change: Change, record: &str, value: &str) -> PortResult<()> {
        let doing = match change {
            Change::Add => "write",
            Change::Remove => "take away",
        };
        let tried = format!("{doing} the TXT record {record} at {}", self.name);
        let done = within(&tried, self.settings.timeout, self.try_to(change, &tried, record, value)).await;
        done.map_err(|error| match error.fix {
            None => error.with_fix(format!(
                "let this machine reach it: look at its firewall; give it more time with `{} timeout`",
                self.table()
            )),
            Some(_) => error,
        })
    }

    async fn try_to(&self, change: Change, tried: &str, record: &str, value: &str) -> PortResult<()> {
        let (updater, secrets) = self.open(tried).await?;
        let zone = self.zone(tried, record).await?;
        let (kind, records) = (DnsRecordType::TXT, vec![DnsRecord::TXT(value.to_owned())]);
        let done = match change {
            Change::Add => {
                updater.add_to_rrset(record, kind, self.settings.service.ttl, records, zone.as_str()).await
            }
            Change::Remove => updater.remove_from_rrset(record, kind, records, zone.as_str()).await,
        };
        done.map_err(|error| self.refused(tried, &zone, &secrets, error))
    }

    /// The way to the provider, and what must never be told. Secrets are read anew each time.
    async fn open(&self, tried: &str) -> PortResult<(DnsUpdater, Vec<String>)> {
        let settings = self.settings.clone();
        let opened = blocking("open a DNS provider", move || {
            let values = settings.values()?;
            let opened = (settings.service.open)(&values);
            Ok::<_, Unreadable>((opened, values.texts.into_values().collect::<Vec<_>>()))
        });
        match opened.await {
            Ok(Ok((Ok(updater), secrets))) => Ok((updater, secrets)),
            Ok(Ok((Err(error), secrets))) => Err(self.refused(tried, "its zone", &secrets, error)),
            Ok(Err(error)) => Err(PortError::new(PortErrorKind::Denied, tried)
                .with_fix("write it there, for the daemon's user alone to read")
                .with_source(error)),
            // Which is what the library does where it finds nobody to trust.
            Err(failure) => Err(PortError::new(PortErrorKind::Unavailable, tried)
                .with_fix("install the roots that this machine trusts: `apt install ca-certificates`")
                .with_source(failure)),
        }
    }

    /// The zone that holds a record.
    async fn zone(&self, tried: &str, record: &str) -> PortResult<String> {
        let fix = format!("write which zone holds it: `{} zone = \"example.com\"`", self.table());
        if let Some(zone) = &self.settings.zone {
            let rest = record.strip_suffix(zone.as_str());
            if rest.is_some_and(|rest| rest.ends_with('.')) {
                return Ok(zone.clone());
            }
            let context = format!("{tried}: it is not in the zone {zone} of `{}`", self.table());
            return Err(PortError::new(PortErrorKind::Invalid, context).with_fix(fix));
        }
        // The server itself knows best, above all of zones that nobody else sees.
        let (found, asked) = match self.settings.server() {
            Some(server) => (Dns::asking(&[server], false)?.zone(record).await, server.to_string()),
            None => (self.dns.zone(record).await, "the DNS".to_owned()),
        };
        match found {
            Ok(Some(zone)) => Ok(zone),
            Ok(None) => {
                let context = format!("{tried}: {asked} knows no zone that holds it");
                Err(PortError::new(PortErrorKind::Invalid, context).with_fix(fix))
            }
            Err(error) => {
                let context = format!("{tried}: ask {asked} which zone holds it: {error}");
                Err(PortError::new(PortErrorKind::Unavailable, context)
                    .with_fix("let this machine reach it: look at its address and at the firewall"))
            }
        }
    }

    /// What the provider says, without anything that is secret.
    fn refused(&self, tried: &str, zone: &str, secrets: &[String], error: Error) -> PortError {
        let (kind, said) = meaning(error);
        // What is this short is no secret, and may stand anywhere.
        let secrets = secrets.iter().filter(|secret| secret.len() >= 8);
        let said = secrets.fold(said, |said, secret| said.replace(secret.as_str(), "…"));
        let fix = match kind {
            PortErrorKind::Denied => {
                format!("give it a key that may change {zone}: see `{}`", self.table())
            }
            PortErrorKind::NotFound => {
                format!("is {zone} served there? Write which zone it is: `{} zone`", self.table())
            }
            PortErrorKind::Unavailable => {
                "let this machine reach it: look at its firewall and at the name servers; it is tried again"
                    .to_owned()
            }
            _ => format!("it is tried again; check `{}`, and the provider's status page", self.table()),
        };
        PortError::new(kind, format!("{tried}: {said}")).with_fix(fix)
    }

    fn table(&self) -> String {
        format!("[certs.dns_provider.{}]", self.name)
    }
}

/// What kind of failure it is, and what is said about it.
fn meaning(error: Error) -> (PortErrorKind, String) {
    use PortErrorKind::{Denied, Invalid, NotFound, Transient, Unavailable};
    match error {
        Error::Unauthorized => (Denied, "it refuses the key".to_owned()),
        Error::NotFound => (NotFound, "it has no such zone".to_owned()),
        Error::Response(code) => (Denied, format!("it refuses: {code}")),
        // The library cannot read why.
        Error::Client(text) | Error::Protocol(text) if text.contains("TSIG") => {
            let why = "it knows another `key_name`, `key` or `algorithm`, or another time";
            (Denied, format!("it refuses the signature: {why}"))
        }
        Error::Client(text) | Error::Protocol(text) => (Unavailable, text),
        Error::Api(text) if text.starts_with("Failed to send") => (Unavailable, text),
        Error::Api(text) if text.starts_with("HTTP 403") => (Denied, text),
        Error::Parse(text) => (Invalid, text),
        Error::Unsupported(text) => (Invalid, text),
        Error::InvalidRegion => (Invalid, "there is no such `region`".to_owned()),
        Error::BadRequest => (Transient, "it does not take the request".to_owned()),
        Error::Api(text) | Error::Serialize(text) => (Transient, text),
        error => (Transient, format!("{error:?}")),
    }
}

#[async_trait]
impl ChallengeSolver for DnsProvider {
    fn kinds(&self) -> &[ChallengeKind] {
        &[ChallengeKind::Dns01]
    }

    async fn present(&self, proof: &Proof) -> PortResult<()> {
        let Proof::Dns01 { record, value, .. } = proof else { return Err(dns::wrong_kind(proof)) };
        self.change(Change::Add, record, value).await?;
        self.dns.wait_for(record, value, self.settings.propagation_timeout, &self.table()).await
    }

    async fn cleanup(&self, proof: &Proof) -> PortResult<()> {
        let Proof::Dns01 { record, value, .. } = proof else { return Err(dns::wrong_kind(proof)) };
        self.change(Change::Remove, record, value).await
    }
}
