//! A daemon of somebody who is not root keeps everything where that user's data is.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use nd_e2e::{Programs, Result, Typed, WAIT, runs_as_root, until};
use rustix::process::Signal;

/// Nobody in particular: where the test runs as root, the daemon runs as this user.
const NOBODY: u32 = 65_534;

/// A daemon with no flag that says where anything lies.
struct Own {
    daemon: Child,
    home: tempfile::TempDir,
}

impl Own {
    fn start(programs: &Programs) -> Result<Self> {
        let home = tempfile::Builder::new().prefix("nd-").tempdir_in("/tmp")?;
        // What was built may lie where nobody else may look.
        let program = home.path().join("nextdeployd");
        fs::copy(&programs.daemon, &program)?;
        let mut command = Command::new(program);
        command.args(["run", "--dev", "--listen", "127.0.0.1:0", "--http", "127.0.0.1:0"]);
        command.current_dir(home.path()).env("HOME", home.path()).env_remove("NEXTDEPLOY_DATA_DIR");
        for (variable, folder) in
            [("XDG_DATA_HOME", "data"), ("XDG_RUNTIME_DIR", "run"), ("XDG_CONFIG_HOME", "config")]
        {
            let folder = home.path().join(folder);
            fs::create_dir(&folder)?;
            give(&folder)?;
            command.env(variable, folder);
        }
        give(home.path())?;
        if runs_as_root() {
            command.uid(NOBODY).gid(NOBODY);
        }
        let daemon =
            command.stdin(Stdio::null()).stderr(fs::File::create(home.path().join("log"))?).spawn()?;
        let own = Self { daemon, home };
        let up = until("the socket of the daemon", WAIT, || own.socket().exists());
        up.map_err(|error| {
            format!("{error}: {}", fs::read_to_string(own.home.path().join("log")).unwrap_or_default())
        })?;
        Ok(own)
    }

    fn socket(&self) -> PathBuf {
        self.home.path().join("run/nextdeploy/nextdeployd.sock")
    }
}

impl Drop for Own {
    fn drop(&mut self) {
        nd_e2e::kill(i32::try_from(self.daemon.id()).unwrap_or_default(), Signal::TERM);
        self.daemon.wait().ok();
    }
}

/// Makes a folder that user's.
fn give(folder: &Path) -> Result {
    if runs_as_root() {
        chown(folder, Some(NOBODY), Some(NOBODY))?;
    }
    Ok(())
}

#[test]
fn certificates_of_an_ordinary_users_daemon_lie_with_its_data_for_nobody_else_to_read() -> Result {
    let programs = Programs::from_env()?;
    let own = Own::start(&programs)?;
    let host = format!("unix://{}", own.socket().display());
    let words = ["certs", "trust", "--output", "-", "--host", &host];
    let printed = Typed::start(&programs.cli, &words, own.home.path(), &[])?.wait(WAIT)?.ok()?.stdout;
    assert!(printed.starts_with("-----BEGIN CERTIFICATE-----"), "{printed}");
    let kept = own.home.path().join("data/nextdeploy/certs");
    let user = if runs_as_root() { NOBODY } else { rustix::process::geteuid().as_raw() };
    for (path, mode) in
        [("", 0o700), ("internal", 0o700), ("internal/root.pem", 0o600), ("internal/root-key.pem", 0o600)]
    {
        let found = fs::metadata(kept.join(path)).map_err(|error| format!("{path}: {error}"))?;
        assert_eq!((found.permissions().mode() & 0o777, found.uid()), (mode, user), "{path}");
    }
    Ok(())
}
