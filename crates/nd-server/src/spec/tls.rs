//! Certificates of the app, and how its visitors come to use them.

use std::sync::Arc;
use std::time::Duration;

use nd_api::Manifest;
use nd_api::manifest::Ssl;
use nd_core::ports::{CertFiles, IssuerName};
use nd_core::spec::{AppSpec, TlsSpec};
use nd_types::{Hsts, ServiceTls};

use super::mistake;
use crate::refusal::Refusal;

/// Half a year, as Dokku has it, and as long as graders ask for.
const MAX_AGE: Duration = Duration::from_secs(182 * 86_400);
/// Our own authority: nobody trusts it who was not told to.
const INTERNAL: &str = "internal";
/// The issuer that reads files.
const CUSTOM: &str = "custom";

pub(super) fn apply(manifest: &Manifest, is_new: bool, spec: &mut AppSpec) -> Result<(), Refusal> {
    let written = match manifest.ssl.as_deref() {
        Some(written) => written,
        None if is_new => &Ssl::default(),
        None => return Ok(()),
    };
    let mut tls = spec.tls.as_ref().clone();
    names(written, &mut tls)?;
    let is_public = tls.issuer.as_ref().is_none_or(|issuer| issuer.as_str() != INTERNAL) && tls.enabled;
    let mut service = tls.service.as_ref().clone();
    if is_new || written.provider.is_some() || written.enabled.is_some() {
        service.redirect = is_public;
        service.hsts =
            is_public.then_some(Hsts { max_age: MAX_AGE, include_subdomains: false, preload: false });
    }
    visitors(written, &mut service)?;
    tls.service = Arc::new(service);
    spec.tls = Arc::new(tls);
    Ok(())
}

/// Which names get a certificate, and from whom.
fn names(written: &Ssl, tls: &mut TlsSpec) -> Result<(), Refusal> {
    tls.enabled = written.enabled.unwrap_or(tls.enabled);
    tls.wildcard = written.wildcard.unwrap_or(tls.wildcard);
    tls.auto_renew = written.auto_renew.unwrap_or(tls.auto_renew);
    if let Some(email) = &written.email {
        tls.email = Some(email.clone());
    }
    if let Some(name) = &written.dns_provider {
        let name = name.parse().map_err(|error: nd_core::ports::InvalidSolver| {
            mistake("/ssl/dns_provider", error.to_string(), "write a name of `[certs.dns_provider]`")
        })?;
        tls.dns_provider = Some(name);
    }
    if !written.domains.is_empty() {
        tls.domains.clone_from(&written.domains);
    }
    let files = written.certificate.as_ref().zip(written.key.as_ref());
    let provider = written.provider.as_deref().or(files.map(|_| CUSTOM));
    if let Some(provider) = provider {
        tls.issuer = Some(issuer(provider, written.staging == Some(true))?);
        tls.files = files.map(|(chain, key)| CertFiles { chain: chain.into(), key: key.into() });
        if provider == CUSTOM && tls.files.is_none() {
            let help = "write `ssl.certificate` and `ssl.key`, both paths on the server";
            return Err(mistake("/ssl/provider", "`custom` is nothing without its files", help));
        }
    } else if written.staging == Some(true) {
        tls.issuer = Some(issuer("letsencrypt", true)?);
    }
    Ok(())
}

fn issuer(provider: &str, staging: bool) -> Result<IssuerName, Refusal> {
    let name = if staging { format!("{provider}-staging") } else { provider.to_owned() };
    name.parse().map_err(|error: nd_core::ports::InvalidIssuer| {
        mistake("/ssl/provider", error.to_string(), "write letsencrypt, zerossl, internal or custom")
    })
}

/// What is done with requests.
fn visitors(written: &Ssl, service: &mut ServiceTls) -> Result<(), Refusal> {
    service.redirect = written.redirect.unwrap_or(service.redirect);
    if let Some(hsts) = &written.hsts {
        let said = Hsts {
            max_age: hsts.max_age.unwrap_or(MAX_AGE),
            include_subdomains: hsts.include_subdomains.unwrap_or(false),
            preload: hsts.preload.unwrap_or(false),
        };
        service.hsts = Some(said).filter(|_| hsts.enabled != Some(false));
    }
    if let Some(authorities) = &written.client_ca {
        if !authorities.contains("-----BEGIN CERTIFICATE-----") {
            let message = "`ssl.client_ca` holds no certificate";
            return Err(mistake(
                "/ssl/client_ca",
                message,
                "give the certificates of the authorities as PEM",
            ));
        }
        service.client_ca = Some(authorities.clone());
    }
    Ok(())
}
