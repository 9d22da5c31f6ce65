//! Host ports that a server beside us is to open: those that somebody else has would keep it from taking the whole table.

use std::io;
use std::net::TcpListener;

use nd_core::ports::BindFault;
use nd_types::{EdgeState, HostPort, HostPortProtocol};

/// The host ports that can be opened, and why the others cannot.
pub(crate) fn open<'s>(
    before: &EdgeState,
    state: &'s EdgeState,
    kind: &str,
) -> (Vec<&'s HostPort>, Vec<BindFault>) {
    let (mut open, mut faults) = (Vec::new(), Vec::new());
    for port in &state.host_ports {
        match fault(before, port, kind) {
            None => open.push(port),
            Some(error) => faults.push(BindFault { bind: port.bind, app: port.app.clone(), error }),
        }
    }
    (open, faults)
}

fn fault(before: &EdgeState, port: &HostPort, kind: &str) -> Option<String> {
    if port.protocol == HostPortProtocol::Tcp {
        return Some(format!("{kind} carries requests only"));
    }
    if before.host_ports.iter().any(|held| held.bind == port.bind) {
        return None;
    }
    // Only tried: the server may be allowed what we are not.
    match TcpListener::bind(port.bind) {
        Err(error) if error.kind() != io::ErrorKind::PermissionDenied => Some(error.to_string()),
        _ => None,
    }
}
