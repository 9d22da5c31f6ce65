//! What the tests share: a runtime on the machine's engine with an identity, a network and an image of its own, and the
//! removal of all that at the end, also of a test that failed.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::panic::AssertUnwindSafe;
use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use bollard::Docker;
use bollard::query_parameters::{
    CreateImageOptions, ListContainersOptions, ListVolumesOptions, RemoveContainerOptions,
    RemoveImageOptions, RemoveVolumeOptions,
};
use futures_util::{FutureExt, TryStreamExt};
use nd_core::ports::{Progress, Runtime, UnitObserved, UnitSpec, UnitStatus};
use nd_core::spec::{AppSpec, ImageSpec, Workload};
use nd_docker::{DockerRuntime, Settings};
use nd_types::{DaemonId, UnitId};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// How long anything may take that is not being measured.
pub(crate) const DEADLINE: Duration = Duration::from_secs(30);

/// One test's part of the engine.
pub(crate) struct Bench {
    pub(crate) runtime: DockerRuntime,
    pub(crate) settings: Settings,
    pub(crate) daemon: DaemonId,
    /// An image that holds nothing but the test application.
    pub(crate) image: String,
    /// A second opinion.
    pub(crate) docker: Docker,
    pub(crate) state: tempfile::TempDir,
}

/// Runs a test and cleans up after it.
pub(crate) async fn with_engine<F: Future<Output = ()>>(test: impl FnOnce(Arc<Bench>) -> F) {
    let bench = Arc::new(Bench::new().await);
    let result = AssertUnwindSafe(tokio::time::timeout(Duration::from_secs(120), test(Arc::clone(&bench))))
        .catch_unwind()
        .await;
    bench.clean().await;
    match result {
        Ok(ended) => ended.expect("the test is done within two minutes"),
        Err(panic) => std::panic::resume_unwind(panic),
    }
}

impl Bench {
    async fn new() -> Self {
        let bench = Self::without_image().await;
        bench.import(&bench.image, &["CMD [\"/testapp\"]", "EXPOSE 3000"]).await;
        bench
    }

