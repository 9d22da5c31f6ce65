//! The daemon's own settings (`nextdeployd.toml`).

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use nd_api::manifest::InvalidWord;

use crate::decode::{Decoder, Field, Keys};
use crate::node::{Node, Value};
use crate::report::{Code, Report};
use crate::schema::SETTINGS;
use crate::toml_tree;

/// What `nextdeployd.toml` says. What it leaves out is nothing here; the daemon has the defaults.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct DaemonSettings {
    /// Where everything is kept (`data_dir`, an absolute path).
    pub data_dir: Option<PathBuf>,
    /// The control socket (`socket`, an absolute path).
    pub socket: Option<PathBuf>,
    /// Where the API listens on TCP (`listen`).
    pub listen: Option<SocketAddr>,
    /// Where the proxy listens (`http`).
    pub http: Option<SocketAddr>,
    /// Where it speaks TLS (`https`).
    pub https: Option<Https>,
    /// Development: loopback is trusted, high ports are used (`dev`).
    pub dev: Option<bool>,
    /// The daemon's own log (`[log]`).
    pub log: LogSettings,
    /// The Docker engine (`[docker]`).
    pub docker: DockerSettings,
    /// What happens to apps when the daemon ends (`shutdown.apps`).
    pub on_shutdown: Option<OnShutdown>,
    /// Tables of the adapters, by their name: `process`, `proxy`, `ingress`, `caddy`, `nginx`, `logs`, `certs`. Each adapter reads its own and refuses what it
    /// does not know.
    pub adapters: BTreeMap<String, toml::Table>,
}

/// Where the proxy speaks TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Https {
    /// There.
    At(SocketAddr),
    /// Nowhere (`off`).
    Off,
}

/// The daemon's own log.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LogSettings {
    /// What is written at least (`log.level`).
    pub level: Option<LogLevel>,
    /// How it is written (`log.format`).
    pub format: Option<LogFormat>,
}

/// The Docker engine.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DockerSettings {
    /// Its socket: an absolute path, `unix://…` or `tcp://…` (`docker.socket`).
    pub socket: Option<String>,
    /// The bridge network of the units (`docker.network`).
    pub network: Option<String>,
    /// That network's addresses (`docker.subnet`), as they stand in the file: the adapter knows which it can use.
    pub subnet: Option<String>,
    /// How long a pull may take in all (`docker.pull_timeout`).
    pub pull_timeout: Option<Duration>,
    /// For how long a registry that cannot be reached is tried again (`docker.pull_retry_timeout`).
    pub pull_retry_timeout: Option<Duration>,
    /// How long any other call to the engine may take (`docker.call_timeout`).
    pub call_timeout: Option<Duration>,
}

macro_rules! words {
    ($(#[$doc:meta])* $name:ident { $($(#[$variant_doc:meta])* $variant:ident = $word:literal),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum $name {
            $($(#[$variant_doc])* $variant),+
        }

        impl $name {
            /// The word for it.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $word),+
                }
            }
        }

        impl FromStr for $name {
            type Err = InvalidWord;
            fn from_str(s: &str) -> Result<Self, Self::Err> {
                match s {
                    $($word => Ok(Self::$variant),)+
                    _ => Err(InvalidWord { found: s.to_owned(), known: &[$($word),+] }),
                }
            }
        }
    };
}

words! {
    /// What the daemon writes into its log at least.
    LogLevel {
        /// Finest detail.
        Trace = "trace",
        /// For whoever looks for a mistake.
        Debug = "debug",
        /// Business as usual.
        Info = "info",
        /// Worth a look.
        Warn = "warn",
        /// Something failed.
        Error = "error",
    }
}

words! {
    /// How the daemon writes its log.
    LogFormat {
        /// Lines for people.
        Text = "text",
        /// One JSON object a line.
        Json = "json",
    }
}

words! {
    /// What happens to apps when the daemon ends.
    OnShutdown {
        /// They go on running.
        Keep = "keep",
        /// Each is stopped gracefully.
        Stop = "stop",
    }
}

const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(24 * 3600);

/// Tables that are handed on as they are.
const ADAPTERS: [&str; 7] = ["process", "proxy", "ingress", "caddy", "nginx", "logs", "certs"];

/// Reads `nextdeployd.toml`.
///
/// # Errors
/// A [`Report`] of everything that is wrong with the text, each with line and column.
pub fn read_settings(name: &str, text: &str) -> Result<DaemonSettings, Report> {
    let mut d = Decoder::new(SETTINGS);
    let root = toml_tree::read(text, &mut d.mistakes);
    let settings = Field::root(&root).keys(&mut d).map(|keys| decode(keys, &root, text, &mut d));
    let report = Report::new(name, text, d.mistakes);
    match settings {
        Some(settings) if !report.has_errors() => Ok(settings),
        _ => Err(report),
    }
}

