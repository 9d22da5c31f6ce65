//! Which ingress brings an app's requests, and whether it can.

use std::sync::Arc;
use std::time::Duration;

use nd_types::{EdgeState, Gate, IngressKind, UpstreamHost};
use tokio::time::Instant;

use super::error::EngineError;
use super::shared::Shared;
use crate::model::AppStatus;
use crate::ports::{EdgeFeature, PortResult, within};
use crate::spec::{AppSpec, Workload};

/// How long a server may take to say whether it could take routes.
const CHECK: Duration = Duration::from_secs(15);

/// How long one may take to be started anew, and when it is looked again.
const RESTART: Duration = Duration::from_secs(4);
const LOOK_AGAIN: Duration = Duration::from_millis(250);

/// How long one may take to say what it serves.
const SERVING: Duration = Duration::from_secs(5);

impl Shared {
    /// The ingress of an app: what is asked for, what it had, or what is usual.
    fn ingress_kind(&self, asked: Option<IngressKind>, status: Option<&AppStatus>) -> IngressKind {
        let had = status.and_then(|status| status.ingress);
        asked.or(had).unwrap_or_else(|| self.registry.default_ingress())
    }

    /// Whether the ingress can do everything that a spec asks for.
    pub(super) fn check_features(
        &self,
        asked: Option<IngressKind>,
        status: Option<&AppStatus>,
        spec: &AppSpec,
    ) -> Result<IngressKind, EngineError> {
        let kind = self.ingress_kind(asked, status);
        let caps = self.registry.ingress(Some(kind)).map_err(EngineError::Ingress)?.caps();
        let missing = EdgeFeature::of(spec).filter(|(feature, _)| !caps.has(*feature));
        let missing: Vec<&str> = missing.map(|(_, words)| words).collect();
        if !missing.is_empty() {
            return Err(EngineError::IngressLacks { kind, what: missing.join(", ") });
        }
        self.check_upstream(kind, spec)?;
        Ok(kind)
    }

    /// Whether an upstream is another server than the one that is to bring requests to it.
    fn check_upstream(&self, kind: IngressKind, spec: &AppSpec) -> Result<(), EngineError> {
        let Workload::External(upstream) = &spec.workload else { return Ok(()) };
        let at = self.registry.ingress(Some(kind)).map_err(EngineError::Ingress)?.http_addr();
        let is_here = match upstream.host() {
            UpstreamHost::Address(ip) => *ip == at.ip() || (ip.is_loopback() && at.ip().is_unspecified()),
            UpstreamHost::Name(name) => &**name == "localhost",
        };
        if is_here && upstream.port().get() == at.port() {
            return Err(EngineError::UpstreamIsIngress { upstream: upstream.clone(), kind });
        }
        Ok(())
    }

    /// Whether the ingress can let requests wait, where that is asked for.
    pub(super) fn check_gate(&self, status: Option<&AppStatus>, gate: Gate) -> Result<(), EngineError> {
        let kind = self.ingress_kind(None, status);
        let caps = self.registry.ingress(Some(kind)).map_err(EngineError::Ingress)?.caps();
        match gate {
            Gate::Paused { .. } if !caps.has(EdgeFeature::Hold) => Err(EngineError::IngressLacks {
                kind,
                what: "a pause (`maintenance` answers at once)".to_owned(),
            }),
            _ => Ok(()),
        }
    }

    /// Whether the ingress is there. One that is being started anew is waited for: nobody need notice that.
    pub(super) async fn check_there(&self, kind: IngressKind) -> Result<(), EngineError> {
        let what = format!("look whether {kind} is there");
        let ingress = self.registry.ingress(Some(kind)).map_err(EngineError::Ingress)?;
        let give_up = Instant::now() + RESTART;
        loop {
            match within(&what, CHECK, ingress.check()).await {
                Err(error) if error.kind.may_pass() && Instant::now() < give_up => {
                    tokio::time::sleep(LOOK_AGAIN).await;
                }
                checked => return checked.map_err(EngineError::Ingress),
            }
        }
    }

    /// What all of them serve; the number is that of the usual one.
    pub(super) async fn edge(&self) -> PortResult<Arc<EdgeState>> {
        let usual = self.registry.ingress(None)?.serving();
        let mut all = within("ask the proxy what it serves", SERVING, usual).await?;
        for (kind, other) in self.registry.ingresses() {
            if kind == self.registry.default_ingress() {
                continue;
            }
            match within("ask what is served", SERVING, other.serving()).await {
                Ok(state) if state.services.is_empty() => {}
                Ok(state) => {
                    let all = Arc::make_mut(&mut all);
                    all.services.extend(state.services.iter().cloned());
                    all.routes.extend(state.routes.iter().cloned());
                    all.host_ports.extend(state.host_ports.iter().cloned());
                }
                Err(error) => tracing::warn!(%kind, %error, "ask what is served"),
            }
        }
        Ok(all)
    }
}
