//! The runtime keeps the contract of its port.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests end at the first surprise"
)]

use std::collections::BTreeMap;
use std::error::Error;
use std::future::ready;
use std::panic::AssertUnwindSafe;
use std::path::PathBuf;
use std::process::Command;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use bench::Bench;
use futures_util::{FutureExt, StreamExt, stream};
use nd_core::ports::Runtime;
use nd_core::spec::{AppSpec, ImageSpec, Workload};
use nd_docker::DockerRuntime;
use nd_testkit::contract::runtime::{Doing, RuntimeFixture, promises};
use nd_types::DaemonId;

#[allow(dead_code, reason = "the other tests need more of it")]
#[path = "engine/bench.rs"]
mod bench;

/// How many promises are put to the test at a time: an engine works on a few containers at once, and waits in most of
/// them.
const AT_ONCE: usize = 6;

/// In one test, so that what a broken promise left behind is taken away too.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_docker_runtime_keeps_every_promise_of_its_port() {
    let kept = stream::iter(promises::<OnEngine>()).map(|promise| async move {
        match AssertUnwindSafe((promise.run)()).catch_unwind().await {
            Ok(Ok(())) => None,
            Ok(Err(error)) => Some(format!("{}: {error}", promise.name)),
            Err(_) => Some(format!("{}: panicked", promise.name)),
        }
    });
    let broken: Vec<String> = kept.buffer_unordered(AT_ONCE).filter_map(ready).collect().await;
    let left = std::mem::take(&mut *PLACES.lock().unwrap());
    for place in left.values() {
        place.clean().await;
    }
    assert!(broken.is_empty(), "{broken:#?}");
}

/// What is to be taken away.
static PLACES: Mutex<BTreeMap<DaemonId, Arc<Bench>>> = Mutex::new(BTreeMap::new());

struct OnEngine(Arc<Bench>);

#[async_trait]
impl RuntimeFixture for OnEngine {
    async fn new() -> Result<Self, Box<dyn Error>> {
        let files = files()?;
        let bench = Arc::new(Bench::without_image().await);
        PLACES.lock().unwrap().insert(bench.daemon.clone(), Arc::clone(&bench));
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
        let image = ImageSpec { command, ..ImageSpec::new(self.0.image.clone()) };
        let mut spec = AppSpec::new(Workload::Image(image));
        spec.port = (doing == Doing::Serve).then_some(3000).and_then(|port| port.try_into().ok());
        spec
    }

    fn missing(&self) -> AppSpec {
        let reference = format!("sha256:{}", "0".repeat(64));
        AppSpec::new(Workload::Image(ImageSpec::new(reference)))
    }

    fn command_that_exits(&self, code: u8) -> Vec<String> {
        vec!["/bin/sh".to_owned(), "-c".to_owned(), format!("exit {code}")]
    }

    fn command_that_hangs(&self) -> Vec<String> {
        vec!["/bin/sleep".to_owned(), "1000".to_owned()]
    }

    async fn close(self) {
        self.0.clean().await;
        PLACES.lock().unwrap().remove(&self.0.daemon);
    }
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
