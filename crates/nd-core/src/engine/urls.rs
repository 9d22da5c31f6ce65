//! Where people reach an app.

use nd_types::{HostPattern, PathPrefix, Timestamp};

use super::EngineHandle;
use crate::certs::covers;
use crate::model::AppStatus;
use crate::ports::EdgeTls;
use crate::routes::local_host;
use crate::spec::HostPortSpec;

impl EngineHandle {
    /// The address under which users reach the app: its first domain, else its first host port, else
    /// `<app>.localhost`. `None` for an app without a port, and for one to which no route leads.
    #[must_use]
    pub fn url(&self, status: &AppStatus) -> Option<String> {
        self.urls(status).into_iter().next()
    }

    /// Every address of the app, the one above first. A host has `https` as soon as its certificate serves.
    #[must_use]
    pub fn urls(&self, status: &AppStatus) -> Vec<String> {
        let Some(spec) = &status.spec else { return Vec::new() };
        if is_portless(status) {
            return Vec::new();
        }
        let routes = status.routes();
        let places = routes.iter().filter(|route| route.is_place());
        let places = places.map(|route| self.place(status, &route.host, &route.path));
        let ports = spec.host_ports.iter().map(HostPortSpec::url);
        let local = local_host(&status.app).filter(|_| !spec.direct);
        let local = local.map(|host| self.place(status, &host, &PathPrefix::root()));
        let mut urls = Vec::new();
        for url in places.chain(ports).chain(local) {
            if !urls.contains(&url) {
                urls.push(url);
            }
        }
        urls
    }

    /// The address of one of its hosts; none of a pattern, and none of an app without a port.
    #[must_use]
    pub fn url_of(&self, status: &AppStatus, host: &HostPattern, path: &PathPrefix) -> Option<String> {
        (host.parent().is_none() && !is_portless(status)).then(|| self.place(status, host, path))
    }

    fn place(&self, status: &AppStatus, host: &HostPattern, path: &PathPrefix) -> String {
        let (scheme, port, usual) = match self.tls_port(status, host) {
            Some(port) => ("https", port, 443),
            None => ("http", self.http_addr_of(status).port(), 80),
        };
        let port = if port == usual { String::new() } else { format!(":{port}") };
        format!("{scheme}://{host}{port}{}", path.as_str().trim_end_matches('/'))
    }

    /// Where the host of an app is served over TLS with a certificate that is valid.
    fn tls_port(&self, status: &AppStatus, host: &HostPattern) -> Option<u16> {
        let ingress = self.shared.registry.ingress(Some(self.ingress_of(status))).ok()?;
        let listens = match ingress.caps().tls {
            EdgeTls::AsTold => *self.shared.certs.settings.listen.first()?,
            EdgeTls::At(address) => address,
            // It knows no host without one.
            EdgeTls::ByItself(address) => return Some(address.port()),
            EdgeTls::Never => return None,
        };
        let now: Timestamp = self.shared.clock.wall();
        let certs = self.certs();
        let mut kept = certs.iter().filter_map(|status| status.cert.as_ref());
        kept.any(|cert| cert.not_after > now && covers(cert, std::slice::from_ref(host)))
            .then(|| listens.port())
    }
}

/// Whether its instances turned out to listen nowhere.
fn is_portless(status: &AppStatus) -> bool {
    status.units.iter().any(|unit| unit.ready) && status.units.iter().all(|unit| unit.address.is_none())
}
