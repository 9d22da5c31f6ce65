//! The daemon's own log, on standard error.

use nd_config::{LogFormat, LogLevel, LogSettings};
use tracing_subscriber::EnvFilter;

/// Begins to log; `RUST_LOG` overrules the settings.
pub(crate) fn init(settings: &LogSettings) {
    let level = match settings.level.unwrap_or(LogLevel::Info) {
        LogLevel::Trace => "trace",
        LogLevel::Debug => "debug",
        LogLevel::Info => "info",
        LogLevel::Warn => "warn",
        LogLevel::Error => "error",
    };
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(level));
    let builder =
        tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_target(false);
    let colour = rustix::termios::isatty(std::io::stderr()) && std::env::var_os("NO_COLOR").is_none();
    let started = match settings.format.unwrap_or(LogFormat::Text) {
        LogFormat::Json => builder.json().try_init(),
        LogFormat::Text => builder.with_ansi(colour).try_init(),
    };
    if let Err(error) = started {
        eprintln!("warning: the log could not be set up: {error}");
    }
}
