//! Log segments on a disk.

/// A segment with this content, in a directory of its own.
pub(crate) fn segment(bytes: &[u8]) {
    if let Ok(dir) = tempfile::tempdir() {
        nd_logs::fuzz::segment(dir.path(), bytes);
    }
}
