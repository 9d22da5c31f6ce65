//! What the operator chooses: flags over environment over file over defaults.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use clap::Parser;
use nd_config::{DaemonSettings, Https, OnShutdown, read_settings};

use crate::run::RunError;

/// Run the daemon.
#[derive(Clone, Debug, Parser)]
#[command(name = "nextdeployd run", about = "Run the daemon", version)]
pub(crate) struct RunOptions {
    /// The daemon's settings [default: /etc/nextdeploy/nextdeployd.toml or $XDG_CONFIG_HOME/nextdeploy/nextdeployd.toml]
    #[arg(long, value_name = "FILE", env = "NEXTDEPLOY_CONFIG")]
    pub(crate) config: Option<PathBuf>,
    /// Where everything is kept; moves the socket too
    #[arg(long, value_name = "DIR", env = "NEXTDEPLOY_DATA_DIR")]
    pub(crate) data_dir: Option<PathBuf>,
    /// The control socket
    #[arg(long, value_name = "PATH")]
    pub(crate) socket_path: Option<PathBuf>,
    /// Where the API listens on TCP [default: 127.0.0.1:8371]
    #[arg(long, value_name = "ADDR")]
    pub(crate) listen: Option<SocketAddr>,
    /// Where the proxy listens [default: 0.0.0.0:80; 127.0.0.1:8080 with --dev or without the right to port 80]
    #[arg(long, value_name = "ADDR")]
    pub(crate) http: Option<SocketAddr>,
    /// Where the proxy speaks TLS, or `off` [default: port 443 beside port 80, 8443 beside 8080]
    #[arg(long, value_name = "ADDR", value_parser = https)]
    pub(crate) https: Option<Https>,
    /// Development: requests from this machine need no token, and high ports are used
    #[arg(long)]
    pub(crate) dev: bool,
    /// Stop every app gracefully when the daemon ends; by default they go on
    #[arg(long)]
    pub(crate) stop_apps: bool,
    /// Stay in the foreground; the daemon always does
    #[arg(long)]
    pub(crate) foreground: bool,
    /// The environment this daemon serves; kept for the original tool's command lines
    #[arg(long, value_name = "NAME")]
    pub(crate) env: Option<String>,
}

/// What was chosen.
#[derive(Clone, Debug)]
pub(crate) struct Chosen {
    pub(crate) settings: DaemonSettings,
    pub(crate) config: Option<PathBuf>,
    pub(crate) data_dir: Option<PathBuf>,
    pub(crate) socket: Option<PathBuf>,
    pub(crate) listen: SocketAddr,
    pub(crate) http: Option<SocketAddr>,
    pub(crate) https: Option<Https>,
    pub(crate) dev: bool,
    pub(crate) stop_apps: bool,
}

impl RunOptions {
    /// Reads the settings file and puts the flags over it.
    pub(crate) fn choose(&self) -> Result<Chosen, RunError> {
        let config = self.config.clone().or_else(|| default_config().filter(|path| path.exists()));
        let settings = config.as_deref().map(read_file).transpose()?.unwrap_or_default();
        let stop_apps = self.stop_apps || settings.on_shutdown == Some(OnShutdown::Stop);
        Ok(Chosen {
            data_dir: self.data_dir.clone().or_else(|| settings.data_dir.clone()),
            socket: self.socket_path.clone().or_else(|| settings.socket.clone()),
            listen: self.listen.or(settings.listen).unwrap_or(SocketAddr::from(([127, 0, 0, 1], 8371))),
            http: self.http.or(settings.http),
            https: self.https.or(settings.https),
            dev: self.dev || settings.dev.unwrap_or(false),
            stop_apps,
            settings,
            config,
        })
    }
}

fn https(text: &str) -> Result<Https, String> {
    match text {
        "off" => Ok(Https::Off),
        _ => text.parse().map(Https::At).map_err(|_| "write ADDRESS:PORT, or off".to_owned()),
    }
}

/// Reads a settings file, with every mistake named.
pub(crate) fn read_file(path: &Path) -> Result<DaemonSettings, RunError> {
    let text = std::fs::read_to_string(path)
        .map_err(|source| RunError::Config(format!("read {}: {source}", path.display())))?;
    read_settings(&path.display().to_string(), &text).map_err(|report| RunError::Config(report.to_string()))
}

fn default_config() -> Option<PathBuf> {
    if rustix::process::geteuid().is_root() {
        return Some(PathBuf::from("/etc/nextdeploy/nextdeployd.toml"));
    }
    let base = std::env::var_os("XDG_CONFIG_HOME").map(PathBuf::from);
    let home = || std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".config"));
    base.or_else(home).map(|base| base.join("nextdeploy/nextdeployd.toml"))
}
