//! Doors for `nd-fuzz`: what daemon and shim say to each other, and what an app writes. Each panics where a promise is
//! broken.

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::protocol::{Answer, ExecReport, Request, Status, Task, from_line, to_line};
use crate::spool::{Splitter, damaged_or_whole};

/// A line of the protocol is refused or understood; one that is understood is written again as the same one.
pub fn protocol(bytes: &[u8]) {
    understood::<Task>(bytes);
    understood::<Request>(bytes);
    understood::<Answer>(bytes);
    understood::<Status>(bytes);
    understood::<ExecReport>(bytes);
}

/// An app's output makes the same lines however its bytes arrive.
pub fn output(bytes: &[u8]) {
    let Some((piece, output)) = bytes.split_first() else { return };
    let cut = |piece: usize| {
        let (mut splitter, mut lines) = (Splitter::default(), Vec::new());
        for part in output.chunks(piece) {
            splitter.push(part, |line| lines.push(line.to_vec()));
        }
        splitter.finish(|line| lines.push(line.to_vec()));
        lines
    };
    assert_eq!(cut(usize::from(*piece).max(1)), cut(output.len().max(1)));
}

/// Whatever a spool holds, each of its records ends within it, or it is found damaged.
pub fn spool(bytes: &[u8]) {
    damaged_or_whole(bytes);
}

fn understood<T: Serialize + DeserializeOwned>(bytes: &[u8]) {
    let Ok(value) = from_line::<T>(bytes) else { return };
    let line = to_line(&value).unwrap_or_default();
    assert_eq!(line.iter().filter(|byte| **byte == b'\n').count(), 1, "a message is not one line");
    let again = from_line::<T>(&line).and_then(|again| to_line(&again));
    assert_eq!(again.ok(), Some(line), "a message changes on its way");
}
