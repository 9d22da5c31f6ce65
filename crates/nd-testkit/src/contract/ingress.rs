//! The contract of [`Ingress`].

mod drain;
mod http;
mod places;
mod traffic;
mod upstream;
mod waiting;

use std::sync::Arc;
use std::time::Duration;

use nd_core::ports::{DrainReport, EdgeFeature, Ingress, PortErrorKind};
use nd_types::{
    AppName, Availability, Backend, EdgeState, Generation, HostPort, HostPortProtocol, PathPrefix, ReleaseId,
    Route, RouteOptions, Service, ServiceLimits, UnitId,
};

use super::ContractResult;

/// Longer than anything takes that is not waiting for something.
const SOON: Duration = Duration::from_secs(10);

/// Long enough to see that something does wait.
const A_WHILE: Duration = Duration::from_millis(150);

type Result<T, E = Box<dyn std::error::Error>> = std::result::Result<T, E>;

/// Runs the whole contract, over real connections, as far as the ingress says that it can do it. Each call of `start` answers
/// a new ingress that serves nothing yet and whose `http_addr` can be reached from here.
///
/// # Errors
/// The first error of the ingress or of a connection.
///
/// # Panics
/// When the ingress breaks the contract.
pub async fn run(start: impl Fn() -> Arc<dyn Ingress>) -> ContractResult {
    let caps = start().caps();
    bookkeeping(&start).await?;
    traffic::a_request_after_an_apply_sees_it(&*start()).await?;
    if caps.has(EdgeFeature::KeepConnections) {
        traffic::an_apply_closes_no_connection_of_a_client(&*start()).await?;
    }
    if caps.has(EdgeFeature::Figures) {
        traffic::what_became_of_requests_is_told_by_release(&*start()).await?;
    }
    traffic::an_unknown_host_reaches_no_app(&*start()).await?;
    traffic::a_stopped_app_answers_unavailable(&*start()).await?;
    if caps.has(EdgeFeature::Hold) {
        waiting::a_request_without_a_unit_waits_for_one(start()).await?;
        waiting::a_request_to_a_sleeping_app_waits_and_is_made_known(start()).await?;
    } else {
        waiting::a_request_without_a_unit_is_told_to_come_back(&*start()).await?;
    }
    drain::a_drain_lasts_as_long_as_a_request_is_in_flight(start()).await?;
    drain::a_drain_cuts_what_is_left_at_its_deadline(&*start(), caps).await?;
    traffic::a_host_port_opens_and_closes_with_its_state(&*start()).await?;
    traffic::a_taken_host_port_is_a_fault_of_its_app_alone(&*start()).await?;
    places::the_longest_path_of_the_closest_host_counts(&*start()).await
}

/// Runs the part that needs no connections, for stand-ins.
///
/// # Errors
/// The first error of the ingress.
///
/// # Panics
/// When the ingress breaks the contract.
pub async fn bookkeeping(start: &impl Fn() -> Arc<dyn Ingress>) -> ContractResult {
    what_was_applied_is_what_serves(&*start()).await?;
    an_older_state_is_refused_and_changes_nothing(&*start()).await?;
    draining_what_has_no_request_is_done_at_once(&*start()).await
}

async fn what_was_applied_is_what_serves(ingress: &dyn Ingress) -> ContractResult {
    assert_eq!(ingress.serving().await?.generation, Generation(0), "nothing serves before the first apply");
    for generation in [1, 2, 7] {
        let applied = ingress.apply(state(generation, vec![])).await?;
        assert_eq!((applied.generation, applied.faults), (Generation(generation), vec![]));
        assert_eq!(ingress.serving().await?.generation, Generation(generation));
    }
    Ok(())
}

async fn an_older_state_is_refused_and_changes_nothing(ingress: &dyn Ingress) -> ContractResult {
    ingress.apply(state(5, vec![])).await?;
    let refused = ingress.apply(state(4, vec![])).await;
    assert_eq!(refused.map_err(|error| error.kind), Err(PortErrorKind::Conflict));
    assert_eq!(ingress.serving().await?.generation, Generation(5));
    Ok(())
}

async fn draining_what_has_no_request_is_done_at_once(ingress: &dyn Ingress) -> ContractResult {
    let units = [UnitId::new(&app("shop")?, &release()?, 1)];
    let drain = ingress.drain(&units, Duration::from_secs(60));
    let report = tokio::time::timeout(Duration::from_secs(5), drain).await??;
    assert_eq!(report, DrainReport::default());
    Ok(())
}

fn app(name: &str) -> Result<AppName> {
    Ok(name.parse()?)
}

fn release() -> Result<ReleaseId> {
    Ok("8f3k2a".parse()?)
}

/// The host that leads to an app in these states.
fn host(app: &AppName) -> String {
    format!("{app}.localhost")
}

/// An app that serves from these backends.
fn service(app: &AppName, backends: Vec<Backend>) -> Result<Service> {
    Ok(Service {
        app: app.clone(),
        release: release()?,
        backends,
        availability: Availability::Serving,
        limits: ServiceLimits::default(),
        rules: Arc::default(),
        gate: nd_types::Gate::Open,
        split: None,
        tls: Arc::default(),
    })
}

/// A state in which each app is found under its own host.
fn state(generation: u64, services: Vec<Service>) -> Arc<EdgeState> {
    Arc::new(edge(generation, services, &[]))
}

fn edge(generation: u64, services: Vec<Service>, ports: &[(std::net::SocketAddr, &AppName)]) -> EdgeState {
    let route = |service: &Service| {
        let host = nd_types::HostPattern::new(&host(&service.app)).ok()?;
        Some(Route {
            host,
            path: PathPrefix::root(),
            app: service.app.clone(),
            options: RouteOptions::default(),
        })
    };
    let host_port = |(bind, app): &(std::net::SocketAddr, &AppName)| HostPort {
        bind: *bind,
        app: (*app).clone(),
        protocol: HostPortProtocol::Http,
    };
    EdgeState {
        default_host: None,
        generation: Generation(generation),
        routes: services.iter().filter_map(route).collect(),
        services,
        host_ports: ports.iter().map(host_port).collect(),
        tls: Arc::default(),
    }
}
