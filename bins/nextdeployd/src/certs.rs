//! Certificates of this daemon: who issues them, who proves names, and where they are kept.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use nd_certs::{
    Acme, AcmeSettings, CertsOnDisk, Dns, DnsSettings, ExecDns, ExecSettings, InternalCa, OwnFiles,
    self_signed,
};
use nd_core::certs::CertSettings;
use nd_core::ports::IssuerName;
use nd_core::registry::RegistryBuilder;
use nd_supervise::{Clock, SystemClock};
use nd_types::HostPattern;
use serde::Deserialize;

use crate::options::Chosen;
use crate::paths::Paths;
use crate::proxy::tls_addresses;
use crate::run::RunError;

/// Who issues certificates for names that the world knows, where nothing else is written.
const DEFAULT: &str = "letsencrypt";
/// What nobody is called.
const NOBODY: &str = "none";
/// What the certificate for names that have none is for.
const FALLBACK: &str = "nextdeploy.invalid";

/// The table `[certs]` of `nextdeployd.toml`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Written {
    /// Where they are kept.
    dir: Option<PathBuf>,
    /// Who issues certificates for apps that name nobody.
    provider: Option<String>,
    /// Where authorities write to that have no address of their own.
    email: Option<String>,
    /// Authorities by name, beside those that are known, or in their place.
    acme: BTreeMap<String, toml::Table>,
    /// Whom to ask about names.
    dns: DnsSettings,
    /// A program that writes into the DNS.
    exec: Option<ExecSettings>,
}

/// Adds issuers, solvers and the store of certificates to the adapters.
pub(crate) fn register(
    mut builder: RegistryBuilder,
    written: &Written,
    paths: &Paths,
) -> Result<RegistryBuilder, RunError> {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let dir = written.dir.clone().unwrap_or_else(|| paths.certs.clone());
    let failed = |error: nd_core::ports::PortError| RunError::Config(format!("[certs] {error}"));
    match Dns::new(&written.dns) {
        Ok(dns) => {
            for (name, settings) in authorities(written)? {
                let acme =
                    Acme::new(name, settings, &dir, dns.clone(), Arc::clone(&clock)).map_err(failed)?;
                builder = builder.issuer(Arc::new(acme));
            }
            if let Some(exec) = &written.exec {
                builder = builder.solver(Arc::new(ExecDns::new(exec.clone(), dns).map_err(failed)?));
            }
        }
        // Apps run without certificates as well.
        Err(error) => tracing::warn!(%error, "no certificate can be had from authorities on the net"),
    }
    Ok(builder
        .issuer(Arc::new(InternalCa::new(issuer("internal")?, &dir, Arc::clone(&clock))))
        .issuer(Arc::new(OwnFiles::new(issuer("custom")?, Arc::clone(&clock))))
        .certs(Arc::new(CertsOnDisk::new(&dir, clock))))
}

/// Where TLS is spoken, and who issues certificates for apps that name nobody: in development and where there is no TLS, nor
/// a server beside us that `has_tls`, nobody does, unless it is written.
pub(crate) fn settings(
    chosen: &Chosen,
    written: &Written,
    http: SocketAddr,
    has_tls: bool,
) -> Result<CertSettings, RunError> {
    let listen = tls_addresses(chosen, http);
    let usual = Some(DEFAULT).filter(|_| !chosen.dev && (has_tls || !listen.is_empty()));
    let provider = written.provider.as_deref().or(usual).filter(|name| *name != NOBODY);
    let fallback = || {
        let name = HostPattern::new(FALLBACK).map_err(|error| RunError::Start(error.to_string()))?;
        let made = self_signed(&[name], SystemClock.wall());
        made.map_err(|error| RunError::Start(format!("make a certificate for names that have none: {error}")))
    };
    Ok(CertSettings {
        fallback: if listen.is_empty() { None } else { Some(fallback()?.certificate) },
        issuer: provider.map(issuer).transpose()?,
        listen,
    })
}

/// Every authority that speaks ACME: those that are known, as changed by what is written, and those that are written.
fn authorities(written: &Written) -> Result<BTreeMap<IssuerName, AcmeSettings>, RunError> {
    let known = [
        (DEFAULT, AcmeSettings::lets_encrypt()),
        ("letsencrypt-staging", AcmeSettings::lets_encrypt_staging()),
        ("zerossl", AcmeSettings::zero_ssl()),
    ];
    let mut all: BTreeMap<IssuerName, AcmeSettings> = BTreeMap::new();
    for (name, settings) in known {
        all.insert(issuer(name)?, settings);
    }
    for (name, table) in &written.acme {
        let wrong = |what: &str| RunError::Config(format!("[certs.acme.{name}] {what}"));
        let (name, mut table) = (issuer(name)?, table.clone());
        match all.get(&name) {
            Some(known) => {
                table.entry("directory").or_insert_with(|| known.directory.clone().into());
            }
            None if table.contains_key("directory") => {}
            None => return Err(wrong("`directory` is missing: the URL of its ACME directory")),
        }
        let settings = Deserialize::deserialize(table);
        all.insert(name, settings.map_err(|error: toml::de::Error| wrong(error.message()))?);
    }
    for settings in all.values_mut() {
        settings.email = settings.email.take().or_else(|| written.email.clone());
    }
    Ok(all)
}

fn issuer(name: &str) -> Result<IssuerName, RunError> {
    name.parse().map_err(|error: nd_core::ports::InvalidIssuer| RunError::Config(format!("[certs] {error}")))
}

/// Where certificates are kept unless it is written.
pub(crate) fn dir(data: &Path, is_systems: bool) -> PathBuf {
    if is_systems { PathBuf::from("/etc/nextdeploy/certs") } else { data.join("certs") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Written {
        toml::from_str(text).unwrap()
    }

    #[test]
    fn a_known_authority_keeps_its_place_and_a_new_one_needs_one() {
        let written =
            read("email = \"ops@example.com\"\n[acme.zerossl.eab]\nkid = \"me\"\nhmac_key = \"a2V5\"\n");
        let all = authorities(&written).unwrap();
        let zero = &all[&issuer("zerossl").unwrap()];
        assert_eq!(zero.directory, AcmeSettings::zero_ssl().directory);
        assert!(zero.eab.is_some() && zero.email.as_deref() == Some("ops@example.com"));
        assert!(authorities(&read("[acme.pebble]\n")).is_err());
        let pebble = read("[acme.pebble]\ndirectory = \"https://127.0.0.1:14000/dir\"\n");
        assert_eq!(authorities(&pebble).unwrap().len(), 4);
        assert!(toml::from_str::<Written>("providr = \"x\"").is_err());
    }
}
