//! Domains as their visitors find them: in the DNS, at port 80, and at port 443.

mod verdict;

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::Arc;

use futures_util::StreamExt;
use futures_util::future::join_all;
use futures_util::stream;
use nd_types::{AppName, Challenge, HostPattern, IngressKind, RequestId};

use super::EngineHandle;
use super::shared::Shared;
use crate::certs::{CertStatus, covers};
use crate::ports::{
    DnsReport, EdgeTls, IssuerName, NameProbe, PortError, PortErrorKind, PortResult, ShownCert,
};

pub use verdict::{Standing, Verdict};

/// The ports that visitors come to, whatever the proxy itself listens on.
const HTTP: u16 = 80;
const HTTPS: u16 = 443;
/// Addresses of one name that are looked at.
const ADDRESSES: usize = 4;
/// Domains that are looked at side by side.
const SIDE_BY_SIDE: usize = 8;

/// How a domain looks from outside.
#[derive(Debug)]
pub struct DomainLook {
    /// The domain.
    pub host: HostPattern,
    /// The app that it leads to; none where nobody has it yet.
    pub app: Option<AppName>,
    /// What the DNS says, of a name below where the domain is a pattern.
    pub dns: DnsReport,
    /// What answers plain HTTP, for each address.
    pub http: Vec<PortLook>,
    /// What answers TLS, for each address; nothing where no certificate is wanted for it.
    pub https: Vec<PortLook>,
    /// Who is to issue its certificate; nobody where none is wanted.
    pub issuer: Option<IssuerName>,
    /// The certificate that is kept for it, or how it is coming to one.
    pub cert: Option<CertStatus>,
}

/// What is at one port of one address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PortLook {
    /// Where.
    pub at: SocketAddr,
    /// What answers.
    pub answers: Answers,
    /// The certificate that is shown there.
    pub shown: Option<ShownCert>,
}

/// Who answers at a port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answers {
    /// This daemon's own proxy.
    Ours,
    /// Somebody, and it cannot be told from here who: behind Caddy or nginx.
    Somebody,
    /// Another server, as in `HTTP 404 from Apache`.
    Another(String),
    /// Nobody, and why.
    Nobody(String),
}

/// A proof that an answer comes from this daemon's own proxy: a text at a path that nobody else knows.
#[derive(Clone)]
struct Sign {
    token: String,
    answer: String,
}

/// What one look needs to know.
struct Wanted {
    host: HostPattern,
    app: Option<AppName>,
    issuer: Option<IssuerName>,
    ingress: IngressKind,
    tls: EdgeTls,
    cert: Option<CertStatus>,
}

impl EngineHandle {
    /// Looks at domains as visitors find them. One that leads to no app is looked at all the same.
    ///
    /// # Errors
    /// `Unavailable` where nothing here can look, and what the proxy says that is to show a sign.
    pub async fn look_at_domains(&self, hosts: Vec<HostPattern>) -> PortResult<Vec<DomainLook>> {
        let names = self.shared.registry.names().cloned().ok_or_else(|| {
            PortError::new(PortErrorKind::Unavailable, "look at domains: this daemon cannot ask the DNS")
        })?;
        let wanted: Vec<Wanted> = hosts.into_iter().map(|host| self.wanted(host)).collect();
        let shared = Arc::clone(&self.shared);
        // To its end, whoever waits for it: a sign that was put up is taken down.
        let looked = self.shared.tasks.spawn_with("look at domains", look(shared, names, wanted));
        let failed = |failure| PortError::new(PortErrorKind::Internal, format!("look at domains: {failure}"));
        looked.await.map_err(failed)?
    }

    fn wanted(&self, host: HostPattern) -> Wanted {
        let status =
            self.list().into_iter().find(|status| status.routes().iter().any(|route| route.host == host));
        let issuer = status.as_ref().and_then(|status| self.issuer_of(status, &host));
        let ingress =
            status.as_ref().map_or(self.shared.registry.default_ingress(), |status| self.ingress_of(status));
        let caps = self.shared.registry.ingress(Some(ingress)).map(|ingress| ingress.caps());
        let tls = caps.map_or(EdgeTls::Never, |caps| caps.tls);
        let certs = self.certs();
        let kept = |status: &&CertStatus| {
            status.cert.as_ref().is_some_and(|cert| covers(cert, std::slice::from_ref(&host)))
        };
        let coming = |status: &&CertStatus| status.names.contains(&host);
        let cert = certs.iter().find(kept).or_else(|| certs.iter().find(coming)).cloned();
        Wanted { app: status.map(|status| status.app.clone()), host, issuer, ingress, tls, cert }
    }
}

async fn look(
    shared: Arc<Shared>,
    names: Arc<dyn NameProbe>,
    wanted: Vec<Wanted>,
) -> PortResult<Vec<DomainLook>> {
    let showing = wanted.iter().filter(|wanted| wanted.tls.shows_ours()).map(|wanted| wanted.ingress);
    let showing: BTreeSet<IngressKind> = showing.collect();
    let sign = Sign::new()?;
    let put_up = put_up(&shared, &showing, &sign).await;
    let listens = !shared.certs.settings.listen.is_empty();
    let looks = match put_up {
        Ok(()) => {
            let looks = wanted.into_iter().map(|wanted| look_at(&*names, wanted, &sign, listens));
            Ok(stream::iter(looks).buffered(SIDE_BY_SIDE).collect().await)
        }
        Err(error) => Err(error),
    };
    take_down(&shared, &showing, &sign).await;
    looks
}

