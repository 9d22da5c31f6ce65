//! Signals that would end the program in the middle of a picture.

use futures_util::stream::{self, SelectAll};
use futures_util::{Stream, StreamExt};
use tokio::signal::unix::{SignalKind, signal};

use crate::failure::Failure;

/// What a signal asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Asked {
    /// To end.
    End,
    /// To leave the terminal to the shell for a while.
    Suspend,
}

/// SIGTSTP (signal(7)), for which there is no name in tokio; it has this number on Linux, and 18 on the BSDs.
const SIGTSTP: i32 = if cfg!(target_os = "linux") { 20 } else { 18 };

/// Every signal that by default ends or stops a program, can be caught, and is not a mistake of the program itself.
pub(super) fn watch() -> Result<SelectAll<impl Stream<Item = Asked> + Unpin>, Failure> {
    let ends = [
        SignalKind::hangup(),
        SignalKind::interrupt(),
        SignalKind::quit(),
        SignalKind::terminate(),
        SignalKind::alarm(),
        SignalKind::user_defined1(),
        SignalKind::user_defined2(),
    ];
    let all = ends.map(|kind| (kind, Asked::End)).into_iter();
    let all = all.chain([(SignalKind::from_raw(SIGTSTP), Asked::Suspend)]);
    let streams = all.map(|(kind, asked)| {
        let mut signal =
            signal(kind).map_err(|error| Failure::failed(format!("watch for signals: {error}")))?;
        let presses = stream::poll_fn(move |context| signal.poll_recv(context));
        Ok(Box::pin(presses.map(move |()| asked)))
    });
    Ok(stream::select_all(streams.collect::<Result<Vec<_>, Failure>>()?))
}
