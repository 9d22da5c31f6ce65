//! Finding kept lines, from the newest back.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use nd_core::ports::{LogEntry, LogFilter};
use nd_types::Timestamp;

use crate::error::LogError;
use crate::line;
use crate::segment::Segment;

/// What there was to read at one moment.
#[derive(Debug, Default)]
pub(crate) struct View {
    /// The number of the newest line; later ones are not part of the view.
    pub(crate) last_seq: u64,
    /// The directory of each app, with its segments from the newest back.
    pub(crate) apps: Vec<(PathBuf, Vec<Segment>)>,
}

/// The last `limit` lines that pass `filter`, oldest first.
///
/// # Errors
/// [`LogError::Slow`] when that takes longer than `patience`.
pub(crate) fn newest(
    view: &View,
    filter: &LogFilter,
    limit: usize,
    patience: Duration,
) -> Result<Vec<LogEntry>, LogError> {
    let give_up = Instant::now() + patience;
    let mut found = Vec::new();
    for (dir, segments) in &view.apps {
        let mut of_app = Vec::new();
        for segment in segments {
            if of_app.len() >= limit || filter.since.is_some_and(|since| ended_before(segment, dir, since)) {
                break;
            }
            if Instant::now() > give_up {
                return Err(LogError::Slow { dir: dir.clone(), waited: patience });
            }
            read_back(segment, dir, view.last_seq, filter, limit, &mut of_app)?;
        }
        found.append(&mut of_app);
    }
    found.sort_unstable_by_key(|entry| entry.seq);
    found.drain(..found.len().saturating_sub(limit));
    Ok(found)
}

fn read_back(
    segment: &Segment,
    dir: &Path,
    last_seq: u64,
    filter: &LogFilter,
    limit: usize,
    found: &mut Vec<LogEntry>,
) -> Result<(), LogError> {
    let content = segment.read(dir).map_err(|source| LogError::file("read", &segment.path(dir), source))?;
    let content = content.unwrap_or_default();
    let lines = content.rsplit(|byte| *byte == b'\n').filter_map(line::read);
    let wanted = lines.filter(|entry| entry.seq <= last_seq && filter.admits(entry));
    found.extend(wanted.take(limit - found.len()));
    Ok(())
}

/// Whether nothing was written to the segment, nor to any before it, since that time.
fn ended_before(segment: &Segment, dir: &Path, since: Timestamp) -> bool {
    let modified = fs::metadata(segment.path(dir)).and_then(|file| file.modified());
    modified
        .ok()
        .and_then(|modified| Timestamp::try_from(modified).ok())
        .is_some_and(|modified| modified < since)
}
