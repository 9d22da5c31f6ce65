//! Files that were open in whoever started the shim.

use std::os::unix::process::CommandExt;
use std::process::Command;
use std::{env, fs, io};

/// Closes everything but standard input, output and error.
///
/// The daemon opens its own files close-on-exec, but it may itself have inherited others (sockets of a service
/// manager, a lock of the script that started it), and an app must hold none of them open. Closing a descriptor by
/// number is unsafe; so they are marked close-on-exec, and the shim executes itself once more.
///
/// # Errors
/// When the descriptors cannot be listed, or the program not be executed again.
pub(super) fn close() -> io::Result<()> {
    // Standard input, output, error, and the listing itself.
    if fs::read_dir("/proc/self/fd")?.count() <= 4 {
        return Ok(());
    }
    close_fds::set_fds_cloexec(3, &[]);
    let mut arguments = env::args_os();
    let name = arguments.next().unwrap_or_else(|| "nextdeployd".into());
    Err(Command::new("/proc/self/exe").arg0(name).args(arguments).exec())
}
