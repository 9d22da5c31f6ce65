//! An ingress in memory.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use nd_core::ports::{
    AppTraffic, Applied, BindFault, DrainReport, EdgeFeature, EdgeTls, Ingress, IngressCaps, PortError,
    PortErrorKind, PortResult,
};
use nd_types::{AppName, Availability, EdgeState, IngressKind, Service, UnitId};
use parking_lot::Mutex;
use tokio::sync::watch;

use super::faults::Faults;

/// A method of [`Ingress`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum IngressCall {
    /// [`Ingress::check`].
    Check,
    /// [`Ingress::apply`].
    Apply,
    /// [`Ingress::serving`].
    Serving,
    /// [`Ingress::drain`].
    Drain,
}

/// Serves whatever it is given, remembers every state it served, and keeps requests in flight where a test puts them.
///
/// It refuses what no engine may do: a state that is older than the one that serves, and draining a unit that the
/// serving state still names.
#[derive(Debug)]
pub struct FakeIngress {
    kind: IngressKind,
    features: &'static [EdgeFeature],
    tls: EdgeTls,
    faults: Faults<IngressCall>,
    served: watch::Sender<Vec<Arc<EdgeState>>>,
    in_flight: watch::Sender<BTreeMap<UnitId, u64>>,
    taken: Mutex<BTreeMap<SocketAddr, String>>,
    traffic: Mutex<BTreeMap<AppName, AppTraffic>>,
    callers: watch::Sender<BTreeSet<AppName>>,
}

impl FakeIngress {
    /// An ingress that serves nothing yet.
    #[must_use]
    pub fn new() -> Self {
        Self::of(IngressKind::Embedded, &EdgeFeature::ALL)
    }

    /// One of this kind that serves nothing yet and can do no more than this.
    #[must_use]
    pub fn of(kind: IngressKind, features: &'static [EdgeFeature]) -> Self {
        Self {
            kind,
            features,
            tls: if kind == IngressKind::Embedded { EdgeTls::AsTold } else { EdgeTls::Never },
            faults: Faults::none(),
            served: watch::Sender::new(vec![Arc::default()]),
            in_flight: watch::Sender::new(BTreeMap::new()),
            taken: Mutex::default(),
            traffic: Mutex::default(),
            callers: watch::Sender::default(),
        }
    }

    /// The same, which speaks TLS like this. One of kind `embedded` does as it is told, and any other not at all.
    #[must_use]
    pub fn with_tls(self, tls: EdgeTls) -> Self {
        Self { tls, ..self }
    }

    /// What goes wrong with its calls.
    #[must_use]
    pub fn faults(&self) -> &Faults<IngressCall> {
        &self.faults
    }

    /// Every state that served, oldest first, beginning with the empty one.
    #[must_use]
    pub fn history(&self) -> Vec<Arc<EdgeState>> {
        self.served.borrow().clone()
    }

    /// The state that serves now.
    #[must_use]
    pub fn state(&self) -> Arc<EdgeState> {
        self.served.borrow().last().cloned().unwrap_or_default()
    }

    /// The app's service in the state that serves now.
    #[must_use]
    pub fn service(&self, app: &AppName) -> Option<Service> {
        self.state().services.iter().find(|service| service.app == *app).cloned()
    }

    /// The units behind an app now.
    #[must_use]
    pub fn backends(&self, app: &AppName) -> Vec<UnitId> {
        let backends = self.service(app).map(|service| service.backends).unwrap_or_default();
        backends.into_iter().map(|backend| backend.unit).collect()
    }

    /// What a request to the app would meet now.
    #[must_use]
    pub fn availability(&self, app: &AppName) -> Option<Availability> {
        self.service(app).map(|service| service.availability)
    }

    /// Waits until a state serves that `wanted` accepts. Give it a deadline.
    pub async fn until(&self, wanted: impl Fn(&EdgeState) -> bool) -> Arc<EdgeState> {
        let mut served = self.served.subscribe();
        let fits = |states: &Vec<Arc<EdgeState>>| states.last().is_some_and(|state| wanted(state));
        // The sender is ours, so the channel cannot close.
        served.wait_for(fits).await.map(drop).ok();
        self.state()
    }

    /// So many requests are in flight on the unit from now on.
    pub fn set_in_flight(&self, unit: &UnitId, requests: u64) {
        self.in_flight.send_modify(|all| {
            all.insert(unit.clone(), requests);
        });
    }

