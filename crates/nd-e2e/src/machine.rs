//! A machine that a real systemd runs: this one's own system in a container of `systemd-nspawn`, with nothing of it kept.
//!
//! Its root is an overlay on this machine's root with the changes in memory, its services are only those that every
//! system has, and its network has nothing but a loopback device.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use crate::processes::{children_of, kill};
use crate::wait::until_some;
use crate::{Outcome, Programs, Result, Typed, WAIT, runs_as_root, until};
use rustix::process::Signal;

/// Where the programs lie that are tried.
const BUILT: &str = "/opt/built";

/// How long a system may take to come up on a busy machine.
const BOOT: Duration = Duration::from_secs(90);

/// A machine of its own; gone when dropped.
#[derive(Debug)]
pub struct Machine {
    /// Held while it lives: two of them would share their control groups, and end each other's services.
    _turn: fs::File,
    folder: tempfile::TempDir,
    nspawn: Child,
    /// Its first process, as this machine sees it.
    init: i32,
}

impl Machine {
    /// Why none can be had here, if so.
    #[must_use]
    pub fn lacks() -> Option<&'static str> {
        if !runs_as_root() {
            return Some("only root may boot a system in a container");
        }
        let path = std::env::var_os("PATH").unwrap_or_default();
        let there = |program: &str| std::env::split_paths(&path).any(|folder| folder.join(program).is_file());
        let programs = ["systemd-nspawn", "systemd-run", "nsenter", "mount"];
        let lacks = programs.iter().any(|program| !there(program));
        if lacks {
            return Some("systemd is not on this machine (Debian: apt-get install systemd-container)");
        }
        let groups =
            ["/sys/fs/cgroup/systemd", "/sys/fs/cgroup"].into_iter().find(|dir| Path::new(dir).is_dir());
        let writable = |dir: &str| rustix::fs::access(dir, rustix::fs::Access::WRITE_OK).is_ok();
        if !groups.is_some_and(writable) {
            return Some("no control groups may be made here");
        }
        (!may_mount()).then_some("nothing may be mounted here")
    }

    /// Boots one, with the programs in `/opt/built` and a user `deploy` in it.
    ///
    /// # Errors
    /// When it does not come up.
    pub fn boot(programs: &Programs) -> Result<Self> {
        let turn = fs::File::create(std::env::temp_dir().join("nextdeploy-test-machine.lock"))?;
        turn.lock()?;
        let folder = tempfile::tempdir()?;
        let at = folder.path().display().to_string();
        mount(&["-t", "tmpfs", "-o", "mode=755", "nextdeploy-test", &at])?;
        for part in ["upper", "work", "root"] {
            fs::create_dir(folder.path().join(part))?;
        }
        let layers = format!("lowerdir=/,upperdir={at}/upper,workdir={at}/work");
        mount(&["-t", "overlay", "-o", &layers, "nextdeploy-test", &format!("{at}/root")])?;
        furnish(&folder.path().join("root"), programs)?;
        let mut machine = Self { _turn: turn, nspawn: spawn(folder.path())?, folder, init: 0 };
        let nspawn = i32::try_from(machine.nspawn.id())?;
        machine.init = until_some("the first process of the machine", WAIT, || {
            children_of(nspawn).into_iter().find(|child| is_first_of_its_kind(*child))
        })?;
        machine.explained(until("the machine is up", BOOT, || machine.is_up()))?;
        machine.run("useradd --create-home --shell /bin/bash deploy")?.ok()?;
        Ok(machine)
    }

    /// Types a line on it as root; the words are apart.
    ///
    /// # Errors
    /// When the line cannot be typed or takes too long.
    pub fn run(&self, line: &str) -> Result<Outcome> {
        self.run_words(&line.split(' ').collect::<Vec<_>>())
    }

    /// Has a shell of this user run a script there.
    ///
    /// # Errors
    /// As [`Machine::run`].
    pub fn script(&self, user: &str, script: &str) -> Result<Outcome> {
        self.run_words(&["runuser", "--login", user, "--command", script])
    }

    /// Adds what the machine's journal and console say last to an error.
    ///
    /// # Errors
    /// The one that was given.
    pub fn explained<T>(&self, result: Result<T>) -> Result<T> {
        result.map_err(|error| {
            let journal = self
                .run("journalctl --no-pager --output=cat --lines=40 --unit=nextdeploy*")
                .map(|out| out.stdout);
            format!("{error}\n--- journal\n{}\n--- console\n{}", journal.unwrap_or_default(), self.said())
                .into()
        })
    }

    /// A file of the machine, as it is reached from here.
    #[must_use]
    pub fn file(&self, path: &str) -> PathBuf {
        self.folder.path().join("root").join(path.trim_start_matches('/'))
    }

    fn run_words(&self, words: &[&str]) -> Result<Outcome> {
        let init = self.init.to_string();
        let mut all = vec!["--target", &init, "--mount", "--uts", "--ipc", "--net", "--pid", "--"];
        all.extend(words);
        Typed::start(Path::new("nsenter"), &all, Path::new("/"), &[])?.wait(WAIT * 2)
    }

    fn is_up(&self) -> bool {
        let asked = self.run("systemctl is-system-running");
        // Degraded: something of the host's own could not be started in a container.
        asked.is_ok_and(|out| matches!(out.stdout.trim(), "running" | "degraded"))
    }

    /// What its console shows.
    fn said(&self) -> String {
        fs::read_to_string(self.folder.path().join("console")).unwrap_or_default()
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        // The end of the first process is the end of all others.
        if self.init > 0 {
            kill(self.init, Signal::KILL);
        }
        self.nspawn.kill().ok();
        self.nspawn.wait().ok();
        for point in [self.folder.path().join("root"), self.folder.path().to_owned()] {
            unmount(&point);
        }
    }
}

