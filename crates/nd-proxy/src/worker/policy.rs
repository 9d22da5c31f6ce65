//! What is decided about a request before it waits for an instance: who may ask, and what has moved.
//!
//! Nothing here belongs to a version of HTTP, and nothing of it is done for an app without rules.

use std::net::{IpAddr, SocketAddr};

use nd_types::{BasicAuth, PathPrefix, RateLimit, TrafficRules};
use tokio::time::Instant;

use crate::http1::field::{Name, members};
use crate::http1::request::{RequestHead, text};
use crate::limiter::{Exceeded, Limiter, Standing};
use crate::pages::Refusal;
use crate::passwords::{Attempt, Shown, Verifier};
use crate::routes::Passage;
use crate::settings::Settings;
use crate::trust::Trust;

use super::plan::Origin;

/// The answer that the proxy gives in the app's place, if any.
pub(crate) fn decide(
    head: &RequestHead<'_, '_>,
    from: Origin<'_>,
    client: IpAddr,
    passage: Option<&Passage>,
    rules: Option<&TrafficRules>,
) -> Option<Refusal> {
    if let Some(rules) = rules.filter(|rules| !rules.access.is_empty()) {
        let concerned = applies(&rules.access.paths, head.path());
        if concerned && !rules.access.admits(client) {
            return Some(Refusal::Forbidden);
        }
    }
    if let Some(host) = passage.and_then(|passage| passage.options.redirect.as_ref()) {
        let location = format!("{}://{host}{}{}", scheme(head, from), port(head), head.target);
        return Some(Refusal::Moved { status: 308, location });
    }
    let query = head.target.split_once('?').map(|(_, query)| query);
    let moved = |rule: &nd_types::Redirect| {
        let location = rule.location(head.path(), query)?;
        Some(Refusal::Moved { status: rule.code().as_u16(), location })
    };
    rules?.redirects.iter().find_map(moved)
}

/// Looks at the name and password of a request; gives what is still to be verified.
pub(crate) fn knock(
    verifier: &Verifier,
    auth: &BasicAuth,
    head: &RequestHead<'_, '_>,
) -> Result<Option<Attempt>, Refusal> {
    let mut fields = head.fields.iter().filter(|field| Name::of(field.name) == Name::Authorization);
    let value = fields.next().map(|field| field.value);
    // Of two it could not be said which one an app would have believed.
    let shown = if fields.next().is_some() { Shown::Wrong } else { verifier.look(auth, value) };
    match shown {
        Shown::Right => Ok(None),
        Shown::Wrong => Err(Refusal::Unauthorized),
        Shown::Unknown(attempt) => Ok(Some(attempt)),
    }
}

/// Counts a request among those of its client.
pub(crate) fn count(
    limiter: &Limiter,
    head: &RequestHead<'_, '_>,
    client: IpAddr,
) -> Result<Option<Standing>, Exceeded> {
    let path = head.path();
    let concerns = |limit: &RateLimit| applies(std::slice::from_ref(&limit.path), path);
    limiter.take(concerns, || client, Instant::now())
}

/// Whether rules with these paths are about this one, however it is written: `/x/../admin` and `/%61dmin` are `/admin` to
/// an app. No path at all means every path.
pub(crate) fn applies(paths: &[PathPrefix], path: &str) -> bool {
    if paths.is_empty() {
        return true;
    }
    let among = |path: &str| paths.iter().any(|prefix| prefix.matches(path));
    among(path) || is_written_oddly(path) && among(&plain(path))
}

/// Whose request it is: the peer's, or of whom trusted peers say so.
pub(crate) fn client_address(settings: &Settings, head: &RequestHead<'_, '_>, from: Origin<'_>) -> IpAddr {
    let peer = from.peer.address;
    match (from.trust, &settings.client_ip_header) {
        (Trust::No, _) => peer,
        (Trust::Cloudflare, _) => {
            named_in(head, "cf-connecting-ip").unwrap_or_else(|| last(settings, head, peer))
        }
        // What else it sends it may only be passing on.
        (Trust::Full, Some(field)) => named_in(head, field.as_str()).unwrap_or(peer),
        (Trust::Full, None) => last(settings, head, peer),
    }
}

/// The one address in a field of this name.
fn named_in(head: &RequestHead<'_, '_>, name: &str) -> Option<IpAddr> {
    let mut fields = head.fields.iter().filter(|field| field.name.eq_ignore_ascii_case(name));
    let address = address(text(fields.next()?.value));
    // Of two it could not be said which one was meant.
    address.filter(|_| fields.next().is_none())
}

