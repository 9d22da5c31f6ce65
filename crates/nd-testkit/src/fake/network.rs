//! Where fake units listen.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::time::Instant;

/// Who listens where. Clones are the same network.
#[derive(Clone, Debug, Default)]
pub struct FakeNetwork {
    listeners: Arc<Mutex<BTreeMap<SocketAddr, Listener>>>,
}

#[derive(Clone, Copy, Debug)]
struct Listener {
    from: Instant,
    answer: Answer,
}

/// How a listener answers HTTP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// With this status.
    Http(u16),
    /// It accepts the connection and says nothing.
    Silent,
    /// With something that is not HTTP.
    Raw,
}

impl FakeNetwork {
    /// Listens at `address` from some moment on.
    pub fn listen(&self, address: SocketAddr, from: Instant, answer: Answer) {
        self.listeners.lock().insert(address, Listener { from, answer });
    }

    /// Stops listening.
    pub fn close(&self, address: SocketAddr) {
        self.listeners.lock().remove(&address);
    }

    /// What a connection to `address` would meet now; `None` is refused.
    #[must_use]
    pub fn answer(&self, address: SocketAddr) -> Option<Answer> {
        let listeners = self.listeners.lock();
        listeners.get(&address).filter(|listener| listener.from <= Instant::now()).map(|found| found.answer)
    }
}
