//! A state in the order in which servers compare: hosts, the paths of each, and what a request meets there.

use std::net::SocketAddr;
use std::time::Duration;

use nd_types::{
    AppName, AppProtocol, Availability, EdgeState, Gate, HostPattern, PathPrefix, Route, Service, ServiceTls,
};

/// One host or pattern, with the paths under it, the longest first.
pub(crate) struct Host<'s> {
    pub(crate) pattern: &'s HostPattern,
    pub(crate) paths: Vec<Place<'s>>,
}

/// One path of a host.
pub(crate) struct Place<'s> {
    pub(crate) path: &'s PathPrefix,
    pub(crate) app: &'s AppName,
    pub(crate) meets: Meets<'s>,
    /// How its visitors are brought to TLS.
    pub(crate) tls: &'s ServiceTls,
}

/// What a request meets.
pub(crate) enum Meets<'s> {
    Units(Upstream<'s>),
    /// A redirect to the same path of another host.
    Moved(&'s HostPattern),
    Nobody(Absence),
}

/// Units that answer.
pub(crate) struct Upstream<'s> {
    pub(crate) addresses: Vec<SocketAddr>,
    /// What is taken off the path.
    pub(crate) strip: Option<&'s PathPrefix>,
    /// Until the head of the answer.
    pub(crate) header_timeout: Duration,
    /// Within the answer, where the route says so.
    pub(crate) idle_timeout: Option<Duration>,
    pub(crate) body_bytes: u64,
    pub(crate) protocol: AppProtocol,
}

/// Why nobody answers, and when to ask again.
pub(crate) struct Absence {
    pub(crate) why: String,
    pub(crate) retry_after_s: Option<u32>,
}

/// The hosts of a state: exact ones first, then patterns, the longest first. A route whose app is missing leads nowhere, and
/// the first of equal ones counts, as [`EdgeState::route`] says.
pub(crate) fn hosts(state: &EdgeState) -> Vec<Host<'_>> {
    let mut hosts: Vec<Host<'_>> = Vec::new();
    for route in &state.routes {
        let Some(service) = state.services.iter().find(|service| service.app == route.app) else { continue };
        let index = match hosts.iter().position(|host| *host.pattern == route.host) {
            Some(index) => index,
            None => {
                hosts.push(Host { pattern: &route.host, paths: Vec::new() });
                hosts.len() - 1
            }
        };
        let Some(host) = hosts.get_mut(index) else { continue };
        if host.paths.iter().all(|place| *place.path != route.path) {
            let meets = meets(service, Some(route));
            host.paths.push(Place { path: &route.path, app: &route.app, meets, tls: &service.tls });
        }
    }
    for host in &mut hosts {
        host.paths.sort_by_key(|place| std::cmp::Reverse(place.path.as_str().len()));
    }
    let rank = |host: &Host<'_>| (host.pattern.parent().is_none(), host.pattern.as_str().len());
    hosts.sort_by_key(|host| std::cmp::Reverse(rank(host)));
    hosts
}

/// What a request to an app meets, through a route or a host port.
pub(crate) fn meets<'s>(service: &'s Service, route: Option<&'s Route>) -> Meets<'s> {
    if let Some(host) = route.and_then(|route| route.options.redirect.as_ref()) {
        return Meets::Moved(host);
    }
    if let Some(absence) = absence(service) {
        return Meets::Nobody(absence);
    }
    let options = route.map(|route| &route.options);
    let address = |backend: &nd_types::Backend| match options.and_then(|options| options.port) {
        Some(port) => SocketAddr::new(backend.address.ip(), port.get()),
        None => backend.address,
    };
    let timeout = options.and_then(|options| options.timeout);
    Meets::Units(Upstream {
        addresses: service.backends.iter().map(address).collect(),
        strip: route
            .filter(|route| route.options.strip && route.path != PathPrefix::root())
            .map(|route| &route.path),
        header_timeout: timeout.unwrap_or(service.limits.response_header_timeout),
        idle_timeout: timeout,
        body_bytes: service.limits.body_bytes,
        protocol: service.backends.first().map(|backend| backend.protocol).unwrap_or_default(),
    })
}

fn absence(service: &Service) -> Option<Absence> {
    let (why, retry_after_s) = match (service.gate, &service.availability) {
        (Gate::Maintenance { retry_after_s }, _) => ("in maintenance".to_owned(), Some(retry_after_s)),
        (_, Availability::Stopped) => ("stopped".to_owned(), None),
        (_, Availability::Failed { reason }) => (format!("not available: {reason}"), None),
        (Gate::Open, Availability::Serving) if !service.backends.is_empty() => return None,
        _ => ("starting".to_owned(), Some(1)),
    };
    Some(Absence { why: format!("{} is {why}\n", service.app), retry_after_s })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use nd_types::{ReleaseId, RouteOptions, ServiceLimits};

    use super::*;

    fn state(routes: &[(&str, &str)]) -> EdgeState {
        let app: AppName = "shop".parse().unwrap();
        let route = |(host, path): &(&str, &str)| Route {
            host: HostPattern::pattern(host).unwrap(),
            path: PathPrefix::new(path),
            app: app.clone(),
            options: RouteOptions::default(),
        };
        let service = Service {
            app: app.clone(),
            release: "8f3k2a".parse::<ReleaseId>().unwrap(),
            backends: Vec::new(),
            availability: Availability::Serving,
            limits: ServiceLimits::default(),
            rules: Arc::default(),
            gate: Gate::Open,
            split: None,
            tls: Default::default(),
        };
        EdgeState {
            routes: routes.iter().map(route).collect(),
            services: vec![service],
            ..EdgeState::default()
        }
    }

    #[test]
    fn the_first_that_matches_is_the_one_that_counts() {
        let state = state(&[("*", "/"), ("*.b.c", "/"), ("a.b.c", "/"), ("a.b.c", "/x/y"), ("*.a.b.c", "/")]);
        let order: Vec<(&str, Vec<&str>)> = hosts(&state)
            .iter()
            .map(|host| (host.pattern.as_str(), host.paths.iter().map(|place| place.path.as_str()).collect()))
            .collect();
        assert_eq!(
            order,
            [("a.b.c", vec!["/x/y", "/"]), ("*.a.b.c", vec!["/"]), ("*.b.c", vec!["/"]), ("*", vec!["/"])]
        );
    }

    #[test]
    fn an_app_without_a_unit_is_absent_and_says_when_to_ask_again() {
        let state = state(&[("a.b.c", "/")]);
        let hosts = hosts(&state);
        let Meets::Nobody(absence) = &hosts[0].paths[0].meets else { panic!("somebody is there") };
        assert_eq!((absence.why.as_str(), absence.retry_after_s), ("shop is starting\n", Some(1)));
    }
}
