//! Web servers of one's own, as a user has them beside the daemon: in a directory and on ports of their own, and gone when
//! they are dropped.

mod caddy;
mod nginx;

use std::io;
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, Command};
use std::thread;
use std::time::{Duration, Instant};

pub use caddy::CaddyServer;
pub use nginx::NginxServer;

/// How long a server may take to come up or to end.
const PATIENCE: Duration = Duration::from_secs(15);

fn start(command: &mut Command) -> io::Result<Child> {
    let program = command.get_program().display().to_string();
    let advice = format!("`{program}` is needed; `cargo xtask test` installs it");
    command.spawn().map_err(|error| io::Error::new(error.kind(), format!("{advice}: {error}")))
}

/// Waits until somebody listens there.
fn listening(at: SocketAddr, log: impl Fn() -> String) -> io::Result<()> {
    until("a server that listens", || TcpStream::connect(at).is_ok())
        .map_err(|error| io::Error::other(format!("{error}; it wrote:\n{}", log())))
}

fn until(what: &str, mut holds: impl FnMut() -> bool) -> io::Result<()> {
    let give_up = Instant::now() + PATIENCE;
    while !holds() {
        if Instant::now() > give_up {
            return Err(io::Error::other(format!("no {what} within {PATIENCE:?}")));
        }
        thread::sleep(Duration::from_millis(10));
    }
    Ok(())
}
