//! The adapter: opens the connection, watches the time, names the failure.

use std::io;
use std::net::SocketAddr;

use async_trait::async_trait;
use nd_core::ports::{HealthProbe, ProbeFailure, ProbeOutcome, ProbeRequest, ProbeTarget};
use nd_types::AppProtocol;
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout_at};

use crate::{http, http2};

/// Asks over TCP whether something answers, with a new connection for each question.
#[derive(Clone, Copy, Debug, Default)]
pub struct NetworkProbe;

#[async_trait]
impl HealthProbe for NetworkProbe {
    /// Cancel safe: dropping the future closes the connection.
    async fn probe(&self, request: &ProbeRequest) -> ProbeOutcome {
        let started = Instant::now();
        let deadline = started + request.timeout;
        let answer = timeout_at(deadline, ask(request, deadline)).await;
        match answer.unwrap_or(Err(ProbeFailure::Timeout(request.timeout))) {
            Ok(status) => ProbeOutcome::Pass { status, took: started.elapsed() },
            Err(failure) => ProbeOutcome::Fail(failure),
        }
    }
}

/// The status, if HTTP was asked.
async fn ask(request: &ProbeRequest, deadline: Instant) -> Result<Option<u16>, ProbeFailure> {
    match &request.target {
        ProbeTarget::Tcp => connect(request.address).await.map(|_| None),
        ProbeTarget::Http(probe) => {
            let question = http::question(probe)?;
            let answered = match request.protocol {
                AppProtocol::Http => {
                    let stream = connect(request.address).await?;
                    http::exchange(stream, question, &probe.accept, deadline).await
                }
                AppProtocol::H2c => {
                    let question = http2::question(&question)?;
                    let stream = connect(request.address).await?;
                    http2::exchange(stream, question, &probe.accept, deadline).await
                }
            };
            answered.map(Some)
        }
    }
}

async fn connect(address: SocketAddr) -> Result<TcpStream, ProbeFailure> {
    TcpStream::connect(address).await.map_err(|error| match error.kind() {
        io::ErrorKind::ConnectionRefused => ProbeFailure::Refused,
        io::ErrorKind::ConnectionReset | io::ErrorKind::ConnectionAborted => ProbeFailure::Closed,
        _ => ProbeFailure::Other(format!("connect to {address}: {error}")),
    })
}
