//! The data plane in processes of its own: a holder, which keeps the sockets and the last state, and a worker, which serves.
//!
//! ```text
//! daemon ──proxy.sock──► worker ◄──link──► holder
//! ```
//! - The daemon ([`client`]) is told by the worker what serves; its death concerns nobody.
//! - A worker that dies is started again by the holder, on the same sockets and with the last acknowledged state.
//! - A holder that dies is started again by the worker, which has all of it too.
//! - An upgrade is a second worker on the same sockets; the first one finishes. Then the holder hands everything to one of
//!   the new version.

mod client;
mod holder;
mod kept;
mod launch;
mod link;
pub(crate) mod message;
mod wire;
mod worker;

use std::fs::Permissions;
use std::io::{self, Read};
use std::net::SocketAddr;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::process::ExitCode;

use nd_proxy::{Settings, SocketSet};

pub use client::ProcessIngress;
pub use launch::{Launch, LaunchError};

use holder::Holder;
use kept::Kept;
use launch::{FirstWord, Spec};
use message::{ToHolder, ToWorker};

/// The whole mode `nextdeployd proxy`: call it before any thread is started. `mode` is its argument, and `first_word` takes
/// the line that is to be written to standard output.
#[must_use]
pub fn proxy_main(mode: &str, first_word: impl FnOnce(&str) -> io::Result<()>) -> ExitCode {
    let ended = match mode {
        "--hold" => hold(first_word),
        "--adopt" => adopt(),
        "--worker" => stdin().and_then(|holder| worker::run(OURSELVES.into(), &holder)),
        _ => Err(io::Error::other("this mode is started by the daemon, not by hand")),
    };
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!(%error, mode, "the proxy ends");
            ExitCode::FAILURE
        }
    }
}

/// The first holder: opens the sockets, and says so.
fn hold(first_word: impl FnOnce(&str) -> io::Result<()>) -> io::Result<()> {
    // Not to be ended with the terminal or the group of whoever started it.
    rustix::process::setsid().ok();
    let mut spec = String::new();
    io::stdin().read_to_string(&mut spec)?;
    let Spec { socket, settings, http } = serde_json::from_str(&spec)?;
    let opened = open(&socket, settings, http);
    let word = match &opened {
        Ok(_) => FirstWord::Listening,
        Err(error) => FirstWord::Failed(error.to_string()),
    };
    first_word(&serde_json::to_string(&word)?)?;
    Holder::new(opened?, None)?.run()
}

fn open(socket: &Path, settings: serde_json::Value, http: SocketAddr) -> io::Result<Kept> {
    let parsed: Settings = serde_json::from_value(settings.clone())?;
    let main = SocketSet::bind(http, parsed.worker_count()).map_err(io::Error::other)?;
    // Of a holder that was killed: nobody answered there.
    match std::fs::remove_file(socket) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let control = UnixListener::bind(socket)?;
    std::fs::set_permissions(socket, Permissions::from_mode(0o600))?;
    let main = main.fds().map(|fd| fd.try_clone_to_owned()).collect::<io::Result<Vec<OwnedFd>>>()?;
    Ok(Kept {
        program: OURSELVES.into(),
        settings,
        state: None,
        tickets: None,
        control,
        main,
        ports: Vec::new(),
    })
}

/// A holder that gets everything from another one, or from the worker that has survived it.
fn adopt() -> io::Result<()> {
    rustix::process::setsid().ok();
    let from = stdin()?;
    let taken = match link::receive::<ToWorker>(&from)? {
        Some((ToWorker::Start(inventory), fds)) => Kept::unpack(OURSELVES.into(), inventory, fds),
        _ => return Err(io::Error::other("nothing was handed over")),
    };
    let (kept, worker) = match taken {
        Ok(taken) => taken,
        Err(error) => {
            link::send(&from, &ToHolder::Failed { error: error.to_string() }, &[])?;
            return Err(error);
        }
    };
    let holder = Holder::new(kept, worker)?;
    link::send(&from, &ToHolder::Serving { tickets: None }, &[])?;
    drop(from);
    holder.run()
}

fn stdin() -> io::Result<UnixStream> {
    Ok(UnixStream::from(io::stdin().as_fd().try_clone_to_owned()?))
}

/// This very program, also when another version lies in its place by now.
const OURSELVES: &str = "/proc/self/exe";
