//! One file of lines: `<day>/<number>.ndjson` while it grows, `<day>/<number>.ndjson.zst` once it is sealed.

use std::ffi::OsStr;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use jiff::civil::Date;

const OPEN: &str = ".ndjson";
const SEALED: &str = ".ndjson.zst";

/// zstd's own default: about 10 times smaller at 300 MB/s.
const COMPRESSION: i32 = 3;

/// Which file of an app it is. Numbers grow over all days of an app.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Segment {
    pub(crate) day: Date,
    pub(crate) number: u64,
    pub(crate) sealed: bool,
}

impl Segment {
    pub(crate) fn path(&self, app_dir: &Path) -> PathBuf {
        let suffix = if self.sealed { SEALED } else { OPEN };
        app_dir.join(self.day.to_string()).join(format!("{}{suffix}", self.number))
    }

    /// Everything in it; `None` when it was removed meanwhile. One that was sealed meanwhile is found.
    pub(crate) fn read(&self, app_dir: &Path) -> io::Result<Option<Vec<u8>>> {
        if !self.sealed
            && let Some(content) = found(fs::read(self.path(app_dir)))?
        {
            return Ok(Some(content));
        }
        let sealed = Self { sealed: true, ..self.clone() };
        let path = sealed.path(app_dir);
        let Some(file) = found(File::open(&path))? else { return Ok(None) };
        let mut content = Vec::new();
        if let Err(error) = zstd::Decoder::new(file)?.read_to_end(&mut content) {
            // What stands before the damage is as good as ever, and must not hide the other segments.
            tracing::warn!(file = %path.display(), %error, "kept lines are damaged; those before the damage are shown");
        }
        Ok(Some(content))
    }

    /// Compresses it. At any moment either form is whole.
    pub(crate) fn seal(&self, app_dir: &Path) -> io::Result<(Self, u64)> {
        let open = self.path(app_dir);
        let sealed = Self { sealed: true, ..self.clone() };
        let unfinished = open.with_extension("ndjson.new");
        let bytes = match compress(&open, &unfinished) {
            Ok(bytes) => bytes,
            Err(error) => {
                // On a full disk it would take the space that it did not find.
                found(fs::remove_file(&unfinished))?;
                return Err(error);
            }
        };
        fs::rename(&unfinished, sealed.path(app_dir))?;
        fs::remove_file(&open)?;
        Ok((sealed, bytes))
    }

    /// Drops what stands after the last line end, which only a crash within a write leaves behind.
    pub(crate) fn repair(&self, app_dir: &Path) -> io::Result<()> {
        let mut file = OpenOptions::new().read(true).write(true).open(self.path(app_dir))?;
        let length = file.seek(SeekFrom::End(0))?;
        let mut end = length;
        let mut block = [0; 4096];
        while end > 0 {
            let start = end.saturating_sub(block.len() as u64);
            let part = block.get_mut(..usize::try_from(end - start).unwrap_or(0)).unwrap_or_default();
            file.seek(SeekFrom::Start(start))?;
            file.read_exact(part)?;
            if let Some(at) = part.iter().rposition(|byte| *byte == b'\n') {
                end = start + at as u64 + 1;
                break;
            }
            end = start;
        }
        if end < length { file.set_len(end) } else { Ok(()) }
    }
}

/// Writes the compressed form of a file, whole and on disk, and answers its size.
fn compress(from: &Path, to: &Path) -> io::Result<u64> {
    let target = private_file().create(true).truncate(true).write(true).open(to)?;
    zstd::stream::copy_encode(File::open(from)?, &target, COMPRESSION)?;
    target.sync_all()?;
    Ok(target.metadata()?.len())
}

/// The segments of an app and their sizes on disk, oldest first. What a crash left half done is removed.
pub(crate) fn list(app_dir: &Path) -> io::Result<Vec<(Segment, u64)>> {
    let mut segments: Vec<(Segment, u64)> = Vec::new();
    for day_dir in entries(app_dir)? {
        let Some(day) = day_dir.file_name().and_then(OsStr::to_str).and_then(|name| name.parse().ok()) else {
            continue;
        };
        for path in entries(&day_dir)? {
            let Some(name) = path.file_name().and_then(OsStr::to_str) else { continue };
            if name.ends_with(".new") {
                fs::remove_file(&path)?;
                continue;
            }
            let (number, sealed) = match (name.strip_suffix(SEALED), name.strip_suffix(OPEN)) {
                (Some(number), _) => (number, true),
                (_, Some(number)) => (number, false),
                _ => continue,
            };
            let Ok(number) = number.parse() else { continue };
            segments.push((Segment { day, number, sealed }, fs::metadata(&path)?.len()));
        }
    }
    // Sealed before open, so that an open file whose sealed form is whole is the duplicate.
    segments.sort_by_key(|(segment, _)| (segment.number, !segment.sealed));
    let mut kept: Vec<(Segment, u64)> = Vec::with_capacity(segments.len());
    for (segment, bytes) in segments {
        match kept.last() {
            Some((before, _)) if before.number == segment.number => fs::remove_file(segment.path(app_dir))?,
            _ => kept.push((segment, bytes)),
        }
    }
    Ok(kept)
}

