//! The probe against servers of HTTP/2 in cleartext.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use http::{Response, StatusCode};
use nd_core::ports::{HealthProbe, ProbeFailure, ProbeOutcome, ProbeRequest, ProbeTarget};
use nd_core::spec::HttpProbe;
use nd_probe::NetworkProbe;
use nd_supervise::TaskSet;
use nd_types::AppProtocol;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

type Result<T = ()> = std::result::Result<T, Box<dyn std::error::Error>>;

/// A server that answers `/health` with 200 and everything else with 503 and a reason.
async fn server(tasks: &TaskSet) -> Result<SocketAddr> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    tasks.spawn("serve", async move {
        while let Ok((stream, _)) = listener.accept().await {
            let Ok(mut connection) = h2::server::handshake(stream).await else { continue };
            while let Some(Ok((request, mut respond))) = connection.accept().await {
                let fine = request.uri().path() == "/health" && request.uri().host() == Some("localhost");
                let status = if fine { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
                let mut response = Response::new(());
                *response.status_mut() = status;
                if let Ok(mut body) = respond.send_response(response, false) {
                    body.send_data(Bytes::from_static(b"the queue is full\nstack"), true).ok();
                }
            }
        }
    });
    Ok(address)
}

async fn ask(address: SocketAddr, path: &str) -> ProbeOutcome {
    let (target, timeout) = (ProbeTarget::Http(HttpProbe::new(path)), Duration::from_secs(5));
    NetworkProbe.probe(&ProbeRequest { address, target, protocol: AppProtocol::H2c, timeout }).await
}

#[tokio::test]
async fn an_app_that_speaks_http_2_alone_is_asked_in_it() -> Result {
    let tasks = TaskSet::new("server");
    let address = server(&tasks).await?;
    assert!(matches!(ask(address, "/health").await, ProbeOutcome::Pass { status: Some(200), .. }));
    let refused = ProbeFailure::Status { status: 503, body: "the queue is full".to_owned() };
    assert_eq!(ask(address, "/").await, ProbeOutcome::Fail(refused));
    Ok(())
}

#[tokio::test]
async fn an_app_that_does_not_speak_it_is_told_so() -> Result {
    let (tasks, listener) = (TaskSet::new("server"), TcpListener::bind("127.0.0.1:0").await?);
    let address = listener.local_addr()?;
    tasks.spawn("serve", async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            stream.read_u8().await.ok();
            stream.write_all(b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n").await.ok();
            stream.read_to_end(&mut Vec::new()).await.ok();
        }
    });
    let ProbeOutcome::Fail(failure) = ask(address, "/health").await else { return Err("it passes".into()) };
    assert_eq!(failure.to_string(), "the port answers, but not with HTTP/2 (`app.protocol: h2c`)");
    Ok(())
}

#[tokio::test]
async fn a_connection_that_ends_before_an_answer_is_named() -> Result {
    let (tasks, listener) = (TaskSet::new("server"), TcpListener::bind("127.0.0.1:0").await?);
    let address = listener.local_addr()?;
    tasks.spawn("serve", async move { while listener.accept().await.is_ok() {} });
    assert_eq!(ask(address, "/health").await, ProbeOutcome::Fail(ProbeFailure::Closed));
    Ok(())
}
