//! Files that only their owner may read: the state holds environments and registry names.

use std::fs::{DirBuilder, File, OpenOptions, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;

/// Makes sure that the directory exists; what has to be made is 0700.
///
/// A directory that exists keeps its mode: it may be one that others share.
pub(crate) fn make_dir(dir: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(dir)
}

/// Makes sure that the file exists with mode 0600, and that its directory knows it. SQLite gives its own files beside
/// it the same mode.
pub(crate) fn make_file(path: &Path) -> io::Result<()> {
    let file = OpenOptions::new().create(true).append(true).mode(0o600).open(path)?;
    if file.metadata()?.permissions().mode() & 0o777 != 0o600 {
        file.set_permissions(Permissions::from_mode(0o600))?;
    }
    sync_dir_of(path)
}

/// Puts the directory entry of `path` on disk.
pub(crate) fn sync_dir_of(path: &Path) -> io::Result<()> {
    match path.parent().filter(|dir| !dir.as_os_str().is_empty()) {
        Some(dir) => File::open(dir)?.sync_all(),
        None => Ok(()),
    }
}
