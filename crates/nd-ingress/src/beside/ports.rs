//! What a server beside us cannot be asked for, because somebody else has it: host ports, and hosts of its user's own sites.
//! It would not take the whole table, or serve an app where the user serves something.

use std::io;
use std::net::{SocketAddr, TcpListener};

use nd_core::ports::BindFault;
use nd_types::{EdgeState, HostPort, HostPortProtocol};

use super::table::Host;

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
            Some(error) => faults.push(BindFault { bind: port.bind, app: Some(port.app.clone()), error }),
        }
    }
    (open, faults)
}

/// The hosts that the user has no site for, and what is to be said of the others.
pub(crate) fn unclaimed<'s>(
    hosts: Vec<Host<'s>>,
    sites: &[String],
    http: SocketAddr,
    kind: &str,
) -> (Vec<Host<'s>>, Vec<BindFault>) {
    let is_theirs = |host: &Host<'_>| sites.iter().any(|site| site == host.pattern.as_str());
    let (theirs, ours): (Vec<_>, Vec<_>) = hosts.into_iter().partition(is_theirs);
    let fault = |host: Host<'_>| {
        let app = host.paths.first()?.app.clone();
        let error =
            format!("{} is a site of {kind}'s own configuration, which is left as it is", host.pattern);
        Some(BindFault { bind: http, app: Some(app), error })
    };
    (ours, theirs.into_iter().filter_map(fault).collect())
}

fn fault(before: &EdgeState, port: &HostPort, kind: &str) -> Option<String> {
    if port.protocol == HostPortProtocol::Tcp {
        return Some(format!("{kind} carries requests only"));
    }
    if before.host_ports.iter().any(|held| held.bind == port.bind) {
        return None;
    }
    taken(port.bind)
}

/// Why nobody else could listen there now, if so.
pub(crate) fn taken(at: SocketAddr) -> Option<String> {
    // Only tried: the server may be allowed what we are not.
    match TcpListener::bind(at) {
        Err(error) if error.kind() != io::ErrorKind::PermissionDenied => Some(error.to_string()),
        _ => None,
    }
}
