//! The runtime keeps the contract of its port.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests end at the first surprise"
)]

use std::error::Error;
use std::fs::File;
use std::panic::AssertUnwindSafe;
use std::path::PathBuf;
use std::process::Command;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use bench::Bench;
use futures_util::FutureExt;
use nd_core::ports::Runtime;
use nd_core::spec::{AppSpec, ImageSpec, Workload};
use nd_docker::DockerRuntime;
use nd_testkit::contract::runtime::{Doing, RuntimeFixture, promises};
use nd_types::DaemonId;

#[allow(dead_code, reason = "the other tests need more of it")]
#[path = "engine/bench.rs"]
mod bench;

/// The promises of the suite are made with units of one name, which can be on an engine once only: so they are put to
/// the test one after the other, and no two runs of the suite at a time.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_docker_runtime_keeps_every_promise_of_its_port() {
    let lock = File::create(std::env::temp_dir().join("nextdeploy-docker-contract.lock")).unwrap();
    lock.lock().unwrap();
    let mut broken = Vec::new();
    for promise in promises::<OnEngine>() {
        match AssertUnwindSafe((promise.run)()).catch_unwind().await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => broken.push(format!("{}: {error}", promise.name)),
            Err(_) => broken.push(format!("{}: panicked", promise.name)),
        }
        // Also what a broken promise left behind, which would be in the way of the next one.
        let places = std::mem::take(&mut *PLACES.lock().unwrap());
        for place in places {
            place.clean().await;
        }
    }
    assert!(broken.is_empty(), "{broken:#?}");
}

/// What is to be taken away.
static PLACES: Mutex<Vec<Arc<Bench>>> = Mutex::new(Vec::new());

struct OnEngine(Arc<Bench>);

#[async_trait]
impl RuntimeFixture for OnEngine {
    async fn new() -> Result<Self, Box<dyn Error>> {
        let files = files()?;
        let bench = Arc::new(Bench::without_image().await);
        PLACES.lock().unwrap().push(Arc::clone(&bench));
        bench.import_files(&bench.image, &files, &[]).await;
        Ok(Self(bench))
    }

    fn runtime(&self) -> Arc<dyn Runtime> {
        Arc::new(self.0.runtime.clone())
    }

    async fn reopened(&self) -> Result<Arc<dyn Runtime>, Box<dyn Error>> {
        Ok(Arc::new(DockerRuntime::new(self.0.settings.clone(), Some(self.0.state.path().to_owned()))))
    }

    fn daemon(&self) -> DaemonId {
        self.0.daemon.clone()
    }

    fn spec(&self, doing: Doing) -> AppSpec {
        let script = doing.script().unwrap_or_else(|| {
            // The test application says so when it listens.
            "/testapp | while read line; do echo ready; done".to_owned()
        });
        let command = vec!["/bin/sh".to_owned(), "-c".to_owned(), script];
        let image = ImageSpec { reference: self.0.image.clone(), command, user: None };
        let mut spec = AppSpec::new(Workload::Image(image));
        spec.port = (doing == Doing::Serve).then_some(3000).and_then(|port| port.try_into().ok());
        spec
    }

    fn missing(&self) -> AppSpec {
        let reference = format!("sha256:{}", "0".repeat(64));
        AppSpec::new(Workload::Image(ImageSpec { reference, command: Vec::new(), user: None }))
    }

    fn command_that_exits(&self, code: u8) -> Vec<String> {
        vec!["/bin/sh".to_owned(), "-c".to_owned(), format!("exit {code}")]
    }

    fn command_that_hangs(&self) -> Vec<String> {
        vec!["/bin/sleep".to_owned(), "1000".to_owned()]
    }

    /// See [`PLACES`].
    async fn close(self) {}
}

/// What the suite's scripts need: the test application, and this machine's shell and `sleep` with their libraries.
fn files() -> Result<Vec<(PathBuf, PathBuf)>, Box<dyn Error>> {
    let mut files = vec![(bench::testapp(), PathBuf::from("testapp"))];
    for program in ["/bin/sh", "/bin/sleep"] {
        files.push((program.into(), program.trim_start_matches('/').into()));
        let listed = Command::new("ldd").arg(program).output()?;
        let text = String::from_utf8(listed.stdout)?;
        let libraries = text.split_whitespace().filter(|word| word.starts_with('/'));
        files.extend(libraries.map(|library| (library.into(), library.trim_start_matches('/').into())));
    }
    files.sort();
    files.dedup();
    Ok(files)
}
