//! The shim's end of the spool.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use nd_core::ports::OutputStream;
use nd_types::Timestamp;

use super::frame::{HEADER, Header};
use super::segments;

/// Lines are gathered up to this size before they are written.
const BATCH: usize = 64 << 10;

/// Appends lines to a unit's spool.
///
/// Times grow strictly from line to line, across restarts of the shim and steps of the host's clock, so that a reader
/// can go on after any of them. When the disk is full, lines are dropped and counted; once there is room again, a line
/// says how many.
#[derive(Debug)]
pub(crate) struct SpoolWriter {
    dir: PathBuf,
    segment_bytes: u64,
    number: u64,
    file: File,
    written: u64,
    last_nanos: u64,
    batch: Vec<u8>,
    batched: u64,
    dropped: u64,
}

impl SpoolWriter {
    /// Opens the spool in `dir`, which must exist; a torn last record is cut off.
    ///
    /// # Errors
    /// When the segment cannot be opened, read or cut.
    pub(crate) fn open(dir: &Path, segment_bytes: u64) -> io::Result<Self> {
        let number = segments(dir)?.last().copied().unwrap_or(1);
        let mut file = open_segment(dir, number)?;
        let (written, last_nanos) = whole_records(&mut file)?;
        file.set_len(written)?;
        Ok(Self {
            dir: dir.to_owned(),
            segment_bytes,
            number,
            file,
            written,
            last_nanos,
            batch: Vec::new(),
            batched: 0,
            dropped: 0,
        })
    }

    /// Adds a line; it is on disk after the next [`SpoolWriter::flush`] at the latest.
    pub(crate) fn line(&mut self, stream: OutputStream, line: &[u8]) {
        let now = u64::try_from(Timestamp::now().as_nanosecond()).unwrap_or(0);
        self.last_nanos = now.max(self.last_nanos.saturating_add(1));
        let header = Header { stream, length: line.len(), nanos: self.last_nanos };
        self.batch.extend_from_slice(&header.encode());
        self.batch.extend_from_slice(line);
        self.batched += 1;
        if self.batch.len() >= BATCH {
            self.flush();
        }
    }

    /// Writes what was gathered. A failure drops those lines: the unit must not wait for a full disk.
    pub(crate) fn flush(&mut self) {
        if self.batch.is_empty() {
            return;
        }
        match self.write_batch() {
            Ok(()) if self.dropped > 0 => {
                let text =
                    format!("nextdeploy: {} lines of output were lost: the disk was full", self.dropped);
                self.dropped = 0;
                self.clear_batch();
                self.line(OutputStream::Stderr, text.as_bytes());
                self.flush();
            }
            Ok(()) => self.clear_batch(),
            Err(_) => {
                self.dropped += self.batched;
                self.clear_batch();
                // Half a record would hide all that follow it.
                self.file.set_len(self.written).ok();
            }
        }
    }

    fn write_batch(&mut self) -> io::Result<()> {
        if self.written >= self.segment_bytes {
            self.rotate()?;
        }
        self.file.write_all(&self.batch)?;
        self.written += self.batch.len() as u64;
        Ok(())
    }

    fn rotate(&mut self) -> io::Result<()> {
        let next = self.number + 1;
        self.file = open_segment(&self.dir, next)?;
        self.number = next;
        self.written = 0;
        for old in segments(&self.dir)?.into_iter().filter(|number| number + 1 < next) {
            fs::remove_file(self.dir.join(old.to_string()))?;
        }
        Ok(())
    }

    fn clear_batch(&mut self) {
        self.batched = 0;
        self.batch.clear();
        if self.batch.capacity() > 2 * BATCH {
            self.batch = Vec::new();
        }
    }
}

fn open_segment(dir: &Path, number: u64) -> io::Result<File> {
    let path = dir.join(number.to_string());
    OpenOptions::new().read(true).append(true).create(true).mode(0o600).open(path)
}

/// The length of all whole records from the beginning of `file`, and the time of the last one.
fn whole_records(file: &mut File) -> io::Result<(u64, u64)> {
    let size = file.metadata()?.len();
    let mut reader = io::BufReader::with_capacity(32 << 10, file);
    let (mut end, mut nanos) = (0, 0);
    loop {
        let mut head = [0; HEADER];
        match reader.read_exact(&mut head) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => break,
            Err(error) => return Err(error),
        }
        let Some(header) = Header::decode(&head) else { break };
        let next = end + header.record() as u64;
        if next > size {
            break;
        }
        reader.seek_relative(i64::try_from(header.length).unwrap_or(0))?;
        (end, nanos) = (next, header.nanos);
    }
    reader.into_inner().seek(SeekFrom::End(0))?;
    Ok((end, nanos))
}

#[cfg(test)]
mod tests {
    use super::super::frame::{self, Record};
    use super::*;

    fn records(dir: &Path) -> Vec<(u64, Vec<u8>)> {
        let mut found = Vec::new();
        for number in segments(dir).unwrap() {
            let bytes = fs::read(dir.join(number.to_string())).unwrap();
            let mut rest = bytes.as_slice();
            while let Record::Whole(header, line) = frame::first(rest) {
                found.push((header.nanos, line.to_vec()));
                rest = rest.get(header.record()..).unwrap();
            }
            assert!(rest.is_empty(), "a torn record in the middle");
        }
        found
    }

    #[test]
    fn a_torn_record_is_cut_off_and_times_go_on_growing() {
        let dir = tempfile::tempdir().unwrap();
        let mut spool = SpoolWriter::open(dir.path(), 1 << 20).unwrap();
        spool.line(OutputStream::Stdout, b"one");
        spool.flush();
        let ahead = Header { stream: OutputStream::Stdout, length: 3, nanos: u64::MAX / 2 };
        let mut file = open_segment(dir.path(), 1).unwrap();
        file.write_all(&ahead.encode()).unwrap();
        file.write_all(b"two").unwrap();
        file.write_all(&ahead.encode()[..9]).unwrap();

        let mut spool = SpoolWriter::open(dir.path(), 1 << 20).unwrap();
        spool.line(OutputStream::Stdout, b"three");
        spool.flush();
        let records = records(dir.path());
        assert_eq!(
            records.iter().map(|(_, line)| line.as_slice()).collect::<Vec<_>>(),
            [&b"one"[..], b"two", b"three"]
        );
        assert_eq!(records.last().unwrap().0, u64::MAX / 2 + 1);
    }

    #[test]
    fn the_spool_stays_within_two_segments() {
        let dir = tempfile::tempdir().unwrap();
        let mut spool = SpoolWriter::open(dir.path(), 4096).unwrap();
        for number in 0..2000 {
            spool.line(OutputStream::Stdout, format!("line {number}").as_bytes());
            spool.flush();
        }
        assert_eq!(segments(dir.path()).unwrap().len(), 2);
        let records = records(dir.path());
        assert_eq!(records.last().unwrap().1, b"line 1999");
        assert!(records.is_sorted_by(|(earlier, _), (later, _)| earlier < later));
        let bytes: u64 =
            fs::read_dir(dir.path()).unwrap().map(|f| f.unwrap().metadata().unwrap().len()).sum();
        assert!(bytes < 2 * 4096 + 200, "{bytes} bytes");
    }
}
