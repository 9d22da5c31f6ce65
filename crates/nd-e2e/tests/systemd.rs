//! What the daemon tells the service manager (sd_notify(3)).

use std::os::unix::net::UnixDatagram;
use std::process::{Child, Command, Stdio};

use nd_e2e::{Programs, Result, WAIT};
use rustix::process::Signal;

/// A daemon that is ended with the test, and the socket of the service manager that it speaks to.
struct Service {
    daemon: Child,
    manager: UnixDatagram,
    _folder: tempfile::TempDir,
}

impl Service {
    /// Starts it with these variables of a service manager.
    fn start(variables: &[(&str, &str)]) -> Result<Self> {
        let programs = Programs::from_env()?;
        let folder = tempfile::tempdir()?;
        let socket = folder.path().join("notify");
        let manager = UnixDatagram::bind(&socket)?;
        manager.set_read_timeout(Some(WAIT))?;
        let mut command = Command::new(&programs.daemon);
        command.args(["run", "--dev", "--listen", "127.0.0.1:0", "--http", "127.0.0.1:0", "--data-dir"]);
        command.arg(folder.path().join("data")).stderr(Stdio::null());
        command.env("NOTIFY_SOCKET", &socket).envs(variables.iter().copied());
        Ok(Self { daemon: command.spawn()?, manager, _folder: folder })
    }

    /// The next message.
    fn message(&self) -> Result<String> {
        let mut message = [0; 512];
        let length = self.manager.recv(&mut message)?;
        Ok(String::from_utf8_lossy(message.get(..length).unwrap_or_default()).into_owned())
    }

    /// Waits for a message with this line.
    fn told(&self, line: &str) -> Result<String> {
        loop {
            let message = self.message().map_err(|error| format!("{line} was not told: {error}"))?;
            if message.lines().any(|told| told == line) {
                return Ok(message);
            }
        }
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        self.daemon.kill().ok();
        self.daemon.wait().ok();
    }
}

#[test]
fn a_service_manager_is_told_when_the_daemon_serves_and_again_and_again_that_it_lives() -> Result {
    // As `WatchdogSec=300ms` does.
    let service = Service::start(&[("WATCHDOG_USEC", "300000")])?;
    let (mut is_ready, mut signs) = (false, 0);
    while !is_ready || signs < 3 {
        let message = service.message()?;
        is_ready |= message.lines().any(|line| line == "READY=1");
        signs += message.lines().filter(|line| *line == "WATCHDOG=1").count();
    }
    Ok(())
}

#[test]
fn a_service_manager_is_told_when_settings_are_read_again_and_when_the_daemon_ends() -> Result {
    let service = Service::start(&[])?;
    let pid = i32::try_from(service.daemon.id())?;
    service.told("READY=1")?;
    nd_e2e::kill(pid, Signal::HUP);
    let reloading = service.told("RELOADING=1")?;
    // Without it `Type=notify-reload` takes the reload for failed.
    assert!(reloading.lines().any(|line| line.starts_with("MONOTONIC_USEC=")), "{reloading}");
    service.told("READY=1")?;
    nd_e2e::kill(pid, Signal::TERM);
    service.told("STOPPING=1")?;
    Ok(())
}
