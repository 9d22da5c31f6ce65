//! What the API asks of the process around it.

use std::path::PathBuf;

use async_trait::async_trait;
use nd_api::v1::{PressureStall, PressureView};
use nd_config::DaemonSettings;
use nd_proxy::{AppTraffic, Latency, ReleaseTraffic};
use nd_server::{AppFigures, Figures, Host, HostSample, Requests, UpgradeError};
use nd_types::ReleaseId;
use parking_lot::Mutex;
use tokio::sync::watch;

use crate::access_log::AccessLog;
use crate::options::{Chosen, read_file};
use crate::paths::Paths;
use crate::program;
use crate::proxy::DataPlane;

/// This process and the host it runs on.
pub(crate) struct DaemonHost {
    config: Option<PathBuf>,
    settings: Mutex<DaemonSettings>,
    notes: Vec<String>,
    metrics: nd_metrics::HostMetrics,
    proxy: DataPlane,
    /// The program that takes over, once an upgrade has got so far.
    successor: watch::Sender<Option<PathBuf>>,
    upgrading: tokio::sync::Mutex<()>,
    requests: Option<AccessLog>,
}

impl DaemonHost {
    pub(crate) fn new(
        chosen: &Chosen,
        paths: &Paths,
        notes: Vec<String>,
        proxy: DataPlane,
        requests: Option<AccessLog>,
    ) -> Self {
        Self {
            config: chosen.config.clone(),
            settings: Mutex::new(chosen.settings.clone()),
            notes,
            metrics: nd_metrics::HostMetrics::new(paths.data.clone()),
            proxy,
            requests,
            successor: watch::Sender::new(None),
            upgrading: tokio::sync::Mutex::new(()),
        }
    }

    /// Waits until another program is to take over.
    pub(crate) async fn successor(&self) -> PathBuf {
        let mut successor = self.successor.subscribe();
        match successor.wait_for(Option::is_some).await.map(|program| program.clone()) {
            Ok(Some(program)) => program,
            _ => std::future::pending().await,
        }
    }

    /// Reads the settings again, because of SIGHUP.
    pub(crate) async fn reload_and_log(&self) {
        match self.reload().await {
            Ok(changes) if changes.is_empty() => tracing::info!("settings read again: nothing changed"),
            Ok(changes) => tracing::info!("settings read again: {}", changes.join("; ")),
            Err(error) => tracing::error!("the settings were not taken: {error}"),
        }
    }
}

#[async_trait]
impl Host for DaemonHost {
    async fn sample(&self) -> HostSample {
        let host = self.metrics.sample().await;
        HostSample {
            cpu_percent: host.cpu_percent,
            memory_percent: host.memory_percent(),
            disk_percent: host.disk_percent(),
            rss_bytes: host.rss_bytes,
            pressure: host.pressure.map(pressure),
            zombies: host.zombies,
            details: serde_json::json!({
                "cpus": host.cpus,
                "load": host.load,
                "memory_total_bytes": host.memory_total_bytes,
                "memory_used_bytes": host.memory_used_bytes,
                "disk_total_bytes": host.disk_total_bytes,
                "disk_used_bytes": host.disk_used_bytes,
                "uptime_seconds": host.uptime.as_secs(),
                "received_bytes": host.received_bytes,
                "sent_bytes": host.sent_bytes,
                "zombies": host.zombies,
                "pressure": host.pressure.map(pressure),
            }),
        }
    }

    async fn exposition(&self, figures: Figures) -> String {
        let traffic = self.proxy.stats().await;
        let snapshot = nd_metrics::Snapshot {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            uptime: figures.uptime,
            api_requests: figures.api_requests,
            errors: figures.errors,
            workers_down: figures.workers_down,
            proxy_connections: traffic.connections,
            proxy_accepted: [traffic.accepted, traffic.turned_away],
            proxy_unrouted: traffic.unrouted,
            proxy_handshakes: traffic.handshakes,
            proxy_handshakes_failed: traffic.handshake_failures,
            certs: figures.certs.iter().map(|(name, end)| (name.clone(), end.as_second())).collect(),
            records_dropped: traffic.records_dropped,
            host: self.metrics.sample().await,
            apps: figures.apps.iter().map(|app| series(app, traffic.apps.get(&app.app))).collect(),
        };
        match nd_metrics::exposition(&snapshot) {
            Ok(text) => text,
            Err(error) => format!("# the metrics could not be written: {error}\n"),
        }
    }

