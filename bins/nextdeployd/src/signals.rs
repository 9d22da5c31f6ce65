//! Signals: SIGTERM and SIGINT end the daemon, SIGHUP makes it read its settings again.

use tokio::signal::unix::{Signal, SignalKind, signal};

/// What a signal asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Asked {
    /// End, because of this signal.
    End(&'static str),
    /// Read the settings again.
    Reload,
}

/// The signals the daemon listens to.
pub(crate) struct Signals {
    term: Signal,
    int: Signal,
    hup: Signal,
}

impl Signals {
    /// Begins to listen.
    pub(crate) fn new() -> std::io::Result<Self> {
        Ok(Self {
            term: signal(SignalKind::terminate())?,
            int: signal(SignalKind::interrupt())?,
            hup: signal(SignalKind::hangup())?,
        })
    }

    /// Waits for the next one.
    pub(crate) async fn next(&mut self) -> Asked {
        tokio::select! {
            _ = self.term.recv() => Asked::End("SIGTERM"),
            _ = self.int.recv() => Asked::End("SIGINT"),
            _ = self.hup.recv() => Asked::Reload,
        }
    }
}
