//! Starting a shim and handing it its task: as a child of this process, or as a transient unit of systemd.
//!
//! The unit is systemd's child, which no longer needs whoever asked for it: `systemd-run` ends as soon as the shim is
//! executed. So what goes in and comes out is not piped through it; systemd connects the shim's input and output to a
//! socket that this process listens on (`StandardInput=file:`, systemd.exec(5)), and the shim never knows the difference.

use std::fs::{self, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::atomic::{AtomicU32, Ordering};

use nd_types::UnitId;
use tokio::io::{AsyncRead, AsyncWriteExt};
use tokio::net::{UnixListener, UnixStream};
use tokio::process::Command;

use super::ShimCommand;
use crate::protocol::{self, Task};

/// What a shim says.
pub(super) type Answers = Box<dyn AsyncRead + Send + Unpin>;

/// What the unit of every shim has: its shim may make control groups below it, what runs out of memory takes nothing else
/// along, the shim ends its app as it was told to, and nothing is left of the unit when it has ended. When the machine goes
/// down the daemon ends first, so that it does not start again what systemd stops.
const PROPERTIES: [&str; 10] = [
    "--quiet",
    "--collect",
    "--service-type=exec",
    "--slice=nextdeploy.slice",
    "--property=Before=nextdeployd.service",
    "--property=Delegate=yes",
    "--property=KillMode=mixed",
    "--property=OOMPolicy=continue",
    "--property=LimitNOFILE=1048576",
    "--property=TasksMax=infinity",
];

/// A shim that is to be started.
#[derive(Clone, Copy, Debug)]
pub(super) struct Start<'s> {
    pub(super) unit: &'s UnitId,
    pub(super) task: &'s Task,
    /// Where sockets of the unit are made.
    pub(super) socket: &'s Path,
    /// Where it says what goes wrong; nowhere when absent.
    pub(super) log: Option<&'s Path>,
}

impl Start<'_> {
    /// Starts it; returns what it will say. Nobody has to wait for its end. Cancel safe but for a shim that has its task.
    pub(super) async fn spawn(&self, command: &ShimCommand) -> io::Result<Answers> {
        let task = protocol::to_line(self.task)?;
        if command.as_unit { self.unit(command, &task).await } else { self.child(command, &task).await }
    }

    /// The runtime reaps it when it ends, and it outlives the daemon.
    async fn child(&self, shim: &ShimCommand, task: &[u8]) -> io::Result<Answers> {
        let mut command = Command::new(&shim.program);
        // What `ps` shows.
        command.arg0(format!("nextdeployd-shim[{}]", self.unit)).args(&shim.args);
        // The daemon's own variables are not the shim's business.
        command.env_clear().current_dir("/");
        let stderr = match self.log {
            Some(log) => OpenOptions::new().append(true).create(true).mode(0o600).open(log)?.into(),
            None => Stdio::null(),
        };
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(stderr).spawn()?;
        let (stdin, stdout) = (child.stdin.take(), child.stdout.take());
        let (Some(mut stdin), Some(stdout)) = (stdin, stdout) else {
            return Err(io::ErrorKind::BrokenPipe.into());
        };
        stdin.write_all(task).await?;
        stdin.shutdown().await?;
        Ok(Box::new(stdout))
    }

    async fn unit(&self, shim: &ShimCommand, task: &[u8]) -> io::Result<Answers> {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        // Short, since the path of a socket must be.
        let door = Door::open(self.socket.with_extension((number % 100_000).to_string()))?;
        let numbered = format!("{}-{number}", std::process::id());
        let mut names = vec![format!("nextdeploy-{}-{numbered}", self.unit)];
        // The simple name is the shim's; it may not be free yet when its predecessor has only just ended.
        if matches!(self.task, Task::Unit(_)) {
            names.push(format!("nextdeploy-{}", self.unit));
        }
        let mut result = Err(io::ErrorKind::NotFound.into());
        while let Some(name) = names.pop() {
            result = tokio::try_join!(door.accept(), self.run(shim, &name, &door));
            if result.is_ok() {
                break;
            }
        }
        let (mut stream, ()) = result?;
        stream.write_all(task).await?;
        stream.shutdown().await?;
        Ok(Box::new(stream))
    }

    /// Has systemd start the unit, and waits until it has.
    async fn run(&self, shim: &ShimCommand, name: &str, door: &Door) -> io::Result<()> {
        let mut command = Command::new("systemd-run");
        command
            .args(PROPERTIES)
            .arg(format!("--unit={name}"))
            .arg(format!("--description={}", self.description()));
        command.arg(format!("--setenv=NEXTDEPLOY_UNIT={}", self.unit));
        // Input and output that name the same socket are one connection.
        let socket = door.path.display();
        command.arg(format!("--property=StandardInput=file:{socket}"));
        command.arg(format!("--property=StandardOutput=file:{socket}"));
        command.arg(match self.log {
            Some(log) => format!("--property=StandardError=append:{}", log.display()),
            None => "--property=StandardError=null".to_owned(),
        });
        command.arg("--").arg(&shim.program).args(&shim.args);
        let run = command.stdin(Stdio::null()).kill_on_drop(true).output();
        let out = run.await.map_err(|error| io::Error::new(error.kind(), format!("systemd-run: {error}")))?;
        if out.status.success() {
            return Ok(());
        }
        let said = String::from_utf8_lossy(&out.stderr);
        Err(io::Error::other(format!("systemd-run: {}: {}", out.status, said.trim())))
    }

    /// What `systemctl status` shows.
    fn description(&self) -> String {
        let (app, release, slot) = (self.unit.app(), self.unit.release(), self.unit.slot());
        let what = if matches!(self.task, Task::Unit(_)) { "app" } else { "command beside app" };
        format!("NextDeploy {what} {app}, release {release}, instance {slot}")
    }
}

/// A socket for one shim to come in by.
#[derive(Debug)]
struct Door {
    path: PathBuf,
    listener: UnixListener,
}

impl Door {
    fn open(path: PathBuf) -> io::Result<Self> {
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        Ok(Self { listener: UnixListener::bind(&path)?, path })
    }

    /// The first that comes in as the daemon's own user, as systemd does.
    async fn accept(&self) -> io::Result<UnixStream> {
        let own = rustix::process::geteuid().as_raw();
        loop {
            let (stream, _) = self.listener.accept().await?;
            if stream.peer_cred()?.uid() == own {
                return Ok(stream);
            }
        }
    }
}

impl Drop for Door {
    fn drop(&mut self) {
        // One that stays is replaced by the next of its number, and goes with its unit.
        fs::remove_file(&self.path).ok();
    }
}
