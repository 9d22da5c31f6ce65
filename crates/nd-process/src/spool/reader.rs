//! The daemon's end of the spool.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, VecDeque};
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use nd_core::ports::{LogCursor, LogPiece, OutputStream};

use super::frame::{self, MAX_LINE, Record};
use super::segments;

/// Read at once where lines are short; one that is longer is read with a buffer of its own size.
const CHUNK: usize = 64 << 10;

/// Reads a unit's spool from a place on, as far as it goes now; asked again later, it goes on from there.
///
/// Every call blocks on the disk: not for the runtime's threads.
#[derive(Debug)]
pub(crate) struct SpoolReader {
    dir: PathBuf,
    /// Lines up to this time are left out.
    after: Option<u64>,
    place: Place,
    /// Bytes that were removed before they were read, to be told before the next line.
    lost: u64,
    /// The segments from `place` on: open, they stay readable when shim or daemon remove them.
    files: BTreeMap<u64, File>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Place {
    segment: u64,
    offset: u64,
}

impl SpoolReader {
    /// A reader of the spool in `dir` that begins at `cursor`.
    ///
    /// # Errors
    /// When the spool cannot be read.
    pub(crate) fn open(dir: &Path, cursor: LogCursor) -> io::Result<Self> {
        let place = Place { segment: 0, offset: 0 };
        let mut reader = Self { dir: dir.to_owned(), after: None, place, lost: 0, files: BTreeMap::new() };
        reader.open_new()?;
        match cursor {
            LogCursor::Start => {}
            LogCursor::After(time) => reader.after = Some(u64::try_from(time.as_nanosecond()).unwrap_or(0)),
            LogCursor::Tail(lines) => reader.skip_to_last(lines)?,
        }
        Ok(reader)
    }

    /// The next lines, at most about [`CHUNK`] bytes of them; empty when there is nothing new.
    ///
    /// # Errors
    /// When the spool cannot be read; the same lines can be asked for again.
    pub(crate) fn read(&mut self) -> io::Result<Vec<LogPiece>> {
        let after = self.after;
        loop {
            let mut pieces = Vec::new();
            let mut lost = self.lost;
            let more = self.advance(|_, header, line| {
                if after.is_none_or(|after| header.nanos > after) {
                    pieces.extend((lost > 0).then(|| told(lost, header)).flatten());
                    pieces.extend(frame::piece(header, line));
                    lost = 0;
                }
            })?;
            if !pieces.is_empty() {
                self.lost = 0;
            }
            if !pieces.is_empty() || !more {
                return Ok(pieces);
            }
        }
    }

    /// Stands before the last `count` lines of what is there now.
    fn skip_to_last(&mut self, count: usize) -> io::Result<()> {
        let mut last: VecDeque<Place> = VecDeque::new();
        while self.advance(|place, _, _| {
            last.push_back(place);
            if last.len() > count {
                last.pop_front();
            }
        })? {}
        if let Some(place) = last.front() {
            self.place = *place;
            self.open_new()?;
        }
        Ok(())
    }

    /// Shows the records of one chunk to `each`; false when there was none and none can be expected yet.
    fn advance(&mut self, mut each: impl FnMut(Place, frame::Header, &[u8])) -> io::Result<bool> {
        // Before the read: what the writer added to this segment, it added before it began the next.
        self.open_new()?;
        let next = self.files.range(self.place.segment + 1..).next().map(|(number, _)| *number);
        let mut size = CHUNK;
        loop {
            let chunk = self.chunk(size)?;
            let mut rest = chunk.as_slice();
            let begin = self.place.offset;
            let stop = loop {
                match frame::first(rest) {
                    Record::Whole(header, line) => {
                        each(self.place, header, line);
                        self.place.offset += header.record() as u64;
                        rest = rest.get(header.record()..).unwrap_or_default();
                    }
                    stop => break stop,
                }
            };
            if self.place.offset > begin {
                return Ok(true);
            }
            match stop {
                // A long line; its end may lie behind the chunk.
                Record::Part(needed) if chunk.len() == size && needed <= frame::HEADER + MAX_LINE => {
                    size = needed;
                }
                // The end of this segment, torn or damaged perhaps: go on with the next one if it has begun.
                _ => match next {
                    Some(segment) => {
                        let gone = segment - self.place.segment - 1;
                        let size = self.files.remove(&self.place.segment).map_or(0, |file| length(&file));
                        // The first place is none: a reader begins with whatever is there.
                        if self.place.segment > 0 {
                            self.lost += gone * size;
                        }
                        self.place = Place { segment, offset: 0 };
                        return Ok(true);
                    }
                    None => return Ok(false),
                },
            }
        }
    }

