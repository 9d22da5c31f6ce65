//! The control socket that systemd holds (`nextdeployd.socket`): it is there before the daemon and stays when it goes, so
//! that who asks meanwhile waits instead of failing.

use std::io;
use std::path::PathBuf;

use listenfd::ListenFd;
use tokio::net::UnixListener;

/// The socket, where systemd passed one on (`sd_listen_fds(3)`).
pub(crate) fn control_socket() -> io::Result<Option<UnixListener>> {
    let Some(held) = ListenFd::from_env().take_unix_listener(0)? else { return Ok(None) };
    held.set_nonblocking(true)?;
    UnixListener::from_std(held).map(Some)
}

/// Where it is.
pub(crate) fn path(held: &UnixListener) -> Option<PathBuf> {
    held.local_addr().ok()?.as_pathname().map(PathBuf::from)
}
