//! The data plane alone, in front of servers that run already: for measuring it, and for reading how it is embedded.
//!
//! `cargo run --release -p nd-proxy --example proxy -- 127.0.0.1:8080 2 1 1 127.0.0.1:3000 127.0.0.1:3001`
//! listens on the first address with two workers and balances the requests of one app with one route over the others. The
//! hosts of the apps are `app-0.localhost` and so on; the paths of their routes `/`, `/1`, `/2` and so on.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use nd_proxy::{Proxy, Settings};
use nd_types::{
    AppName, Availability, Backend, EdgeState, Generation, HostPattern, PathPrefix, ReleaseId, Route,
    RouteOptions, Service, ServiceLimits, UnitId,
};

type Error = Box<dyn std::error::Error>;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let mut arguments = std::env::args().skip(1);
    let usage = "usage: proxy LISTEN WORKERS APPS ROUTES UPSTREAM…";
    let mut next = || arguments.next().ok_or(usage);
    let (listen, workers, apps, routes) = (next()?, next()?, next()?, next()?);
    let upstreams = arguments.map(|address| address.parse()).collect::<Result<Vec<SocketAddr>, _>>()?;
    let settings = Settings { http: listen.parse()?, workers: workers.parse()?, ..Settings::default() };
    let proxy = Proxy::start(settings)?;
    proxy.apply(Arc::new(state(apps.parse()?, routes.parse()?, &upstreams)?)).await?;
    tokio::signal::ctrl_c().await?;
    proxy.shutdown(Duration::from_secs(10)).await;
    Ok(())
}

/// So many apps with so many routes each, and the same servers behind all of them.
fn state(apps: u32, routes: u32, upstreams: &[SocketAddr]) -> Result<EdgeState, Error> {
    let mut state = EdgeState { generation: Generation(1), ..EdgeState::default() };
    for number in 0..apps {
        let (app, release): (AppName, ReleaseId) = (format!("app-{number}").parse()?, "aaaaaa".parse()?);
        for path in 0..routes {
            let path = if path == 0 { PathPrefix::root() } else { PathPrefix::new(&path.to_string()) };
            let host = HostPattern::new(&format!("{app}.localhost"))?;
            state.routes.push(Route { host, path, app: app.clone(), options: RouteOptions::default() });
        }
        state.services.push(service(app, release, upstreams));
    }
    Ok(state)
}

fn service(app: AppName, release: ReleaseId, upstreams: &[SocketAddr]) -> Service {
    let backends = (1..).zip(upstreams).map(|(slot, address)| Backend {
        unit: UnitId::new(&app, &release, slot),
        address: *address,
        started: None,
        protocol: nd_types::AppProtocol::default(),
    });
    Service {
        backends: backends.collect(),
        release,
        availability: Availability::Serving,
        limits: ServiceLimits::default(),
        rules: Arc::default(),
        gate: nd_types::Gate::Open,
        split: None,
        tls: Arc::default(),
        app,
    }
}
