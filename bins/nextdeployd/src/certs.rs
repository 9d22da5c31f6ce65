//! Certificates of this daemon: who issues them, who proves names, and where they are kept.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use nd_certs::{
    Acme, AcmeSettings, CertsOnDisk, Dns, DnsProvider, DnsProviderSettings, DnsSettings, ExecDns,
    ExecSettings, InternalCa, NetworkNames, OwnFiles, self_signed,
};
use nd_core::certs::CertSettings;
use nd_core::ports::{IssuerName, SolverName};
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
/// What the program of the user's is called among those who write into the DNS.
const EXEC: &str = "exec";
/// What the certificate for names that have none is for.
const FALLBACK: &str = "nextdeploy.invalid";

/// The table `[certs]` of `nextdeployd.toml`, secrets included.
#[derive(Clone, Default, Deserialize)]
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
    /// Providers that take records, by name.
    dns_provider: BTreeMap<String, BTreeMap<String, String>>,
    /// Which of all these writes for apps that name none.
    default_dns_provider: Option<String>,
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
            let mut known = BTreeMap::new();
            for (name, settings) in authorities(written)? {
                let acme = Acme::new(name.clone(), settings, &dir, dns.clone(), Arc::clone(&clock));
                let acme = Arc::new(acme.map_err(failed)?);
                known.insert(name, Arc::clone(&acme));
                builder = builder.issuer(acme);
            }
            builder = builder.names(Arc::new(NetworkNames::new(dns.clone(), known).map_err(failed)?));
            if let Some(exec) = &written.exec {
                let exec = ExecDns::new(exec.clone(), dns.clone()).map_err(failed)?;
                builder = builder.solver(solver(EXEC)?, Arc::new(exec));
            }
            for (name, settings) in providers(written)? {
                let provider = DnsProvider::new(name.clone(), settings, dns.clone());
                builder = builder.solver(name, Arc::new(provider));
            }
            if let Some(name) = &written.default_dns_provider {
                builder = builder.default_solver(solver(name)?);
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

/// Everybody who takes records into the DNS; what is written about one is wrong before anybody needs it.
fn providers(written: &Written) -> Result<BTreeMap<SolverName, DnsProviderSettings>, RunError> {
    let mut all = BTreeMap::new();
    for (name, table) in &written.dns_provider {
        let wrong =
            |what: &dyn std::fmt::Display| RunError::Config(format!("[certs.dns_provider.{name}] {what}"));
        if name == EXEC {
            return Err(wrong(&"`exec` is the program of `[certs.exec]`: choose another name"));
        }
        let settings = DnsProviderSettings::read(name, table).map_err(|error| wrong(&error))?;
        all.insert(solver(name)?, settings);
    }
    let usual = written.default_dns_provider.as_ref();
    let is_known = |name: &&String| {
        written.dns_provider.contains_key(*name) || (*name == EXEC && written.exec.is_some())
    };
    match usual.filter(|name| !is_known(name)) {
        None => Ok(all),
        Some(name) => {
            let what = format!("[certs] default_dns_provider: there is no `[certs.dns_provider.{name}]`");
            Err(RunError::Config(what))
        }
    }
}

fn solver(name: &str) -> Result<SolverName, RunError> {
    name.parse().map_err(|error: nd_core::ports::InvalidSolver| RunError::Config(format!("[certs] {error}")))
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

    #[test]
    fn a_provider_of_dns_that_cannot_be_meant_is_named_with_its_table() {
        let told = |text: &str| providers(&read(text)).unwrap_err().to_string();
        let missing = told("[dns_provider.cloudflare]\nzone = \"example.com\"\n");
        assert!(
            missing.contains("[certs.dns_provider.cloudflare] `token` or `token_file` is missing"),
            "{missing}"
        );
        let taken = told("[dns_provider.exec]\ntype = \"hetzner\"\n");
        assert!(taken.contains("choose another name"), "{taken}");
        let unknown = told("default_dns_provider = \"lab\"\n");
        assert!(unknown.contains("there is no `[certs.dns_provider.lab]`"), "{unknown}");
        let two = "default_dns_provider = \"exec\"\n[exec]\ncommand = [\"hook\"]\n[dns_provider.gandi]\ntoken = \"t\"\n";
        assert_eq!(providers(&read(two)).unwrap().len(), 1);
    }
}
