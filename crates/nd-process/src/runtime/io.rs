//! What comes out of units, and what can be done beside them.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures_util::stream;
use nd_core::ports::{
    ExecOutcome, HintStream, LogCursor, LogPiece, LogPieces, PortResult, Socket, UnitIo, UnitStats,
};
use nd_proc::Process;
use nd_supervise::blocking;
use nd_types::UnitId;
use tokio::sync::watch;

use super::shims::not_executed;
use super::{Inner, ProcessRuntime};
use crate::error::ProcessError;
use crate::launch;
use crate::sockets;
use crate::spool::SpoolReader;

impl Inner {
    /// The shim of a running unit; its processes are those below it.
    async fn running_shim(self: &Arc<Self>, unit: &UnitId) -> Result<Option<u32>, ProcessError> {
        let record = self.record(unit).await?;
        let status = self.status(&record).await?;
        Ok(status.filter(|status| status.phase.is_running()).map(|status| status.shim))
    }

    async fn logs(self: &Arc<Self>, unit: &UnitId, cursor: LogCursor) -> Result<LogPieces, ProcessError> {
        self.record(unit).await?;
        let dir = self.units.dir(unit).output();
        let failed = |error| ProcessError::file("follow the output in", dir.clone(), error);
        // Before the first read: what is written after it is seen as a change.
        let changed = self.changes.subscribe(&dir).map_err(failed)?;
        let opened = dir.clone();
        let reader =
            blocking("open output", move || SpoolReader::open(&opened, cursor)).await?.map_err(failed)?;
        let follow = Follow { reader: Some(reader), pieces: VecDeque::new(), changed, over: false };
        Ok(Box::pin(stream::try_unfold(follow, |mut follow| async move {
            let piece = follow.next().await?;
            Ok(piece.map(|piece| (piece, follow)))
        })))
    }

    async fn stats(self: &Arc<Self>, unit: &UnitId) -> Result<UnitStats, ProcessError> {
        let memory_limit_bytes = self.record(unit).await?.limits.memory_bytes;
        let Some(shim) = self.running_shim(unit).await? else { return Ok(UnitStats::default()) };
        let tree = self.tree(unit, shim).await?;
        Ok(UnitStats {
            cpu: tree.iter().map(|process| process.cpu).sum(),
            memory_bytes: tree.iter().map(|process| process.resident).sum(),
            memory_limit_bytes,
            processes: u32::try_from(tree.iter().filter(|process| !process.zombie).count())
                .unwrap_or(u32::MAX),
            received_bytes: None,
            sent_bytes: None,
        })
    }

    async fn tree(self: &Arc<Self>, unit: &UnitId, shim: u32) -> Result<Vec<Process>, ProcessError> {
        blocking("look at processes", move || nd_proc::glance(shim)).await?.map_err(|source| {
            ProcessError::Shim { what: "look at the processes", unit: unit.clone(), source }
        })
    }

    async fn exec(
        self: &Arc<Self>,
        unit: &UnitId,
        argv: &[String],
        deadline: Duration,
    ) -> Result<ExecOutcome, ProcessError> {
        if self.running_shim(unit).await?.is_none() {
            return Err(ProcessError::NotRunning(unit.clone()));
        }
        let (record, argv) = (self.record(unit).await?, argv.to_vec());
        let found = blocking("find a program", move || {
            let launch = launch::of_record(&record, &argv);
            launch.map(|launch| (record, launch))
        });
        match found.await? {
            Ok((record, launch)) => self.shims.exec(&record, launch, deadline).await,
            // As a shell in a container would answer.
            Err(
                error @ (ProcessError::NotInPath { .. }
                | ProcessError::NoProgram { .. }
                | ProcessError::NotExecutable { .. }),
            ) => Ok(not_executed(&error.to_string())),
            Err(error) => Err(error),
        }
    }

    async fn listening(self: &Arc<Self>, unit: &UnitId) -> Result<Vec<Socket>, ProcessError> {
        let Some(shim) = self.running_shim(unit).await? else { return Ok(Vec::new()) };
        let pids: Vec<u32> = self.tree(unit, shim).await?.iter().map(|process| process.pid).collect();
        blocking("look at sockets", move || sockets::listening(&pids))
            .await?
            .map_err(|source| ProcessError::Shim { what: "look at the sockets", unit: unit.clone(), source })
    }

    async fn hints(self: &Arc<Self>) -> Result<HintStream, ProcessError> {
        // Before the units are listed: one that is started meanwhile is followed anyway.
        let hints = self.hints.subscribe();
        let inner = Arc::clone(self);
        let records = blocking("list units", move || inner.units.list(|_| true)).await??;
        for record in &records {
            self.hints.follow(&self.shims, record, false);
        }
        Ok(hints)
    }
}

/// A reader of one unit's output that waits for more.
struct Follow {
    /// Away only while it reads.
    reader: Option<SpoolReader>,
    pieces: VecDeque<LogPiece>,
    changed: watch::Receiver<()>,
    over: bool,
}

impl Follow {
    async fn next(&mut self) -> Result<Option<LogPiece>, ProcessError> {
        loop {
            if let Some(piece) = self.pieces.pop_front() {
                return Ok(Some(piece));
            }
            self.changed.mark_unchanged();
            self.read().await?;
            if !self.pieces.is_empty() {
                continue;
            }
            if self.over {
                return Ok(None);
            }
            // Closed when the unit was removed; what was written last can still be read from the open file.
            self.over = self.changed.changed().await.is_err();
        }
    }

    async fn read(&mut self) -> Result<(), ProcessError> {
        let Some(mut reader) = self.reader.take() else { return Ok(()) };
        let (reader, pieces) = blocking("read output", move || {
            let pieces = reader.read();
            (reader, pieces)
        })
        .await?;
        self.reader = Some(reader);
        self.pieces =
            pieces.map_err(|error| ProcessError::file("read", "the output of a unit", error))?.into();
        Ok(())
    }
}

#[async_trait]
impl UnitIo for ProcessRuntime {
    async fn logs(&self, unit: &UnitId, cursor: LogCursor) -> PortResult<LogPieces> {
        Ok(self.inner.logs(unit, cursor).await?)
    }

    async fn stats(&self, unit: &UnitId) -> PortResult<UnitStats> {
        Ok(self.inner.stats(unit).await?)
    }

    async fn exec(&self, unit: &UnitId, argv: &[String], deadline: Duration) -> PortResult<ExecOutcome> {
        Ok(self.inner.exec(unit, argv, deadline).await?)
    }

    async fn listening(&self, unit: &UnitId) -> PortResult<Vec<Socket>> {
        Ok(self.inner.listening(unit).await?)
    }

    async fn hints(&self) -> PortResult<HintStream> {
        Ok(self.inner.hints().await?)
    }
}
