//! The supervisors that plain processes are taken from, as far as they are to be had here.

use std::path::Path;

use nd_e2e::Target;

use super::{Bench, step};
use crate::Result;

mod pm2;
mod systemd;

pub(super) use pm2::Pm2;
use systemd::Systemd;

/// A supervisor that keeps the test application running, with the quickest restart it has.
pub(super) trait Peer {
    fn name(&self) -> &'static str;

    /// Starts the test application and waits until it answers; gives where.
    fn start(&self, app: &str, program: &Path) -> Result<Target>;

    fn stop(&self, app: &str) -> Result;
}

/// All that are to be had; why another one is not is said.
pub(super) fn find(bench: &Bench) -> Vec<Box<dyn Peer>> {
    let mut peers: Vec<Box<dyn Peer>> = Vec::new();
    if let Some(pm2) = pm2(bench) {
        peers.push(Box::new(pm2));
    }
    match Systemd::find() {
        Ok(systemd) => peers.push(Box::new(systemd)),
        Err(error) => step(&format!("the figures beside systemd are left out: {error}")),
    }
    peers
}

/// A PM2 of one's own; says why there is none.
pub(super) fn pm2(bench: &Bench) -> Option<Pm2> {
    let found = crate::pm2::provide(&bench.workspace).and_then(|folder| Pm2::start(&folder));
    found.inspect_err(|error| step(&format!("the figures beside PM2 are left out: {error}"))).ok()
}
