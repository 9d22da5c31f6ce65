//! The adapters of this daemon, and the engine on top of them. The only place that names two of them.

use std::path::Path;
use std::sync::Arc;

use nd_bluegreen::{BlueGreen, Canary, Recreate, Rolling};
use nd_core::ports::{EdgeTls, LogStore};
use nd_core::{Engine, Registry};
use nd_docker::DockerRuntime;
use nd_external::ExternalRuntime;
use nd_logs::{Collector, SegmentLog};
use nd_probe::NetworkProbe;
use nd_process::{ProcessRuntime, ShimCommand};
use nd_store::SqliteStore;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::access_log::AccessLog;
use crate::certs;
use crate::fail_point;
use crate::ingress;
use crate::options::Chosen;
use crate::paths::Paths;
use crate::program;
use crate::proxy::{DataPlane, Written};
use crate::run::RunError;

/// Everything the daemon runs.
pub(crate) struct Parts {
    pub(crate) engine: Engine,
    pub(crate) proxy: DataPlane,
    /// Where requests leave records.
    pub(crate) requests: Option<AccessLog>,
    pub(crate) logs: Arc<SegmentLog>,
    pub(crate) collector: Collector,
    /// What the user should know about how it started.
    pub(crate) notes: Vec<String>,
}

/// Builds every adapter and the engine; nothing runs yet but the proxy, which has no routes.
pub(crate) async fn build(chosen: &Chosen, paths: &Paths) -> Result<Parts, RunError> {
    let store = SqliteStore::open(paths.state()).map_err(|error| {
        let fix = error.fix().map_or_else(String::new, |fix| format!("; {fix}"));
        RunError::Start(format!("open the state: {error}{fix}"))
    })?;
    let logs = SegmentLog::open(paths.data.join("logs"), adapter(chosen, "logs")?)
        .map_err(|error| start_failed("open the logs", &error))?;
    let logs = Arc::new(logs);
    let process = Arc::new(process_runtime(chosen, paths)?);
    let external = ExternalRuntime::open(paths.data.join("external"))
        .map_err(|error| start_failed("set up servers that something else runs", &error))?;
    let external = Arc::new(external);
    let docker = Arc::new(DockerRuntime::new(docker_settings(chosen)?, Some(paths.data.join("docker"))));
    let requests = AccessLog::open(Written::read(chosen)?.settings.access_log, paths)?;
    let (proxy, notes) = DataPlane::start(chosen, paths).await?;
    let collector = Collector::new(
        vec![docker.clone() as _, process.clone() as _, external.clone() as _],
        Arc::clone(&logs) as Arc<dyn LogStore>,
    );
    let certificates: certs::Written = adapter(chosen, "certs")?;
    let registry = certs::register(Registry::builder(), &certificates, paths)?;
    let registry = ingress::register(registry, proxy.ingress(), chosen, paths)?
        .runtime(docker)
        .runtime(process)
        .runtime(external)
        .probe(Arc::new(NetworkProbe))
        .strategy(Arc::new(BlueGreen))
        .strategy(Arc::new(Recreate))
        .strategy(Arc::new(Rolling))
        .strategy(Arc::new(Canary))
        .build()
        .map_err(|error| start_failed("register the adapters", &error))?;
    let usual = registry.ingress(None).map(|ingress| ingress.caps().tls);
    let has_tls = usual.is_ok_and(|tls| matches!(tls, EdgeTls::At(_)));
    let mut builder = Engine::builder(registry).store(Arc::new(store)).collector(Arc::new(collector.clone()));
    builder = builder.certs(certs::settings(chosen, &certificates, proxy.ingress().http_addr(), has_tls)?);
    if let Some(fail_point) = fail_point::from_environment() {
        builder = builder.fail_point(fail_point);
    }
    let engine = builder.build().await.map_err(|error| start_failed("read the stored state", &error))?;
    Ok(Parts { engine, proxy, requests, logs, collector, notes })
}

