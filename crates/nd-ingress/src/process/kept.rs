//! What the data plane must not lose, and handing it to another process.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::{UnixListener, UnixStream};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use serde_json::Value;

use super::link::{self, PEER};
use super::message::{Inventory, ToHolder, ToWorker};

/// What a holder keeps.
#[derive(Debug)]
pub(super) struct Kept {
    /// The program that workers are started from.
    pub(super) program: PathBuf,
    pub(super) settings: Value,
    pub(super) state: Option<Value>,
    /// With which the next worker opens the session tickets of this one.
    pub(super) tickets: Option<Value>,
    pub(super) control: UnixListener,
    pub(super) main: Vec<OwnedFd>,
    pub(super) ports: Vec<Vec<OwnedFd>>,
}

impl Kept {
    /// What is to be sent along with an inventory, in its order.
    fn fds(&self) -> Vec<BorrowedFd<'_>> {
        let ports = self.ports.iter().flatten();
        let sockets = self.main.iter().chain(ports).map(AsFd::as_fd);
        std::iter::once(self.control.as_fd()).chain(sockets).collect()
    }

    fn inventory(&self, is_serving: bool) -> Inventory {
        Inventory {
            settings: self.settings.clone(),
            state: self.state.clone(),
            tickets: self.tickets.clone(),
            main: self.main.len(),
            ports: self.ports.iter().map(Vec::len).collect(),
            is_serving,
        }
    }

    /// The reverse: what has come along with an inventory, and the worker that serves, if there is one.
    pub(super) fn unpack(
        program: PathBuf,
        inventory: Inventory,
        fds: Vec<OwnedFd>,
    ) -> io::Result<(Self, Option<UnixStream>)> {
        let missing = || io::Error::new(io::ErrorKind::InvalidData, "a socket is missing");
        let mut fds = fds.into_iter();
        let control = UnixListener::from(fds.next().ok_or_else(missing)?);
        let mut take = |count: usize| {
            let set: Vec<OwnedFd> = fds.by_ref().take(count).collect();
            if set.len() == count { Ok(set) } else { Err(missing()) }
        };
        let main = take(inventory.main)?;
        let ports = inventory.ports.iter().map(|count| take(*count)).collect::<io::Result<_>>()?;
        let worker = if inventory.is_serving { take(1)?.pop().map(UnixStream::from) } else { None };
        let Inventory { settings, state, tickets, .. } = inventory;
        Ok((Self { program, settings, state, tickets, control, main, ports }, worker))
    }

    /// Where the daemon comes to.
    pub(super) fn socket(&self) -> PathBuf {
        let address = self.control.local_addr().ok();
        address.and_then(|address| address.as_pathname().map(Path::to_owned)).unwrap_or_default()
    }

    /// Hands everything to a process of `mode`, and answers once it says that it has it.
    pub(super) fn hand_to(
        &self,
        mode: &str,
        worker: Option<BorrowedFd<'_>>,
    ) -> io::Result<(UnixStream, Child)> {
        let (ours, theirs) = UnixStream::pair()?;
        ours.set_write_timeout(Some(PEER))?;
        let child = Command::new(&self.program)
            .arg0(std::env::args_os().next().unwrap_or_default())
            .args(["proxy", mode])
            // For whoever reads the list of processes.
            .arg(self.socket())
            .stdin(Stdio::from(OwnedFd::from(theirs)))
            .stdout(Stdio::null())
            .spawn()?;
        let mut fds = self.fds();
        fds.extend(worker);
        link::send(&ours, &ToWorker::Start(self.inventory(worker.is_some())), &fds)?;
        Ok((ours, child))
    }
}

/// Starts another holder with everything that this process has, and waits until it holds it.
pub(super) fn succeed(kept: &Kept, worker: BorrowedFd<'_>) -> io::Result<Child> {
    let (link, mut child) = kept.hand_to("--adopt", Some(worker))?;
    link.set_read_timeout(Some(PEER))?;
    match link::receive::<ToHolder>(&link) {
        Ok(Some((ToHolder::Serving { .. }, _))) => Ok(child),
        other => {
            child.kill()?;
            child.wait()?;
            Err(io::Error::other(match other {
                Ok(Some((ToHolder::Failed { error }, _))) => error,
                Ok(_) => "the new holder ended at once".to_owned(),
                Err(error) => error.to_string(),
            }))
        }
    }
}
