//! Where the proxy listens.

use std::net::SocketAddr;

use nd_proxy::{Proxy, Settings, StartError};

use crate::options::Chosen;

/// The address when port 80 is not for this daemon.
const UNPRIVILEGED: ([u8; 4], u16) = ([127, 0, 0, 1], 8080);

/// Starts the proxy where it was asked for; otherwise where it may and can, and says what the user should know.
pub(crate) fn start(chosen: &Chosen, settings: Settings) -> Result<(Proxy, Vec<String>), StartError> {
    if let Some(http) = chosen.http {
        return Proxy::start(Settings { http, ..settings }).map(|proxy| (proxy, Vec::new()));
    }
    let mut notes = Vec::new();
    let mut wanted = vec![SocketAddr::from(UNPRIVILEGED), SocketAddr::from(([127, 0, 0, 1], 0))];
    if !chosen.dev {
        wanted.insert(0, SocketAddr::from(([0, 0, 0, 0], 80)));
    }
    let last = wanted.pop().unwrap_or_else(|| SocketAddr::from(([127, 0, 0, 1], 0)));
    for http in wanted {
        match Proxy::start(Settings { http, ..settings.clone() }) {
            Ok(proxy) => return Ok((proxy, notes)),
            Err(error) => notes.push(format!("the proxy does not listen on {http}: {error}")),
        }
    }
    Proxy::start(Settings { http: last, ..settings }).map(|proxy| (proxy, notes))
}
