//! Ctrl-C, for commands that do something else with it than end.

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