    pub(crate) async fn without_image() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let docker = Docker::connect_with_defaults().expect("a docker engine runs on this machine");
        let daemon = DaemonId::random().unwrap();
        // Tests run side by side, in one process or in several.
        let number =
            std::process::id().wrapping_mul(7).wrapping_add(COUNT.fetch_add(1, Ordering::Relaxed)) % 4096;
        let settings = Settings {
            network: format!("nd-test-{daemon}"),
            subnet: Some(format!("10.{}.{}.0/24", 224 + number / 256, number % 256).parse().unwrap()),
            call_timeout: DEADLINE,
            ..Settings::default()
        };
        let state = tempfile::tempdir().unwrap();
        let runtime = DockerRuntime::new(settings.clone(), Some(state.path().to_owned()));
        let image = format!("nd-test-{daemon}:1");
        Self { runtime, settings, daemon, image, docker, state }
    }

    /// Makes an image of the test application.
    pub(crate) async fn import(&self, name: &str, changes: &[&str]) {
        self.import_files(name, &[(testapp(), "testapp".into())], changes).await;
    }

    /// Makes an image of files of this machine, each with its name in the image.
    pub(crate) async fn import_files(&self, name: &str, files: &[(PathBuf, PathBuf)], changes: &[&str]) {
        let mut archive = tar::Builder::new(Vec::new());
        for (path, name) in files {
            archive.append_path_with_name(path, name).unwrap();
        }
        let archive = archive.into_inner().unwrap();
        let (repo, tag) = name.rsplit_once(':').unwrap();
        let options = CreateImageOptions {
            from_src: Some("-".to_owned()),
            repo: Some(repo.to_owned()),
            tag: Some(tag.to_owned()),
            changes: changes.iter().map(|change| (*change).to_owned()).collect(),
            ..CreateImageOptions::default()
        };
        let docker = self.docker.clone().with_timeout(Duration::from_secs(600));
        let import = docker.create_image(Some(options), Some(bollard::body_full(archive.into())), None);
        import.try_collect::<Vec<_>>().await.expect("the image is imported");
    }

    pub(crate) fn unit_id(&self, slot: u16) -> UnitId {
        UnitId::new(&"shop".parse().unwrap(), &self.daemon.as_str()[..6].parse().unwrap(), slot)
    }

    /// The test application on port 3000.
    pub(crate) fn spec(&self, env: &[(&str, &str)]) -> AppSpec {
        let image = ImageSpec::new(self.image.clone());
        let mut spec = AppSpec::new(Workload::Image(image));
        spec.env = env.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        spec
    }

    pub(crate) async fn unit(&self, slot: u16, spec: AppSpec) -> UnitSpec {
        let prepared =
            self.runtime.prepare(&spec, None, &Progress::default()).await.expect("the image is there");
        UnitSpec { id: self.unit_id(slot), daemon: self.daemon.clone(), spec: Arc::new(spec), prepared }
    }

    /// Creates a unit with these variables.
    pub(crate) async fn created(&self, slot: u16, env: &[(&str, &str)]) -> UnitId {
        let unit = self.unit(slot, self.spec(env)).await;
        self.runtime.create(&unit).await.expect("the unit is created");
        unit.id
    }

    /// Creates and starts a unit with these variables.
    pub(crate) async fn started(&self, slot: u16, env: &[(&str, &str)]) -> UnitId {
        let unit = self.created(slot, env).await;
        let observed = self.runtime.start(&unit).await.expect("the unit starts");
        assert!(!matches!(observed.status, UnitStatus::Created), "{observed:?}");
        unit
    }

    /// What the runtime sees of one unit.
    pub(crate) async fn look(&self, unit: &UnitId) -> Option<UnitObserved> {
        let scope = nd_core::ports::Scope::App(self.daemon.clone(), unit.app().clone());
        let all = self.runtime.observe(&scope).await.expect("the engine answers");
        all.into_iter().find(|observed| observed.id.as_ref() == Some(unit))
    }

    pub(crate) async fn clean(&self) {
        let label = |label: String| Some(HashMap::from([("label".to_owned(), vec![label])]));
        let ours = format!("nextdeploy.daemon={}", self.daemon);
        for filters in [label(ours.clone()), label(format!("nd-test={}", self.daemon))] {
            let options = ListContainersOptions { all: true, filters, ..ListContainersOptions::default() };
            for container in self.docker.list_containers(Some(options)).await.unwrap_or_default() {
                let options = RemoveContainerOptions { force: true, v: true, link: false };
                self.docker.remove_container(&container.id.unwrap(), Some(options)).await.ok();
            }
        }
        let volumes = self.docker.list_volumes(Some(ListVolumesOptions { filters: label(ours) })).await;
        for volume in volumes.ok().and_then(|volumes| volumes.volumes).unwrap_or_default() {
            self.docker.remove_volume(&volume.name, None::<RemoveVolumeOptions>).await.ok();
        }
        self.docker.remove_network(&self.settings.network).await.ok();
        self.docker.remove_image(&self.image, None::<RemoveImageOptions>, None).await.ok();
    }
}

/// The test application without shared libraries: built by whoever runs the tests, else here.
pub(crate) fn testapp() -> PathBuf {
    if let Some(path) = std::env::var_os("ND_TESTAPP") {
        return path.into();
    }
    let built = Command::new(env!("CARGO")).args(["xtask", "testapp"]).output().expect("cargo runs");
    assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
    let text = String::from_utf8(built.stdout).unwrap();
    text.lines().last().expect("cargo xtask testapp prints a path").into()
}

/// Waits for `condition`, and fails with `what` at the deadline.
pub(crate) async fn until<F: Future<Output = bool>>(what: &str, mut condition: impl FnMut() -> F) {
    let waited = tokio::time::timeout(DEADLINE, async {
        while !condition().await {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    });
    waited.await.unwrap_or_else(|_| panic!("never: {what}"));
}

/// The answer to `GET path`, tried until the app listens.
pub(crate) async fn get(address: SocketAddr, path: &str) -> String {
    let request = format!("GET {path} HTTP/1.1\r\nhost: app\r\nconnection: close\r\n\r\n");
    let mut answer = String::new();
    let asked = tokio::time::timeout(DEADLINE, async {
        let mut stream = loop {
            match TcpStream::connect(address).await {
                Ok(stream) => break stream,
                Err(_) => tokio::time::sleep(Duration::from_millis(10)).await,
            }
        };
        stream.write_all(request.as_bytes()).await?;
        stream.read_to_string(&mut answer).await
    });
    asked.await.expect("the app answers").expect("the app answers");
    answer
}
