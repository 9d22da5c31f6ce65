//! Taking over a new edition of the table, in one step between two requests.

use std::cell::RefCell;
use std::collections::HashMap;
use std::net::SocketAddr;
use std::rc::{Rc, Weak};
use std::sync::Arc;

use nd_types::{AppName, Backend, HostPort, HostPortProtocol, Service as ServiceState};

use super::app::App;
use super::entry::{Destination, Entry, PortRole};
use super::security::Secured;
use super::service::{Pool, Service, Terms};
use super::upstream::Upstream;
use super::{Listening, Worker};
use crate::edition::Edition;
use crate::http1::host::Host;
use crate::tls::TlsTable;

/// The table a worker serves: the shared routes, and this worker's own view of the apps.
#[derive(Default)]
pub(crate) struct Table {
    edition: Arc<Edition>,
    /// In the order of the edition's services.
    apps: Vec<Rc<App>>,
}

impl Table {
    /// The app that answers this host and path, and what happens on the way.
    pub(crate) fn find(&self, host: Option<Host<'_>>, path: &str) -> Option<Destination> {
        let found = self.edition.routes.find(host, path)?;
        Some(Destination { app: self.apps.get(found.service).cloned()?, passage: found.passage })
    }

    /// Certificates by name, and answers to authorities.
    pub(crate) fn tls(&self) -> &TlsTable {
        &self.edition.tls
    }

    /// What a listener besides the main one is for.
    pub(crate) fn entry(&self, bind: SocketAddr) -> Entry {
        if self.edition.state.tls.listen.contains(&bind) {
            return Entry::Secure;
        }
        Entry::HostPort(RefCell::new(self.port_role(bind)))
    }

    /// What a host port is for.
    fn port_role(&self, bind: SocketAddr) -> PortRole {
        let named = |port: &&HostPort| port.bind == bind;
        let Some(port) = self.edition.state.host_ports.iter().find(named) else {
            return PortRole { protocol: HostPortProtocol::Http, app: None };
        };
        let app = self.apps.iter().find(|app| app.name == port.app).cloned();
        PortRole { protocol: port.protocol, app }
    }
}

impl Worker {
    /// Serves the edition from now on. Requests in flight are not touched; waiting ones look again.
    pub(super) fn install(&self, edition: &Arc<Edition>) {
        let mut before = std::mem::take(&mut *self.apps.borrow_mut());
        let mut living = self.living_upstreams();
        let mut apps = Vec::with_capacity(edition.state.services.len());
        for (service, counters) in edition.state.services.iter().zip(&edition.counters) {
            let app = before.remove(&service.app);
            let app = app.unwrap_or_else(|| App::new(service.app.clone(), Arc::clone(counters), self.index));
            app.set_service(Some(serve(&app, service, &mut living)));
            app.set_gate(service.gate);
            apps.push(app);
        }
        for gone in before.values() {
            gone.set_service(None);
        }
        let named: Vec<Rc<Upstream>> = apps
            .iter()
            .filter_map(|app| app.service())
            .flat_map(|service| service.backends.clone())
            .collect();
        for upstream in living.iter().filter(|upstream| !named.iter().any(|kept| Rc::ptr_eq(kept, upstream)))
        {
            upstream.retire();
        }
        *self.upstreams.borrow_mut() = living.iter().map(Rc::downgrade).collect();
        self.swap(edition, apps, &before);
    }

    fn swap(&self, edition: &Arc<Edition>, apps: Vec<Rc<App>>, gone: &HashMap<AppName, Rc<App>>) {
        *self.apps.borrow_mut() = apps.iter().map(|app| (app.name.clone(), Rc::clone(app))).collect();
        let table = Rc::new(Table { edition: Arc::clone(edition), apps });
        for (bind, Listening { entry, .. }) in &*self.ports.borrow() {
            if let Entry::HostPort(role) = &**entry {
                *role.borrow_mut() = table.port_role(*bind);
            }
        }
        for app in table.apps.iter().chain(gone.values()) {
            app.wake();
        }
        *self.table.borrow_mut() = table;
    }

    /// Where visitors find TLS: none while nobody listens there.
    pub(crate) fn tls_port(&self) -> Option<u16> {
        let (table, open) = (self.table(), self.ports.borrow());
        let listen = &table.edition.state.tls.listen;
        listen.iter().find(|bind| open.contains_key(bind)).map(SocketAddr::port)
    }

    /// All units that a table names or a request is in flight on.
    fn living_upstreams(&self) -> Vec<Rc<Upstream>> {
        self.upstreams.borrow().iter().filter_map(Weak::upgrade).collect()
    }
}

/// A unit that stays at its address keeps its connections and its count.
fn serve(app: &App, service: &ServiceState, living: &mut Vec<Rc<Upstream>>) -> Rc<Service> {
    let mut upstream = |backend: &Backend| {
        let same =
            |u: &&Rc<Upstream>| u.unit == backend.unit && u.address == backend.address && !u.is_retired();
        if let Some(known) = living.iter().find(same) {
            return Rc::clone(known);
        }
        let traffic = app.release(backend.unit.release());
        let new = Upstream::new(backend, traffic);
        living.push(Rc::clone(&new));
        new
    };
    let backends = service.backends.iter().map(&mut upstream).collect();
    let terms = Terms {
        limits: service.limits.clone(),
        rules: Some(&service.rules).filter(|rules| !rules.is_empty()).cloned(),
        tls: Secured::of(&service.tls),
    };
    let traffic = app.release(&service.release);
    Service::new(
        service.availability.clone(),
        terms,
        Pool { backends, split: service.split.clone() },
        traffic,
        app.meters(&service.limits),
    )
}