/// Options for a file that only its owner may read.
pub(crate) fn private_file() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.mode(0o600);
    options
}

/// What a directory holds; nothing when it does not exist or is none.
fn entries(dir: &Path) -> io::Result<Vec<PathBuf>> {
    match fs::read_dir(dir) {
        Ok(entries) => entries.map(|entry| entry.map(|entry| entry.path())).collect(),
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            Ok(Vec::new())
        }
        Err(error) => Err(error),
    }
}

/// `None` for what does not exist.
pub(crate) fn found<T>(result: io::Result<T>) -> io::Result<Option<T>> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn segment(dir: &Path, number: u64, content: &[u8]) -> Segment {
        let segment = Segment { day: jiff::civil::date(2026, 11, 3), number, sealed: false };
        fs::create_dir_all(segment.path(dir).parent().unwrap()).unwrap();
        fs::write(segment.path(dir), content).unwrap();
        segment
    }

    #[test]
    fn a_torn_last_line_is_dropped() {
        let long = [b"a\n".as_slice(), &[b'x'; 10_000]].concat();
        for (content, kept) in
            [("", 0), ("a", 0), ("a\n", 2), ("a\nb", 2), (std::str::from_utf8(&long).unwrap(), 2)]
        {
            let dir = tempfile::tempdir().unwrap();
            let segment = segment(dir.path(), 1, content.as_bytes());
            segment.repair(dir.path()).unwrap();
            assert_eq!(segment.read(dir.path()).unwrap().unwrap().len(), kept);
        }
    }

    #[test]
    fn a_segment_that_is_sealed_while_somebody_looks_is_still_read() {
        let dir = tempfile::tempdir().unwrap();
        let open = segment(dir.path(), 1, b"a\nb\n");
        let (sealed, bytes) = open.seal(dir.path()).unwrap();
        assert_eq!(open.read(dir.path()).unwrap().unwrap(), b"a\nb\n");
        assert_eq!(list(dir.path()).unwrap(), [(sealed.clone(), bytes)]);
        fs::remove_file(sealed.path(dir.path())).unwrap();
        assert_eq!(open.read(dir.path()).unwrap(), None);
    }

    #[test]
    fn of_a_damaged_segment_what_stands_before_the_damage_is_read() {
        let dir = tempfile::tempdir().unwrap();
        let noise: Vec<u8> =
            (0..400_000_u64).flat_map(|n| n.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes()).collect();
        let (sealed, bytes) = segment(dir.path(), 1, &noise).seal(dir.path()).unwrap();
        let file = OpenOptions::new().write(true).open(sealed.path(dir.path())).unwrap();
        file.set_len(bytes / 2).unwrap();
        let read = sealed.read(dir.path()).unwrap().unwrap();
        assert!(!read.is_empty() && noise.starts_with(&read), "{} bytes", read.len());
    }

    #[test]
    fn what_a_crash_while_sealing_leaves_behind_is_removed() {
        let dir = tempfile::tempdir().unwrap();
        let first = segment(dir.path(), 1, b"a\n");
        let (sealed, _) = first.seal(dir.path()).unwrap();
        segment(dir.path(), 1, b"a\n");
        let second = segment(dir.path(), 2, b"b\n");
        fs::write(second.path(dir.path()).with_extension("ndjson.new"), b"half").unwrap();

        let listed: Vec<Segment> =
            list(dir.path()).unwrap().into_iter().map(|(segment, _)| segment).collect();
        assert_eq!(listed, [sealed, second]);
        assert_eq!(fs::read_dir(dir.path().join("2026-11-03")).unwrap().count(), 2);
    }

    #[test]
    fn what_is_not_ours_is_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        segment(dir.path(), 1, b"a\n");
        fs::write(dir.path().join("2026-11-03/notes.txt"), "mine").unwrap();
        fs::write(dir.path().join("marks.json"), "{}").unwrap();
        assert_eq!(list(dir.path()).unwrap().len(), 1);
        assert_eq!(list(&dir.path().join("nowhere")).unwrap(), []);
        assert!(dir.path().join("2026-11-03/notes.txt").exists());
    }
}
