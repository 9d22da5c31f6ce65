//! What containers write.

mod follow;
pub(crate) mod frames;
mod lines;
mod position;

use std::sync::Arc;

use futures_util::stream;
use nd_core::ports::{LogCursor, LogPieces, PortResult};
use nd_types::UnitId;

use crate::find;
use crate::runtime::Shared;
use follow::Follow;

/// The unit's output from `cursor` on, through all its runs, until its container is removed.
pub(crate) async fn logs(shared: &Arc<Shared>, unit: &UnitId, cursor: LogCursor) -> PortResult<LogPieces> {
    let found = find::unit(shared, unit).await?;
    let tty = found.inspected.config.as_ref().and_then(|config| config.tty).unwrap_or(false);
    let follow = Follow::new(Arc::clone(shared), found.id, tty, cursor);
    Ok(Box::pin(stream::unfold(follow, |mut follow| async move {
        let piece = follow.next().await?;
        Some((Ok(piece), follow))
    })))
}
