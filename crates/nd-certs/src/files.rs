//! Private files and directories: written whole or not at all, readable for nobody else.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use nd_core::ports::{PortError, PortErrorKind};
use rustix::fs::{CWD, RenameFlags, renameat_with};

/// How many drafts this process has made: each has a name of its own.
static DRAFTS: AtomicU64 = AtomicU64::new(0);

/// What the name of a directory begins with that is not finished, or not needed any more.
pub(crate) const DRAFT: &str = ".draft-";

/// Makes the directory and those above it, for nobody else to look into.
pub(crate) fn private_dir(dir: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(dir)?;
    if fs::metadata(dir)?.permissions().mode() & 0o077 != 0 {
        fs::set_permissions(dir, fs::Permissions::from_mode(0o700))?;
    }
    Ok(())
}

/// Replaces a file in one step, of mode 0600; it is there after a power cut.
pub(crate) fn write(path: &Path, text: &str) -> io::Result<()> {
    let dir = path.parent().ok_or(io::ErrorKind::InvalidInput)?;
    private_dir(dir)?;
    let draft = dir.join(draft_name());
    let written = new_file(&draft, text).and_then(|()| fs::rename(&draft, path)).and_then(|()| sync(dir));
    if written.is_err() {
        // The error that counts is the first one.
        fs::remove_file(&draft).ok();
    }
    written
}

/// Replaces a directory with these files in one step: a reader finds all old ones or all new ones.
pub(crate) fn write_dir(dir: &Path, files: &[(&str, &str)]) -> io::Result<()> {
    let parent = dir.parent().ok_or(io::ErrorKind::InvalidInput)?;
    private_dir(parent)?;
    let draft = parent.join(draft_name());
    let written = fill(&draft, files).and_then(|()| exchange(&draft, dir)).and_then(|()| sync(parent));
    // What is left there is the old one, or the unfinished new one.
    fs::remove_dir_all(&draft).ok();
    written
}

/// What a failed access to a file means to a user, at a port.
pub(crate) fn at_port(doing: &str, path: &Path, error: io::Error) -> PortError {
    let context = format!("{doing} {}", path.display());
    let (kind, fix) = match error.kind() {
        io::ErrorKind::NotFound => (PortErrorKind::NotFound, "check the path".to_owned()),
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
            let fix = format!("let the daemon's user into it: `chown -R $USER {}`", path.display());
            (PortErrorKind::Denied, fix)
        }
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            (PortErrorKind::Exhausted, "make room on that disk".to_owned())
        }
        io::ErrorKind::NotADirectory | io::ErrorKind::AlreadyExists => {
            (PortErrorKind::Denied, "move the file away that stands where a directory belongs".to_owned())
        }
        _ => return PortError::new(PortErrorKind::Transient, context).with_source(error),
    };
    PortError::new(kind, context).with_fix(fix).with_source(error)
}

fn fill(draft: &Path, files: &[(&str, &str)]) -> io::Result<()> {
    DirBuilder::new().mode(0o700).create(draft)?;
    for (name, text) in files {
        new_file(&draft.join(name), text)?;
    }
    sync(draft)
}

/// Puts `draft` in the place of `dir`. Where the file system cannot swap two directories there is a moment without one.
fn exchange(draft: &Path, dir: &Path) -> io::Result<()> {
    match renameat_with(CWD, draft, CWD, dir, RenameFlags::EXCHANGE) {
        Ok(()) => Ok(()),
        Err(rustix::io::Errno::NOENT) => fs::rename(draft, dir),
        Err(_) => {
            let old = draft.with_extension("old");
            fs::rename(dir, &old)?;
            fs::rename(draft, dir).or_else(|error| fs::rename(&old, dir).and(Err(error)))?;
            fs::remove_dir_all(&old)
        }
    }
}

fn new_file(path: &Path, text: &str) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()
}

fn sync(dir: &Path) -> io::Result<()> {
    File::open(dir)?.sync_all()
}

fn draft_name() -> String {
    format!("{DRAFT}{}-{}", std::process::id(), DRAFTS.fetch_add(1, Ordering::Relaxed))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_for_its_owner_alone_and_nothing_else_is_left() {
        let place = tempfile::tempdir().unwrap();
        let dir = place.path().join("certs/a.test");
        for text in ["one", "two"] {
            write_dir(&dir, &[("key.pem", text)]).unwrap();
            assert_eq!(fs::read_to_string(dir.join("key.pem")).unwrap(), text);
        }
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&dir), mode(&dir.join("key.pem"))), (0o700, 0o600));
        assert_eq!(mode(dir.parent().unwrap()), 0o700);
        assert_eq!(fs::read_dir(dir.parent().unwrap()).unwrap().count(), 1);
    }

    #[test]
    fn a_directory_that_the_daemon_may_not_write_into_is_named_with_the_command_that_lets_it() {
        let error = at_port("keep", Path::new("/etc/certs"), io::ErrorKind::PermissionDenied.into());
        assert_eq!(error.kind, PortErrorKind::Denied);
        assert_eq!(error.to_string(), "keep /etc/certs: permission denied");
        let fix = error.fix.unwrap_or_default();
        assert_eq!(fix, "let the daemon's user into it: `chown -R $USER /etc/certs`");
    }

    #[test]
    fn a_file_in_the_way_of_a_directory_is_named() {
        let place = tempfile::tempdir().unwrap();
        let file = place.path().join("certs");
        fs::write(&file, "").unwrap();
        let error = write(&file.join("a.json"), "{}").unwrap_err();
        assert!(at_port("write", &file, error).fix.is_some());
        assert_eq!(fs::read_to_string(&file).unwrap(), "");
    }
}
