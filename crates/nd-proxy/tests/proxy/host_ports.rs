//! Listeners that belong to one app.

use std::io::Result;

use nd_types::AppName;
use nd_types::HostPortProtocol::{Http, Tcp};

use super::support::*;

#[tokio::test]
async fn a_host_port_leads_to_its_app_whatever_the_host() -> Result<()> {
    let (app, other) = (Upstream::named("app").await?, Upstream::named("other").await?);
    let (proxy, port) = (start(settings())?, free_port().await?);
    let state = State::new(1).app("app", "aaaaaa", &[app.address]).app("other", "aaaaaa", &[other.address]);
    apply(&proxy, state.port(port, "app", Http)).await?;
    for _ in 0..10 {
        let mut client = Wire::connect(port).await?;
        for host in ["localhost:3000", "other.test", "127.0.0.1"] {
            client.send(format!("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n")).await?;
            assert!(client.response().await?.text().starts_with("app\n"), "{host}");
        }
        client.send("GET / HTTP/1.0\r\n\r\n").await?;
        assert!(client.response().await?.text().contains("Host: app\r\n"));
    }
    Ok(())
}

#[tokio::test]
async fn host_ports_come_and_go_without_touching_the_others() -> Result<()> {
    let app = Upstream::named("app").await?;
    let (proxy, kept, gone, late) =
        (start(settings())?, free_port().await?, free_port().await?, free_port().await?);
    let state =
        |generation| State::new(generation).app("app", "aaaaaa", &[app.address]).port(kept, "app", Http);
    apply(&proxy, state(1).port(gone, "app", Http)).await?;
    let mut client = Wire::connect(kept).await?;
    assert_eq!(client.get("/").await?.status(), 200);
    let mut of_gone = Wire::connect(gone).await?;
    assert_eq!(of_gone.get("/").await?.status(), 200);
    apply(&proxy, state(2).port(late, "app", Http)).await?;
    assert_eq!(client.get("/").await?.status(), 200);
    assert!(Wire::connect(gone).await.is_err());
    assert_eq!(Wire::connect(late).await?.get("/").await?.status(), 200);
    Ok(())
}

#[tokio::test]
async fn a_port_given_to_another_app_leads_there_at_once() -> Result<()> {
    let (one, two) = (Upstream::named("one").await?, Upstream::named("two").await?);
    let (proxy, port) = (start(settings())?, free_port().await?);
    let apps = |generation| {
        State::new(generation).app("one", "aaaaaa", &[one.address]).app("two", "aaaaaa", &[two.address])
    };
    apply(&proxy, apps(1).port(port, "one", Http)).await?;
    let mut client = Wire::connect(port).await?;
    assert!(client.get("/").await?.text().starts_with("one\n"));
    apply(&proxy, apps(2).port(port, "two", Http)).await?;
    assert!(client.get("/").await?.text().starts_with("two\n"));
    Ok(())
}

#[tokio::test]
async fn a_taken_port_is_a_fault_of_its_app_alone_and_tried_again() -> Result<()> {
    let app = Upstream::named("app").await?;
    let taken = std::net::TcpListener::bind("127.0.0.1:0")?;
    let (proxy, port) = (start(settings())?, taken.local_addr()?);
    let state =
        |generation| State::new(generation).app("app", "aaaaaa", &[app.address]).port(port, "app", Http);
    let applied = proxy.apply(state(1).build()?).await.map_err(std::io::Error::other)?;
    let fault = applied.faults.first().ok_or(std::io::ErrorKind::NotFound)?;
    assert_eq!((fault.bind, fault.app.as_ref().map(AppName::as_str)), (port, Some("app")));
    assert!(fault.error.contains(&format!("(pid {})", std::process::id())), "{}", fault.error);
    assert_eq!(Wire::connect(proxy.http_addr()).await?.get("/").await?.status(), 200);
    drop(taken);
    assert_eq!(proxy.apply(state(2).build()?).await.map_err(std::io::Error::other)?.faults, []);
    assert_eq!(Wire::connect(port).await?.get("/").await?.status(), 200);
    Ok(())
}

#[tokio::test]
async fn a_raw_port_carries_bytes_to_an_instance_of_its_app() -> Result<()> {
    let echo = |name: &'static str| {
        Upstream::raw(move |mut wire, _| async move {
            wire.send(name).await?;
            let line = wire.through("\n").await?;
            wire.send(line).await?;
            wire.rest().await?;
            wire.send("bye").await
        })
    };
    let (one, two) = (echo("1").await?, echo("2").await?);
    let proxy = start(nd_proxy::Settings { workers: 1, ..settings() })?;
    let port = free_port().await?;
    apply(&proxy, State::new(1).app("app", "aaaaaa", &[one.address, two.address]).port(port, "app", Tcp))
        .await?;
    let mut names = Vec::new();
    for _ in 0..4 {
        let mut client = Wire::connect(port).await?;
        names.extend(within("the greeting", client.exactly(1)).await??);
        client.send("\0not http\n").await?;
        assert_eq!(within("the echo", client.through("\n")).await??, "\0not http\n");
        client.finish().await?;
        assert_eq!(client.rest().await?, b"bye", "one side may finish before the other");
    }
    assert_eq!(names, b"1212");
    Ok(())
}

#[tokio::test]
async fn a_raw_connection_waits_for_an_instance() -> Result<()> {
    let app = Upstream::raw(|mut wire, _| async move { wire.send("hello").await }).await?;
    let (proxy, port) = (start(settings())?, free_port().await?);
    apply(&proxy, State::new(1).app("app", "aaaaaa", &[]).port(port, "app", Tcp)).await?;
    let mut client = Wire::connect(port).await?;
    until("the connection is held", || proxy.stats().apps.values().any(|app| app.held == 1)).await?;
    apply(&proxy, State::new(2).app("app", "aaaaaa", &[app.address]).port(port, "app", Tcp)).await?;
    assert_eq!(within("the greeting", client.exactly(5)).await??, b"hello");
    Ok(())
}
