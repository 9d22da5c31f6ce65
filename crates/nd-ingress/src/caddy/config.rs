//! Caddy's configuration with our routes in it, and everything else as it was.

use std::net::{IpAddr, SocketAddr};

use nd_core::ports::BindFault;
use nd_types::EdgeState;
use serde_json::{Map, Value, json};

use super::CaddySettings;
use super::routes;
use crate::beside::ports;
use crate::beside::table;

/// What carries the generation; every other `@id` of ours begins with it and a hyphen.
pub(super) const MARKER: &str = "nextdeploy";

/// Takes out what is ours and puts in what this state wants. Answers the host ports that somebody else has, and hosts of which
/// the user has sites: those stay the user's.
pub(super) fn with(
    found: &Value,
    settings: &CaddySettings,
    before: &EdgeState,
    state: &EdgeState,
) -> (Value, Vec<BindFault>) {
    let mut config = found.clone();
    let hosts = table::hosts(state);
    let (open, mut faults) = ports::open(before, state, "Caddy");
    clean(&mut config);
    if state.services.is_empty() {
        return (config, faults);
    }
    let Some(servers) = servers(&mut config) else { return (config, faults) };
    let taken = users_hosts(servers);
    let (ours, theirs) = ports::unclaimed(hosts, &taken, settings.http, "Caddy");
    faults.extend(theirs);

    let main = settings.https.unwrap_or(settings.http);
    let mut routes: Vec<Value> = ours.iter().map(|host| routes::of_host(host, main)).collect();
    routes.push(marker(state));
    add(servers, "nextdeploy", main, routes, settings.https.is_some());
    if settings.https.is_some() {
        // It redirects to the other one, and answers challenges of certificate authorities; Caddy adds both by itself.
        add(servers, "nextdeploy-http", settings.http, Vec::new(), true);
    }
    for port in open {
        let service = state.services.iter().find(|service| service.app == port.app);
        if let Some(service) = service {
            let name = format!("nextdeploy-port-{}", port.bind);
            add(servers, &name, port.bind, vec![routes::of_port(service, port.bind)], false);
        }
    }
    (config, faults)
}

/// Takes out everything of ours.
fn clean(config: &mut Value) {
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
fn add(servers: &mut Map<String, Value>, name: &str, at: SocketAddr, routes: Vec<Value>, secure: bool) {
    let has_only_redirects = secure && routes.is_empty();
    let listens = |server: &Value| {
        let addresses = server.get("listen").and_then(Value::as_array);
        addresses.is_some_and(|all| all.iter().filter_map(Value::as_str).any(|listen| overlaps(listen, at)))
    };
    if let Some(server) = servers.values_mut().find(|server| listens(server)) {
        let Some(server) = server.as_object_mut() else { return };
        if !secure {
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
    if !secure {
        routes::set(&mut server, "automatic_https", json!({"disable": true}));
        routes::set(&mut server, "protocols", json!(["h1", "h2", "h2c"]));
    }
    servers.insert(name.to_owned(), server);
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
        let settings = CaddySettings::default();
        let mut state = EdgeState { generation: nd_types::Generation(7), ..EdgeState::default() };
        state.host_ports = Vec::new();
        let (same, _) = with(&users, &settings, &EdgeState::default(), &state);
        assert_eq!(same, users, "an empty state adds nothing");

        let mut ours = users.clone();
        let all = servers(&mut ours).unwrap();
        add(all, "nextdeploy", settings.http, vec![marker(&state)], false);
        add(all, "nextdeploy-port-1", "127.0.0.1:1".parse().unwrap(), Vec::new(), false);
        assert_eq!(all["srv0"]["automatic_https"]["skip"], json!(["generation.nextdeploy.invalid"]));
        let (cleaned, _) = with(&ours, &settings, &EdgeState::default(), &state);
        assert_eq!(cleaned, users);
        assert_eq!(
            users_hosts(servers(&mut ours).unwrap()),
            ["generation.nextdeploy.invalid", "user.example"]
        );
    }
}
