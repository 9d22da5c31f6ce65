//! Which host ports are open: opened and closed as states name them, without touching the others.

use std::collections::HashSet;
use std::net::{SocketAddr, TcpListener};

use nd_types::{AppName, HostPort};

use crate::net::bind::bind_set;

/// A host port that could not be opened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BindFault {
    /// Where it should listen.
    pub bind: SocketAddr,
    /// Whose port it is.
    pub app: AppName,
    /// Why not, and who has it where the system tells.
    pub error: String,
}

/// The open host ports.
#[derive(Debug)]
pub(crate) struct HostPorts {
    open: HashSet<SocketAddr>,
    workers: usize,
}

impl HostPorts {
    pub(crate) fn new(workers: usize) -> Self {
        Self { open: HashSet::new(), workers }
    }

    /// Binds what is wanted and not open yet: one socket for each worker.
    pub(crate) fn open(
        &mut self,
        wanted: &[HostPort],
    ) -> (Vec<(SocketAddr, Vec<TcpListener>)>, Vec<BindFault>) {
        let (mut opened, mut faults) = (Vec::new(), Vec::new());
        for port in wanted {
            if self.open.contains(&port.bind) {
                continue;
            }
            match bind_set(port.bind, self.workers) {
                Ok(listeners) => {
                    self.open.insert(port.bind);
                    opened.push((port.bind, listeners));
                }
                Err(error) => {
                    let (bind, app, error) = (port.bind, port.app.clone(), error.to_string());
                    faults.push(BindFault { bind, app, error });
                }
            }
        }
        (opened, faults)
    }

    /// Forgets what is open and not wanted; returns what must be closed.
    pub(crate) fn close(&mut self, wanted: &[HostPort]) -> Vec<SocketAddr> {
        let wanted: HashSet<SocketAddr> = wanted.iter().map(|port| port.bind).collect();
        let gone: Vec<SocketAddr> = self.open.difference(&wanted).copied().collect();
        self.open.retain(|bind| wanted.contains(bind));
        gone
    }
}
