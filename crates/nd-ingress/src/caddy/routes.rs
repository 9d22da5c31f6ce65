//! One host of the table as a route of Caddy's.

use std::net::SocketAddr;

use nd_types::{AppProtocol, HostPattern, Hsts, PathPrefix, Service};
use serde_json::{Value, json};

use super::config::MARKER;
use crate::beside::table::{self, Absence, Host, Meets, Place, Upstream};
use crate::beside::tls;

/// How long a request that reached no unit is tried with the others, and with those that come back.
const TRY_FOR: &str = "5s";

/// How visitors come to a route.
#[derive(Clone, Copy)]
pub(super) struct Entry {
    pub(super) at: SocketAddr,
    /// Where the same host is served over TLS with a certificate of ours.
    pub(super) tls: Option<SocketAddr>,
    /// Whether that is here.
    pub(super) is_tls: bool,
}

impl Entry {
    /// Visitors come there, and TLS is not ours.
    pub(super) fn plain(at: SocketAddr) -> Self {
        Self { at, tls: None, is_tls: false }
    }
}

/// The route of a host: its paths, the longest first, and 404 for every other one.
pub(super) fn of_host(host: &Host<'_>, entry: Entry) -> Value {
    let mut inner: Vec<Value> = host.paths.iter().map(|place| of_place(place, entry)).collect();
    if host.paths.iter().all(|place| *place.path != PathPrefix::root()) {
        inner.push(json!({"handle": [{"handler": "static_response", "status_code": 404}]}));
    }
    let mut route = json!({
        "@id": format!("{MARKER}-{}-{}", if entry.is_tls { "https" } else { "host" }, host.pattern),
        "handle": [{"handler": "subroute", "routes": inner}],
        "terminal": true
    });
    if let Some(matches) = matches(host.pattern) {
        set(&mut route, "match", matches);
    }
    route
}

/// The only route of a host port.
pub(super) fn of_port(service: &Service, at: SocketAddr) -> Value {
    json!({
        "@id": format!("{MARKER}-port-route-{at}"),
        "handle": handlers(&table::meets(service, None), at),
        "terminal": true
    })
}

/// The answer that a certificate authority asks for (RFC 8555, section 8.3), under every host.
pub(super) fn of_challenge(token: &str, answer: &str) -> Value {
    json!({
        "@id": format!("{MARKER}-challenge-{token}"),
        "match": [{"path": [format!("/.well-known/acme-challenge/{token}")]}],
        "handle": [{
            "handler": "static_response",
            "status_code": 200,
            "headers": {"Content-Type": ["text/plain"]},
            "body": answer.replace(['{', '}'], "")
        }],
        "terminal": true
    })
}

/// An address as Caddy writes it.
pub(super) fn address(at: SocketAddr) -> String {
    if at.ip().is_unspecified() { format!(":{}", at.port()) } else { at.to_string() }
}

fn of_place(place: &Place<'_>, entry: Entry) -> Value {
    let handlers = match (entry.tls, place.tls.hsts) {
        (Some(to), _) if place.tls.redirect && !entry.is_tls => vec![secured(to)],
        (_, Some(hsts)) if entry.is_tls => {
            let mut handlers = handlers(&place.meets, entry.at);
            handlers.insert(0, browsers_come_with_tls(hsts));
            handlers
        }
        _ => handlers(&place.meets, entry.at),
    };
    let mut route = json!({"handle": handlers, "terminal": true});
    if *place.path != PathPrefix::root() {
        let pattern = format!("^{}(?:/|$)", literal(place.path.as_str()));
        set(&mut route, "match", json!([{"path_regexp": {"pattern": pattern}}]));
    }
    route
}

/// How a host is recognised; nothing where every host is. Caddy's own patterns stop at one label, ours do not.
fn matches(pattern: &HostPattern) -> Option<Value> {
    match pattern.parent() {
        None => Some(json!([{"host": [pattern.as_str()]}])),
        Some("") => None,
        Some(parent) => {
            let deep = format!("(?i)^[^.].*\\.{}\\.?(?::\\d+)?$", literal(parent));
            Some(json!([
                {"host": [pattern.as_str()]},
                {"header_regexp": {"Host": {"pattern": deep}}}
            ]))
        }
    }
}

