//! A disk that is soon full.

use std::env;
use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Tells a copy of a test program which directory is to be its small disk.
const DISK: &str = "ND_TEST_SMALL_DISK";

/// Runs one test of the calling test program again, in a mount namespace of its own, where everybody may mount. There
/// [`small_disk`] gives it a disk.
///
/// # Errors
/// When `unshare` (util-linux) is not there, or the test fails.
pub fn on_a_small_disk(test: &str) -> Result<(), Box<dyn Error>> {
    let dir = tempfile::tempdir()?;
    let status = Command::new("unshare")
        .args(["--map-root-user", "--mount"])
        .arg(env::current_exe()?)
        .args(["--exact", test, "--nocapture"])
        .env(DISK, dir.path())
        .status()
        .map_err(|error| format!("unshare (util-linux): {error}"))?;
    if status.success() { Ok(()) } else { Err(format!("{test} on a small disk: {status}").into()) }
}

/// Mounts the disk of this size, as in `512k`; `None` where the test was not called by [`on_a_small_disk`].
///
/// # Errors
/// When it cannot be mounted.
pub fn small_disk(size: &str) -> Result<Option<PathBuf>, Box<dyn Error>> {
    let Some(dir) = env::var_os(DISK) else { return Ok(None) };
    let options = format!("size={size}");
    let status =
        Command::new("mount").args(["-t", "tmpfs", "-o", &options, "tmpfs"]).arg(Path::new(&dir)).status()?;
    if status.success() { Ok(Some(dir.into())) } else { Err(format!("mount a tmpfs: {status}").into()) }
}
