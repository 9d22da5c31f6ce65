//! The lines of one app: segments that grow, get sealed and are dropped.

use std::fs::{self, DirBuilder};
use std::io::{self, Write};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use jiff::civil::Date;
use nd_core::ports::LogEntry;

use crate::error::LogError;
use crate::segment::{self, Segment, found, private_file};
use crate::units::Units;

/// One app's directory. No file is held open: a host may run many apps on few descriptors.
#[derive(Debug)]
pub(crate) struct AppLog {
    dir: PathBuf,
    /// Oldest first, with their sizes on disk. Only the last one may be open.
    segments: Vec<(Segment, u64)>,
    units: Units,
}

impl AppLog {
    /// Takes over what is there, and repairs what a crash left behind.
    pub(crate) fn load(dir: &Path) -> Result<Self, LogError> {
        let failed = |source| LogError::file("read the logs in", dir, source);
        let segments = segment::list(dir).map_err(failed)?;
        let saved = Units::load(dir).map_err(failed)?;
        let complete = saved.is_some();
        let mut log = Self { units: saved.unwrap_or_default(), segments, dir: dir.to_owned() };
        let count = log.segments.len();
        for index in 0..count {
            log.take_over(index, index + 1 == count, complete).map_err(failed)?;
        }
        Ok(log)
    }

    /// An open segment tells what was not saved when the daemon ended; a sealed one is only read if nothing was saved.
    fn take_over(&mut self, index: usize, last: bool, saved: bool) -> io::Result<()> {
        let Some((segment, bytes)) = self.segments.get_mut(index) else { return Ok(()) };
        if !segment.sealed {
            segment.repair(&self.dir)?;
        }
        if (!segment.sealed || !saved)
            && let Some(content) = segment.read(&self.dir)?
        {
            self.units.note_all(&content);
            if !segment.sealed {
                *bytes = content.len() as u64;
            }
        }
        if !segment.sealed && !last {
            (*segment, *bytes) = segment.seal(&self.dir)?;
        }
        Ok(())
    }

    pub(crate) fn units(&self) -> &Units {
        &self.units
    }

    pub(crate) fn dir(&self) -> &Path {
        &self.dir
    }

    pub(crate) fn segments(&self) -> impl DoubleEndedIterator<Item = &Segment> {
        self.segments.iter().map(|(segment, _)| segment)
    }

    /// What it takes on disk.
    pub(crate) fn bytes(&self) -> u64 {
        self.segments.iter().map(|(_, bytes)| bytes).sum()
    }

    /// Adds `entries`, whose stored form is `text`: all of them or none. Answers whether a segment was sealed for that.
    pub(crate) fn append(
        &mut self,
        entries: &[LogEntry],
        text: &[u8],
        today: Date,
        limit: u64,
    ) -> Result<bool, LogError> {
        let fits = |(segment, bytes): &(Segment, u64)| {
            !segment.sealed && segment.day == today && (*bytes == 0 || bytes + text.len() as u64 <= limit)
        };
        let rolled = !self.segments.last().is_some_and(fits);
        if rolled {
            self.seal()?;
            let number = self.segments.last().map_or(1, |(segment, _)| segment.number + 1);
            self.segments.push((Segment { day: today, number, sealed: false }, 0));
        }
        let Some((open, bytes)) = self.segments.last_mut() else { return Ok(rolled) };
        let path = open.path(&self.dir);
        *bytes = write(&path, text).map_err(|source| LogError::file("write", &path, source))?;
        for entry in entries {
            self.units.note(entry.seq, &entry.unit, entry.at);
        }
        Ok(rolled)
    }

    /// Puts the open segment on disk; the sealed ones are.
    pub(crate) fn sync(&self) -> Result<(), LogError> {
        let Some((open, _)) = self.segments.last().filter(|(segment, _)| !segment.sealed) else {
            return Ok(());
        };
        let path = open.path(&self.dir);
        let synced = found(fs::File::open(&path).and_then(|file| file.sync_data()));
        synced.map(drop).map_err(|source| LogError::file("put on disk", &path, source))
    }

    /// Compresses the open segment, if there is one.
    fn seal(&mut self) -> Result<(), LogError> {
        let Some((open, bytes)) = self.segments.last_mut().filter(|(segment, _)| !segment.sealed) else {
            return Ok(());
        };
        let path = open.path(&self.dir);
        let failed = |source| LogError::file("compress", &path, source);
        // First what the segment tells, then the segment: after a crash between, the open one tells it again.
        make_dir(&self.dir).and_then(|()| self.units.save(&self.dir)).map_err(failed)?;
        match found(open.seal(&self.dir)).map_err(failed)? {
            Some(sealed) => (*open, *bytes) = sealed,
            // Somebody cleared the directory; there is nothing left to compress.
            None => drop(self.segments.pop()),
        }
        Ok(())
    }

    /// Drops the segments of days before `day`.
    pub(crate) fn drop_before(&mut self, day: Date) -> Result<(), LogError> {
        while let Some((oldest, _)) = self.segments.first().filter(|(segment, _)| segment.day < day) {
            remove(oldest, &self.dir)?;
            self.segments.remove(0);
        }
        Ok(())
    }

    /// Drops every segment and answers how many bytes they took. How far each unit was read stays known.
    pub(crate) fn clear(&mut self) -> Result<u64, LogError> {
        let freed = self.bytes();
        // First what the segments tell, then the segments: otherwise old output would be read again as if it were new.
        let saved = make_dir(&self.dir).and_then(|()| self.units.save(&self.dir));
        saved.map_err(|source| LogError::file("save how far units were read in", &self.dir, source))?;
        while !self.segments.is_empty() {
            self.drop_oldest()?;
        }
        Ok(freed)
    }

    /// The day of the oldest segment that may be dropped for its size.
    pub(crate) fn oldest_sealed(&self) -> Option<Date> {
        self.segments.first().filter(|(segment, _)| segment.sealed).map(|(segment, _)| segment.day)
    }

    pub(crate) fn drop_oldest(&mut self) -> Result<(), LogError> {
        if let Some((oldest, _)) = self.segments.first() {
            remove(oldest, &self.dir)?;
            self.segments.remove(0);
        }
        Ok(())
    }
}

/// Adds `text` to the file and answers its new length. If not all of it fits, none of it stays.
fn write(path: &Path, text: &[u8]) -> io::Result<u64> {
    let mut options = private_file();
    options.create(true).append(true);
    let mut file = match options.open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            make_dir(path.parent().unwrap_or(path))?;
            options.open(path)?
        }
        opened => opened?,
    };
    let before = file.metadata()?.len();
    if let Err(error) = file.write_all(text) {
        file.set_len(before)?;
        return Err(error);
    }
    Ok(before + text.len() as u64)
}

/// Makes a directory, and those above it, that only their owner may read.
pub(crate) fn make_dir(dir: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(dir)
}

fn remove(segment: &Segment, app_dir: &Path) -> Result<(), LogError> {
    let path = segment.path(app_dir);
    found(fs::remove_file(&path)).map_err(|source| LogError::file("remove", &path, source))?;
    if let Some(day) = path.parent() {
        // Only an empty directory goes; the others hold the day's later segments.
        fs::remove_dir(day).ok();
    }
    Ok(())
}
