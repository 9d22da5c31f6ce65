//! Listening sockets that are open already: the control socket that systemd holds (`nextdeployd.socket`), and those that
//! the version before this one has left open. Who asks while no daemon is there waits instead of failing.

use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use command_fds::{CommandFdExt, FdMapping};
use listenfd::ListenFd;
use tokio::net::{TcpListener, UnixListener};

/// The names of what one version leaves to the next; systemd gives that of its unit.
const OURS: &str = "control:api";
const SYSTEMDS: &str = "systemd:api";

/// The first descriptor of `sd_listen_fds(3)`.
const FIRST: i32 = 3;

/// What was open when this daemon began.
#[derive(Default)]
pub(crate) struct Held {
    pub(crate) control: Option<UnixListener>,
    pub(crate) api: Option<TcpListener>,
    /// Whether systemd has the control socket too, and keeps it when the daemon ends.
    pub(crate) by_systemd: bool,
}

impl Held {
    /// What was passed on as `sd_listen_fds(3)` says.
    pub(crate) fn take() -> io::Result<Self> {
        let mut passed = ListenFd::from_env();
        let Some(control) = passed.take_unix_listener(0)? else { return Ok(Self::default()) };
        control.set_nonblocking(true)?;
        let api = passed.take_tcp_listener(1)?;
        if let Some(api) = &api {
            api.set_nonblocking(true)?;
        }
        Ok(Self {
            control: Some(UnixListener::from_std(control)?),
            api: api.map(TcpListener::from_std).transpose()?,
            by_systemd: std::env::var("LISTEN_FDNAMES").as_deref() != Ok(OURS),
        })
    }

    /// Where the control socket is.
    pub(crate) fn path(&self) -> Option<PathBuf> {
        self.control.as_ref()?.local_addr().ok()?.as_pathname().map(PathBuf::from)
    }
}

/// What this version leaves to the next.
pub(crate) struct Legacy {
    pub(crate) control: OwnedFd,
    pub(crate) api: OwnedFd,
    pub(crate) by_systemd: bool,
}

impl Legacy {
    /// Becomes `program`, under the same process id and command line; returns only when that fails.
    pub(crate) fn become_program(self, program: &Path) -> io::Error {
        use std::os::unix::process::CommandExt;
        let mut command = std::process::Command::new(program);
        let mut words = std::env::args_os();
        words.next().map(|name| command.arg0(name));
        command
            .args(words)
            .env("LISTEN_PID", std::process::id().to_string())
            .env("LISTEN_FDS", "2")
            .env("LISTEN_FDNAMES", if self.by_systemd { SYSTEMDS } else { OURS });
        let fds = [self.control, self.api];
        let mappings = fds.into_iter().zip(FIRST..);
        let mappings = mappings.map(|(parent_fd, child_fd)| FdMapping { parent_fd, child_fd }).collect();
        match command.fd_mappings(mappings) {
            Ok(command) => command.exec(),
            Err(error) => io::Error::other(error),
        }
    }
}
