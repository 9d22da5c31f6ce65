//! Caddy's configuration with our routes in it, and everything else as it was.

use std::net::{IpAddr, SocketAddr};

use nd_core::ports::BindFault;
use nd_types::{Certificate, Challenge, EdgeState};
use serde_json::{Map, Value, json};

use super::routes::{self, Entry};
use super::{Certificates, Places, certificates};
use crate::beside::table::{self, Host};
use crate::beside::{ports, tls};

/// What carries the generation; every other `@id` of ours begins with it and a hyphen.
pub(super) const MARKER: &str = "nextdeploy";

/// Takes out what is ours and puts in what this state wants. Answers the host ports that somebody else has, and hosts of which
/// the user has sites: those stay the user's.
pub(super) fn with(
    found: &Value,
    places: &Places,
    before: &EdgeState,
    state: &EdgeState,
) -> (Value, Vec<BindFault>) {
    let mut config = found.clone();
    let hosts = table::hosts(state);
    let (open, mut faults) = ports::open(before, state, "Caddy");
    let is_wanted = |_: &SocketAddr| {
        places.certificates == Certificates::Caddy
            || hosts.iter().any(|host| tls::certificate(state, host).is_some())
    };
    let https = places.https.filter(is_wanted).filter(|https| {
        let error = taken(found, *https).map(|error| format!("{https}: {error}"));
        faults.extend(error.clone().map(|error| BindFault { bind: *https, app: None, error }));
        error.is_none()
    });
    clean(&mut config);
    if state.services.is_empty() {
        return (config, faults);
    }
    let Some(servers) = servers(&mut config) else { return (config, faults) };
    let taken = users_hosts(servers);
    let (ours, theirs) = ports::unclaimed(hosts, &taken, places.http, "Caddy");
    faults.extend(theirs);
    let shown = match (https, places.certificates) {
        (Some(https), Certificates::Caddy) => {
            by_caddy(servers, &ours, state, places.http, https);
            Vec::new()
        }
        (https, _) => plain_and_secure(servers, &ours, state, places.http, https),
    };
    for port in open {
        let service = state.services.iter().find(|service| service.app == port.app);
        if let Some(service) = service {
            let name = format!("nextdeploy-port-{}", port.bind);
            add(servers, &name, port.bind, vec![routes::of_port(service, port.bind)], Tls::None);
        }
    }
    if !shown.is_empty() {
        certificates::load(&mut config, &shown);
    }
    (config, faults)
}

