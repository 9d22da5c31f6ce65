//! systemd with `Restart=always RestartSec=0`: the one that runs this machine, or a manager of one's own.

use std::fs;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use nd_e2e::{Target, Typed, descendants, kill, runs_as_root, until};
use rustix::process::Signal;

use super::Peer;
use crate::bench::stage::{LIMIT, answers};
use crate::{Result, process};

/// What every unit gets. A manager of one's own has no journal and none of the targets that a unit waits for by default.
const PROPERTIES: [&str; 6] = [
    "Restart=always",
    "RestartSec=0",
    "StartLimitIntervalSec=0",
    "DefaultDependencies=no",
    "StandardOutput=null",
    "StandardError=null",
];

const MANAGERS: [&str; 2] = ["/usr/lib/systemd/systemd", "/lib/systemd/systemd"];

/// Becomes a manager in a mount namespace where the machine looks as if systemd had booted it, which it insists on, and
/// in control groups of its own, because it takes over the ones it finds itself in. The group `cpuset` takes nobody
/// without being set up, and systemd 252 does not use that of cgroup v1.
const BECOME_MANAGER: &str = r#"set -e
while read -r _ folder kind _; do
  case "$kind:$folder" in
    *:*/cpuset) ;;
    cgroup:*|cgroup2:*) mkdir "$folder/$1"; echo $$ > "$folder/$1/cgroup.procs" ;;
  esac
done < /proc/mounts
mount -t tmpfs tmpfs /run
mkdir -p /run/systemd/system
exec "$2" --user
"#;

/// A systemd that starts transient units.
#[derive(Debug)]
pub(super) struct Systemd {
    /// `--system` or `--user`.
    scope: &'static str,
    own: Option<Manager>,
}

/// A manager of one's own; gone when dropped, with its units.
#[derive(Debug)]
struct Manager {
    process: Child,
    home: tempfile::TempDir,
    group: String,
}

impl Systemd {
    /// The systemd of this machine, else, for root, one of one's own.
    pub(super) fn find() -> Result<Self> {
        if !(process::in_path("systemctl") && process::in_path("systemd-run")) {
            return Err("systemctl and systemd-run are not in PATH (Debian: apt-get install systemd)".into());
        }
        let booted = Path::new("/run/systemd/system").exists();
        let systemd = match (booted, runs_as_root()) {
            (true, true) => Self { scope: "--system", own: None },
            (true, false) => Self { scope: "--user", own: None },
            (false, true) => Self { scope: "--user", own: Some(Manager::start()?) },
            (false, false) => return Err("it does not run this machine, and only root can start one".into()),
        };
        systemd.run("systemctl", &["show", "--property=Version"], &[])?;
        Ok(systemd)
    }

    fn run(&self, program: &str, words: &[&str], variables: &[(&str, &str)]) -> Result {
        let home = self.own.as_ref().map(|own| own.home.path().to_string_lossy());
        let home = home.as_deref().map(|home| ("XDG_RUNTIME_DIR", home));
        let variables: Vec<(&str, &str)> = home.into_iter().chain(variables.iter().copied()).collect();
        let words = [&[self.scope, "--quiet"], words].concat();
        Typed::start(Path::new(program), &words, Path::new("/"), &variables)?.wait(LIMIT)?.ok()?;
        Ok(())
    }
}

impl Peer for Systemd {
    fn name(&self) -> &'static str {
        "systemd"
    }

    fn start(&self, app: &str, program: &Path) -> Result<Target> {
        let address: SocketAddr = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
        let (unit, port) = (format!("--unit={}", unit(app)), format!("--setenv=PORT={}", address.port()));
        let program = program.to_string_lossy();
        let properties = PROPERTIES.iter().flat_map(|property| ["-p", property]);
        let words: Vec<&str> =
            [unit.as_str(), port.as_str(), "--collect"].into_iter().chain(properties).collect();
        self.run("systemd-run", &[words.as_slice(), &["--", &program]].concat(), &[])?;
        let target = Target::Tcp(address);
        answers(&target, app)?;
        Ok(target)
    }

    fn stop(&self, app: &str) -> Result {
        self.run("systemctl", &["stop", &unit(app)], &[])
    }
}

fn unit(app: &str) -> String {
    format!("nextdeploy-bench-{}-{app}.service", std::process::id())
}

impl Manager {
    fn start() -> Result<Self> {
        let program = MANAGERS.into_iter().find(|program| Path::new(program).exists());
        let program = program.ok_or("systemd itself is not installed (Debian: apt-get install systemd)")?;
        let home = tempfile::Builder::new().prefix("nd-systemd-").tempdir_in("/tmp")?;
        let units = home.path().join("units");
        fs::create_dir(&units)?;
        // It wants something to reach.
        fs::write(units.join("default.target"), "[Unit]\nDefaultDependencies=no\n")?;
        let group = format!("nextdeploy-bench-{}", std::process::id());
        let mut command = Command::new("unshare");
        command.args(["--mount", "--propagation", "private", "sh", "-c", BECOME_MANAGER, "sh"]);
        command.args([group.as_str(), program]).env("SYSTEMD_UNIT_PATH", &units);
        command.env("XDG_RUNTIME_DIR", home.path()).env_remove("NOTIFY_SOCKET");
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let process = command.spawn().map_err(|error| format!("start unshare: {error}"))?;
        let mut manager = Self { process, home, group };
        let socket = manager.home.path().join("systemd/private");
        let process = &mut manager.process;
        until("a systemd of one's own", LIMIT, || {
            socket.exists() || !matches!(process.try_wait(), Ok(None))
        })?;
        match socket.exists() {
            true => Ok(manager),
            false => Err("a manager of one's own cannot be started here".into()),
        }
    }
}

impl Drop for Manager {
    fn drop(&mut self) {
        let pid = i32::try_from(self.process.id()).unwrap_or_default();
        let apps = descendants(pid);
        self.process.kill().ok();
        self.process.wait().ok();
        for app in apps {
            kill(app, Signal::KILL);
        }
        for group in groups(&self.group) {
            // Busy until the last process is gone.
            until("an empty control group", LIMIT, || remove(&group)).ok();
        }
    }
}

/// Where a control group is, in each hierarchy.
fn groups(name: &str) -> Vec<PathBuf> {
    let mounts = fs::read_to_string("/proc/mounts").unwrap_or_default();
    let mounts = mounts.lines().filter_map(|line| {
        let mut words = line.split(' ').skip(1);
        let folder = words.next()?;
        words.next().filter(|kind| kind.starts_with("cgroup"))?;
        Some(Path::new(folder).join(name))
    });
    mounts.filter(|group| group.is_dir()).collect()
}

/// Removes a control group and those below it; false while one is busy.
fn remove(group: &Path) -> bool {
    for entry in fs::read_dir(group).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            remove(&entry.path());
        }
    }
    fs::remove_dir(group).is_ok() || !group.exists()
}
