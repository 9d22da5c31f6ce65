//! Which host and path lead to which service: one immutable table, shared by all workers.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::sync::Arc;

use nd_types::{AppName, EdgeState, HostPattern, PathPrefix, RouteOptions, Service};

use crate::http1::host::Host;

/// The routing table of one [`EdgeState`]; it finds what [`EdgeState::route`] defines.
#[derive(Debug, Default)]
pub(crate) struct RouteTable {
    /// Host in lower case → its paths, the longest first.
    hosts: HashMap<Box<str>, Vec<Line>>,
    /// The same for patterns, by the name that they stand below.
    below: HashMap<Box<str>, Vec<Line>>,
    /// Whose lines count for a host that has none.
    default: Option<HostPattern>,
}

#[derive(Debug)]
struct Line {
    path: PathPrefix,
    /// Position in the state.
    service: usize,
    passage: Option<Arc<Passage>>,
}

/// A route on which something happens to requests.
#[derive(Debug)]
pub(crate) struct Passage {
    pub(crate) path: PathPrefix,
    pub(crate) options: RouteOptions,
}

impl Passage {
    /// The target as the app gets it, where that is another one.
    pub(crate) fn stripped(&self, target: &str) -> Option<String> {
        let rest = target.strip_prefix(self.path.as_str()).filter(|_| self.options.strip)?;
        if self.path.as_str() == "/" {
            return None;
        }
        Some(if rest.starts_with('/') { rest.to_owned() } else { format!("/{rest}") })
    }
}

/// Where a request goes.
#[derive(Clone, Debug)]
pub(crate) struct Found {
    /// The position of the service in the state.
    pub(crate) service: usize,
    pub(crate) passage: Option<Arc<Passage>>,
}

impl RouteTable {
    /// Builds the table. A route whose service is not part of the state leads nowhere; of two equal routes the first
    /// one counts.
    pub(crate) fn new(state: &EdgeState) -> Self {
        let position =
            |app: &AppName| state.services.iter().position(|service: &Service| service.app == *app);
        let mut table = Self { default: state.default_host.clone(), ..Self::default() };
        for route in &state.routes {
            let Some(service) = position(&route.app) else { continue };
            let (map, name) = match route.host.parent() {
                None => (&mut table.hosts, route.host.as_str()),
                Some(parent) => (&mut table.below, parent),
            };
            let passage = (!route.options.is_empty())
                .then(|| Arc::new(Passage { path: route.path.clone(), options: route.options.clone() }));
            map.entry(name.into()).or_default().push(Line { path: route.path.clone(), service, passage });
        }
        for lines in table.hosts.values_mut().chain(table.below.values_mut()) {
            lines.sort_by_key(|line| Reverse(line.path.as_str().len()));
        }
        table
    }

    /// Where a request for this host and path goes. One without a host goes where every host does.
    pub(crate) fn find(&self, host: Option<Host<'_>>, path: &str) -> Option<Found> {
        let lines = match host {
            Some(host) => host.with_lower_case(|name| self.hosts.get(name).or_else(|| self.below(name))),
            None => self.below.get(""),
        };
        let of_default = || {
            let name = self.default.as_ref()?.as_str();
            self.hosts.get(name).or_else(|| self.below(name))
        };
        let line = lines.or_else(of_default)?.iter().find(|line| line.path.matches(path))?;
        Some(Found { service: line.service, passage: line.passage.clone() })
    }