/// Caddy has certificates of its own for the hosts.
fn by_caddy(
    servers: &mut Map<String, Value>,
    hosts: &[Host<'_>],
    state: &EdgeState,
    http: SocketAddr,
    https: SocketAddr,
) {
    let mut routes: Vec<Value> =
        hosts.iter().map(|host| routes::of_host(host, Entry::plain(https))).collect();
    routes.push(marker(state));
    add(servers, "nextdeploy", https, routes, Tls::Automatic);
    // It redirects to the other one, and answers challenges of certificate authorities; Caddy adds both by itself.
    add(servers, "nextdeploy-http", http, Vec::new(), Tls::Automatic);
}

/// Hosts that have a certificate of ours are served over TLS too. Answers these certificates.
fn plain_and_secure<'s>(
    servers: &mut Map<String, Value>,
    hosts: &[Host<'_>],
    state: &'s EdgeState,
    http: SocketAddr,
    https: Option<SocketAddr>,
) -> Vec<&'s Certificate> {
    let of = |host: &Host<'_>| https.and_then(|https| Some((https, tls::certificate(state, host)?)));
    let mut routes: Vec<Value> = state.tls.challenges.iter().filter_map(challenge).collect();
    let entry = |host: &Host<'_>| Entry { at: http, tls: of(host).map(|(https, _)| https), is_tls: false };
    routes.extend(hosts.iter().map(|host| routes::of_host(host, entry(host))));
    routes.push(marker(state));
    add(servers, "nextdeploy", http, routes, Tls::None);

    let secured = hosts.iter().filter_map(|host| Some((host, of(host)?)));
    let secured: Vec<(&Host<'_>, (SocketAddr, &Certificate))> = secured.collect();
    let Some((_, (https, _))) = secured.first() else { return Vec::new() };
    let entry = Entry { at: *https, tls: Some(*https), is_tls: true };
    let routes = secured.iter().map(|(host, _)| routes::of_host(host, entry)).collect();
    let policies =
        certificates::policies(secured.iter().map(|(host, (_, certificate))| (host.pattern, *certificate)));
    add(servers, "nextdeploy-https", *https, routes, Tls::Ours(policies));
    let mut certificates: Vec<&Certificate> = Vec::new();
    for (_, (_, certificate)) in &secured {
        if !certificates.contains(certificate) {
            certificates.push(certificate);
        }
    }
    certificates
}

fn challenge(challenge: &Challenge) -> Option<Value> {
    match challenge {
        Challenge::Http01 { token, answer } => Some(routes::of_challenge(token, answer)),
        Challenge::TlsAlpn01 { .. } => None,
    }
}

/// How a server speaks TLS that is there for our sake.
enum Tls {
    None,
    /// As Caddy does by itself.
    Automatic,
    /// By these policies.
    Ours(Vec<Value>),
}

/// Takes out everything of ours.
fn clean(config: &mut Value) {
    certificates::unload(config);
    let Some(servers) = config.pointer_mut("/apps/http/servers").and_then(Value::as_object_mut) else {
        return;
    };
    servers.retain(|name, _| !is_ours(name));
    for server in servers.values_mut() {
        let Some(Value::Array(routes)) = server.get_mut("routes") else { continue };
        let ours = |route: &Value| route.get("@id").and_then(Value::as_str).is_some_and(is_ours);
        let hosts: Vec<String> = routes.iter().filter(|route| ours(route)).flat_map(hosts_of).collect();
        routes.retain(|route| !ours(route));
        unskip(server, &hosts);
    }
}

/// Has Caddy not answer over TLS where it listens for our sake: in a server of the user that would change the user's sites.
fn skip(server: &mut Map<String, Value>, hosts: Vec<String>) {
    let Some(https) = object(server.entry("automatic_https").or_insert_with(|| json!({}))) else { return };
    if let Value::Array(skipped) = https.entry("skip").or_insert_with(|| json!([])) {
        skipped.extend(hosts.into_iter().map(Value::String));
    }
}

/// Takes that back.
fn unskip(server: &mut Value, hosts: &[String]) {
    let Some(https) = server.get_mut("automatic_https").and_then(Value::as_object_mut) else { return };
    if let Some(Value::Array(skipped)) = https.get_mut("skip") {
        skipped.retain(|host| !hosts.iter().any(|ours| host == ours));
        if skipped.is_empty() {
            https.remove("skip");
        }
    }
    if https.is_empty()
        && let Some(server) = server.as_object_mut()
    {
        server.remove("automatic_https");
    }
}

fn is_ours(id: &str) -> bool {
    id.strip_prefix(MARKER).is_some_and(|rest| rest.is_empty() || rest.starts_with('-'))
}

/// The servers, made where there are none.
fn servers(config: &mut Value) -> Option<&mut Map<String, Value>> {
    ["apps", "http", "servers"]
        .into_iter()
        .try_fold(object(config)?, |parent, key| object(parent.entry(key).or_insert(Value::Null)))
}

fn object(value: &mut Value) -> Option<&mut Map<String, Value>> {
    if !value.is_object() {
        *value = Value::Object(Map::new());
    }
    value.as_object_mut()
}

/// Every host that a route of the user names.
fn users_hosts(servers: &Map<String, Value>) -> Vec<String> {
    let routes = servers.values().filter_map(|server| server.get("routes")?.as_array()).flatten();
    routes.flat_map(hosts_of).collect()
}

/// The hosts that a route is for.
fn hosts_of(route: &Value) -> Vec<String> {
    let matchers = route.get("match").and_then(Value::as_array).into_iter().flatten();
    let hosts = matchers.filter_map(|matcher| matcher.get("host")?.as_array()).flatten();
    hosts.filter_map(|host| Some(host.as_str()?.to_ascii_lowercase())).collect()
}

/// Never asked for: it only says what serves.
fn marker(state: &EdgeState) -> Value {
    json!({
        "@id": MARKER,
        "match": [{"host": ["generation.nextdeploy.invalid"]}],
        "handle": [
            {"handler": "vars", "generation": state.generation.0.to_string()},
            {"handler": "static_response", "status_code": 404}
        ],
        "terminal": true
    })
}

/// Puts routes before those of the server that listens there; where none does, into one of our own.
fn add(servers: &mut Map<String, Value>, name: &str, at: SocketAddr, routes: Vec<Value>, tls: Tls) {
    let is_automatic = matches!(tls, Tls::Automatic);
    let has_only_redirects = is_automatic && routes.is_empty();
    if let Some(server) = servers.values_mut().find(|server| listens(server, at)) {
        let Some(server) = server.as_object_mut() else { return };
        if !is_automatic {
            skip(server, routes.iter().flat_map(hosts_of).collect());
        }
        let theirs = server.entry("routes").or_insert_with(|| json!([]));
        if let Value::Array(theirs) = theirs {
            theirs.splice(0..0, routes);
        }
        return;
    }
    let mut server = json!({"listen": [routes::address(at)], "routes": routes});
    if let Some(Value::Array(routes)) = server.get_mut("routes").filter(|_| !has_only_redirects) {
        // Of itself it would answer 200.
        routes.push(json!({"handle": [{"handler": "static_response", "status_code": 404}]}));
    }
    if !is_automatic {
        routes::set(&mut server, "automatic_https", json!({"disable": true}));
    }
    match tls {
        Tls::None => routes::set(&mut server, "protocols", json!(["h1", "h2", "h2c"])),
        Tls::Ours(policies) => {
            routes::set(&mut server, "protocols", json!(["h1", "h2"]));
            routes::set(&mut server, "tls_connection_policies", policies.into());
        }
        Tls::Automatic => {}
    }
    servers.insert(name.to_owned(), server);
}

/// Why Caddy could not listen there, where it does not yet.
fn taken(config: &Value, at: SocketAddr) -> Option<String> {
    let servers = config.pointer("/apps/http/servers").and_then(Value::as_object);
    let listens = servers.is_some_and(|servers| servers.values().any(|server| listens(server, at)));
    if listens { None } else { ports::taken(at) }
}

/// Whether a server listens there.
fn listens(server: &Value, at: SocketAddr) -> bool {
    let addresses = server.get("listen").and_then(Value::as_array);
    addresses.is_some_and(|all| all.iter().filter_map(Value::as_str).any(|listen| overlaps(listen, at)))
}

/// Whether a listener of Caddy's takes this address too, as in `:80`, `127.0.0.1:80`, `tcp/:80` or `:8000-8010`.
fn overlaps(listen: &str, at: SocketAddr) -> bool {
    let address = match listen.split_once('/') {
        Some(("tcp" | "tcp4" | "tcp6", address)) => address,
        Some(_) => return false,
        None => listen,
    };
    let Some((host, ports)) = address.rsplit_once(':') else { return false };
    let (first, last) = ports.split_once('-').unwrap_or((ports, ports));
    let has_port = matches!(
        (first.parse::<u16>(), last.parse::<u16>()),
        (Ok(first), Ok(last)) if (first..=last).contains(&at.port())
    );
    let host = host.trim_start_matches('[').trim_end_matches(']').replace("localhost", "127.0.0.1");
    let has_ip = match host.parse::<IpAddr>() {
        Ok(ip) => ip == at.ip() || ip.is_unspecified() || at.ip().is_unspecified(),
        Err(_) => host.is_empty(),
    };
    has_port && has_ip
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_listener_is_recognised_however_it_is_written() {
        let at: SocketAddr = "127.0.0.1:80".parse().unwrap();
        for same in [":80", "127.0.0.1:80", "localhost:80", "tcp/:80", "0.0.0.0:80", "[::]:80", ":79-81"] {
            assert!(overlaps(same, at), "{same}");
        }
        for other in [":8080", "192.0.2.1:80", "udp/:80", "unix//run/x.sock", "80"] {
            assert!(!overlaps(other, at), "{other}");
        }
        assert!(overlaps("192.0.2.1:80", "0.0.0.0:80".parse().unwrap()));
    }

    #[test]
    fn what_is_not_ours_stays_as_it_is() {
        let users = json!({
            "admin": {"listen": "unix//run/caddy/admin.sock"},
            "apps": {
                "tls": {"automation": {"policies": [{"on_demand": true}]}},
                "http": {"servers": {"srv0": {
                    "listen": [":80"],
                    "routes": [{"@id": "nextdeployed-by-hand", "match": [{"host": ["user.example"]}]}]
                }}}
            }
        });
        let http = "0.0.0.0:80".parse().unwrap();
        let places = Places { http, https: None, certificates: Certificates::NextDeploy };
        let mut state = EdgeState { generation: nd_types::Generation(7), ..EdgeState::default() };
        state.host_ports = Vec::new();
        let (same, _) = with(&users, &places, &EdgeState::default(), &state);
        assert_eq!(same, users, "an empty state adds nothing");

        let mut ours = users.clone();
        let all = servers(&mut ours).unwrap();
        add(all, "nextdeploy", http, vec![marker(&state)], Tls::None);
        add(all, "nextdeploy-port-1", "127.0.0.1:1".parse().unwrap(), Vec::new(), Tls::None);
        assert_eq!(all["srv0"]["automatic_https"]["skip"], json!(["generation.nextdeploy.invalid"]));
        let (cleaned, _) = with(&ours, &places, &EdgeState::default(), &state);
        assert_eq!(cleaned, users);
        assert_eq!(
            users_hosts(servers(&mut ours).unwrap()),
            ["generation.nextdeploy.invalid", "user.example"]
        );
    }
}
