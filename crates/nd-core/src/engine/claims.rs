//! Which app a host, a path or a port of the host belongs to.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use nd_types::{AppName, HostPattern, PathPrefix};
use parking_lot::Mutex;

use super::error::EngineError;
use crate::routes::local_host;
use crate::spec::{AppSpec, Workload};

/// The claims of all apps. An app claims what its releases that serve or are about to serve declare.
#[derive(Default)]
pub(crate) struct Claims(Mutex<BTreeMap<Claim, AppName>>);

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Claim {
    Route(HostPattern, PathPrefix),
    Port(SocketAddr),
    /// What a container is called on the network that all of them share.
    Name(String),
}

impl Claims {
    /// Claims everything the spec declares, or nothing.
    pub(crate) fn take(&self, app: &AppName, spec: &AppSpec) -> Result<(), EngineError> {
        let mut claims = self.0.lock();
        Self::check_against(&claims, app, spec)?;
        for claim in wanted(app, spec) {
            claims.insert(claim, app.clone());
        }
        Ok(())
    }

    /// Whether everything the spec declares could be claimed.
    pub(crate) fn check(&self, app: &AppName, spec: &AppSpec) -> Result<(), EngineError> {
        Self::check_against(&self.0.lock(), app, spec)
    }

    /// Leaves the app with what these specs declare.
    pub(crate) fn keep<'a>(&self, app: &AppName, specs: impl Iterator<Item = &'a AppSpec>) {
        let kept: Vec<Claim> = specs.flat_map(|spec| wanted(app, spec)).collect();
        self.0.lock().retain(|claim, by| by != app || kept.contains(claim));
    }

    fn check_against(
        claims: &BTreeMap<Claim, AppName>,
        app: &AppName,
        spec: &AppSpec,
    ) -> Result<(), EngineError> {
        for claim in wanted(app, spec) {
            let conflict = claims.iter().find(|(held, by)| *by != app && held.conflicts(&claim));
            if let Some((_, by)) = conflict {
                let by = by.clone();
                return Err(match claim {
                    Claim::Route(host, path) if path == PathPrefix::root() => {
                        EngineError::HostTaken { host: host.to_string(), by }
                    }
                    Claim::Route(host, path) => {
                        EngineError::HostTaken { host: format!("{host}{}", path.as_str()), by }
                    }
                    Claim::Port(bind) => EngineError::HostPortTaken { bind, by },
                    Claim::Name(name) => EngineError::NameTaken { name, by },
                });
            }
        }
        Ok(())
    }
}

impl Claim {
    fn conflicts(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Route(..), Self::Route(..)) | (Self::Name(_), Self::Name(_)) => self == other,
            (Self::Port(a), Self::Port(b)) => {
                a.port() == b.port()
                    && (a.ip() == b.ip() || a.ip().is_unspecified() || b.ip().is_unspecified())
            }
            _ => false,
        }
    }
}

fn wanted(app: &AppName, spec: &AppSpec) -> Vec<Claim> {
    let own = local_host(app).map(|host| Claim::Route(host, PathPrefix::root()));
    let routes = spec.routes.iter().map(|route| Claim::Route(route.host.clone(), route.path.clone()));
    let ports = spec.host_ports.iter().map(|port| Claim::Port(port.bind));
    let names = match &spec.workload {
        Workload::Image(image) => {
            let names = image.aliases.iter().map(|alias| alias.to_ascii_lowercase());
            Some(names.chain([app.to_string()]).map(Claim::Name))
        }
        Workload::Command(_) | Workload::External(_) => None,
    };
    own.into_iter().chain(routes).chain(ports).chain(names.into_iter().flatten()).collect()
}
