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
    let (host, why) = host(global.host.as_deref(), uid)?;
    if output.verbose {
        output.note(&format!("host {host} ({why})"));
    }
    let token = match &host {
        Host::Unix(_) => None,
        Host::Tcp(_) => token(global.token.as_deref(), uid, host.is_local())?,
    };
    let timeout = global.timeout.unwrap_or(Client::TIMEOUT).max(Duration::from_millis(1));
    Ok(Client::new(host).with_token(token).with_timeout(timeout))
}

/// The same without a command line that was read, for a shell that completes one: it never asks and says nothing.
pub(crate) fn silent() -> Result<Client, Failure> {
    let uid = rustix::process::geteuid().as_raw();
    let typed: Vec<String> = std::env::args().collect();
    let flag = typed.windows(2).find_map(|pair| match pair {
        [flag, value] if flag == "--host" => Some(value.as_str()),
        [_, flag] => flag.strip_prefix("--host="),
        _ => None,
    });
    let (host, _) = host(flag, uid)?;
    let token = match &host {
        Host::Unix(_) => None,
        Host::Tcp(_) => token(None, uid, host.is_local())?,
    };
    Ok(Client::new(host).with_token(token))
}

/// The host, and what chose it.
fn host(flag: Option<&str>, uid: u32) -> Result<(Host, &'static str), Failure> {
    let from_env = std::env::var("NEXTDEPLOY_HOST").ok().filter(|host| !host.is_empty());
    Ok(match (flag, from_env) {
        (Some(host), _) => (host.parse()?, "--host"),
        (None, Some(host)) => (host.parse()?, "NEXTDEPLOY_HOST"),
        (None, None) => (Host::local(uid), "the daemon of this machine"),
    })
}

/// `--token` (`-` reads a line from standard input), then `NEXTDEPLOY_TOKEN`, then this user's own daemon's file, whose
/// token no other machine may see.
fn token(flag: Option<&str>, uid: u32, is_local: bool) -> Result<Option<String>, Failure> {
    if let Some(token) = flag {
        if token != "-" {
            return Ok(Some(token.to_owned()));
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
    Some(data_home()?.join("nextdeploy/token"))
}

/// Where this user keeps data (XDG Base Directory Specification).
pub(crate) fn data_home() -> Option<PathBuf> {
    let base = std::env::var_os("XDG_DATA_HOME").filter(|dir| !dir.is_empty()).map(PathBuf::from);
    base.or_else(|| std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".local/share")))
}