fn handlers(meets: &Meets<'_>, at: SocketAddr) -> Vec<Value> {
    match meets {
        Meets::Units(upstream) => to_units(upstream),
        Meets::Moved(host) => vec![moved(host, at)],
        Meets::Nobody(absence) => vec![nobody(absence)],
    }
}

fn to_units(upstream: &Upstream<'_>) -> Vec<Value> {
    let mut handlers = vec![
        json!({"handler": "request_body", "max_size": upstream.body_bytes}),
        json!({"handler": "encode", "encodings": {"zstd": {}, "gzip": {}}, "prefer": ["zstd", "gzip"],
               "minimum_length": 1024}),
    ];
    let mut fields = json!({"X-Real-Ip": ["{http.request.remote.host}"]});
    if let Some(prefix) = upstream.strip {
        handlers.push(json!({"handler": "rewrite", "strip_path_prefix": prefix.as_str()}));
        set(&mut fields, "X-Forwarded-Prefix", json!([prefix.as_str()]));
    }
    let dials: Vec<Value> =
        upstream.addresses.iter().map(|address| json!({"dial": address.to_string()})).collect();
    let mut transport = json!({
        "protocol": "http",
        "dial_timeout": "5s",
        "response_header_timeout": upstream.header_timeout.as_nanos().min(i64::MAX as u128) as i64,
        "keep_alive": {"idle_timeout": "4s"},
        // Whatever the app has compressed is passed on as it is.
        "compression": false
    });
    if upstream.protocol == AppProtocol::H2c {
        set(&mut transport, "versions", json!(["h2c", "2"]));
    }
    handlers.push(json!({
        "handler": "reverse_proxy",
        "upstreams": dials,
        "load_balancing": {
            "selection_policy": {"policy": "least_conn"},
            "try_duration": TRY_FOR,
            "try_interval": "50ms"
        },
        "headers": {"request": {"set": fields, "delete": ["Forwarded"]}},
        "transport": transport
    }));
    handlers
}

fn moved(host: &HostPattern, at: SocketAddr) -> Value {
    let port = if matches!(at.port(), 80 | 443) { String::new() } else { format!(":{}", at.port()) };
    let location = format!("{{http.request.scheme}}://{host}{port}{{http.request.uri}}");
    json!({"handler": "static_response", "status_code": 308, "headers": {"Location": [location]}})
}

/// The same address with TLS.
fn secured(to: SocketAddr) -> Value {
    let location = format!("https://{{http.request.host}}{}{{http.request.uri}}", tls::port(to));
    json!({"handler": "static_response", "status_code": 308, "headers": {"Location": [location]}})
}

/// In the place of what the app itself may say.
fn browsers_come_with_tls(hsts: Hsts) -> Value {
    let fields = json!({"Strict-Transport-Security": [tls::hsts(hsts)]});
    json!({"handler": "headers", "response": {"deferred": true, "set": fields}})
}

fn nobody(absence: &Absence) -> Value {
    let mut fields = json!({"Content-Type": ["text/plain; charset=utf-8"], "Cache-Control": ["no-store"]});
    if let Some(seconds) = absence.retry_after_s {
        set(&mut fields, "Retry-After", json!([seconds.to_string()]));
    }
    // Braces would be read as placeholders.
    let body = absence.why.replace(['{', '}'], "");
    json!({"handler": "static_response", "status_code": 503, "headers": fields, "body": body})
}

/// Sets a key of an object.
pub(super) fn set(object: &mut Value, key: &str, value: Value) {
    if let Some(object) = object.as_object_mut() {
        object.insert(key.to_owned(), value);
    }
}

/// A text as a pattern that matches nothing else (RE2).
fn literal(text: &str) -> String {
    let mut pattern = String::with_capacity(text.len() + 8);
    for c in text.chars() {
        if c.is_ascii_punctuation() {
            pattern.push('\\');
        }
        pattern.push(c);
    }
    pattern
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_reaches_every_name_below() {
        let matches = matches(&HostPattern::pattern("*.example.com").unwrap()).unwrap();
        let deep = matches.pointer("/1/header_regexp/Host/pattern").unwrap();
        assert_eq!(deep, "(?i)^[^.].*\\.example\\.com\\.?(?::\\d+)?$");
    }

    #[test]
    fn the_whole_world_is_written_as_a_port() {
        assert_eq!(address("0.0.0.0:80".parse().unwrap()), ":80");
        assert_eq!(address("127.0.0.1:80".parse().unwrap()), "127.0.0.1:80");
    }
}