/// The nearest address of `X-Forwarded-For` that is no proxy of ours, since what stands before it is anybody's word.
fn last(settings: &Settings, head: &RequestHead<'_, '_>, peer: IpAddr) -> IpAddr {
    let mut client = peer;
    let chain = head.fields.iter().rev().filter(|field| Name::of(field.name) == Name::ForwardedFor);
    for value in chain {
        for member in members(text(value.value)).collect::<Vec<_>>().into_iter().rev() {
            let Some(address) = address(member) else { return client };
            client = address;
            if !settings.trust(client).is_proxy() {
                return client;
            }
        }
    }
    client
}

/// An address as proxies write it: some add the port, and IPv6 may have brackets.
fn address(text: &str) -> Option<IpAddr> {
    let text = text.trim();
    let bare = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(text);
    let address = bare.parse().or_else(|_| text.parse::<SocketAddr>().map(|address| address.ip()));
    address.ok().map(|address: IpAddr| address.to_canonical())
}

/// What the client speaks, as far as we or trusted peers know.
pub(crate) fn scheme(head: &RequestHead<'_, '_>, from: Origin<'_>) -> &'static str {
    let mut said = head.fields.iter().filter(|field| Name::of(field.name) == Name::ForwardedProto);
    match said.next().filter(|_| from.trust.is_proxy()) {
        // Each proxy may have added what it was spoken to with; some say `wss` for a WebSocket.
        Some(field) => {
            let first = members(text(field.value)).next().unwrap_or_default();
            let is_tls = ["https", "wss"].iter().any(|scheme| first.eq_ignore_ascii_case(scheme));
            if is_tls { "https" } else { "http" }
        }
        None => from.scheme(),
    }
}

/// The port the client came to, with its colon.
fn port<'b>(head: &RequestHead<'_, 'b>) -> &'b str {
    let host = head.host.map_or("", |host| host.value);
    let after_brackets = host.rfind(']').map_or(0, |at| at + 1);
    let port = host.get(after_brackets..).and_then(|rest| rest.find(':').and_then(|at| rest.get(at..)));
    port.unwrap_or_default()
}

fn is_written_oddly(path: &str) -> bool {
    path.bytes().any(|b| matches!(b, b'%' | b'\\' | b';')) || path.contains("//") || path.contains("/.")
}

/// A path as servers read it: decoded, with `/` for `\`, without parameters, empty and dot segments (RFC 3986, section 6.2.2).
fn plain(path: &str) -> String {
    let mut decoded = path.to_owned();
    // Decoded twice, some servers do so as well.
    for _ in 0..2 {
        decoded = decode(&decoded);
    }
    let mut segments: Vec<&str> = Vec::new();
    for segment in decoded.split(['/', '\\']) {
        match segment.split(';').next().unwrap_or_default() {
            "" | "." => {}
            ".." => {
                segments.pop();
            }
            segment => segments.push(segment),
        }
    }
    format!("/{}", segments.join("/"))
}

fn decode(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, after @ ..] = rest {
        let digit = |at: usize| after.get(at).and_then(|b| char::from(*b).to_digit(16));
        match (first, digit(0), digit(1)) {
            (b'%', Some(high), Some(low)) => {
                bytes.push((high * 16 + low) as u8);
                rest = after.get(2..).unwrap_or_default();
            }
            _ => {
                bytes.push(*first);
                rest = after;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_path_is_protected_however_it_is_written() {
        let admin = [PathPrefix::new("/admin")];
        for path in [
            "/admin",
            "/admin/x",
            "//admin",
            "/x/../admin",
            "/./admin/",
            "/%61dmin",
            "/%2561dmin",
            "/x/%2e%2e/admin",
            "/x%2F..%2Fadmin",
            "/x\\..\\admin",
            "/admin;v=1/x",
            "/admin%2fx",
        ] {
            assert!(applies(&admin, path), "{path}");
        }
        for path in ["/", "/administrator", "/x/admin", "/admin/../x/%", "/x%"] {
            assert!(!applies(&admin, path) || path.starts_with("/admin/"), "{path}");
        }
        assert!(applies(&[], "/anything"));
    }

    proptest! {
        #[test]
        fn any_path_can_be_read(path in "/[a-c./%0-9\\\\;é]{0,20}") {
            prop_assert!(plain(&path).starts_with('/'));
        }
    }
}
