//! What an app wants a certificate for.

use nd_types::{HostPattern, IngressKind, ReleaseId};

use crate::ports::{CertFiles, CertOrder, IssuerName, SolverName};
use crate::routes::AppRoutes;

/// Names that nobody but this machine or its own network knows (RFC 6761, RFC 6762, RFC 8375, and ICANN's `internal`): no
/// authority of the world issues a certificate for them.
const PRIVATE: [&str; 8] =
    ["localhost", "internal", "test", "local", "home.arpa", "lan", "invalid", "example"];

/// A certificate that is wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CertWish {
    /// Its names; it is kept under the first one.
    pub names: Vec<HostPattern>,
    /// Who issues it.
    pub issuer: IssuerName,
    /// Whether it is renewed before it expires.
    pub auto_renew: bool,
    /// Where it lies, for the issuer that only reads.
    pub files: Option<CertFiles>,
    /// Who writes proofs of its names into the DNS, where they are to be proven there.
    pub dns_provider: Option<SolverName>,
    /// Where the issuer writes to, in place of its own settings' address.
    pub email: Option<String>,
    /// The release that wants it: a new one is a reason to try again.
    pub release: ReleaseId,
    /// What serves its names, and shows that they are ours.
    pub ingress: IngressKind,
}

impl CertWish {
    /// How it is ordered.
    pub(super) fn order(&self) -> CertOrder {
        CertOrder {
            names: self.names.clone(),
            files: self.files.clone(),
            email: self.email.clone(),
            ..CertOrder::default()
        }
    }

    /// What it is known by in records: a change of it is a reason to try again at once.
    pub(super) fn digest(&self) -> String {
        let names: Vec<&str> = self.names.iter().map(HostPattern::as_str).collect();
        let served = match self.ingress {
            IngressKind::Embedded => String::new(),
            other => format!(" {other}"),
        };
        format!("{} {} {}{served}", self.issuer, self.release, names.join(","))
    }
}

/// The wishes of an app, one for each host. Hosts that no authority of the world knows want one only from an issuer that the
/// app names itself. `ingress` is what serves it.
pub(crate) fn wishes(
    routes: &AppRoutes,
    default: Option<&IssuerName>,
    ingress: IngressKind,
) -> Vec<CertWish> {
    let tls = &routes.tls;
    let Some(issuer) = tls.issuer.as_ref().or(default).filter(|_| tls.enabled) else { return Vec::new() };
    let is_wanted = |host: &&HostPattern| host.as_str() != "*" && (tls.issuer.is_some() || !is_private(host));
    let wish = |names: Vec<HostPattern>| CertWish {
        names,
        issuer: issuer.clone(),
        auto_renew: tls.auto_renew,
        files: tls.files.clone(),
        dns_provider: tls.dns_provider.clone(),
        email: tls.email.clone(),
        release: routes.service.release.clone(),
        ingress,
    };
    let hosts = routes.routes.iter().map(|route| &route.host).chain(&tls.domains).filter(is_wanted);
    let mut hosts: Vec<&HostPattern> = hosts.collect();
    hosts.sort();
    hosts.dedup();
    if tls.files.is_some() {
        // One certificate, whatever it is for.
        return hosts.first().map(|host| wish(vec![(*host).clone()])).into_iter().collect();
    }
    if !tls.wildcard {
        return hosts.into_iter().map(|host| wish(vec![host.clone()])).collect();
    }
    let exact = hosts.iter().filter(|host| host.parent().is_none());
    let below = |host: &&HostPattern| {
        let all = HostPattern::pattern(&format!("*.{host}")).ok();
        wish(std::iter::once((*host).clone()).chain(all).collect())
    };
    let mut wishes: Vec<CertWish> = exact.map(below).collect();
    for host in hosts.into_iter().filter(|host| host.parent().is_some()) {
        if !wishes.iter().any(|wish| wish.names.contains(host)) {
            wishes.push(wish(vec![host.clone()]));
        }
    }
    wishes
}

fn is_private(host: &HostPattern) -> bool {
    let name = host.as_str();
    let under =
        |parent: &str| name.strip_suffix(parent).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'));
    PRIVATE.iter().any(|parent| under(parent)) || !name.contains('.')
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use nd_types::{Availability, PathPrefix, RouteOptions};

    use super::*;
    use crate::spec::{AppSpec, CommandSpec, RouteSpec, TlsSpec, Workload};

    fn routes(hosts: &[&str], tls: TlsSpec) -> AppRoutes {
        let (argv, cwd) = (vec!["serve".to_owned()], "/".into());
        let mut spec = AppSpec::new(Workload::Command(CommandSpec { argv, cwd, user: None, path: None }));
        spec.tls = Arc::new(tls);
        let route = |host: &&str| RouteSpec {
            host: HostPattern::pattern(host).unwrap(),
            path: PathPrefix::root(),
            options: RouteOptions::default(),
        };
        spec.routes = hosts.iter().map(route).collect();
        AppRoutes::new(&"shop".parse().unwrap(), &"aaaaaa".parse().unwrap(), &spec, Availability::Serving)
    }

    fn of(routes: &AppRoutes, default: Option<&IssuerName>) -> Vec<CertWish> {
        wishes(routes, default, IngressKind::Embedded)
    }

    fn names(wishes: &[CertWish]) -> Vec<Vec<&str>> {
        wishes.iter().map(|wish| wish.names.iter().map(HostPattern::as_str).collect()).collect()
    }

    #[test]
    fn each_host_that_the_world_knows_wants_a_certificate() {
        let routes = routes(&["b.example.com", "a.example.com", "a.example.com", "*"], TlsSpec::default());
        let issuer = "letsencrypt".parse().ok();
        assert_eq!(names(&of(&routes, issuer.as_ref())), [["a.example.com"], ["b.example.com"]]);
        assert!(of(&routes, None).is_empty());
    }

    #[test]
    fn a_private_name_wants_one_only_from_an_issuer_that_is_named() {
        let issuer = "letsencrypt".parse().ok();
        assert!(of(&routes(&["nas.internal"], TlsSpec::default()), issuer.as_ref()).is_empty());
        let own = TlsSpec { issuer: "internal".parse().ok(), ..TlsSpec::default() };
        assert_eq!(names(&of(&routes(&["nas.internal"], own), None)), [["nas.internal"], ["shop.localhost"]]);
    }

    #[test]
    fn a_wildcard_stands_beside_its_own_name_and_takes_in_the_one_that_is_routed() {
        let tls = TlsSpec { wildcard: true, ..TlsSpec::default() };
        let issuer = "letsencrypt".parse().ok();
        let routes = routes(&["example.com", "*.example.com", "*.example.org"], tls);
        let wishes = of(&routes, issuer.as_ref());
        assert_eq!(names(&wishes), [vec!["example.com", "*.example.com"], vec!["*.example.org"]]);
    }

    #[test]
    fn who_wants_none_gets_none() {
        let tls = TlsSpec { enabled: false, ..TlsSpec::default() };
        assert!(of(&routes(&["a.example.com"], tls), "letsencrypt".parse().ok().as_ref()).is_empty());
    }
}
