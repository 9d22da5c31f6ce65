//! The data plane of this daemon: inside this process, or in processes of its own.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use nd_config::{Https, LogSettings};
use nd_core::ports::{Ingress, PortResult};
use nd_ingress::{EmbeddedIngress, Launch, ProcessIngress, proxy_main};
use nd_proxy::{Proxy, ProxyStats, Settings, StartError};
use nd_server::ErrorLog;
use nd_types::IngressKind;

use crate::descriptors;
use crate::ingress;
use crate::logging;
use crate::options::Chosen;
use crate::paths::Paths;
use crate::program;
use crate::run::RunError;
use crate::wiring::adapter;

/// The address when port 80 is not for this daemon.
const UNPRIVILEGED: ([u8; 4], u16) = ([127, 0, 0, 1], 8080);

/// The key of `[proxy]` that says where it runs; the others are the proxy's own.
const OWN_PROCESS: &str = "own_process";

/// As a service, the proxy outlives the daemon in a scope of its own.
const SCOPE: [&str; 7] = [
    "/usr/bin/systemd-run",
    "--quiet",
    "--collect",
    "--scope",
    "--slice=nextdeploy.slice",
    "--description=NextDeploy proxy",
    "--",
];

/// Where TLS is spoken: where it was asked for, otherwise beside plain HTTP where that has its usual port.
pub(crate) fn tls_addresses(chosen: &Chosen, http: SocketAddr) -> Vec<SocketAddr> {
    match (chosen.https, http.port()) {
        (Some(Https::At(address)), _) => vec![address],
        (None, 80) => vec![SocketAddr::new(http.ip(), 443)],
        (None, 8080) => vec![SocketAddr::new(http.ip(), 8443)],
        (Some(Https::Off) | None, _) => Vec::new(),
    }
}

/// What brings requests to the apps.
#[derive(Clone)]
pub(crate) enum DataPlane {
    /// It ends with this process.
    Embedded(Proxy),
    /// It serves on without this process.
    Process(ProcessIngress),
}

impl DataPlane {
    /// Starts it where it was asked for; otherwise where it may and can, and says what the user should know.
    pub(crate) async fn start(chosen: &Chosen, paths: &Paths) -> Result<(Self, Vec<String>), RunError> {
        let failed = |error: &dyn std::error::Error| RunError::Start(format!("start the proxy: {error}"));
        let Written { own_process, table, settings } = Written::read(chosen)?;
        if !own_process {
            let (proxy, notes) = embedded(addresses(chosen)?, &settings).map_err(|error| failed(&error))?;
            return Ok((Self::Embedded(proxy), notes));
        }
        let program = program::path().map_err(|error| failed(&error))?;
        let settings = serde_json::to_value(table).map_err(|error| failed(&error))?;
        let launch = Launch {
            program,
            before: before(),
            run_dir: paths.run.clone(),
            settings,
            http: addresses(chosen)?,
        };
        let (ingress, notes) = ProcessIngress::start(launch).await.map_err(|error| failed(&error))?;
        Ok((Self::Process(ingress), notes))
    }

    pub(crate) fn ingress(&self) -> Arc<dyn Ingress> {
        match self {
            Self::Embedded(proxy) => Arc::new(EmbeddedIngress::new(proxy.clone())),
            Self::Process(ingress) => Arc::new(ingress.clone()),
        }
    }

    pub(crate) async fn stats(&self) -> ProxyStats {
        match self {
            Self::Embedded(proxy) => proxy.stats(),
            Self::Process(ingress) => ingress.stats().await,
        }
    }

    /// Puts `program` into the place of its processes; false where it has none of its own.
    pub(crate) async fn upgrade(&self, program: PathBuf) -> PortResult<bool> {
        match self {
            Self::Embedded(_) => Ok(false),
            Self::Process(ingress) => ingress.upgrade(program).await.map(|()| true),
        }
    }

    /// Ends it, or leaves it to the next daemon where it can serve on and somebody may ask for something.
    pub(crate) async fn end(&self, is_needed: bool, grace: Duration) {
        match self {
            Self::Embedded(proxy) => proxy.shutdown(grace).await,
            Self::Process(ingress) if is_needed => ingress.leave().await,
            Self::Process(ingress) => ingress.stop(grace).await,
        }
    }
}

/// The table `[proxy]` of `nextdeployd.toml`.
pub(crate) struct Written {
    own_process: bool,
    /// The proxy's own keys, as they are written …
    table: toml::Table,
    /// … and as they count.
    pub(crate) settings: Settings,
}

impl Written {
    pub(crate) fn read(chosen: &Chosen) -> Result<Self, RunError> {
        let wrong = |what: &str| RunError::Config(format!("[proxy] {what}"));
        let mut table = chosen.settings.adapters.get("proxy").cloned().unwrap_or_default();
        let own_process = match table.remove(OWN_PROCESS) {
            None => !chosen.dev,
            Some(toml::Value::Boolean(own)) => own,
            Some(_) => return Err(wrong(&format!("{OWN_PROCESS}: expected true or false"))),
        };
        let settings = serde::Deserialize::deserialize(table.clone());
        let settings = settings.map_err(|error: toml::de::Error| wrong(error.message()))?;
        Ok(Self { own_process, table, settings })
    }
}

/// The mode `nextdeployd proxy`: a process of the data plane. The daemon starts it.
pub(crate) fn main(mode: &str) -> ExitCode {
    logging::init(&LogSettings::default(), Arc::new(ErrorLog::default()));
    descriptors::raise();
    proxy_main(mode, |word| {
        use std::io::Write;
        let mut output = std::io::stdout();
        writeln!(output, "{word}")?;
        output.flush()
    })
}

fn before() -> Vec<String> {
    if is_service_of_systemd() { SCOPE.map(ToOwned::to_owned).to_vec() } else { Vec::new() }
}

/// Whether systemd runs this daemon as root, and would run something else besides.
pub(crate) fn is_service_of_systemd() -> bool {
    let is_service = std::env::var_os("INVOCATION_ID").is_some() && rustix::process::geteuid().is_root();
    is_service && Path::new("/run/systemd/system").is_dir() && Path::new(SCOPE[0]).is_file()
}

/// The addresses that will do, the best first. Port 80 is left to a server beside us that is to have it.
fn addresses(chosen: &Chosen) -> Result<Vec<SocketAddr>, RunError> {
    if let Some(http) = chosen.http {
        return Ok(vec![http]);
    }
    let all = [
        SocketAddr::from(([0, 0, 0, 0], 80)),
        SocketAddr::from(UNPRIVILEGED),
        SocketAddr::from(([127, 0, 0, 1], 0)),
    ];
    let usual = adapter::<ingress::Settings>(chosen, "ingress")?.kind;
    let leaves_80 = chosen.dev || usual != IngressKind::Embedded;
    Ok(all.into_iter().skip(usize::from(leaves_80)).collect())
}

fn embedded(addresses: Vec<SocketAddr>, settings: &Settings) -> Result<(Proxy, Vec<String>), StartError> {
    let (mut notes, mut untried) = (Vec::new(), addresses.into_iter().peekable());
    loop {
        let http = untried.next().unwrap_or(settings.http);
        match Proxy::start(Settings { http, ..settings.clone() }) {
            Ok(proxy) => return Ok((proxy, notes)),
            Err(error) if untried.peek().is_none() => return Err(error),
            Err(error) => notes.push(format!("the proxy does not listen on {http}: {error}")),
        }
    }
}
