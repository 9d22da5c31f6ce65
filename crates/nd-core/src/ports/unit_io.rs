//! What comes out of units, and what can be done inside them.

use std::net::IpAddr;
use std::num::NonZeroU16;
use std::pin::Pin;
use std::time::Duration;

use async_trait::async_trait;
use futures_util::Stream;
use nd_types::{ExitStatus, Timestamp, UnitId};

use super::error::PortResult;

/// Reads from units, looks at them and runs commands in them.
#[async_trait]
pub trait UnitIo: Send + Sync + 'static {
    /// What the unit writes to its outputs, from `cursor` on and then live, until the unit is removed.
    async fn logs(&self, unit: &UnitId, cursor: LogCursor) -> PortResult<LogPieces>;

    /// What the unit uses now.
    async fn stats(&self, unit: &UnitId) -> PortResult<UnitStats>;

    /// Runs a command inside the unit and waits for its end, at most `deadline`.
    async fn exec(&self, unit: &UnitId, argv: &[String], deadline: Duration) -> PortResult<ExecOutcome>;

    /// The TCP sockets that the unit's processes listen on, found without tools inside the unit.
    async fn listening(&self, unit: &UnitId) -> PortResult<Vec<Socket>>;

    /// What happens to units, as it happens. A hint may be lost or repeated: it only says "look now".
    async fn hints(&self) -> PortResult<HintStream>;
}

/// Where to go on reading a unit's output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogCursor {
    /// Everything that is still there.
    Start,
    /// Everything after this time.
    After(Timestamp),
    /// The last lines (of both outputs together), then live.
    Tail(usize),
}

/// A stream of output.
pub type LogPieces = Pin<Box<dyn Stream<Item = PortResult<LogPiece>> + Send>>;

/// One line of a unit's output.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogPiece {
    /// When it was written.
    pub at: Timestamp,
    /// Where it was written to.
    pub stream: OutputStream,
    /// The line without its line end; not necessarily UTF-8. Longer than 256 KiB is cut.
    pub line: Vec<u8>,
}

/// Where a line was written to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum OutputStream {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

/// What a unit uses, with everything it started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct UnitStats {
    /// CPU time used since its start.
    pub cpu: Duration,
    /// Memory in use, in bytes.
    pub memory_bytes: u64,
    /// Its memory limit in bytes, if there is one.
    pub memory_limit_bytes: Option<u64>,
    /// Processes.
    pub processes: u32,
    /// Bytes received, where the unit has a network of its own.
    pub received_bytes: Option<u64>,
    /// Bytes sent, where the unit has a network of its own.
    pub sent_bytes: Option<u64>,
}

/// How a command inside a unit ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExecOutcome {
    /// Its status.
    pub exit: ExitStatus,
    /// The first 64 KiB of both outputs.
    pub output: Vec<u8>,
}

/// A listening TCP socket of a unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Socket {
    /// The address it is bound to; unspecified means all.
    pub ip: IpAddr,
    /// Its port.
    pub port: NonZeroU16,
}

/// A stream of hints; its end means that the engine is gone.
pub type HintStream = Pin<Box<dyn Stream<Item = UnitHint> + Send>>;

/// Something happened to a unit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnitHint {
    /// The unit, when it is one of ours.
    pub unit: Option<UnitId>,
    /// What.
    pub kind: HintKind,
}

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HintKind {
    /// It started.
    Started,
    /// It ended.
    Died,
    /// The kernel killed something in it for memory.
    OutOfMemory,
    /// Its own health check changed.
    Health,
    /// It is gone.
    Removed,
    /// The engine came back or hints were lost: look at everything.
    Resync,
}