    /// What it says from now on has become of an app's requests.
    pub fn set_traffic(&self, app: &AppName, traffic: AppTraffic) {
        self.traffic.lock().insert(app.clone(), traffic);
    }

    /// Somebody asks for an app that sleeps.
    pub fn knock(&self, app: &AppName) {
        self.callers.send_if_modified(|apps| apps.insert(app.clone()));
    }

    /// Somebody else holds this port of the host, and what is to be said about it.
    pub fn take_port(&self, bind: SocketAddr, holder: &str) {
        self.taken.lock().insert(bind, format!("address already in use by {holder}"));
    }

    /// Nobody holds this port of the host any more.
    pub fn free_port(&self, bind: SocketAddr) {
        self.taken.lock().remove(&bind);
    }

    fn serve(&self, state: Arc<EdgeState>) -> PortResult<Applied> {
        let generation = state.generation;
        if generation <= self.state().generation {
            let context = format!("apply generation {generation}: a newer one serves");
            return Err(PortError::new(PortErrorKind::Conflict, context));
        }
        let taken = self.taken.lock();
        let tls = state.tls.listen.iter().map(|bind| (*bind, None));
        let ports = state.host_ports.iter().map(|port| (port.bind, Some(port.app.clone())));
        let fault = |(bind, app)| Some(BindFault { bind, app, error: taken.get(&bind)?.clone() });
        let faults = tls.chain(ports).filter_map(fault).collect();
        drop(taken);
        let sleeps = |app: &AppName| {
            let mut services = state.services.iter();
            services.any(|one| one.app == *app && one.availability == Availability::Sleeping)
        };
        self.callers.send_modify(|apps| apps.retain(sleeps));
        self.served.send_modify(|served| served.push(state));
        Ok(Applied { generation, faults })
    }

    fn check_drain(&self, units: &[UnitId]) -> PortResult<()> {
        let state = self.state();
        let mut backends = state.services.iter().flat_map(|service| &service.backends);
        match backends.find(|backend| units.contains(&backend.unit)) {
            Some(named) => {
                let context = format!("drain {}: the serving state still names it", named.unit);
                Err(PortError::new(PortErrorKind::Invalid, context))
            }
            None => Ok(()),
        }
    }
}

impl Default for FakeIngress {
    fn default() -> Self {
        Self::new()
    }
}

#[async_trait]
impl Ingress for FakeIngress {
    fn caps(&self) -> IngressCaps {
        IngressCaps { kind: self.kind, features: self.features, tls: self.tls }
    }

    fn http_addr(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, 80).into()
    }

    async fn check(&self) -> PortResult<()> {
        self.faults.meet(IngressCall::Check, || Ok(())).await
    }

    async fn apply(&self, state: Arc<EdgeState>) -> PortResult<Applied> {
        self.faults.meet(IngressCall::Apply, || self.serve(state)).await
    }

    async fn serving(&self) -> PortResult<Arc<EdgeState>> {
        self.faults.meet(IngressCall::Serving, || Ok(self.state())).await
    }

    async fn drain(&self, units: &[UnitId], deadline: Duration) -> PortResult<DrainReport> {
        self.faults.meet(IngressCall::Drain, || self.check_drain(units)).await?;
        let on_them = |all: &BTreeMap<UnitId, u64>| -> u64 {
            all.iter().filter(|(unit, _)| units.contains(unit)).map(|(_, requests)| requests).sum()
        };
        let begin = on_them(&self.in_flight.borrow());
        let mut in_flight = self.in_flight.subscribe();
        let idle = in_flight.wait_for(|all| on_them(all) == 0);
        let in_time = tokio::time::timeout(deadline, idle).await.is_ok();
        let cut = if in_time { 0 } else { on_them(&self.in_flight.borrow()) };
        self.in_flight.send_modify(|all| all.retain(|unit, _| !units.contains(unit)));
        Ok(DrainReport { finished: begin.saturating_sub(cut), cut, ..DrainReport::default() })
    }

    async fn wanted(&self, known: &BTreeSet<AppName>) -> PortResult<BTreeSet<AppName>> {
        let mut callers = self.callers.subscribe();
        let heard = callers.wait_for(|apps| apps != known).await.map(|apps| apps.clone());
        match heard {
            Ok(apps) => Ok(apps),
            Err(_) => std::future::pending().await, // the sender is ours
        }
    }

    async fn traffic(&self, app: &AppName) -> PortResult<AppTraffic> {
        Ok(self.traffic.lock().get(app).cloned().unwrap_or_default())
    }
}
