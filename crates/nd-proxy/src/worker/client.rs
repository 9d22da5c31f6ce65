//! Who is at the other end of a client's connection, and where it came in: the same for all of its requests.

use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;

use nd_types::ServiceTls;

use super::Worker;
use super::entry::Entry;
use super::greeting::Arrival;
use super::plan::Origin;
use crate::http1::forward::PeerText;
use crate::trust::Trust;

/// A client. Clones are the same one.
#[derive(Clone)]
pub(crate) struct Client {
    pub(crate) worker: Rc<Worker>,
    entry: Rc<Entry>,
    peer: Rc<Peer>,
    trust: Trust,
    is_http2: bool,
    /// A balancer has said that it has taken off its TLS.
    is_behind_tls: bool,
    /// What is known of it by its handshake.
    tls: Option<Rc<Introduced>>,
}

/// What a handshake has said about a client.
#[derive(Debug)]
pub(crate) struct Introduced {
    /// The name it asked for.
    pub(crate) name: Option<Box<str>>,
    /// Whose authorities have issued the certificate that it has shown, if it has shown one.
    pub(crate) verified_for: Option<Arc<ServiceTls>>,
}

/// What all streams of a connection share.
struct Peer {
    text: PeerText,
    /// Its lot, once it was dealt one.
    lot: Cell<Option<u8>>,
}

impl Client {
    pub(crate) fn new(worker: &Rc<Worker>, entry: &Rc<Entry>, arrival: Arrival) -> Self {
        let Arrival { address: peer, is_tls: is_behind_tls } = arrival;
        let trust = worker.settings.trust(peer);
        let (worker, entry) = (Rc::clone(worker), Rc::clone(entry));
        let peer = Rc::new(Peer { text: PeerText::new(peer), lot: Cell::new(None) });
        Self { worker, entry, peer, trust, is_http2: false, is_behind_tls, tls: None }
    }

    /// The same client, whose requests are streams of HTTP/2.
    pub(crate) fn over_http2(self) -> Self {
        Self { is_http2: true, ..self }
    }

    /// The same client, behind a handshake.
    pub(crate) fn over_tls(self, introduced: Introduced) -> Self {
        Self { tls: Some(Rc::new(introduced)), ..self }
    }

    /// Its address.
    pub(crate) fn peer(&self) -> &str {
        self.peer.text.ip()
    }

    /// What a request says about where it comes from.
    pub(crate) fn origin(&self) -> Origin<'_> {
        let Peer { text: peer, lot } = &*self.peer;
        let (trust, is_http2, tls) = (self.trust, self.is_http2, self.tls.as_deref());
        Origin { entry: &self.entry, peer, lot, trust, is_http2, is_behind_tls: self.is_behind_tls, tls }
    }
}

impl Introduced {
    /// The authorities that have issued its certificate, as they were given to us; none for a client without one.
    pub(crate) fn authorities(&self) -> Option<&str> {
        self.verified_for.as_ref()?.client_ca.as_deref()
    }
}
