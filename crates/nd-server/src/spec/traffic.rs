//! How requests reach the app: its port, hosts, paths and host ports.

use std::num::{NonZeroU16, NonZeroU64};
use std::sync::Arc;

use nd_api::Manifest;
use nd_api::manifest::{
    Access, HeaderChanges, PageSource, Password, PortMapping, Protocol, ProxyRateLimit, ProxyRoute, Sticky,
};
use nd_core::spec::{AppSpec, HostPortSpec, RouteSpec, Workload};
use nd_types::{
    AccessRules, AppProtocol, BasicAuth, BasicUser, Compression, Concurrency, ErrorPages, HeaderRules,
    HostPattern, HostPortProtocol, InvalidHash, PathPrefix, RateLimit, RouteOptions,
};

use super::mistake;
use crate::refusal::Refusal;

pub(super) fn apply(manifest: &Manifest, spec: &mut AppSpec, notes: &mut Vec<String>) -> Result<(), Refusal> {
    if let Some(enabled) = manifest.proxy.enabled {
        spec.direct = !enabled;
    }
    ports(manifest, spec, notes)?;
    routes(manifest, spec)?;
    rules(manifest, spec)?;
    if let Some(after) = manifest.sleep_after {
        spec.sleep_after = Some(after);
    }
    if let Some(limit) = manifest.proxy.body_limit {
        spec.limits.body_bytes = limit.0;
    }
    if !manifest.proxy.rate_limit.is_empty() {
        spec.limits.rate_limits = manifest.proxy.rate_limit.iter().map(rate_limit).collect();
    }
    if let Some(Sticky::Cookie) = manifest.proxy.sticky {
        spec.limits.sticky = true;
    }
    if let Some(requests) = manifest.proxy.max_requests {
        spec.limits.concurrency = Some(Concurrency {
            requests,
            queue: manifest.proxy.queue.unwrap_or(Concurrency::QUEUE),
            wait: manifest.proxy.queue_timeout.unwrap_or(Concurrency::WAIT),
        });
    }
    if let Some(bandwidth) = manifest.proxy.bandwidth {
        spec.limits.bandwidth = NonZeroU64::new(bandwidth.0);
    }
    Ok(())
}

/// A bucket holds as many requests as the rate has, and beyond them the answer is 429.
fn rate_limit(written: &ProxyRateLimit) -> RateLimit {
    RateLimit {
        path: written.path.clone().unwrap_or_else(PathPrefix::root),
        per: written.per.unwrap_or_default(),
        rate: written.limit,
        burst: written.burst.unwrap_or(written.limit.requests),
        status: written.status.unwrap_or(429),
    }
}

fn ports(manifest: &Manifest, spec: &mut AppSpec, notes: &mut Vec<String>) -> Result<(), Refusal> {
    let mappings = &manifest.deployment.container.ports;
    spec.port = port(manifest, spec)?;
    if let Some(protocol) = manifest.app.protocol {
        spec.protocol = match protocol {
            Protocol::Http => AppProtocol::Http,
            Protocol::H2c => AppProtocol::H2c,
        };
    }
    if mappings.is_empty() {
        return Ok(());
    }
    let direct = spec.direct;
    let own = |mapping: &&PortMapping| direct || !is_web(mapping);
    spec.host_ports = mappings.iter().filter(own).filter_map(|mapping| host_port(mapping, direct)).collect();
    // A plain process without the proxy listens where it likes.
    let listens_itself = direct && matches!(spec.workload, Workload::Command(_));
    let unsaid = mappings.iter().filter(own).any(|mapping| mapping.address.is_none());
    if unsaid && !listens_itself {
        notes.push(
            "host ports listen on 127.0.0.1; write 0.0.0.0:HOST:CONTAINER to reach them from elsewhere"
                .into(),
        );
    }
    Ok(())
}

/// Where the app listens: what is written, else what it was, else the first port that is published. An upstream has its
/// own.
fn port(manifest: &Manifest, spec: &AppSpec) -> Result<Option<NonZeroU16>, Refusal> {
    let written = manifest.app.port.and_then(|port| NonZeroU16::new(port.get()));
    if let Workload::External(upstream) = &spec.workload {
        if written.is_some_and(|port| port != upstream.port()) {
            let message = format!("the port of an upstream is part of it ({upstream})");
            return Err(mistake("/app/port", message, "leave out `port`, or change `upstream`"));
        }
        return Ok(Some(upstream.port()));
    }
    let published =
        || manifest.deployment.container.ports.first().and_then(|one| NonZeroU16::new(one.container.get()));
    Ok(written.or(spec.port).or_else(published))
}