fn process_runtime(chosen: &Chosen, paths: &Paths) -> Result<ProcessRuntime, RunError> {
    let program = program::path().map_err(|error| start_failed("find this program's own file", &error))?;
    let shim = ShimCommand { program, args: vec!["shim".into()], as_unit: is_service() };
    let settings: nd_process::Settings = adapter(chosen, "process")?;
    ProcessRuntime::new(&settings, paths.data.join("units"), paths.run.clone(), shim)
        .map_err(|error| start_failed("set up plain processes", &error))
}

/// Whether this is a service of the system that may start others. Then each shim is one too: the sandbox of the daemon's
/// unit is not for apps, and its end is not theirs.
fn is_service() -> bool {
    let by_systemd = std::env::var_os("INVOCATION_ID").is_some() && Path::new("/run/systemd/system").is_dir();
    by_systemd && rustix::process::geteuid().is_root()
}

fn docker_settings(chosen: &Chosen) -> Result<nd_docker::Settings, RunError> {
    let written = &chosen.settings.docker;
    let default = nd_docker::Settings::default();
    let subnet = written.subnet.as_deref().map(str::parse).transpose();
    Ok(nd_docker::Settings {
        host: written.socket.clone(),
        network: written.network.clone().unwrap_or(default.network),
        subnet: subnet.map_err(|error| RunError::Config(format!("[docker] subnet: {error}")))?,
        pull_timeout: written.pull_timeout.unwrap_or(default.pull_timeout),
        pull_retry_timeout: written.pull_retry_timeout.unwrap_or(default.pull_retry_timeout),
        call_timeout: written.call_timeout.unwrap_or(default.call_timeout),
    })
}

/// An adapter's own table of `nextdeployd.toml`.
pub(crate) fn adapter<T: DeserializeOwned + Default>(chosen: &Chosen, name: &str) -> Result<T, RunError> {
    match chosen.settings.adapters.get(name) {
        None => Ok(T::default()),
        Some(table) => Deserialize::deserialize(table.clone())
            .map_err(|error: toml::de::Error| RunError::Config(format!("[{name}] {}", error.message()))),
    }
}

fn start_failed(what: &str, error: &dyn std::error::Error) -> RunError {
    RunError::Start(format!("{what}: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proxy;

    /// `deploy/nextdeployd.toml` with every setting that stands in it as a comment.
    fn example() -> Chosen {
        let text = include_str!("../../../deploy/nextdeployd.toml");
        let line = |line: &str| match line.strip_prefix('#') {
            Some(setting) if setting.starts_with(|c: char| c.is_ascii_lowercase()) => format!("{setting}\n"),
            _ => format!("{line}\n"),
        };
        let text: String = text.lines().map(line).collect();
        Chosen {
            settings: nd_config::read_settings("nextdeployd.toml", &text).unwrap(),
            config: None,
            data_dir: None,
            socket: None,
            listen: std::net::SocketAddr::from(([127, 0, 0, 1], 8371)),
            http: None,
            https: None,
            dev: false,
            stop_apps: false,
        }
    }

    #[test]
    fn the_example_settings_are_the_defaults() {
        let chosen = example();
        assert_eq!(chosen.settings.listen, Some(chosen.listen));
        assert_eq!(
            adapter::<nd_process::Settings>(&chosen, "process").unwrap(),
            nd_process::Settings::default()
        );
        assert_eq!(proxy::Written::read(&chosen).unwrap().settings, nd_proxy::Settings::default());
        assert_eq!(adapter::<ingress::Settings>(&chosen, "ingress").unwrap(), ingress::Settings::default());
        let caddy = adapter::<nd_ingress::CaddySettings>(&chosen, "caddy").unwrap();
        assert_eq!(caddy, nd_ingress::CaddySettings { https: caddy.https, ..Default::default() });
        let nginx = adapter::<nd_ingress::NginxSettings>(&chosen, "nginx").unwrap();
        assert_eq!(nginx, nd_ingress::NginxSettings { config: nginx.config.clone(), ..Default::default() });
        assert_eq!(adapter::<nd_logs::Settings>(&chosen, "logs").unwrap(), nd_logs::Settings::default());
        let docker = docker_settings(&chosen).unwrap();
        let default =
            nd_docker::Settings { host: docker.host.clone(), subnet: docker.subnet, ..Default::default() };
        assert_eq!(docker, default);
    }
}
