//! The runtime in memory is held to the contract of the real ones.

use std::error::Error;
use std::sync::Arc;

use async_trait::async_trait;
use nd_core::ports::Runtime;
use nd_core::spec::{AppSpec, CommandSpec, Workload};
use nd_supervise::SystemClock;
use nd_testkit::contract::runtime::{Doing, RuntimeFixture};
use nd_testkit::fake::{Behaviour, FakeNetwork, FakeRuntime};
use nd_types::{DaemonId, RuntimeKind};

nd_testkit::runtime_contract!(InMemory);

struct InMemory {
    runtime: Arc<FakeRuntime>,
    daemon: DaemonId,
}

#[async_trait]
impl RuntimeFixture for InMemory {
    async fn new() -> Result<Self, Box<dyn Error>> {
        let clock = Arc::new(SystemClock);
        let runtime = FakeRuntime::new(RuntimeKind::Process, &FakeNetwork::default(), clock);
        Ok(Self { runtime: Arc::new(runtime), daemon: DaemonId::random()? })
    }

    fn runtime(&self) -> Arc<dyn Runtime> {
        self.runtime.clone()
    }

    async fn reopened(&self) -> Result<Arc<dyn Runtime>, Box<dyn Error>> {
        Ok(self.runtime.clone())
    }

    fn daemon(&self) -> DaemonId {
        self.daemon.clone()
    }

    fn spec(&self, doing: Doing) -> AppSpec {
        scripted(&match doing {
            Doing::Run | Doing::Serve => "says:ready".to_owned(),
            Doing::Exit(code) => format!("exit:{code}"),
            Doing::Print(lines) => format!("prints:{lines};says:ready"),
            Doing::IgnoreStop => "ignores-stop;says:ready".to_owned(),
        })
    }

    fn missing(&self) -> AppSpec {
        scripted("missing")
    }

    fn command_that_exits(&self, code: u8) -> Vec<String> {
        vec!["exit".to_owned(), code.to_string()]
    }

    fn command_that_hangs(&self) -> Vec<String> {
        vec!["hang".to_owned()]
    }

    async fn close(self) {}
}

fn scripted(script: &str) -> AppSpec {
    let argv = vec!["app".to_owned()];
    let command = CommandSpec { argv, cwd: "/".into(), user: None, path: None };
    let mut spec = AppSpec::new(Workload::Command(command));
    spec.env.insert(Behaviour::VARIABLE.to_owned(), script.to_owned());
    spec
}
