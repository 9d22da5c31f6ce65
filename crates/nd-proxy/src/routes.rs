//! Which host and path lead to which service: one immutable table, shared by all workers.

use std::collections::HashMap;

use nd_types::{AppName, EdgeState, HostPattern, PathPrefix, Service};

use crate::http1::host::Host;

/// The routing table of one [`EdgeState`].
#[derive(Debug, Default)]
pub(crate) struct RouteTable {
    /// Host in lower case → its paths, the longest first → position of the service in the state.
    hosts: HashMap<Box<str>, Vec<(PathPrefix, usize)>>,
}

impl RouteTable {
    /// Builds the table. A route whose service is not part of the state leads nowhere; of two equal routes the first
    /// one counts.
    pub(crate) fn new(state: &EdgeState) -> Self {
        let position =
            |app: &AppName| state.services.iter().position(|service: &Service| service.app == *app);
        let mut hosts: HashMap<Box<str>, Vec<(PathPrefix, usize)>> = HashMap::new();
        for route in &state.routes {
            if let Some(service) = position(&route.app) {
                let host = HostPattern::as_str(&route.host).into();
                hosts.entry(host).or_default().push((route.path.clone(), service));
            }
        }
        for paths in hosts.values_mut() {
            paths.sort_by_key(|(path, _)| std::cmp::Reverse(path.as_str().len()));
        }
        Self { hosts }
    }

    /// The position of the service that answers this host and path.
    pub(crate) fn find(&self, host: Host<'_>, path: &str) -> Option<usize> {
        let paths = host.with_lower_case(|name| self.hosts.get(name))?;
        paths.iter().find(|(prefix, _)| prefix.matches(path)).map(|(_, service)| *service)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use nd_types::{Availability, Route, ServiceLimits};
    use proptest::prelude::*;

    fn state(routes: &[(&str, &str, &str)]) -> EdgeState {
        let service = |name: &str| Service {
            app: name.parse().unwrap(),
            release: "aaaaaa".parse().unwrap(),
            backends: vec![],
            availability: Availability::Serving,
            limits: ServiceLimits::default(),
        };
        EdgeState {
            services: ["a", "b", "c"].map(service).to_vec(),
            routes: routes
                .iter()
                .map(|(host, path, app)| Route {
                    host: HostPattern::new(host).unwrap(),
                    path: PathPrefix::new(path),
                    app: app.parse().unwrap(),
                })
                .collect(),
            ..EdgeState::default()
        }
    }

    fn find(table: &RouteTable, host: &str, path: &str) -> Option<usize> {
        table.find(Host::parse(host).unwrap(), path)
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
    fn a_route_to_nowhere_is_no_route() {
        let table = RouteTable::new(&state(&[("x.y", "/", "missing")]));
        assert_eq!(find(&table, "x.y", "/"), None);
    }

    proptest! {
        #[test]
        fn the_table_agrees_with_reading_all_routes(
            routes in proptest::collection::vec(("[ab]{1,2}\\.x", "(/[ab]{1,2}){0,3}", "[abc]"), 0..12),
            host in "[abAB]{1,2}\\.[xX]", path in "(/[ab]{1,2}){1,4}",
        ) {
            let list: Vec<_> = routes.iter().map(|(h, p, a)| (h.as_str(), p.as_str(), a.as_str())).collect();
            let state = state(&list);
            let mut best: Option<&Route> = None;
            for route in &state.routes {
                let fits = route.host.as_str() == host.to_ascii_lowercase() && route.path.matches(&path);
                if fits && best.is_none_or(|b| route.path.as_str().len() > b.path.as_str().len()) {
                    best = Some(route);
                }
            }
            let expected = best.and_then(|r| state.services.iter().position(|s| s.app == r.app));
            prop_assert_eq!(find(&RouteTable::new(&state), &host, &path), expected);
        }
    }
}
