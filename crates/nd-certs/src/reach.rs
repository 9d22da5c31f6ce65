//! Whether a name leads here, and whether an authority may issue for it: looked up before anybody is asked, because a
//! failed validation counts against a limit.

use std::collections::BTreeSet;
use std::net::IpAddr;

use nd_core::ports::{PortError, PortErrorKind, PortResult};
use nd_types::HostPattern;

use crate::dns::Caa;
use crate::{Dns, addresses};

/// Refuses a name whose DNS leads elsewhere. What cannot be known is let through: no answer of the DNS, and a machine whose
/// own addresses are private, so that the world must reach it at others.
pub(crate) async fn leads_here(dns: &Dns, name: &HostPattern, told: &[IpAddr]) -> PortResult<()> {
    let found = match dns.addresses(name.as_str()).await {
        Ok(found) => found,
        Err(error) => {
            tracing::debug!(%name, error, "cannot see where the name leads");
            return Ok(());
        }
    };
    judge(name, &found, told, &addresses::own())
}

/// Whether one of the addresses that were found is this machine's: one of its own, or one that it was told about.
pub(crate) fn judge(
    name: &HostPattern,
    found: &[IpAddr],
    told: &[IpAddr],
    own: &BTreeSet<IpAddr>,
) -> PortResult<()> {
    let public = || own.iter().copied().filter(|address| addresses::is_public(*address));
    let here: Vec<IpAddr> = if told.is_empty() { public().collect() } else { told.to_vec() };
    if found.is_empty() {
        return Err(PortError::new(
            PortErrorKind::Transient,
            format!("{name} has no A or AAAA record in the DNS"),
        )
        .with_fix(create(name, &here)));
    }
    let ours = |address: &IpAddr| address.is_loopback() || told.contains(address) || own.contains(address);
    if found.iter().any(ours) {
        return Ok(());
    }
    let comparable = found.iter().any(|found| here.iter().any(|here| here.is_ipv4() == found.is_ipv4()));
    if !comparable {
        return Ok(());
    }
    let context = format!("{name} leads to {}, not to this machine ({})", list(found), list(&here));
    Err(PortError::new(PortErrorKind::Transient, context).with_fix(create(name, &here)))
}

fn create(name: &HostPattern, here: &[IpAddr]) -> String {
    let record = match here.first() {
        Some(address) if address.is_ipv6() => format!("`{name}. AAAA {address}`"),
        Some(address) => format!("`{name}. A {address}`"),
        None => format!("an A record of {name} with this machine's public address"),
    };
    format!(
        "create {record} where the domain is managed; where it leads here by another way, say so with \
         `addresses = [\"…\"]` or `check_dns = false` in `[certs.acme.NAME]`"
    )
}

/// Refuses a name for which the DNS names other authorities (RFC 8659). `identities` are the names of the one to be
/// asked; one that tells none is let through.
pub(crate) async fn may_issue(dns: &Dns, name: &HostPattern, identities: &[String]) -> PortResult<()> {
    let wildcard = name.parent().is_some();
    let base = name.parent().unwrap_or(name.as_str());
    let records = match dns.caa(base).await {
        Ok(records) => records,
        Err(error) => {
            tracing::debug!(%name, error, "cannot see who may issue for the name");
            return Ok(());
        }
    };
    let Some(identity) = identities.first() else { return Ok(()) };
    if allowed(&records, wildcard, identities) {
        return Ok(());
    }
    let (tag, others) = (if wildcard { "issuewild" } else { "issue" }, named(&records));
    let context = format!("the CAA records of {base} let only {others} issue for {name}");
    let fix = format!(
        "add `{base}. CAA 0 {tag} \"{identity}\"` where the domain is managed, or choose another issuer"
    );
    Err(PortError::new(PortErrorKind::Denied, context).with_fix(fix))
}

fn allowed(records: &[Caa], wildcard: bool, identities: &[String]) -> bool {
    let of = |tag: &str| records.iter().filter(|caa| caa.tag == tag).collect::<Vec<_>>();
    let (plain, wild) = (of("issue"), of("issuewild"));
    let counting = if wildcard && !wild.is_empty() { wild } else { plain };
    counting.is_empty()
        || counting.iter().any(|caa| identities.iter().any(|identity| domain(caa) == *identity))
}

fn named(records: &[Caa]) -> String {
    let mut names: Vec<String> =
        records.iter().filter(|caa| caa.tag.starts_with("issue")).map(domain).collect();
    names.retain(|name| !name.is_empty());
    if names.is_empty() { "nobody".to_owned() } else { names.join(", ") }
}

/// The authority that a value names, without its parameters.
fn domain(caa: &Caa) -> String {
    caa.value.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
}

fn list(addresses: &[IpAddr]) -> String {
    addresses.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(found: &[&str], told: &[&str], own: &[&str]) -> Result<(), String> {
        let ips = |texts: &[&str]| texts.iter().map(|text| text.parse().unwrap()).collect::<Vec<IpAddr>>();
        let own = ips(own).into_iter().collect();
        judge(&HostPattern::new("a.test").unwrap(), &ips(found), &ips(told), &own)
            .map_err(|error| error.to_string())
    }

    #[test]
    fn a_name_that_leads_elsewhere_is_refused_with_both_addresses() {
        let refused = judged(&["8.8.8.8"], &[], &["10.0.0.1", "9.9.9.9"]).unwrap_err();
        assert_eq!(refused, "a.test leads to 8.8.8.8, not to this machine (9.9.9.9)");
        assert!(judged(&[], &[], &["9.9.9.9"]).unwrap_err().contains("no A or AAAA record"));
        assert!(judged(&["8.8.8.8"], &["8.8.4.4"], &["10.0.0.1"]).is_err());
    }

    #[test]
    fn what_cannot_be_known_is_let_through() {
        assert_eq!(judged(&["8.8.8.8"], &[], &["10.0.0.1"]), Ok(()), "behind a translation of addresses");
        assert_eq!(judged(&["2001:4860::1"], &[], &["9.9.9.9"]), Ok(()), "by the other protocol");
        assert_eq!(judged(&["8.8.8.8", "9.9.9.9"], &[], &["9.9.9.9"]), Ok(()), "one of several");
        assert_eq!(judged(&["8.8.4.4"], &["8.8.4.4"], &["10.0.0.1"]), Ok(()), "told so");
        assert_eq!(judged(&["127.0.0.1"], &[], &["9.9.9.9"]), Ok(()), "this machine whatever its addresses");
    }

    fn caa(records: &[(&str, &str)], wildcard: bool) -> bool {
        let records = records.iter().map(|(tag, value)| Caa { tag: (*tag).into(), value: (*value).into() });
        allowed(&records.collect::<Vec<_>>(), wildcard, &["ca.test".to_owned()])
    }

    #[test]
    fn only_the_authorities_that_the_dns_names_may_issue() {
        assert!(caa(&[], false) && caa(&[("iodef", "mailto:a@b.test")], false));
        assert!(caa(&[("issue", "other.test"), ("issue", "ca.test; validationmethods=http-01")], false));
        assert!(!caa(&[("issue", "other.test")], false) && !caa(&[("issue", ";")], false));
        assert!(
            !caa(&[("issue", "ca.test"), ("issuewild", ";")], true),
            "wildcards have a word of their own"
        );
        assert!(caa(&[("issue", "ca.test")], true));
    }
}
