//! The table of the proxy for people: what it serves, and why a request goes where it goes.

use std::cmp::Reverse;
use std::net::{IpAddr, SocketAddr};

use nd_api::v1::{BackendView, ProxiedAppView, ProxyTestView, ProxyView, RouteView};
use nd_types::{Availability, EdgeState, Gate, Route, Service, Timestamp};

use super::app::millis;

/// What the proxy serves.
pub(crate) fn view(state: &EdgeState, http: SocketAddr) -> ProxyView {
    let mut routes: Vec<&Route> = state.routes.iter().collect();
    routes.sort_by_key(|route| {
        let (host, path) = (route.host.as_str(), route.path.as_str());
        (route.host.parent().is_some(), Reverse(route.host.parent().map(str::len)), host, Reverse(path.len()))
    });
    ProxyView {
        http,
        generation: state.generation.0,
        routes: routes.into_iter().map(route_view).collect(),
        apps: state.services.iter().map(|service| app_view(state, service)).collect(),
    }
}

/// A host, and what is asked of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    host: String,
    path: String,
    query: Option<String>,
}

impl Place {
    /// Reads a URL, with or without its scheme.
    pub(crate) fn parse(url: &str) -> Option<Self> {
        let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
        let rest = rest.split('#').next()?;
        let end = rest.find(['/', '?']).unwrap_or(rest.len());
        let (authority, target) = rest.split_at_checked(end)?;
        let host = match authority.rfind(']') {
            Some(end) => authority.get(..=end)?,
            None => authority.split(':').next()?,
        };
        let host = host.strip_suffix('.').unwrap_or(host).to_ascii_lowercase();
        let (path, query) =
            target.split_once('?').map_or((target, None), |(path, query)| (path, Some(query)));
        let path = if path.is_empty() { "/" } else { path };
        (!host.is_empty()).then(|| Self { host, path: path.to_owned(), query: query.map(str::to_owned) })
    }
}

/// What would become of a request, as far as the table says it.
pub(crate) fn test(state: &EdgeState, place: &Place, from: Option<IpAddr>) -> ProxyTestView {
    let mut why = Vec::new();
    let route = state.route(&place.host, &place.path);
    let service = route.and_then(|route| state.services.iter().find(|service| service.app == route.app));
    let outcome = match (route, service) {
        (Some(route), Some(service)) => {
            why.push(chosen(route, place));
            decided(route, service, place, from, &mut why)
        }
        _ => {
            why.push(nobody(state, place));
            "404".to_owned()
        }
    };
    ProxyTestView {
        host: place.host.clone(),
        path: place.path.clone(),
        outcome,
        why,
        route: route.map(route_view),
        app: service.map(|service| app_view(state, service)),
    }
}

/// Why this route counts.
fn chosen(route: &Route, place: &Place) -> String {
    let host = match route.host.parent() {
        None if route.host.as_str() != place.host => {
            format!("no route has the host, and {} is the default one", route.host)
        }
        None => "the host is written out".to_owned(),
        Some("") => "no other route has the host".to_owned(),
        Some(_) => format!("the host falls under {}, the longest pattern that takes it", route.host),
    };
    match route.path.as_str() {
        "/" => format!("{host}, and the route takes every path that no longer one takes"),
        path => format!("{host}, and {path} is the longest path of it that matches"),
    }
}

/// Why there is none.
fn nobody(state: &EdgeState, place: &Place) -> String {
    let with_host = state.routes.iter().filter(|route| route.host.matches(&place.host));
    let paths: Vec<String> =
        with_host.map(|route| format!("{}{}", route.host, route.path.as_str())).collect();
    if paths.is_empty() {
        format!("no route has the host {}", place.host)
    } else {
        format!("the host has routes, and none takes {}: {}", place.path, paths.join(", "))
    }
}

/// What happens on the way to the app, in the order in which the proxy looks.
fn decided(
    route: &Route,
    service: &Service,
    place: &Place,
    from: Option<IpAddr>,
    why: &mut Vec<String>,
) -> String {
    let rules = &service.rules;
    let guarded =
        rules.access.paths.is_empty() || rules.access.paths.iter().any(|path| path.matches(&place.path));
    if !rules.access.is_empty() && guarded {
        match from {
            Some(from) if !rules.access.admits(from) => {
                why.push(format!("proxy.access does not admit {from}"));
                return "403".to_owned();
            }
            Some(from) => why.push(format!("proxy.access admits {from}")),
            None => why.push("proxy.access decides by the client's address, which was not given".to_owned()),
        }
    }
    if let Some(host) = &route.options.redirect {
        why.push(format!("the route sends visitors on to {host}"));
        return "308".to_owned();
    }
    let query = place.query.as_deref();
    let moved = rules.redirects.iter().find_map(|rule| Some((rule, rule.location(&place.path, query)?)));
    if let Some((rule, location)) = moved {
        why.push(format!("proxy.redirects {rule} leads to {location}"));
        return rule.code().as_u16().to_string();
    }
    let auth = &rules.basic_auth;
    let is_asked = auth.paths.is_empty() || auth.paths.iter().any(|path| path.matches(&place.path));
    if !auth.is_empty() && is_asked {
        why.push(
            "proxy.basic_auth asks for a name and a password; without them the answer is 401".to_owned(),
        );
    }
    served(service, why)
}

