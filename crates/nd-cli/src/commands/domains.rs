//! `domains ls`.

use nd_api::v1::{CertState, CertView, RouteView};
use nd_types::{AppName, HostPattern};
use serde::Serialize;

use super::certs::tone;
use super::{Context, Outcome};
use crate::args::{DomainListArgs, DomainsVerb};
use crate::failure::{Exit, Failure};
use crate::render::table::{Text, render};

/// One domain: where it leads, and its certificate.
#[derive(Debug, PartialEq, Eq, Serialize)]
struct Domain {
    domain: String,
    path: String,
    app: AppName,
    /// The certificate that is shown to visitors, or that is on its way; none where nobody wants one.
    #[serde(skip_serializing_if = "Option::is_none")]
    certificate: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    state: Option<CertState>,
}

pub(super) async fn run(verb: &DomainsVerb, context: &Context<'_>) -> Outcome {
    match verb {
        DomainsVerb::Ls(args) => list(args, context).await,
    }
}

async fn list(args: &DomainListArgs, context: &Context<'_>) -> Outcome {
    let app: Option<AppName> = match &args.app {
        Some(name) => Some(name.parse().map_err(|error| Failure::usage(format!("{error}")))?),
        None => None,
    };
    if let Some(app) = &app {
        // An app that is not there has no domains, and is a slip rather than an empty list.
        context.client.app(app).await?;
    }
    let (proxy, certs) = (context.client.proxy().await?, context.client.certs().await?);
    let routes = proxy.routes.iter().filter(|route| app.as_ref().is_none_or(|app| route.app == *app));
    let domains: Vec<Domain> = routes.map(|route| domain(route, &certs)).collect();
    if context.output.json {
        context.output.list(&domains);
        return Ok(Exit::Ok);
    }
    let rows = domains.iter().map(|domain| {
        let state = match domain.state {
            Some(state) => Text(state.to_string(), tone(state)),
            None => Text::or_dash(None),
        };
        vec![
            Text::plain(format!("{}{}", domain.domain, domain.path)),
            Text::plain(domain.app.to_string()),
            state,
            Text::or_dash(domain.certificate.clone()),
        ]
    });
    let columns = ["domain", "app", "tls", "certificate"];
    context.output.result(&render(&columns, rows.collect(), context.output));
    Ok(Exit::Ok)
}

fn domain(route: &RouteView, certs: &[CertView]) -> Domain {
    let cert = shown_for(&route.host, certs);
    Domain {
        domain: route.host.clone(),
        path: route.path.clone(),
        app: route.app.clone(),
        certificate: cert.map(|cert| cert.name.clone()),
        state: cert.map(|cert| cert.state),
    }
}

/// The certificate for a host: one of exactly that name, else a wildcard for its first label; before one that is still on
/// its way, one that serves.
fn shown_for<'c>(host: &str, certs: &'c [CertView]) -> Option<&'c CertView> {
    let wildcard = host.split_once('.').map(|(_, rest)| format!("*.{rest}"));
    let wanted = [Some(host.to_owned()), wildcard];
    let names =
        |cert: &CertView, name: &str| cert.names.iter().map(HostPattern::as_str).any(|own| own == name);
    let of = |serves: bool| {
        wanted.iter().flatten().find_map(|name| {
            certs.iter().find(|cert| names(cert, name) && (!serves || cert.served.is_some()))
        })
    };
    of(true).or_else(|| of(false))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn cert(names: &[&str], serves: bool) -> CertView {
        let served = json!({"serial": "01", "signed_by": "ca", "fingerprint": "", "not_before": "2026-11-21T15:04:05Z",
                            "not_after": "2027-02-19T15:04:05Z"});
        let served = if serves { served } else { json!(null) };
        let view = json!({"name": names.first(), "state": if serves { "valid" } else { "ordering" }, "names": names,
                          "served": served, "ordering": !serves});
        serde_json::from_value(view).unwrap()
    }

    #[test]
    fn a_domain_has_the_certificate_that_visitors_see() {
        let certs = [cert(&["a.example.com"], false), cert(&["example.com", "*.example.com"], true)];
        let name = |host: &str| shown_for(host, &certs).map(|cert| cert.name.as_str());
        assert_eq!(name("a.example.com"), Some("example.com"), "the wildcard serves until its own is there");
        assert_eq!(name("example.com"), Some("example.com"));
        assert_eq!(name("*.example.com"), Some("example.com"));
        assert_eq!(name("a.b.example.com"), None);
        assert_eq!(shown_for("a.example.com", &certs[..1]).map(|cert| cert.state), Some(CertState::Ordering));
    }
}
