//! The output of a unit on disk: lines with their time and stream, in numbered segments of bounded size.
//!
//! `out/1`, `out/2`, … hold [records](frame) one after the other. The shim appends to the highest one, begins the next
//! when that is full, and keeps only the one before it. Readers go from segment to segment by number and never lock:
//! a record counts once it is there in full.

mod frame;
mod reader;
mod splitter;
mod writer;

use std::path::Path;
use std::{fs, io};

use frame::MAX_LINE;
pub(crate) use reader::SpoolReader;
pub(crate) use splitter::Splitter;
pub(crate) use writer::SpoolWriter;

/// The numbers of the segments in `dir`, ascending; none when it is gone.
///
/// # Errors
/// When the directory cannot be read.
fn segments(dir: &Path) -> io::Result<Vec<u64>> {
    let entries = match fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut numbers = Vec::new();
    for entry in entries {
        numbers.extend(entry?.file_name().to_str().and_then(|name| name.parse::<u64>().ok()));
    }
    numbers.sort_unstable();
    Ok(numbers)
}

/// Walks over records as a reader does, each of which must end within `bytes`.
#[cfg(feature = "fuzz")]
pub(crate) fn damaged_or_whole(mut bytes: &[u8]) {
    while let frame::Record::Whole(header, line) = frame::first(bytes) {
        assert!(line.len() == header.length && line.len() <= MAX_LINE, "a line is longer than its record");
        bytes = bytes.get(header.record()..).unwrap_or_default();
    }
}
