//! The way to the daemon that the command line, the environment and this machine say.

use std::path::PathBuf;
use std::time::Duration;

use nd_client::{Client, Host};

use crate::args::Global;
use crate::failure::Failure;
use crate::output::Output;

/// A client for the host that wins: `--host`, then `NEXTDEPLOY_HOST`, then the daemon of this machine.
pub(crate) fn client(global: &Global, output: &Output) -> Result<Client, Failure> {
    let uid = rustix::process::geteuid().as_raw();
    let from_env = std::env::var("NEXTDEPLOY_HOST").ok().filter(|host| !host.is_empty());
    let (host, why) = match (&global.host, from_env) {
        (Some(host), _) => (host.parse()?, "--host"),
        (None, Some(host)) => (host.parse()?, "NEXTDEPLOY_HOST"),
        (None, None) => (Host::local(uid), "the daemon of this machine"),
    };
    if output.verbose {
        output.note(&format!("host {host} ({why})"));
    }
    let token = match &host {
        Host::Unix(_) => None,
        Host::Tcp(_) => token(global, uid, host.is_local())?,
    };
    let timeout = global.timeout.unwrap_or(Client::TIMEOUT).max(Duration::from_millis(1));
    Ok(Client::new(host).with_token(token).with_timeout(timeout))
}

/// `--token` (`-` reads a line from standard input), then `NEXTDEPLOY_TOKEN`, then this user's own daemon's file, whose
/// token no other machine may see.
fn token(global: &Global, uid: u32, is_local: bool) -> Result<Option<String>, Failure> {
    if let Some(token) = &global.token {
        if token != "-" {
            return Ok(Some(token.clone()));
        }
        let mut line = String::new();
        std::io::stdin()
            .read_line(&mut line)
            .map_err(|error| Failure::usage(format!("read the token from standard input: {error}")))?;
        return Ok(Some(line.trim().to_owned()));
    }
    if let Some(token) = std::env::var("NEXTDEPLOY_TOKEN").ok().filter(|token| !token.is_empty()) {
        return Ok(Some(token));
    }
    let file = token_file(uid).filter(|_| is_local).and_then(|path| std::fs::read_to_string(path).ok());
    Ok(file.map(|text| text.trim().to_owned()))
}

fn token_file(uid: u32) -> Option<PathBuf> {
    if uid == 0 {
        return Some(PathBuf::from("/var/lib/nextdeploy/token"));
    }
    let base = std::env::var_os("XDG_DATA_HOME").map(PathBuf::from);
    let home = || std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".local/share"));
    Some(base.or_else(home)?.join("nextdeploy/token"))
}
