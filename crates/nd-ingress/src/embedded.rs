//! The embedded data plane behind the `Ingress` port.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use nd_core::ports::{
    AppTraffic, Applied, BindFault, DrainReport, EdgeFeature, EdgeTls, Ingress, IngressCaps, PortError,
    PortErrorKind, PortResult,
};
use nd_proxy::{ApplyError, Proxy};
use nd_types::{AppName, EdgeState, IngressKind, UnitId};

use crate::figures;

/// The data plane that runs inside this process.
#[derive(Clone)]
pub struct EmbeddedIngress {
    proxy: Proxy,
}

impl EmbeddedIngress {
    /// Serves through `proxy`.
    #[must_use]
    pub fn new(proxy: Proxy) -> Self {
        Self { proxy }
    }
}

#[async_trait]
impl Ingress for EmbeddedIngress {
    fn caps(&self) -> IngressCaps {
        IngressCaps { kind: IngressKind::Embedded, features: &EdgeFeature::ALL, tls: EdgeTls::AsTold }
    }

    fn http_addr(&self) -> SocketAddr {
        self.proxy.http_addr()
    }

    async fn check(&self) -> PortResult<()> {
        Ok(())
    }

    async fn apply(&self, state: Arc<EdgeState>) -> PortResult<Applied> {
        let applied = self.proxy.apply(state).await.map_err(refused)?;
        let faults = applied.faults.into_iter();
        Ok(Applied {
            generation: applied.generation,
            faults: faults
                .map(|fault| BindFault { bind: fault.bind, app: fault.app, error: fault.error })
                .collect(),
        })
    }

    async fn serving(&self) -> PortResult<Arc<EdgeState>> {
        Ok(self.proxy.state())
    }

    async fn drain(&self, units: &[UnitId], deadline: Duration) -> PortResult<DrainReport> {
        let report = self.proxy.drain(units, deadline).await;
        Ok(DrainReport {
            finished: report.finished,
            cut: report.cut,
            websockets_closed: report.websockets_closed,
            websockets_cut: report.websockets_cut,
        })
    }

    async fn wanted(&self, known: &BTreeSet<AppName>) -> PortResult<BTreeSet<AppName>> {
        Ok(self.proxy.wanted(known).await)
    }

    async fn traffic(&self, app: &AppName) -> PortResult<AppTraffic> {
        Ok(figures::of_app(&self.proxy.stats(), app))
    }
}

fn refused(error: ApplyError) -> PortError {
    let kind = match &error {
        ApplyError::Outdated { .. } => PortErrorKind::Conflict,
        ApplyError::Ended => PortErrorKind::Unavailable,
        ApplyError::Worker(_) => PortErrorKind::Internal,
    };
    PortError::new(kind, "routes: the embedded proxy did not take the new table").with_source(error)
}
