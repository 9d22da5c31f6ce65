//! Which listeners besides the main one are open, for TLS and host ports: opened and closed as states name them, without
//! touching the others.

use std::collections::{HashMap, HashSet};
use std::io;
use std::net::{SocketAddr, TcpListener};

use nd_types::{AppName, EdgeState};

use crate::net::bind::BindError;
use crate::net::sockets::SocketSet;

/// A host port that could not be opened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BindFault {
    /// Where it should listen.
    pub bind: SocketAddr,
    /// Whose port it is; everybody's where TLS is spoken.
    pub app: Option<AppName>,
    /// Why not, and who has it where the system tells.
    pub error: String,
}

/// The open host ports.
#[derive(Debug)]
pub(crate) struct HostPorts {
    open: HashMap<SocketAddr, SocketSet>,
    /// Open already, by a process before this one; nobody has asked for them yet.
    inherited: HashMap<SocketAddr, SocketSet>,
    workers: usize,
}

impl HostPorts {
    pub(crate) fn new(workers: usize, inherited: Vec<SocketSet>) -> Self {
        // A set for another number of workers would have sockets that nobody accepts on.
        let inherited = inherited.into_iter().filter(|set| set.len() == workers);
        let inherited = inherited.map(|set| (set.address(), set)).collect();
        Self { open: HashMap::new(), inherited, workers }
    }

    /// What is open, to be handed on.
    pub(crate) fn all(&self) -> io::Result<Vec<SocketSet>> {
        self.open.values().map(SocketSet::try_clone).collect()
    }

    /// Binds what is wanted and not open yet: one socket for each worker.
    pub(crate) fn open(
        &mut self,
        wanted: &EdgeState,
    ) -> (Vec<(SocketAddr, Vec<TcpListener>)>, Vec<BindFault>) {
        let (mut opened, mut faults) = (Vec::new(), Vec::new());
        for (bind, app) in listeners(wanted) {
            if app.is_some() && wanted.tls.listen.contains(&bind) {
                let error = format!("listen on {bind}: TLS is spoken there for all apps");
                faults.push(BindFault { bind, app: app.cloned(), error });
                continue;
            }
            if self.open.contains_key(&bind) {
                continue;
            }
            match self.sockets(bind) {
                Ok((ours, listeners)) => {
                    self.open.insert(bind, ours);
                    opened.push((bind, listeners));
                }
                Err(error) => faults.push(BindFault { bind, app: app.cloned(), error: error.to_string() }),
            }
        }
        (opened, faults)
    }

    /// The sockets of an address twice: to keep, and to listen on.
    fn sockets(&mut self, bind: SocketAddr) -> Result<(SocketSet, Vec<TcpListener>), BindError> {
        let set = match self.inherited.remove(&bind) {
            Some(set) => set,
            None => SocketSet::bind(bind, self.workers)?,
        };
        let again = set.try_clone().map_err(|source| BindError { address: bind, holder: None, source })?;
        Ok((set, again.into_listeners()))
    }

    /// Forgets what is open and not wanted; returns what must be closed.
    pub(crate) fn close(&mut self, wanted: &EdgeState) -> Vec<SocketAddr> {
        let wanted: HashSet<SocketAddr> = listeners(wanted).map(|(bind, _)| bind).collect();
        let gone: Vec<SocketAddr> = self.open.keys().filter(|bind| !wanted.contains(bind)).copied().collect();
        self.open.retain(|bind, _| wanted.contains(bind));
        self.inherited.clear();
        gone
    }
}

/// Every address of a state besides the main one, and whose it is.
fn listeners(state: &EdgeState) -> impl Iterator<Item = (SocketAddr, Option<&AppName>)> {
    let tls = state.tls.listen.iter().map(|bind| (*bind, None));
    tls.chain(state.host_ports.iter().map(|port| (port.bind, Some(&port.app))))
}
