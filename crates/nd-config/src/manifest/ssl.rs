//! `ssl:`

use std::ops::RangeInclusive;
use std::time::Duration;

use nd_api::manifest::{Hsts, Ssl};
use nd_types::HostPattern;

use super::app;
use crate::decode::{Decoder, Field};
use crate::node::Value;
use crate::report::{Code, Mistake, Severity};
use crate::suggest::closest;

/// Nothing makes browsers forget; what they come with asks for a year, and nobody plans further than two.
const MAX_AGE: RangeInclusive<Duration> = Duration::ZERO..=Duration::from_secs(2 * 365 * 86_400);
/// The lists of browsers take nothing shorter.
const PRELOAD_AGE: Duration = Duration::from_secs(365 * 86_400);
/// Who is there without a word in the daemon's settings.
const PROVIDERS: [&str; 4] = ["letsencrypt", "zerossl", "internal", "custom"];

pub(super) fn decode(field: &Field<'_>, d: &mut Decoder) -> Ssl {
    if let Value::Scalar(_) = &field.node.value {
        return Ssl { enabled: field.flag(d), ..Ssl::default() };
    }
    let Some(mut keys) = field.keys(d) else { return Ssl::default() };
    let (certificate, key) = (keys.get("certificate"), keys.get("key"));
    for (one, other) in [(&certificate, "key"), (&key, "certificate")] {
        let Some(field) = one.as_ref().filter(|_| certificate.is_none() || key.is_none()) else { continue };
        let message = format!("`{}` is nothing without `{other}`", field.path.dotted);
        d.say(field.mistake(Code::MissingKey, message).at(field.key_span.clone()).help("write both paths"));
    }
    let (written_email, written_solver) = (keys.get("email"), keys.get("dns_provider"));
    let ssl = Ssl {
        enabled: keys.get("enabled").and_then(|field| field.flag(d)),
        provider: keys.get("provider").and_then(|field| provider(&field, d)),
        staging: keys.get("staging").and_then(|field| field.flag(d)),
        email: written_email.as_ref().and_then(|field| email(field, d)),
        dns_provider: written_solver.as_ref().and_then(|field| dns_provider(field, d)),
        domains: keys.get("domains").map(|field| domains(&field, d)).unwrap_or_default(),
        wildcard: keys.get("wildcard").and_then(|field| field.flag(d)),
        auto_renew: keys.get("auto_renew").and_then(|field| field.flag(d)),
        certificate: certificate.and_then(|field| file(&field, d)),
        key: key.and_then(|field| file(&field, d)),
        redirect: keys.get("redirect").and_then(|field| field.flag(d)),
        hsts: keys.get("hsts").and_then(|field| hsts(&field, d)),
        client_ca: keys.get("client_ca").and_then(|field| field.text(d)),
    };
    keys.finish(d);
    let files = ssl.certificate.as_ref().map(|_| "custom");
    let provider = ssl.provider.as_deref().or(files).filter(|name| matches!(*name, "internal" | "custom"));
    for field in provider.and(written_email).into_iter().chain(provider.and(written_solver)) {
        let message = format!(
            "`{}` has no effect: for `{}` nobody on the net is asked",
            field.path.dotted,
            provider.unwrap_or_default()
        );
        d.say(Mistake { severity: Severity::Warning, ..field.mistake(Code::NoEffect, message) });
    }
    ssl
}

/// An address to which an authority may write. Files of the original tool leave it empty.
pub(super) fn email(field: &Field<'_>, d: &mut Decoder) -> Option<String> {
    let text = text_or_nothing(field, d)?;
    let parts = text.split_once('@').filter(|(name, host)| !name.is_empty() && host.contains('.'));
    let is_one = parts.is_some_and(|(_, host)| !host.contains('@') && !host.ends_with('.'));
    if is_one && text.bytes().all(|byte| byte.is_ascii_graphic() && !b",;:<>()?\"".contains(&byte)) {
        return Some(text);
    }
    let message = format!("{} must be an e-mail address, found {}", field.path.last, field.node.describe());
    d.say(field.mistake(Code::BadValue, message).help("write it as `ops@example.com`"));
    None
}

