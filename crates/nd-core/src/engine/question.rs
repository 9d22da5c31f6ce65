//! One question to a unit, and what came of it in words.

use std::net::SocketAddr;

use nd_types::{AppProtocol, UnitId};

use super::shared::Shared;
use crate::ports::{PortResult, ProbeFailure, ProbeOutcome, ProbeRequest, ProbeTarget, Runtime};
use crate::spec::AppSpec;

/// What came of a question: the evidence that all is well, or what is wrong.
pub(super) type Judgement<E = String> = Result<String, E>;

/// An address that is not well.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Unwell {
    pub(super) failure: ProbeFailure,
    pub(super) words: String,
}

/// Asks at the unit's address, or at the port that is declared for its health.
pub(super) async fn at_address(
    shared: &Shared,
    spec: &AppSpec,
    mut address: SocketAddr,
    question: ProbeTarget,
) -> Judgement<Unwell> {
    if let Some(port) = spec.readiness.port {
        address.set_port(port.get());
    }
    let what = match &question {
        ProbeTarget::Http(http) => format!("GET :{}{}", address.port(), http.path),
        ProbeTarget::Tcp => format!("TCP :{}", address.port()),
    };
    // A port of its own for its health may speak anything; mostly that is plain HTTP.
    let protocol = if spec.readiness.port.is_some_and(|port| Some(port) != spec.port) {
        AppProtocol::Http
    } else {
        spec.protocol
    };
    let request = ProbeRequest { address, target: question, protocol, timeout: spec.readiness.timeout };
    match shared.registry.probe().probe(&request).await {
        ProbeOutcome::Pass { status: Some(status), took } => {
            Ok(format!("{what} {status} ({} ms)", took.as_millis()))
        }
        ProbeOutcome::Pass { status: None, took } => Ok(format!("{what} accepted ({} ms)", took.as_millis())),
        ProbeOutcome::Fail(failure) => Err(Unwell { words: format!("{what}: {failure}"), failure }),
    }
}

/// Runs a command beside the unit; the error is that of the runtime, and says nothing about the unit.
pub(super) async fn by_command(
    runtime: &dyn Runtime,
    spec: &AppSpec,
    unit: &UnitId,
    argv: &[String],
) -> PortResult<Judgement> {
    let line = argv.join(" ");
    let outcome = runtime.exec(unit, argv, spec.readiness.timeout).await?;
    if outcome.exit.is_success() {
        return Ok(Ok(format!("`{line}` ended with 0")));
    }
    let output = String::from_utf8_lossy(&outcome.output);
    Ok(Err(format!("`{line}` ended with {}: {}", outcome.exit, output.trim())))
}
