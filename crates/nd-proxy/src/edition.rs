//! One generation of the table, prepared once for all workers.

use std::sync::Arc;

use nd_types::EdgeState;

use crate::routes::RouteTable;
use crate::stats::{AppCounters, Stats};
use crate::tls::{Keys, TlsTable};

/// A state with what workers need to serve it.
#[derive(Debug, Default)]
pub(crate) struct Edition {
    pub(crate) state: Arc<EdgeState>,
    pub(crate) routes: RouteTable,
    pub(crate) tls: TlsTable,
    /// In the order of the state's services.
    pub(crate) counters: Vec<Arc<AppCounters>>,
}

impl Edition {
    pub(crate) fn new(state: Arc<EdgeState>, stats: &Stats, keys: &Keys) -> Self {
        let (routes, tls) = (RouteTable::new(&state), TlsTable::new(&state, keys));
        let counters = stats.keep_only(state.services.iter().map(|service| &service.app));
        Self { state, routes, tls, counters }
    }
}