/// A name of the daemon's settings. Files of the original tool leave it empty.
pub(super) fn dns_provider(field: &Field<'_>, d: &mut Decoder) -> Option<String> {
    let text = text_or_nothing(field, d)?;
    if is_name(&text) {
        return Some(text);
    }
    let message = format!("`{text}` is not the name of a DNS provider");
    let mistake = field.mistake(Code::BadValue, message);
    d.say(mistake.help("write one of the daemon's settings: `[certs.dns_provider.NAME]`"));
    None
}

fn text_or_nothing(field: &Field<'_>, d: &mut Decoder) -> Option<String> {
    match &field.node.value {
        Value::Scalar(scalar) if scalar.text.is_empty() => None,
        _ => field.text(d),
    }
}

fn is_name(text: &str) -> bool {
    text.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-')) && text.len() <= 63
}

/// A name of an issuer; what looks like a slip in one of the usual ones is said.
pub(super) fn provider(field: &Field<'_>, d: &mut Decoder) -> Option<String> {
    let text = field.text(d)?;
    let meant = closest(&text.to_ascii_lowercase().replace(['\'', ' ', '_'], ""), PROVIDERS);
    if is_name(&text) && meant.is_none_or(|meant| meant == text) {
        return Some(text);
    }
    let message = format!("`{text}` is not one of {}", PROVIDERS.join(", "));
    let mistake = field.mistake(Code::BadValue, message);
    d.say(match meant {
        Some(word) => mistake.help(format!("`{word}`")),
        None => mistake.help("another name is one of the daemon's settings: `[certs.acme.NAME]`"),
    });
    None
}

fn domains(field: &Field<'_>, d: &mut Decoder) -> Vec<HostPattern> {
    let mut domains: Vec<HostPattern> = Vec::new();
    for item in field.one_or_more(d) {
        let is_wildcard = item.node.describe().contains("*.");
        let host = if is_wildcard { item.parsed(d) } else { app::host(&item, d).map(Name) };
        let Some(Name(host)) = host else { continue };
        if domains.contains(&host) {
            d.say(item.mistake(Code::Conflict, format!("`{host}` is written twice")));
        } else {
            domains.push(host);
        }
    }
    domains
}

/// A name, or all names one label below one.
struct Name(HostPattern);

impl std::str::FromStr for Name {
    type Err = nd_types::InvalidHost;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        HostPattern::pattern(text).map(Self)
    }
}

/// A file of the server.
fn file(field: &Field<'_>, d: &mut Decoder) -> Option<String> {
    let path = field.text(d)?;
    if path.starts_with('/') {
        return Some(path);
    }
    let message = format!(
        "{} must be an absolute path on the server, found {}",
        field.path.last,
        field.node.describe()
    );
    d.say(field.mistake(Code::BadValue, message));
    None
}

/// `true`, `false`, how long, or all there is to say about it.
fn hsts(field: &Field<'_>, d: &mut Decoder) -> Option<Hsts> {
    if let Value::Scalar(scalar) = &field.node.value {
        if matches!(scalar.text.as_str(), "true" | "false") {
            return Some(Hsts { enabled: field.flag(d), ..Hsts::default() });
        }
        return Some(Hsts { max_age: field.duration(&MAX_AGE, d), ..Hsts::default() });
    }
    let mut keys = field.keys(d)?;
    let preload = keys.get("preload");
    let hsts = Hsts {
        enabled: keys.get("enabled").and_then(|field| field.flag(d)),
        max_age: keys.get("max_age").and_then(|field| field.duration(&MAX_AGE, d)),
        include_subdomains: keys.get("include_subdomains").and_then(|field| field.flag(d)),
        preload: preload.as_ref().and_then(|field| field.flag(d)),
    };
    let is_fit = hsts.include_subdomains == Some(true) && hsts.max_age.is_some_and(|age| age >= PRELOAD_AGE);
    if let Some(field) = preload.filter(|_| hsts.preload == Some(true) && !is_fit) {
        let message =
            "the lists of browsers take only names whose `max_age` is a year and that include subdomains";
        let mistake = field.mistake(Code::Conflict, message);
        d.say(mistake.help("write `max_age: 365d` and `include_subdomains: true` beside it"));
    }
    keys.finish(d);
    Some(hsts)
}
