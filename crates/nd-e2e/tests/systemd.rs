//! What the daemon tells the service manager (sd_notify(3)).

use std::os::unix::net::UnixDatagram;
use std::process::{Child, Command, Stdio};

use nd_e2e::{Programs, Result, WAIT};
use rustix::process::Signal;

/// A daemon that is ended with the test.
struct Service(Child);

impl Drop for Service {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

#[test]
fn a_service_manager_is_told_when_the_daemon_serves_and_again_and_again_that_it_lives() -> Result {
    let programs = Programs::from_env()?;
    let folder = tempfile::tempdir()?;
    let socket = folder.path().join("notify");
    let manager = UnixDatagram::bind(&socket)?;
    manager.set_read_timeout(Some(WAIT))?;
    let mut command = Command::new(&programs.daemon);
    command.args(["run", "--dev", "--listen", "127.0.0.1:0", "--http", "127.0.0.1:0", "--data-dir"]);
    command.arg(folder.path().join("data")).stderr(Stdio::null());
    // As `WatchdogSec=300ms` does.
    command.env("NOTIFY_SOCKET", &socket).env("WATCHDOG_USEC", "300000");
    let _service = Service(command.spawn()?);

    let (mut is_ready, mut signs) = (false, 0);
    while !is_ready || signs < 3 {
        let mut message = [0; 512];
        let length = manager.recv(&mut message)?;
        let message = String::from_utf8_lossy(message.get(..length).unwrap_or_default()).into_owned();
        is_ready |= message.lines().any(|line| line == "READY=1");
        signs += message.lines().filter(|line| *line == "WATCHDOG=1").count();
    }
    Ok(())
}

#[test]
fn a_service_manager_is_told_when_settings_are_read_again_and_when_the_daemon_ends() -> Result {
    let programs = Programs::from_env()?;
    let folder = tempfile::tempdir()?;
    let socket = folder.path().join("notify");
    let manager = UnixDatagram::bind(&socket)?;
    manager.set_read_timeout(Some(WAIT))?;
    let mut command = Command::new(&programs.daemon);
    command.args(["run", "--dev", "--listen", "127.0.0.1:0", "--http", "127.0.0.1:0", "--data-dir"]);
    command.arg(folder.path().join("data")).stderr(Stdio::null()).env("NOTIFY_SOCKET", &socket);
    let service = Service(command.spawn()?);
    let pid = i32::try_from(service.0.id())?;

    told(&manager, "READY=1")?;
    nd_e2e::kill(pid, Signal::HUP);
    let reloading = told(&manager, "RELOADING=1")?;
    // Without it `Type=notify-reload` takes the reload for failed.
    assert!(reloading.lines().any(|line| line.starts_with("MONOTONIC_USEC=")), "{reloading}");
    told(&manager, "READY=1")?;
    nd_e2e::kill(pid, Signal::TERM);
    told(&manager, "STOPPING=1")?;
    Ok(())
}

/// Waits for a message with this line.
fn told(manager: &UnixDatagram, line: &str) -> Result<String> {
    loop {
        let mut message = [0; 512];
        let length = manager.recv(&mut message).map_err(|error| format!("{line} was not told: {error}"))?;
        let message = String::from_utf8_lossy(message.get(..length).unwrap_or_default()).into_owned();
        if message.lines().any(|told| told == line) {
            return Ok(message);
        }
    }
}