fn decode(mut keys: Keys<'_>, root: &Node, text: &str, d: &mut Decoder) -> DaemonSettings {
    let mut settings = DaemonSettings {
        data_dir: keys.get("data_dir").and_then(|field| absolute(&field, d)),
        socket: keys.get("socket").and_then(|field| absolute(&field, d)),
        listen: keys.get("listen").and_then(|field| address(&field, d)),
        http: keys.get("http").and_then(|field| address(&field, d)),
        https: keys.get("https").and_then(|field| https(&field, d)),
        dev: keys.get("dev").and_then(|field| field.flag(d)),
        ..DaemonSettings::default()
    };
    if let Some(mut log) = keys.get("log").and_then(|field| field.keys(d)) {
        settings.log.level = log.get("level").and_then(|field| field.word(d));
        settings.log.format = log.get("format").and_then(|field| field.word(d));
        log.finish(d);
    }
    if let Some(docker) = keys.get("docker").and_then(|field| field.keys(d)) {
        settings.docker = docker_settings(docker, d);
    }
    if let Some(mut shutdown) = keys.get("shutdown").and_then(|field| field.keys(d)) {
        settings.on_shutdown = shutdown.get("apps").and_then(|field| field.word(d));
        shutdown.finish(d);
    }
    for adapter in ADAPTERS {
        // Asking for the keys reports a value that is no table; the table itself goes on unread.
        let Some(mut table) = keys.get(adapter).and_then(|field| field.keys(d)) else { continue };
        for key in ["http", "https"] {
            let Some(field) = table.get(key).filter(|_| adapter == "proxy") else { continue };
            let mistake = field.mistake(Code::MisplacedKey, format!("`{key}` is not a key of `proxy`"));
            d.say(mistake.at(field.key_span.clone()).help("write it above all tables"));
        }
        settings.adapters.extend(adapter_table(root, text, adapter));
    }
    keys.finish(d);
    settings
}

fn docker_settings(mut keys: Keys<'_>, d: &mut Decoder) -> DockerSettings {
    let mut time = |name, range| keys.get(name).and_then(|field| field.duration(&range, d));
    let (pull_timeout, pull_retry_timeout, call_timeout) = (
        time("pull_timeout", SECOND..=DAY),
        time("pull_retry_timeout", Duration::ZERO..=DAY),
        time("call_timeout", SECOND..=HOUR),
    );
    let settings = DockerSettings {
        socket: keys.get("socket").and_then(|field| engine(&field, d)),
        network: keys.get("network").and_then(|field| network(&field, d)),
        subnet: keys.get("subnet").and_then(|field| field.text(d)),
        pull_timeout,
        pull_retry_timeout,
        call_timeout,
    };
    keys.finish(d);
    settings
}

/// A name that an engine takes for a network.
fn network(field: &Field<'_>, d: &mut Decoder) -> Option<String> {
    let name = field.text(d)?;
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-');
    if name.starts_with(|c: char| c.is_ascii_alphanumeric()) && name.chars().all(allowed) {
        return Some(name);
    }
    let message = format!("`{name}` is not the name of a Docker network");
    d.say(field.mistake(Code::BadValue, message).help("write letters, digits, `_`, `.` and `-`"));
    None
}

fn adapter_table(root: &Node, text: &str, name: &str) -> Option<(String, toml::Table)> {
    root.get(name).filter(|entry| matches!(entry.value.value, Value::Map(_)))?;
    let mut whole: toml::Table = text.parse().ok()?;
    match whole.remove(name)? {
        toml::Value::Table(table) => Some((name.to_owned(), table)),
        _ => None,
    }
}

fn absolute(field: &Field<'_>, d: &mut Decoder) -> Option<PathBuf> {
    let path = PathBuf::from(field.text(d)?);
    if path.is_absolute() {
        return Some(path);
    }
    let message = format!("{} must be an absolute path, found {}", field.path.last, field.node.describe());
    d.say(field.mistake(Code::BadValue, message));
    None
}

fn https(field: &Field<'_>, d: &mut Decoder) -> Option<Https> {
    match &field.node.value {
        Value::Scalar(scalar) if scalar.text == "off" => Some(Https::Off),
        _ => address(field, d).map(Https::At),
    }
}

fn address(field: &Field<'_>, d: &mut Decoder) -> Option<SocketAddr> {
    let text = field.text(d)?;
    let address = text.parse().ok();
    if address.is_none() {
        let message = format!("{} must be ADDRESS:PORT, found {}", field.path.last, field.node.describe());
        let port = text.trim_start_matches(':').parse::<u16>().ok();
        let mistake = field.mistake(Code::BadValue, message);
        d.say(match port {
            Some(port) => {
                mistake.help(format!("write \"127.0.0.1:{port}\", or \"0.0.0.0:{port}\" for every address"))
            }
            None => mistake.help("write it as \"127.0.0.1:8371\""),
        });
    }
    address
}

fn engine(field: &Field<'_>, d: &mut Decoder) -> Option<String> {
    let text = field.text(d)?;
    if text.starts_with('/') || text.starts_with("unix:///") || text.starts_with("tcp://") {
        return Some(text);
    }
    let message = format!("`{text}` is not the address of a Docker engine");
    d.say(
        field
            .mistake(Code::BadValue, message)
            .help("write it as \"/var/run/docker.sock\" or \"tcp://127.0.0.1:2375\""),
    );
    None
}
