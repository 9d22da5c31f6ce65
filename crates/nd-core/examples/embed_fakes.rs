//! A deployment engine inside a program of your own, with stand-ins for everything outside.
//!
//! Two versions of a shop are deployed, and a third one that cannot start: the second keeps serving, and the answer says
//! why. Nothing runs, listens or is written; with the adapters of `nextdeployd` the same lines deploy containers (see
//! `embed_docker` in `nd-docker`).
//!
//! ```console
//! $ cargo run -p nd-core --example embed_fakes
//! ```

#![allow(clippy::print_stdout, reason = "an example talks to whoever runs it")]

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use nd_bluegreen::{BlueGreen, Recreate};
use nd_core::engine::{DeployRequest, EngineHandle};
use nd_core::spec::{AppSpec, CommandSpec, Workload};
use nd_core::{Engine, Registry};
use nd_supervise::{CancellationToken, SystemClock};
use nd_testkit::MemoryStore;
use nd_testkit::fake::{Behaviour, FakeIngress, FakeNetwork, FakeProbe, FakeRuntime};
use nd_types::{AppName, RuntimeKind};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    for line in embed().await? {
        println!("{line}");
    }
    Ok(())
}

/// Builds an engine, runs it for three deployments, and answers what there is to tell.
///
/// # Errors
/// Whatever an embedder has to expect: adapters that do not fit together, a store that cannot be read, a wish that is
/// refused.
pub(crate) async fn embed() -> Result<Vec<String>, Box<dyn Error>> {
    // The outside world, one adapter a port.
    let network = FakeNetwork::default();
    let registry = Registry::builder()
        .runtime(Arc::new(FakeRuntime::new(RuntimeKind::Process, &network, Arc::new(SystemClock))))
        .ingress(Arc::new(FakeIngress::new()))
        .probe(Arc::new(FakeProbe::new(&network)))
        .strategy(Arc::new(BlueGreen))
        .strategy(Arc::new(Recreate))
        .build()?;

    // Everything that can fail fails here, before anything runs.
    let engine = Engine::builder(registry).store(Arc::new(MemoryStore::new())).build().await?;

    // The engine works for as long as it is polled, and its handle edits what should be.
    let (handle, shutdown) = (engine.handle(), CancellationToken::new());
    let visit = async {
        let told = three_deployments(&handle).await;
        shutdown.cancel();
        told
    };
    let ((), told) = tokio::join!(engine.run(shutdown.clone()), visit);
    told
}

async fn three_deployments(engine: &EngineHandle) -> Result<Vec<String>, Box<dyn Error>> {
    let shop: AppName = "shop".parse()?;
    let mut told = Vec::new();
    for script in ["says:version 1", "says:version 2;ready-after:50ms", "says:cannot open shop.db;exit:1"] {
        // A wish is stored when it is accepted; what becomes of it is followed.
        let accepted = engine.deploy(DeployRequest::new(&shop, server(script), "example")).await?;
        let mut events = engine.follow(&accepted.deployment).await;
        while let Some(event) = events.next().await {
            told.push(event.what.title());
        }
        let settled = engine.settled(&shop, accepted.revision, Duration::from_secs(10)).await?;
        let status = settled.ok_or("the shop is gone")?;
        let url = engine.url(&status).unwrap_or_default();
        told.push(format!("=> {}, {} of {} ready, {url}", status.phase, status.ready, status.replicas));
    }
    Ok(told)
}

/// A plain process that does what `script` says.
fn server(script: &str) -> AppSpec {
    let argv = vec!["shop".to_owned(), "--serve".to_owned()];
    let command = CommandSpec { argv, cwd: "/srv/shop".into(), user: None, path: None };
    let mut spec = AppSpec::new(Workload::Command(command));
    spec.env.insert(Behaviour::VARIABLE.to_owned(), script.to_owned());
    spec
}