/// Whether this is process 1 of a namespace of its own (proc(5), `NSpid`).
fn is_first_of_its_kind(pid: i32) -> bool {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("NSpid:"));
    line.is_some_and(|pids| pids.split_whitespace().count() > 1 && pids.ends_with("\t1"))
}

/// Puts the programs there, and takes away what this machine starts besides what every system does.
fn furnish(root: &Path, programs: &Programs) -> Result {
    let units = root.join("etc/systemd/system");
    for entry in fs::read_dir(&units)? {
        let path = entry?.path();
        match path.extension().and_then(|extension| extension.to_str()) {
            Some("wants" | "requires") => fs::remove_dir_all(path)?,
            _ if path.is_symlink() => fs::remove_file(path)?,
            _ => {}
        }
    }
    let built = root.join(BUILT.trim_start_matches('/'));
    fs::create_dir_all(&built)?;
    for (from, name) in
        [(&programs.daemon, "nextdeployd"), (&programs.cli, "nextdeploy"), (&programs.testapp, "testapp")]
    {
        fs::copy(from, built.join(name))?;
    }
    Ok(())
}

fn spawn(folder: &Path) -> Result<Child> {
    let console = fs::File::create(folder.join("console"))?;
    let mut command = Command::new("systemd-nspawn");
    command.args(["--quiet", "--register=no", "--keep-unit", "--private-network", "--boot"]);
    command.arg("--machine=nextdeploy-test").arg("--directory").arg(folder.join("root"));
    // Without a bus there is less that can fail, and a server need not have one.
    command.args(["--", "systemd.mask=dbus.service", "systemd.mask=dbus.socket"]);
    command.stdin(Stdio::null()).stdout(console.try_clone()?).stderr(console);
    Ok(command.spawn()?)
}

fn may_mount() -> bool {
    let Ok(folder) = tempfile::tempdir() else { return false };
    let at = folder.path().display().to_string();
    let mounted = mount(&["-t", "tmpfs", "nextdeploy-test", &at]).is_ok();
    if mounted {
        unmount(folder.path());
    }
    mounted
}

/// Without the mount its directory is empty, and goes.
fn unmount(point: &Path) {
    Command::new("umount").arg("--lazy").arg(point).stderr(Stdio::null()).status().ok();
}

fn mount(words: &[&str]) -> Result {
    Typed::start(Path::new("mount"), words, Path::new("/"), &[])?.wait(WAIT)?.ok().map(drop)
}
