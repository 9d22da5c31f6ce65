//! Domains as the API shows them.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::sync::Arc;

use nd_api::v1::{DomainCheckView, DomainVerdict, DomainView, PortCheckView};
use nd_core::certs::CertStatus;
use nd_core::engine::{Answers, DomainLook, PortLook, Standing, Verdict};
use nd_core::model::AppStatus;
use nd_core::model::edit::DomainChange;
use nd_types::{AppName, HostPattern, Route, Timestamp};

use super::cert;
use crate::server::Api;

/// One view for each route, exact names first.
pub(crate) fn views(api: &Api, routes: &[Route]) -> Vec<DomainView> {
    let apps: BTreeMap<AppName, Arc<AppStatus>> =
        api.engine().list().into_iter().map(|status| (status.app.clone(), status)).collect();
    let (certs, now) = (api.engine().certs(), api.services.clock.wall());
    let mut views: Vec<DomainView> = Vec::new();
    for route in routes {
        let status = apps.get(&route.app);
        let shown = shown_for(&route.host, &certs);
        views.push(DomainView {
            domain: route.host.clone(),
            path: route.path.as_str().to_owned(),
            app: route.app.clone(),
            added: status.is_some_and(|status| is_added(status, &route.host)),
            url: status.and_then(|status| api.engine().url_of(status, &route.host, &route.path)),
            certificate: shown.and_then(|cert| cert.names.first()).map(ToString::to_string),
            state: shown.map(|shown| cert::state(shown, now)),
            issuer: status
                .and_then(|status| api.engine().issuer_of(status, &route.host))
                .map(|issuer| issuer.to_string()),
        });
    }
    let order = |view: &DomainView| {
        let (host, path) = (view.domain.clone(), view.path.len());
        (host.parent().is_some(), Reverse(host.parent().map(str::len)), host, Reverse(path))
    };
    views.sort_by_key(order);
    views
}

/// What a look at a domain found.
pub(crate) fn check(look: &DomainLook, now: Timestamp) -> DomainCheckView {
    let Verdict { standing, why, fix } = look.verdict(now);
    let status = look.cert.as_ref();
    let cert = status.and_then(|status| status.cert.as_ref());
    DomainCheckView {
        domain: look.host.clone(),
        app: look.app.clone(),
        verdict: match standing {
            Standing::Good => DomainVerdict::Ok,
            Standing::Odd => DomainVerdict::Warn,
            Standing::Bad => DomainVerdict::Fail,
        },
        why,
        fix,
        addresses: look.dns.addresses.clone(),
        ports: look.http.iter().chain(&look.https).map(port).collect(),
        issuer: look.issuer.as_ref().map(ToString::to_string),
        not_after: cert.map(|cert| cert.not_after),
        days_left: cert.map(|cert| cert.not_after.duration_since(now).as_hours() / 24),
        renewed_at: status.and_then(|status| status.renewal.as_ref()).map(|renewal| renewal.due),
    }
}

fn port(port: &PortLook) -> PortCheckView {
    let (answers, detail) = match &port.answers {
        Answers::Ours => ("ours", None),
        Answers::Somebody => ("somebody", None),
        Answers::Another(what) => ("another", Some(what.clone())),
        Answers::Nobody(why) => ("nobody", Some(why.clone())),
    };
    let signed_by = port.shown.as_ref().map(|shown| shown.signed_by.clone());
    PortCheckView { at: port.at, answers: answers.to_owned(), detail, signed_by }
}

/// The routes of an app, as they are to serve.
pub(crate) fn routes_of(status: &AppStatus) -> Vec<Route> {
    let route = |route: nd_core::spec::RouteSpec| Route {
        host: route.host,
        path: route.path,
        app: status.app.clone(),
        options: route.options,
    };
    status.routes().into_iter().map(route).collect()
}