    /// The lines of the longest pattern that the name falls under.
    fn below(&self, name: &str) -> Option<&Vec<Line>> {
        if self.below.is_empty() {
            return None;
        }
        let parents = std::iter::successors(name.split_once('.'), |(_, parent)| parent.split_once('.'));
        // `.example.com` is nobody's child.
        let mut parents = parents.map(|(_, parent)| parent).filter(|_| !name.starts_with('.'));
        parents.find_map(|parent| self.below.get(parent)).or_else(|| self.below.get(""))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use nd_types::{Availability, HostPattern, Route, ServiceLimits};
    use proptest::prelude::*;

    fn state(routes: &[(&str, &str, &str)]) -> EdgeState {
        let service = |name: &str| Service {
            app: name.parse().unwrap(),
            release: "aaaaaa".parse().unwrap(),
            backends: vec![],
            availability: Availability::Serving,
            limits: ServiceLimits::default(),
            rules: Arc::default(),
            gate: nd_types::Gate::Open,
            split: None,
            tls: Arc::default(),
        };
        EdgeState {
            services: ["a", "b", "c"].map(service).to_vec(),
            routes: routes
                .iter()
                .map(|(host, path, app)| Route {
                    host: HostPattern::pattern(host).unwrap(),
                    path: PathPrefix::new(path),
                    app: app.parse().unwrap(),
                    options: RouteOptions::default(),
                })
                .collect(),
            ..EdgeState::default()
        }
    }

    fn find(table: &RouteTable, host: &str, path: &str) -> Option<usize> {
        table.find(Host::parse(host), path).map(|found| found.service)
    }

    #[test]
    fn the_longest_path_of_the_host_wins() {
        let table =
            RouteTable::new(&state(&[("x.y", "/", "a"), ("x.y", "/api", "b"), ("x.y", "/api/v2", "c")]));
        assert_eq!(find(&table, "X.y:8080", "/"), Some(0));
        assert_eq!(find(&table, "x.y.", "/api/v1"), Some(1));
        assert_eq!(find(&table, "x.y", "/api/v2/z"), Some(2));
        assert_eq!(find(&table, "x.y", "/apis"), Some(0));
        assert_eq!(find(&table, "z.x.y", "/"), None);
    }

    #[test]
    fn a_host_that_nobody_serves_is_the_default_one() {
        let mut state = state(&[("x.y", "/", "a"), ("z.y", "/only", "b")]);
        state.default_host = Some(HostPattern::new("x.y").unwrap());
        let table = RouteTable::new(&state);
        assert_eq!(find(&table, "192.0.2.1", "/"), Some(0));
        assert_eq!(table.find(None, "/").map(|found| found.service), Some(0));
        assert_eq!(find(&table, "z.y", "/"), None, "it is served, if not there");
        assert_eq!(state.route("q.q", "/").map(|route| route.app.as_str()), Some("a"));
        assert!(state.route("z.y", "/").is_none());
    }

    #[test]
    fn a_route_to_nowhere_is_no_route() {
        let table = RouteTable::new(&state(&[("x.y", "/", "missing")]));
        assert_eq!(find(&table, "x.y", "/"), None);
    }

    #[test]
    fn an_exact_host_wins_and_then_the_longest_pattern() {
        let routes = [("*", "/", "c"), ("*.x.y", "/", "a"), ("*.b.x.y", "/", "b"), ("b.x.y", "/only", "b")];
        let table = RouteTable::new(&state(&routes));
        assert_eq!(find(&table, "a.x.y", "/"), Some(0));
        assert_eq!(find(&table, "q.a.X.y.", "/"), Some(0));
        assert_eq!(find(&table, "a.b.x.y", "/"), Some(1));
        assert_eq!(find(&table, "b.x.y", "/only"), Some(1));
        assert_eq!(find(&table, "b.x.y", "/"), None, "its own routes are all it has");
        assert_eq!(find(&table, "x.y", "/"), Some(2));
        assert_eq!(table.find(None, "/").map(|found| found.service), Some(2));
    }

    proptest! {
        #[test]
        fn the_table_finds_what_the_state_defines(
            routes in proptest::collection::vec(
                ("(\\*|(\\*\\.)?[ab]\\.x|(\\*\\.)?[ab]\\.[ab]\\.x)", "(/[ab]{1,2}){0,3}", "[abcd]"), 0..12),
            host in "[abAB]\\.([abAB]\\.){0,2}[xX]", path in "(/[ab]{1,2}){1,4}",
        ) {
            let list: Vec<_> = routes.iter().map(|(h, p, a)| (h.as_str(), p.as_str(), a.as_str())).collect();
            let state = state(&list);
            let expected = state.route(&host.to_ascii_lowercase(), &path);
            let expected = expected.and_then(|r| state.services.iter().position(|s| s.app == r.app));
            prop_assert_eq!(find(&RouteTable::new(&state), &host, &path), expected);
        }
    }
}
