//! The data plane alone, in front of servers that run already: for measuring it, and for reading how it is embedded.
//!
//! `cargo run --release -p nd-proxy --example proxy -- 127.0.0.1:8080 2 127.0.0.1:3000 127.0.0.1:3001`
//! listens on the first address with two workers and balances all requests for the host `localhost` over the others.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use nd_proxy::{Proxy, Settings};
use nd_types::{
    Availability, Backend, EdgeState, Generation, HostPattern, PathPrefix, Route, RouteOptions, Service,
    ServiceLimits, UnitId,
};

type Error = Box<dyn std::error::Error>;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let mut arguments = std::env::args().skip(1);
    let listen = arguments.next().ok_or("usage: proxy LISTEN WORKERS UPSTREAM…")?;
    let workers = arguments.next().unwrap_or_default();
    let upstreams = arguments.map(|address| address.parse()).collect::<Result<Vec<SocketAddr>, _>>()?;
    let settings = Settings { http: listen.parse()?, workers: workers.parse()?, ..Settings::default() };
    let proxy = Proxy::start(settings)?;
    proxy.apply(Arc::new(state(&upstreams)?)).await?;
    tokio::signal::ctrl_c().await?;
    proxy.shutdown(Duration::from_secs(10)).await;
    Ok(())
}

/// One app at `localhost` whose instances are the given servers.
fn state(upstreams: &[SocketAddr]) -> Result<EdgeState, Error> {
    let (app, release): (nd_types::AppName, nd_types::ReleaseId) = ("app".parse()?, "aaaaaa".parse()?);
    let backends = (1..).zip(upstreams).map(|(slot, address)| Backend {
        unit: UnitId::new(&app, &release, slot),
        address: *address,
        started: None,
    });
    Ok(EdgeState {
        generation: Generation(1),
        routes: vec![Route {
            host: HostPattern::new("localhost")?,
            path: PathPrefix::root(),
            app: app.clone(),
            options: RouteOptions::default(),
        }],
        services: vec![Service {
            backends: backends.collect(),
            release,
            availability: Availability::Serving,
            limits: ServiceLimits::default(),
            rules: Arc::default(),
            app,
        }],
        host_ports: vec![],
    })
}