/// What whoever changed the domains of an app should know about its next deployments.
pub(crate) fn notes(status: &AppStatus, change: &DomainChange) -> Vec<String> {
    let app = &status.app;
    let declared = |host: &&HostPattern| {
        status.spec.iter().flat_map(|spec| &spec.routes).any(|route| route.host == **host)
    };
    let gone = change.remove.iter().filter(declared).map(|host| {
        format!(
            "{host} comes back with the next deployment of {app} that lists it: take it out of nextdeploy.yml"
        )
    });
    let stays = change.add.iter().filter(|host| !declared(host)).map(|host| {
        format!("{host} stays with {app} over deployments, until: nextdeploy domains rm {app} {host}")
    });
    stays.chain(gone).collect()
}

/// What a deployment should say about domains that were changed by hand.
pub(crate) fn drift(status: &AppStatus, declared: &[nd_core::spec::RouteSpec]) -> Vec<String> {
    let app = &status.app;
    let lists = |host: &HostPattern| declared.iter().any(|route| route.host == *host);
    let added = status
        .domains
        .added
        .iter()
        .filter(|host| !lists(host))
        .map(|host| format!("{host} leads to {app} as well: it was added by `nextdeploy domains add`"));
    let removed = status.domains.removed.iter();
    let removed = removed.filter(|gone| Some(&gone.release) == status.release.as_ref() && lists(&gone.host));
    let back = removed.map(|gone| {
        format!(
            "{} leads to {app} again: `nextdeploy domains rm` took it away, and this deployment lists it",
            gone.host
        )
    });
    added.chain(back).collect()
}

fn is_added(status: &AppStatus, host: &HostPattern) -> bool {
    let declared = || status.spec.iter().flat_map(|spec| &spec.routes).any(|route| route.host == *host);
    status.domains.added.contains(host) && !declared()
}

/// The certificate for a host: one of exactly that name, else a wildcard for its first label; before one that is still on
/// its way, one that serves.
fn shown_for<'c>(host: &HostPattern, certs: &'c [CertStatus]) -> Option<&'c CertStatus> {
    let wildcard = host.as_str().split_once('.').map(|(_, rest)| format!("*.{rest}"));
    let wanted = [Some(host.as_str().to_owned()), wildcard];
    let of = |serves: bool| {
        wanted.iter().flatten().find_map(|name| {
            let names = |cert: &&CertStatus| cert.names.iter().any(|own| own.as_str() == name);
            certs.iter().filter(names).find(|cert| !serves || cert.cert.is_some())
        })
    };
    of(true).or_else(|| of(false))
}

#[cfg(test)]
mod tests {
    use nd_core::ports::IssuedCert;
    use nd_types::{Certificate, KeyPem};

    use super::*;

    fn cert(names: &[&str], serves: bool) -> CertStatus {
        let names: Vec<HostPattern> = names.iter().map(|name| HostPattern::pattern(name).unwrap()).collect();
        let certificate =
            Arc::new(Certificate { names: names.clone(), chain: String::new(), key: KeyPem::new("") });
        let text = || "01".to_owned();
        let cert = IssuedCert {
            certificate,
            serial: text(),
            signed_by: text(),
            fingerprint: text(),
            not_before: Timestamp::MIN,
            not_after: Timestamp::MAX,
        };
        CertStatus {
            names,
            app: None,
            issuer: None,
            cert: serves.then_some(cert),
            renewal: None,
            is_ordered: !serves,
            error: None,
            retry_at: None,
            orders: Vec::new(),
        }
    }

    #[test]
    fn a_domain_has_the_certificate_that_visitors_see() {
        let certs = [cert(&["a.example.com"], false), cert(&["example.com", "*.example.com"], true)];
        let shown = |host: &str, certs: &[CertStatus]| {
            let host = HostPattern::pattern(host).unwrap();
            shown_for(&host, certs).map(|cert| cert.names[0].to_string())
        };
        let name = |host: &str| shown(host, &certs);
        assert_eq!(
            name("a.example.com").as_deref(),
            Some("example.com"),
            "the wildcard serves until its own is there"
        );
        assert_eq!(name("example.com").as_deref(), Some("example.com"));
        assert_eq!(name("*.example.com").as_deref(), Some("example.com"));
        assert_eq!(name("a.b.example.com"), None);
        assert_eq!(shown("a.example.com", &certs[..1]).as_deref(), Some("a.example.com"));
    }
}
