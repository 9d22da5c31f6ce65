//! The way to the worker, for the engine's handle.

use std::sync::Arc;

use nd_types::{HostPattern, KeyPem};
use parking_lot::Mutex;
use tokio::sync::{mpsc, oneshot, watch};

use super::CertSettings;
use super::status::CertStatus;
use crate::ports::{PortResult, RevocationReason};
use crate::records::CertRecord;

/// Commands that may wait.
const COMMANDS: usize = 32;

/// Both ends of the worker's mailbox, and what it has to say.
pub(crate) struct CertDesk {
    pub(crate) settings: CertSettings,
    pub(crate) commands: mpsc::Sender<Command>,
    /// Held by the worker, one after the other.
    pub(super) waiting: tokio::sync::Mutex<mpsc::Receiver<Command>>,
    pub(crate) statuses: watch::Sender<Arc<Vec<CertStatus>>>,
    /// As the worker knows them; it begins with what was stored.
    pub(super) records: Mutex<Vec<CertRecord>>,
}

/// What somebody wants done.
pub(crate) enum Command {
    /// Get a new certificate now, whenever the next one would be due.
    Renew { name: HostPattern, reply: Reply },
    /// Serve what somebody brings.
    Import { chain: String, key: KeyPem, reply: Reply },
    /// Forget a certificate; it is revoked first where a reason is given.
    Remove { name: HostPattern, revoke: Option<RevocationReason>, reply: Reply },
}

/// How it went.
pub(crate) type Reply = oneshot::Sender<PortResult<CertStatus>>;

/// A desk at which nobody works yet.
pub(crate) fn open(settings: CertSettings, records: Vec<CertRecord>) -> CertDesk {
    let (commands, waiting) = mpsc::channel(COMMANDS);
    CertDesk {
        settings,
        commands,
        waiting: tokio::sync::Mutex::new(waiting),
        statuses: watch::Sender::new(Arc::default()),
        records: Mutex::new(records),
    }
}
