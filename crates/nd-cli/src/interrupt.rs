//! Signals, for commands that do something else with them than end at once.

use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::failure::Failure;

/// Presses of Ctrl-C from now on. One that comes while nobody waits is kept.
pub(crate) struct Interrupts(Signal);

impl Interrupts {
    /// Takes Ctrl-C over for the rest of the command.
    pub(crate) fn new() -> Result<Self, Failure> {
        let signal = signal(SignalKind::interrupt());
        signal.map(Self).map_err(|error| Failure::failed(format!("watch for Ctrl-C: {error}")))
    }

    /// Waits for the next press. Cancellation safe: no press is lost.
    pub(crate) async fn pressed(&mut self) {
        self.0.recv().await;
    }
}

/// Requests to end, of whoever closes the terminal or ends the process.
pub(crate) struct Ends([Signal; 2]);

impl Ends {
    /// Takes SIGTERM and SIGHUP over for the rest of the command, which leaves the terminal as it was.
    pub(crate) fn new() -> Result<Self, Failure> {
        let failed = |error| Failure::failed(format!("watch for the end of the terminal: {error}"));
        let [terminate, hangup] = [SignalKind::terminate(), SignalKind::hangup()].map(signal);
        Ok(Self([terminate.map_err(failed)?, hangup.map_err(failed)?]))
    }

    /// Waits for one. Cancellation safe: none is lost.
    pub(crate) async fn asked(&mut self) {
        let Self([terminate, hangup]) = self;
        tokio::select! {
            _ = terminate.recv() => {}
            _ = hangup.recv() => {}
        }
    }
}
