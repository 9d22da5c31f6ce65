//! Gathering what a unit last said.

use std::time::Duration;

use nd_types::UnitId;
use tokio_stream::StreamExt;

use crate::ports::{LogCursor, Runtime};

/// Lines kept for the user.
const LINES: usize = 20;

/// How long the output may be silent until it counts as complete, and how long reading it may take in all: the answer
/// is promised within a second of the unit's end.
const SILENCE: Duration = Duration::from_millis(150);
const LIMIT: Duration = Duration::from_millis(600);

/// The last lines a unit wrote, oldest first; empty when they cannot be read in time.
pub(super) async fn last_lines(runtime: &dyn Runtime, unit: &UnitId) -> Vec<String> {
    let mut lines = Vec::new();
    let read = async {
        let Ok(mut pieces) = runtime.logs(unit, LogCursor::Tail(LINES)).await else { return };
        while let Ok(Some(Ok(piece))) = tokio::time::timeout(SILENCE, pieces.next()).await {
            lines.push(String::from_utf8_lossy(&piece.line).into_owned());
        }
    };
    // What was read until then is still worth showing.
    tokio::time::timeout(LIMIT, read).await.ok();
    lines.split_off(lines.len().saturating_sub(LINES))
}
