//! The daemon's own log, on standard error, and the count of the errors in it.

use std::sync::Arc;

use nd_config::{LogFormat, LogLevel, LogSettings};
use nd_server::ErrorLog;
use nd_supervise::{Clock, SystemClock};
use tracing::level_filters::LevelFilter;
use tracing::{Event, Subscriber};
use tracing_subscriber::layer::{Context, SubscriberExt};
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer, fmt, registry};

/// Begins to log; `RUST_LOG` overrules the settings. Every error is counted, whether it is shown or not.
pub(crate) fn init(settings: &LogSettings, errors: Arc<ErrorLog>) {
    let level = match settings.level.unwrap_or(LogLevel::Info) {
        LogLevel::Trace => "trace",
        LogLevel::Debug => "debug",
        LogLevel::Info => "info",
        LogLevel::Warn => "warn",
        LogLevel::Error => "error",
    };
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(level));
    let colour = rustix::termios::isatty(std::io::stderr()) && std::env::var_os("NO_COLOR").is_none();
    let lines = fmt::layer().with_writer(std::io::stderr).with_target(false);
    let lines = match settings.format.unwrap_or(LogFormat::Text) {
        LogFormat::Json => lines.json().with_filter(filter).boxed(),
        LogFormat::Text => lines.with_ansi(colour).with_filter(filter).boxed(),
    };
    if let Err(error) = registry().with(lines).with(counter(errors)).try_init() {
        eprintln!("warning: the log could not be set up: {error}");
    }
}

/// Counts what is logged as an error, for `/health` and `/metrics`.
fn counter<S: Subscriber + for<'a> LookupSpan<'a>>(errors: Arc<ErrorLog>) -> impl Layer<S> {
    Counter(errors).with_filter(LevelFilter::ERROR)
}

struct Counter(Arc<ErrorLog>);

impl<S: Subscriber> Layer<S> for Counter {
    fn on_event(&self, _: &Event<'_>, _: Context<'_, S>) {
        self.0.record(SystemClock.mono());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_are_counted_and_nothing_else_is() {
        let errors = Arc::new(ErrorLog::default());
        let silent = fmt::layer().with_writer(std::io::sink).with_filter(EnvFilter::new("off"));
        let log = registry().with(silent).with(counter(Arc::clone(&errors)));
        tracing::subscriber::with_default(log, || {
            tracing::error!("one");
            tracing::warn!("a warning");
            tracing::info!("business as usual");
            tracing::error!(path = "/deploy", "two");
        });
        let counts = errors.counts(SystemClock.mono());
        assert_eq!((counts.total, counts.last_hour, counts.last_minute), (2, 2, 2));
    }
}