    fn requests(&self) -> Option<&dyn Requests> {
        self.requests.as_ref().map(|log| log as _)
    }

    fn notes(&self) -> Vec<String> {
        self.notes.clone()
    }

    async fn reload(&self) -> Result<Vec<String>, String> {
        let Some(path) = self.config.clone() else {
            return Ok(vec!["there is no settings file, flags and defaults stay".to_owned()]);
        };
        let read = nd_supervise::blocking("read the settings", move || read_file(&path)).await;
        let fresh = read.map_err(|failure| failure.to_string())?.map_err(|error| error.to_string())?;
        let mut settings = self.settings.lock();
        let changes = changes(&settings, &fresh);
        *settings = fresh;
        Ok(changes)
    }

    async fn upgrade(&self) -> Result<(PathBuf, String), UpgradeError> {
        let _alone = self.upgrading.try_lock().map_err(|_| UpgradeError::UnderWay)?;
        let program = program::path().map_err(|error| UpgradeError::Failed(error.to_string()))?;
        let version = program::version(&program).await.map_err(UpgradeError::Failed)?;
        match self.proxy.upgrade(program.clone()).await {
            Ok(true) => {}
            Ok(false) => return Err(UpgradeError::Impossible(EMBEDDED.to_owned())),
            Err(error) => return Err(UpgradeError::Failed(error.to_string())),
        }
        self.successor.send_replace(Some(program.clone()));
        Ok((program, version))
    }
}

/// Why a daemon that serves by itself is not upgraded.
const EMBEDDED: &str = "the proxy runs inside this daemon (--dev, or own_process = false): \
    requests would fail meanwhile; restart the daemon instead";

/// What differs, and that it counts from the next start: listeners and directories cannot move under their users.
fn changes(old: &DaemonSettings, new: &DaemonSettings) -> Vec<String> {
    let rows = [
        ("data_dir", old.data_dir != new.data_dir),
        ("socket", old.socket != new.socket),
        ("listen", old.listen != new.listen),
        ("http", old.http != new.http),
        ("https", old.https != new.https),
        ("dev", old.dev != new.dev),
        ("log", old.log != new.log),
        ("docker", old.docker != new.docker),
        ("shutdown.apps", old.on_shutdown != new.on_shutdown),
        ("adapter tables", old.adapters != new.adapters),
    ];
    let changed = rows.into_iter().filter(|(_, changed)| *changed);
    changed.map(|(key, _)| format!("{key} changed, restart the daemon for it to count")).collect()
}

fn pressure(measured: nd_metrics::Pressure) -> PressureView {
    let stall = |stall: nd_metrics::Stall| PressureStall {
        avg10: stall.avg10,
        avg60: stall.avg60,
        avg300: stall.avg300,
    };
    PressureView {
        cpu: measured.cpu.map(stall),
        memory: measured.memory.map(stall),
        io: measured.io.map(stall),
    }
}

fn series(app: &AppFigures, traffic: Option<&AppTraffic>) -> nd_metrics::AppSeries {
    let traffic = traffic.cloned().unwrap_or_default();
    nd_metrics::AppSeries {
        app: app.app.to_string(),
        ready: app.ready,
        desired: app.desired,
        restarts: app.restarts,
        crashes: app.crashes,
        deployments: [app.deployments_succeeded, app.deployments_failed],
        responses: traffic.responses,
        traffic_bytes: [traffic.bytes_in, traffic.bytes_out],
        in_flight: traffic.in_flight,
        held: traffic.held,
        retries: traffic.retries,
        upgrades: traffic.upgrades,
        releases: traffic
            .releases
            .iter()
            .map(|(release, traffic)| release_series(release, traffic))
            .collect(),
    }
}

fn release_series(release: &ReleaseId, traffic: &ReleaseTraffic) -> nd_metrics::ReleaseSeries {
    // A code that is not counted by itself stands for its class.
    let code = |code: u16| if code < 10 { format!("{code}xx") } else { code.to_string() };
    let bounds = Latency::bounds().map(|bound| bound.as_secs_f64());
    nd_metrics::ReleaseSeries {
        release: release.to_string(),
        codes: traffic.codes.iter().map(|(status, count)| (code(*status), *count)).collect(),
        bytes: [traffic.bytes_in, traffic.bytes_out],
        latency: bounds.zip(traffic.latency.buckets.iter().copied()).collect(),
        latency_count: traffic.latency.count(),
        latency_seconds: traffic.latency.sum_us as f64 / 1e6,
    }
}