fn served(service: &Service, why: &mut Vec<String>) -> String {
    if let Gate::Maintenance { .. } = service.gate {
        why.push(format!("`nextdeploy maintenance on {}` was said", service.app));
        return "503".to_owned();
    }
    match &service.availability {
        Availability::Stopped => {
            why.push("the app is stopped".to_owned());
            return "503".to_owned();
        }
        Availability::Failed { reason } => {
            why.push(format!("the app failed: {reason}"));
            return "503".to_owned();
        }
        Availability::Sleeping => {
            why.push("the app sleeps; a request wakes it and waits".to_owned());
            return "wait".to_owned();
        }
        Availability::Serving => {}
    }
    let hold = nd_types::format_duration(service.limits.hold);
    if service.gate.wait(Timestamp::now()).is_some() {
        why.push(format!("`nextdeploy pause {}` was said; a request waits up to {hold}", service.app));
        return "wait".to_owned();
    }
    let count = service.backends.len();
    if count == 0 {
        why.push(format!("no instance is ready; a request waits up to {hold}"));
        return "wait".to_owned();
    }
    if let Some(split) = &service.split {
        why.push(format!("a release is tried: {split}"));
    }
    why.push(match count {
        1 => "one instance is ready".to_owned(),
        _ => format!("of {count} ready instances the one with the fewest requests in flight is asked"),
    });
    "app".to_owned()
}

fn route_view(route: &Route) -> RouteView {
    let options = &route.options;
    RouteView {
        host: route.host.to_string(),
        path: route.path.as_str().to_owned(),
        app: route.app.clone(),
        strip: options.strip,
        port: options.port.map(std::num::NonZeroU16::get),
        timeout_ms: options.timeout.map(millis),
        redirect: options.redirect.as_ref().map(ToString::to_string),
    }
}

fn app_view(state: &EdgeState, service: &Service) -> ProxiedAppView {
    let word = match (service.gate, &service.availability) {
        (Gate::Maintenance { .. }, _) => "maintenance",
        (_, Availability::Stopped) => "stopped",
        (_, Availability::Failed { .. }) => "failed",
        (_, Availability::Sleeping) => "sleeping",
        (gate, Availability::Serving) if gate.wait(Timestamp::now()).is_some() => "paused",
        (_, Availability::Serving) if service.backends.is_empty() => "waiting",
        (_, Availability::Serving) => "serving",
    };
    let backends = service.backends.iter();
    let ports = state.host_ports.iter().filter(|port| port.app == service.app);
    ProxiedAppView {
        app: service.app.clone(),
        release: service.release.to_string(),
        state: word.to_owned(),
        backends: backends
            .map(|backend| BackendView { instance: backend.unit.to_string(), address: backend.address })
            .collect(),
        host_ports: ports.map(|port| port.bind).collect(),
        body_limit: service.limits.body_bytes,
        response_timeout_ms: millis(service.limits.response_header_timeout),
        hold_ms: millis(service.limits.hold),
        hold_requests: service.limits.hold_requests,
        redirects: service.rules.redirects.clone(),
    }
}

#[cfg(test)]
mod tests {
    use nd_types::{HostPattern, PathPrefix, RouteOptions, ServiceLimits};

    use super::*;

    fn state() -> EdgeState {
        let service = |name: &str| Service {
            app: name.parse().unwrap(),
            release: "aaaaaa".parse().unwrap(),
            backends: vec![],
            availability: Availability::Serving,
            limits: ServiceLimits::default(),
            rules: std::sync::Arc::default(),
            gate: Gate::Open,
            split: None,
            tls: std::sync::Arc::default(),
        };
        let route = |host: &str, path: &str, app: &str| Route {
            host: HostPattern::pattern(host).unwrap(),
            path: PathPrefix::new(path),
            app: app.parse().unwrap(),
            options: RouteOptions::default(),
        };
        EdgeState {
            services: vec![service("shop"), service("api")],
            routes: vec![
                route("*.example.com", "/", "shop"),
                route("a.example.com", "/v1", "api"),
                route("a.example.com", "/v1/admin", "api"),
            ],
            ..EdgeState::default()
        }
    }

    fn tested(url: &str) -> ProxyTestView {
        test(&state(), &Place::parse(url).unwrap(), None)
    }

    #[test]
    fn a_url_is_read_with_and_without_its_scheme() {
        let place = Place::parse("https://A.example.com.:8443/x?y#z").unwrap();
        assert_eq!(
            (place.host.as_str(), place.path.as_str(), place.query.as_deref()),
            ("a.example.com", "/x", Some("y"))
        );
        assert_eq!(Place::parse("a.example.com").unwrap().path, "/");
        assert_eq!(Place::parse("[::1]:80/").unwrap().host, "[::1]");
        assert_eq!(Place::parse("/x"), None);
    }

    #[test]
    fn it_says_which_route_and_why_or_why_none() {
        let found = tested("a.example.com/v1/admin/x");
        assert_eq!(found.route.map(|route| route.path).as_deref(), Some("/v1/admin"));
        assert_eq!(found.outcome, "wait");
        let other = tested("b.c.example.com");
        assert!(other.why[0].contains("falls under *.example.com"), "{:?}", other.why);
        let path = tested("a.example.com/x");
        assert_eq!(path.outcome, "404");
        assert!(path.why[0].contains("none takes /x"), "{:?}", path.why);
        assert_eq!(tested("example.org").why, ["no route has the host example.org"]);
    }

    #[test]
    fn routes_are_shown_in_the_order_they_are_looked_at() {
        let shown = view(&state(), ([127, 0, 0, 1], 80).into());
        let paths: Vec<_> = shown.routes.iter().map(|route| route.path.as_str()).collect();
        assert_eq!(paths, ["/v1/admin", "/v1", "/"]);
    }
}