    /// Opens the segments that have come since the last time.
    fn open_new(&mut self) -> io::Result<()> {
        for number in segments(&self.dir)?.into_iter().filter(|number| *number >= self.place.segment) {
            if let Entry::Vacant(new) = self.files.entry(number) {
                match File::open(self.dir.join(number.to_string())) {
                    Ok(file) => drop(new.insert(file)),
                    // Removed since it was listed.
                    Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                    Err(error) => return Err(error),
                }
            }
        }
        Ok(())
    }

    /// Up to `size` bytes from the current place on.
    fn chunk(&self, size: usize) -> io::Result<Vec<u8>> {
        let Some(file) = self.files.get(&self.place.segment) else { return Ok(Vec::new()) };
        let mut chunk = vec![0; size];
        let mut filled = 0;
        while let Some(free) = chunk.get_mut(filled..).filter(|free| !free.is_empty()) {
            match file.read_at(free, self.place.offset + filled as u64) {
                Ok(0) => break,
                Ok(count) => filled += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        chunk.truncate(filled);
        Ok(chunk)
    }
}

/// What is said in the place of output that is gone; as old as the line that follows it, but for a moment.
fn told(bytes: u64, next: frame::Header) -> Option<LogPiece> {
    let header = frame::Header { stream: OutputStream::Stderr, nanos: next.nanos.saturating_sub(1), ..next };
    let text = format!("nextdeploy: about {bytes} bytes of output were lost here: written faster than read");
    frame::piece(header, text.as_bytes())
}

fn length(file: &File) -> u64 {
    file.metadata().map_or(0, |metadata| metadata.len())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::SpoolWriter;
    use super::*;

    fn write(spool: &mut SpoolWriter, lines: impl IntoIterator<Item = impl AsRef<[u8]>>) {
        for line in lines {
            spool.line(OutputStream::Stdout, line.as_ref());
        }
        spool.flush();
    }

    fn rest(reader: &mut SpoolReader) -> Vec<LogPiece> {
        let mut all = Vec::new();
        loop {
            let pieces = reader.read().unwrap();
            if pieces.is_empty() {
                return all;
            }
            all.extend(pieces);
        }
    }

    fn texts(pieces: &[LogPiece]) -> Vec<String> {
        pieces.iter().map(|piece| String::from_utf8_lossy(&piece.line).into_owned()).collect()
    }

    #[test]
    fn a_reader_goes_on_where_it_stopped_across_segments() {
        let dir = tempfile::tempdir().unwrap();
        let mut spool = SpoolWriter::open(dir.path(), 64).unwrap();
        let mut reader = SpoolReader::open(dir.path(), LogCursor::Start).unwrap();
        let mut found = Vec::new();
        for number in 0..50 {
            write(&mut spool, [format!("line {number}")]);
            found.extend(texts(&rest(&mut reader)));
        }
        assert_eq!(found, (0..50).map(|number| format!("line {number}")).collect::<Vec<_>>());
    }

    #[test]
    fn resuming_after_any_line_gives_exactly_the_later_ones() {
        let dir = tempfile::tempdir().unwrap();
        let mut spool = SpoolWriter::open(dir.path(), 200).unwrap();
        write(&mut spool, (0..8).map(|number| number.to_string()));
        write(&mut spool, (8..12).map(|number| number.to_string()));
        let all = rest(&mut SpoolReader::open(dir.path(), LogCursor::Start).unwrap());
        assert_eq!(all.len(), 12);
        for (index, piece) in all.iter().enumerate() {
            let mut reader = SpoolReader::open(dir.path(), LogCursor::After(piece.at)).unwrap();
            assert_eq!(rest(&mut reader), all.get(index + 1..).unwrap());
        }
    }

    #[test]
    fn a_tail_is_the_last_lines_and_what_comes_after() {
        let dir = tempfile::tempdir().unwrap();
        let mut spool = SpoolWriter::open(dir.path(), 100).unwrap();
        for number in 0..12 {
            write(&mut spool, [number.to_string()]);
        }
        let mut reader = SpoolReader::open(dir.path(), LogCursor::Tail(2)).unwrap();
        let mut none = SpoolReader::open(dir.path(), LogCursor::Tail(0)).unwrap();
        assert_eq!(texts(&rest(&mut reader)), ["10", "11"]);
        assert_eq!(texts(&rest(&mut none)), Vec::<String>::new());
        write(&mut spool, ["12"]);
        assert_eq!(texts(&rest(&mut reader)), ["12"]);
        assert_eq!(texts(&rest(&mut none)), ["12"]);
    }

    #[test]
    fn output_that_was_overtaken_is_counted_and_told_in_its_place() {
        let dir = tempfile::tempdir().unwrap();
        let mut spool = SpoolWriter::open(dir.path(), 100).unwrap();
        write(&mut spool, ["first"]);
        let mut reader = SpoolReader::open(dir.path(), LogCursor::Start).unwrap();
        assert_eq!(texts(&rest(&mut reader)), ["first"]);
        for number in 0..100 {
            write(&mut spool, [number.to_string()]);
        }
        let pieces = rest(&mut reader);
        let found = texts(&pieces);
        let told = found.iter().position(|line| line.starts_with("nextdeploy: about ")).unwrap();
        assert!(pieces.is_sorted_by_key(|piece| piece.at), "the times grow");
        let numbers: Vec<u32> = found.iter().filter_map(|line| line.parse().ok()).collect();
        assert_eq!(numbers.last(), Some(&99));
        assert!(numbers.windows(2).filter(|pair| pair[1] != pair[0] + 1).count() <= 1);
        assert_eq!(found.iter().filter(|line| line.starts_with("nextdeploy:")).count(), 1, "{told}");
        write(&mut spool, ["more"]);
        assert_eq!(texts(&rest(&mut reader)), ["more"], "told once");
    }

    #[test]
    fn a_line_of_the_greatest_length_is_read_whole() {
        let dir = tempfile::tempdir().unwrap();
        let mut spool = SpoolWriter::open(dir.path(), 8 << 20).unwrap();
        let long = vec![0xfe; MAX_LINE];
        write(&mut spool, [b"before".as_slice(), &long, b"after"]);
        let pieces = rest(&mut SpoolReader::open(dir.path(), LogCursor::Start).unwrap());
        assert_eq!(pieces.iter().map(|piece| piece.line.len()).collect::<Vec<_>>(), [6, MAX_LINE, 5]);
    }

    #[test]
    fn half_a_record_is_waited_for() {
        let dir = tempfile::tempdir().unwrap();
        let mut spool = SpoolWriter::open(dir.path(), 1 << 20).unwrap();
        write(&mut spool, ["one", "two"]);
        let path = dir.path().join("1");
        let whole = std::fs::read(&path).unwrap();
        for end in 0..whole.len() {
            std::fs::write(&path, whole.get(..end).unwrap()).unwrap();
            let mut reader = SpoolReader::open(dir.path(), LogCursor::Start).unwrap();
            let mut found = rest(&mut reader);
            std::fs::write(&path, &whole).unwrap();
            found.extend(rest(&mut reader));
            assert_eq!(texts(&found), ["one", "two"], "cut at {end}");
        }
    }

    proptest! {
        #[test]
        fn damage_never_makes_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let dir = tempfile::tempdir().unwrap();
            std::fs::write(dir.path().join("1"), &bytes).unwrap();
            rest(&mut SpoolReader::open(dir.path(), LogCursor::Start).unwrap());
            SpoolWriter::open(dir.path(), 100).unwrap();
        }
    }
}
