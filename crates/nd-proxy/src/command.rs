//! What a worker can be told.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

use nd_types::{AppName, UnitId};
use tokio::sync::oneshot;

use crate::edition::Edition;
use crate::worker::DrainReport;

/// One order; `done` is answered once it has been carried out.
#[derive(Debug)]
pub(crate) enum Command {
    /// Serve this table from now on.
    Install { edition: Arc<Edition>, done: oneshot::Sender<()> },
    /// Accept on a host port of the installed table.
    Listen { bind: SocketAddr, listener: TcpListener, done: oneshot::Sender<io::Result<()>> },
    /// Close a host port.
    Unlisten { bind: SocketAddr, done: oneshot::Sender<()> },
    /// Let an app's requests wait for at most `max`, or go on (`None`).
    Pause { app: AppName, max: Option<Duration>, done: oneshot::Sender<()> },
    /// Empty these units.
    Drain { units: Arc<[UnitId]>, patience: Duration, done: oneshot::Sender<DrainReport> },
    /// Finish what is in flight for at most `grace`, and end.
    End { how: Ending, grace: Duration },
}

/// How a worker ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    /// Nobody serves after it: clients hear so soon.
    Shutdown,
    /// Another process serves on the same sockets already: clients go over with their next request.
    Handover,
}