async fn look_at(names: &dyn NameProbe, wanted: Wanted, sign: &Sign, listens: bool) -> DomainLook {
    let Wanted { host, app, issuer, tls, cert, .. } = wanted;
    let sign = Some(sign).filter(|_| tls.shows_ours());
    let Some(name) = visited(&host) else {
        let dns = DnsReport { unknown: Some("it is every name".to_owned()), ..DnsReport::default() };
        return DomainLook { host, app, dns, http: Vec::new(), https: Vec::new(), issuer, cert };
    };
    let dns = names.dns(&name, issuer.as_ref()).await;
    let has_reason = issuer.is_some() || cert.is_some();
    let is_wanted = match tls {
        EdgeTls::AsTold => listens && has_reason,
        EdgeTls::At(_) => has_reason,
        EdgeTls::ByItself(_) => true,
        EdgeTls::Never => false,
    };
    let kept = cert
        .as_ref()
        .filter(|_| tls.shows_ours())
        .and_then(|cert| cert.cert.as_ref())
        .map(|cert| cert.fingerprint.as_str());
    let places = |port: u16| -> Vec<SocketAddr> {
        dns.addresses.iter().take(ADDRESSES).map(|address| SocketAddr::new(*address, port)).collect()
    };
    let http = join_all(places(HTTP).into_iter().map(|at| plain(names, &name, at, sign)));
    let secured = if is_wanted { places(HTTPS) } else { Vec::new() };
    let https = join_all(secured.into_iter().map(|at| secure(names, &name, at, kept)));
    let (http, https) = tokio::join!(http, https);
    DomainLook { host, app, dns, http, https, issuer, cert }
}

/// The name that is looked at for a domain: of a pattern one below it that nobody has; of `*` none.
fn visited(host: &HostPattern) -> Option<HostPattern> {
    match host.parent() {
        None => Some(host.clone()),
        Some("") => None,
        Some(parent) => HostPattern::new(&format!("nextdeploy-check.{parent}")).ok(),
    }
}

async fn plain(names: &dyn NameProbe, name: &HostPattern, at: SocketAddr, sign: Option<&Sign>) -> PortLook {
    let path = match sign {
        Some(sign) => format!("/.well-known/acme-challenge/{}", sign.token),
        None => "/".to_owned(),
    };
    let answers = match (names.http(name, at, &path).await, sign) {
        (Err(why), _) => Answers::Nobody(why),
        (Ok(_), None) => Answers::Somebody,
        (Ok(answer), Some(sign)) if answer.status == 200 && answer.body.contains(&sign.answer) => {
            Answers::Ours
        }
        (Ok(answer), Some(_)) => {
            let server = answer.server.map(|server| format!(" from {server}")).unwrap_or_default();
            Answers::Another(format!("HTTP {}{server}", answer.status))
        }
    };
    PortLook { at, answers, shown: None }
}

async fn secure(names: &dyn NameProbe, name: &HostPattern, at: SocketAddr, kept: Option<&str>) -> PortLook {
    match names.tls(name, at).await {
        Err(why) => PortLook { at, answers: Answers::Nobody(why), shown: None },
        Ok(shown) => {
            // Without one that is kept, ours shows what it has for names without a certificate; who it is cannot be told.
            let answers = match kept {
                Some(kept) if kept == shown.fingerprint => Answers::Ours,
                None => Answers::Somebody,
                Some(_) => Answers::Another(format!("a certificate of {}", shown.signed_by)),
            };
            PortLook { at, answers, shown: Some(shown) }
        }
    }
}

/// Shows a text that nobody else can answer with, wherever one of the domains is served.
async fn put_up(shared: &Shared, showing: &BTreeSet<IngressKind>, sign: &Sign) -> PortResult<()> {
    for kind in showing {
        shared.books.edit_tls(*kind, |tls| tls.challenges.push(sign.challenge())).await?;
    }
    Ok(())
}

async fn take_down(shared: &Shared, showing: &BTreeSet<IngressKind>, sign: &Sign) {
    let gone = sign.challenge();
    for kind in showing {
        let taken = shared.books.edit_tls(*kind, |tls| tls.challenges.retain(|shown| *shown != gone)).await;
        if let Err(error) = taken {
            tracing::warn!(%kind, %error, "the sign of a look at domains is still shown");
        }
    }
}

impl Sign {
    fn new() -> PortResult<Self> {
        let random = || {
            RequestId::random().map(|id| id.to_string()).map_err(|error| {
                PortError::new(PortErrorKind::Internal, format!("look at domains: make a sign: {error}"))
            })
        };
        Ok(Self { token: format!("nextdeploy-{}", random()?), answer: random()? })
    }

    fn challenge(&self) -> Challenge {
        Challenge::Http01 { token: self.token.clone(), answer: self.answer.clone() }
    }
}