/// Ports 80 and 443 are the proxy's and serve every app by its name.
fn is_web(mapping: &PortMapping) -> bool {
    matches!(mapping.host.get(), 80 | 443) && mapping.protocol != Some(HostPortProtocol::Tcp)
}

fn host_port(mapping: &PortMapping, direct: bool) -> Option<HostPortSpec> {
    let port = NonZeroU16::new(mapping.container.get())?;
    let usual = if direct { HostPortProtocol::Tcp } else { HostPortProtocol::Http };
    let protocol = mapping.protocol.unwrap_or(usual);
    Some(HostPortSpec { bind: mapping.bind(), port, protocol })
}

fn routes(manifest: &Manifest, spec: &mut AppSpec) -> Result<(), Refusal> {
    let written = &manifest.proxy.routes;
    if manifest.app.domain.is_none() && written.is_empty() {
        return Ok(());
    }
    let mut routes: Vec<RouteSpec> = Vec::new();
    for (index, route) in written.iter().enumerate() {
        let host = route.host.clone().or_else(|| manifest.app.domain.clone());
        let host = host.or_else(|| local_host(manifest)).ok_or_else(|| {
            let pointer = format!("/proxy/routes/{index}/host");
            mistake(&pointer, "the route has no host", "write `host: app.example.com`, or `app.domain`")
        })?;
        let path = route.path.clone().unwrap_or_else(PathPrefix::root);
        if !routes.iter().any(|other| other.host == host && other.path == path) {
            routes.push(RouteSpec { host, path, options: options(route) });
        }
    }
    let whole = |host: &HostPattern| {
        routes.iter().position(|route| route.host == *host && route.path == PathPrefix::root())
    };
    if let Some(host) = &manifest.app.domain {
        // The first route is the one that URLs show.
        let first = match whole(host) {
            Some(written) => routes.remove(written),
            None => {
                RouteSpec { host: host.clone(), path: PathPrefix::root(), options: RouteOptions::default() }
            }
        };
        routes.insert(0, first);
    }
    spec.routes = routes;
    Ok(())
}

fn options(route: &ProxyRoute) -> RouteOptions {
    RouteOptions {
        strip: route.strip.unwrap_or_default(),
        port: None,
        timeout: route.timeout,
        redirect: route.redirect.clone(),
    }
}

/// What is written replaces what was said before; what is left out stays.
fn rules(manifest: &Manifest, spec: &mut AppSpec) -> Result<(), Refusal> {
    let proxy = &manifest.proxy;
    let mut rules = (*spec.rules).clone();
    if proxy.access != Access::default() {
        let Access { allow, deny, paths } = proxy.access.clone();
        rules.access = AccessRules { allow, deny, paths };
    }
    if !proxy.redirects.is_empty() {
        rules.redirects.clone_from(&proxy.redirects);
    }
    if proxy.headers != HeaderChanges::default() {
        let HeaderChanges { add, remove } = proxy.headers.clone();
        rules.headers = HeaderRules { add: add.into_iter().collect(), remove };
    }
    if let Some(codings) = &proxy.compression {
        rules.compression = Compression(codings.clone());
    }
    if let Some(PageSource::Pages(pages)) = &proxy.error_pages {
        let pages = ErrorPages::new(pages.clone());
        rules.error_pages = pages.map_err(|error| {
            mistake("/proxy/error_pages", error.to_string(), "write shorter pages, or fewer")
        })?;
    }
    if !proxy.basic_auth.users.is_empty() {
        let users = proxy.basic_auth.users.iter().map(|(name, password)| user(name, password));
        let paths = proxy.basic_auth.paths.clone();
        rules.basic_auth = BasicAuth { users: users.collect::<Result<_, _>>()?, paths };
    }
    spec.rules = Arc::new(rules);
    Ok(())
}

/// Only hashes come as far as this.
fn user(name: &str, password: &Password) -> Result<BasicUser, Refusal> {
    let pointer = format!("/proxy/basic_auth/users/{name}");
    let password = password.as_str().parse();
    let password = password
        .map_err(|error: InvalidHash| mistake(&pointer, error.to_string(), "write the password itself"))?;
    Ok(BasicUser { name: name.to_owned(), password })
}

fn local_host(manifest: &Manifest) -> Option<HostPattern> {
    HostPattern::new(&format!("{}.localhost", manifest.app.name)).ok()
}
