//! Starting a program as somebody.

use std::io;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};

use rustix::fs::{Gid, Uid};
use rustix::process::{geteuid, getgid, getgroups};
use rustix::thread::{set_thread_groups, set_thread_res_gid, set_thread_res_uid};

use crate::protocol::{Identity, Launch, Refusal, RefusalKind};

/// Executes `launch` in a process group of its own, without input, and with these outputs and further variables.
///
/// The standard library can change user and group of a child, but not its supplementary groups. So the shim itself,
/// which is a single thread, becomes the user for the moment of the spawn and keeps root only as its saved id, to go
/// back to; executing a program replaces the saved id, so nothing of root is left in the child. As a side effect, the
/// program and its directory are looked up with the user's own rights.
///
/// # Errors
/// What the system said about the program, or that the shim may not become this user.
pub(super) fn spawn(
    launch: &Launch,
    stdout: Stdio,
    stderr: Stdio,
    further: &[(&str, String)],
) -> Result<Child, Refusal> {
    let mut command = Command::new(&launch.program);
    if let Some(name) = launch.argv.first() {
        command.arg0(name);
    }
    command
        .args(launch.argv.iter().skip(1))
        .env_clear()
        .envs(&launch.env)
        .envs(further.iter().cloned())
        .current_dir(&launch.cwd);
    command.process_group(0).stdin(Stdio::null()).stdout(stdout).stderr(stderr);
    as_identity(launch.identity.as_ref(), || {
        // Told apart here, since the system reports either one as missing.
        let directory = std::fs::metadata(&launch.cwd).and_then(|found| match found.is_dir() {
            true => Ok(()),
            false => Err(io::ErrorKind::NotADirectory.into()),
        });
        directory.map_err(|error| {
            Refusal::from_io(&format!("enter directory {}", launch.cwd.display()), &error)
        })?;
        command.spawn().map_err(|error| explain(launch, &error))
    })
}

fn explain(launch: &Launch, error: &io::Error) -> Refusal {
    let mut refusal = Refusal::from_io(&format!("execute {}", launch.program.display()), error);
    if refusal.kind == RefusalKind::NotFound && launch.program.exists() {
        refusal
            .message
            .push_str(" (the file is there: the interpreter in its first line, or its loader, is not)");
    }
    refusal
}

fn as_identity<T>(
    identity: Option<&Identity>,
    action: impl FnOnce() -> Result<T, Refusal>,
) -> Result<T, Refusal> {
    let Some(identity) = identity.filter(|identity| !is_own(identity)) else { return action() };
    let home = Home::now().map_err(|error| Refusal::from_io("read the shim's own groups", &error))?;
    let result = match home.leave(identity) {
        Ok(()) => action(),
        Err(error) => {
            let what = format!("become user {} (only a daemon that runs as root can do that)", identity.uid);
            Err(Refusal::from_io(&what, &error))
        }
    };
    match home.back() {
        Ok(()) => result,
        Err(error) => Err(Refusal::from_io("become root again", &error)),
    }
}

fn is_own(identity: &Identity) -> bool {
    let uid = geteuid();
    !uid.is_root() && identity.uid == uid.as_raw()
}

/// Whom the shim itself runs as.
struct Home {
    uid: Uid,
    gid: Gid,
    groups: Vec<Gid>,
}

impl Home {
    fn now() -> io::Result<Self> {
        Ok(Self { uid: geteuid(), gid: getgid(), groups: getgroups()? })
    }

    /// Groups before the user: afterwards there is no right to change them.
    fn leave(&self, to: &Identity) -> io::Result<()> {
        let (uid, gid) = (Uid::from_raw(to.uid), Gid::from_raw(to.gid));
        let groups: Vec<Gid> = to.groups.iter().map(|group| Gid::from_raw(*group)).collect();
        set_thread_groups(&groups)?;
        set_thread_res_gid(gid, gid, self.gid)?;
        set_thread_res_uid(uid, uid, self.uid)?;
        Ok(())
    }

    fn back(&self) -> io::Result<()> {
        set_thread_res_uid(self.uid, self.uid, self.uid)?;
        set_thread_res_gid(self.gid, self.gid, self.gid)?;
        // A shim that is not root never got past this call on its way out.
        if self.uid.is_root() {
            set_thread_groups(&self.groups)?;
        }
        Ok(())
    }
}
