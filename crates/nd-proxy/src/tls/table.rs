//! Which certificate a name gets, and what proves a name to an authority: one immutable table of each state.

use std::collections::HashMap;
use std::sync::Arc;

use nd_types::{Certificate, Challenge, EdgeState, HostPattern, Route, Service, ServiceTls};
use rustls::ServerConfig;
use rustls::server::ClientHello;

use super::config::{ACME, Keys, KeysError};

/// The certificates of one [`EdgeState`], by name.
#[derive(Debug, Default)]
pub(crate) struct TlsTable {
    spoken: Vec<Spoken>,
    /// Places in `spoken`.
    names: Names<usize>,
    /// A place as well.
    fallback: Option<usize>,
    /// Names whose clients are asked for a certificate of their own.
    guards: Names<Arc<ServiceTls>>,
    challenges: HashMap<Box<str>, Arc<ServerConfig>>,
    /// By the last segment of the path.
    answers: HashMap<Box<str>, Box<str>>,
}

/// How to speak with a client.
#[derive(Clone, Debug)]
pub(crate) struct Choice {
    pub(super) config: Arc<ServerConfig>,
    /// Whose authorities the client is asked for.
    pub(super) guard: Option<Arc<ServiceTls>>,
}

/// How a certificate is spoken with: with anybody, and for apps that ask clients for theirs.
#[derive(Debug)]
struct Spoken {
    open: Arc<ServerConfig>,
    guarded: Vec<(Arc<ServiceTls>, Arc<ServerConfig>)>,
}

/// Exact names, and the parents of wildcards.
#[derive(Debug)]
struct Names<T> {
    exact: HashMap<Box<str>, T>,
    below: HashMap<Box<str>, T>,
}

impl TlsTable {
    /// Builds the table. A certificate that cannot be used is left out, and said so: whoever puts it into the state has
    /// looked at it before.
    pub(crate) fn new(state: &EdgeState, keys: &Keys) -> Self {
        let tls = &state.tls;
        let mut table = Self::default();
        for service in state.services.iter().filter(|service| service.tls.client_ca.is_some()) {
            for host in hosts(state, service) {
                table.guards.add(host, Arc::clone(&service.tls));
            }
        }
        for certificate in &tls.certificates {
            if let Some(place) = table.speak(state, certificate, keys, false) {
                certificate.names.iter().for_each(|name| table.names.add(name, place));
            }
        }
        let fallback = tls.fallback.as_ref();
        table.fallback = fallback.and_then(|certificate| table.speak(state, certificate, keys, true));
        tls.challenges.iter().for_each(|challenge| table.challenge(challenge, keys));
        keys.keep_only(&named(state));
        table
    }

    /// Adds a certificate; its place. The fallback may be shown for any name.
    fn speak(
        &mut self,
        state: &EdgeState,
        certificate: &Arc<Certificate>,
        keys: &Keys,
        is_fallback: bool,
    ) -> Option<usize> {
        let open = usable(certificate, keys.serving(certificate))?;
        let mut guarded = Vec::new();
        for service in &state.services {
            let Some(authorities) = &service.tls.client_ca else { continue };
            let is_shown = |host| is_fallback || certificate.names.iter().any(|name| overlap(name, host));
            if hosts(state, service).any(is_shown)
                && let Some(config) = usable(certificate, keys.guarded(certificate, authorities))
            {
                guarded.push((Arc::clone(&service.tls), config));
            }
        }
        self.spoken.push(Spoken { open, guarded });
        Some(self.spoken.len() - 1)
    }

    fn challenge(&mut self, challenge: &Challenge, keys: &Keys) {
        match challenge {
            Challenge::Http01 { token, answer } => {
                self.answers.insert(token.as_str().into(), answer.as_str().into());
            }
            Challenge::TlsAlpn01 { certificate } => {
                if let Some(config) = usable(certificate, keys.challenge(certificate)) {
                    let names = certificate.names.iter().map(|name| name.as_str().into());
                    self.challenges.extend(names.map(|name| (name, Arc::clone(&config))));
                }
            }
        }
    }

    /// How to speak with a client: by the name it asks for.
    pub(crate) fn choose(&self, hello: &ClientHello<'_>) -> Option<Choice> {
        let name = hello.server_name().map(str::to_ascii_lowercase);
        let name = name.as_deref().map(|name| name.strip_suffix('.').unwrap_or(name));
        if hello.alpn().is_some_and(|mut protocols| protocols.any(|protocol| protocol == ACME)) {
            let config = self.challenges.get(name?).cloned()?;
            return Some(Choice { config, guard: None });
        }
        let place = name.and_then(|name| self.names.find(name)).or(self.fallback.as_ref());
        let Spoken { open, guarded } = self.spoken.get(*place?)?;
        let guard = name.and_then(|name| self.guards.find(name));
        Some(match guard.and_then(|guard| guarded.iter().find(|(tls, _)| Arc::ptr_eq(tls, guard))) {
            Some((guard, config)) => Choice { config: Arc::clone(config), guard: Some(Arc::clone(guard)) },
            None => Choice { config: Arc::clone(open), guard: None },
        })
    }

    /// Whether a name in lower case has a certificate that visitors can trust.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.names.find(name).is_some()
    }

    /// What an authority finds behind the path of its challenge (RFC 8555, section 8.3).
    pub(crate) fn answer(&self, path: &str) -> Option<&str> {
        let token = path.strip_prefix("/.well-known/acme-challenge/")?;
        self.answers.get(token).map(|answer| &**answer)
    }
}

impl<T> Names<T> {
    /// The first one counts.
    fn add(&mut self, name: &HostPattern, value: T) {
        let (map, name) = match name.parent() {
            None => (&mut self.exact, name.as_str()),
            Some(parent) => (&mut self.below, parent),
        };
        map.entry(name.into()).or_insert(value);
    }

    fn find(&self, name: &str) -> Option<&T> {
        self.exact.get(name).or_else(|| self.below.get(name.split_once('.')?.1))
    }
}

impl<T> Default for Names<T> {
    fn default() -> Self {
        Self { exact: HashMap::new(), below: HashMap::new() }
    }
}

/// Hosts that lead to a service.
fn hosts<'s>(state: &'s EdgeState, service: &'s Service) -> impl Iterator<Item = &'s HostPattern> {
    let routes = state.routes.iter().filter(|route| route.app == service.app);
    routes.map(|Route { host, .. }| host)
}

/// Whether there is a name that both stand for.
fn overlap(a: &HostPattern, b: &HostPattern) -> bool {
    let below =
        |name: &HostPattern, parent| name.as_str().split_once('.').is_some_and(|(_, rest)| rest == parent);
    a == b
        || a.parent().is_some_and(|parent| below(b, parent))
        || b.parent().is_some_and(|parent| below(a, parent))
}

fn usable(
    certificate: &Certificate,
    config: Result<Arc<ServerConfig>, KeysError>,
) -> Option<Arc<ServerConfig>> {
    config
        .inspect_err(
            |error| tracing::error!(%error, names = ?certificate.names, "a certificate cannot be used"),
        )
        .ok()
}

/// All certificates of a state.
fn named(state: &EdgeState) -> Vec<&Arc<Certificate>> {
    let challenges = state.tls.challenges.iter().filter_map(|challenge| match challenge {
        Challenge::TlsAlpn01 { certificate } => Some(certificate),
        Challenge::Http01 { .. } => None,
    });
    state.tls.certificates.iter().chain(&state.tls.fallback).chain(challenges).collect()
}
