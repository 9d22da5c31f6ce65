//! One data plane takes over from another on the same sockets, and nobody notices.

use std::io::{Error, Result};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use nd_proxy::{Proxy, SocketSet};
use nd_supervise::{CancellationToken, TaskSet};
use nd_types::HostPortProtocol;

use super::support::*;

const GRACE: Duration = Duration::from_secs(20);

fn beside(sockets: &SocketSet, host_ports: Vec<SocketSet>) -> Result<Proxy> {
    Proxy::start_on(settings(), sockets.try_clone()?, host_ports, None).map_err(Error::other)
}

/// Asks until told to stop; one client in four does not keep its connection.
async fn client(
    address: SocketAddr,
    number: u64,
    answered: Arc<AtomicU64>,
    stop: CancellationToken,
) -> Result<()> {
    let mut wire = Wire::connect(address).await?;
    while !stop.is_cancelled() {
        let answer = wire.get("/").await?;
        if answer.status() != 200 {
            return Err(Error::other(answer.head));
        }
        answered.fetch_add(1, Ordering::SeqCst);
        if number.is_multiple_of(4) || answer.field("connection").as_deref() == Some("close") {
            wire = Wire::connect(address).await?;
        }
    }
    Ok(())
}

#[tokio::test]
async fn no_request_is_lost_when_another_proxy_takes_over() -> Result<()> {
    let app = Upstream::named("app").await?;
    let state = || State::new(1).app("app", "aaaaaa", &[app.address]).build();
    let sockets = SocketSet::bind(settings().http, 2).map_err(Error::other)?;
    let mut serving = beside(&sockets, Vec::new())?;
    serving.apply(state()?).await.map_err(Error::other)?;
    let (tasks, stop, answered) =
        (TaskSet::new("clients"), CancellationToken::new(), Arc::new(AtomicU64::new(0)));
    let clients: Vec<_> = (0..16)
        .map(|number| {
            let work = client(sockets.address(), number, Arc::clone(&answered), stop.clone());
            tasks.spawn_with("client", work)
        })
        .collect();
    for _ in 0..5 {
        let before = answered.load(Ordering::SeqCst);
        until("the clients go on", || answered.load(Ordering::SeqCst) > before + 100).await?;
        let next = beside(&sockets, Vec::new())?;
        next.apply(state()?).await.map_err(Error::other)?;
        within("the handover", serving.hand_over(GRACE)).await?;
        serving = next;
    }
    stop.cancel();
    for client in clients {
        client.await.map_err(Error::other)??;
    }
    Ok(())
}

#[tokio::test]
async fn an_idle_client_goes_over_with_its_next_request() -> Result<()> {
    let app = Upstream::named("app").await?;
    let state = State::new(1).app("app", "aaaaaa", &[app.address]).build()?;
    let sockets = SocketSet::bind(settings().http, 1).map_err(Error::other)?;
    let first = beside(&sockets, Vec::new())?;
    first.apply(Arc::clone(&state)).await.map_err(Error::other)?;
    let mut idle = Wire::connect(sockets.address()).await?;
    idle.get("/").await?;
    let second = beside(&sockets, Vec::new())?;
    second.apply(state).await.map_err(Error::other)?;
    let client = async {
        until("the first has stopped accepting", || second.stats().accepted > 0 || new_client(&sockets))
            .await?;
        let answer = idle.get("/").await?;
        assert_eq!((answer.status(), answer.field("connection").as_deref()), (200, Some("close")));
        idle.closed().await
    };
    let (_, client) = within("the end", async { tokio::join!(first.hand_over(GRACE), client) }).await?;
    client
}

/// Knocks once; whoever accepts counts it.
fn new_client(sockets: &SocketSet) -> bool {
    std::net::TcpStream::connect(sockets.address()).is_err()
}

#[tokio::test]
async fn a_host_port_is_handed_over_open() -> Result<()> {
    let app = Upstream::named("app").await?;
    let port = free_port().await?;
    let state = |generation| {
        let state = State::new(generation).app("app", "aaaaaa", &[app.address]);
        state.port(port, "app", HostPortProtocol::Http).build()
    };
    let sockets = SocketSet::bind(settings().http, 2).map_err(Error::other)?;
    let first = beside(&sockets, Vec::new())?;
    first.apply(state(1)?).await.map_err(Error::other)?;
    let second = beside(&sockets, first.host_ports().await?)?;
    let applied = second.apply(state(1)?).await.map_err(Error::other)?;
    assert_eq!(applied.faults, []);
    within("the handover", first.hand_over(GRACE)).await?;
    assert_eq!(Wire::connect(port).await?.get("/").await?.status(), 200);

    second.apply(State::new(2).app("app", "aaaaaa", &[app.address]).build()?).await.map_err(Error::other)?;
    assert!(second.host_ports().await?.is_empty());
    drop(first);
    assert!(Wire::connect(port).await.is_err());
    Ok(())
}
