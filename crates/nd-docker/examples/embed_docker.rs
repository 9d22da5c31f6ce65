//! The engine on Docker, inside a program of your own: a container behind a proxy, from five adapters.
//!
//! Deploys an image, asks it for its first page through the embedded proxy, and removes it again.
//!
//! ```console
//! $ cargo run -p nd-docker --example embed_docker -- nginx:alpine
//! ```

#![allow(clippy::print_stdout, reason = "an example talks to whoever runs it")]

use std::error::Error;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use nd_bluegreen::{BlueGreen, Canary, Recreate, Rolling};
use nd_core::engine::{DeployRequest, EngineHandle};
use nd_core::ports::StateStore;
use nd_core::spec::{AppSpec, ImageSpec, Workload};
use nd_core::{Engine, Registry};
use nd_docker::{DockerRuntime, Settings};
use nd_ingress::EmbeddedIngress;
use nd_probe::NetworkProbe;
use nd_proxy::Proxy;
use nd_store::SqliteStore;
use nd_supervise::CancellationToken;
use nd_types::AppName;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// How long anything may take that is not a pull.
const PATIENCE: Duration = Duration::from_secs(60);

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let image = std::env::args().nth(1).ok_or("which image? cargo run … --example embed_docker -- IMAGE")?;
    let data = tempfile::tempdir()?;
    let docker = DockerRuntime::new(Settings::default(), Some(data.path().to_owned()));
    let store = SqliteStore::open(data.path().join("state.db"))?;
    println!("{}", embed(docker, Arc::new(store), &image).await?);
    Ok(())
}

/// Deploys the image as `hello`, and answers the head of its first page.
///
/// # Errors
/// When there is no engine, when the image does not exist or does not serve, and so on: in words for users.
pub(crate) async fn embed(
    docker: DockerRuntime,
    store: Arc<dyn StateStore>,
    image: &str,
) -> Result<String, Box<dyn Error>> {
    let anywhere = SocketAddr::from(([127, 0, 0, 1], 0));
    let proxy = Proxy::start(nd_proxy::Settings { http: anywhere, ..nd_proxy::Settings::default() })?;
    let registry = Registry::builder()
        .runtime(Arc::new(docker))
        .ingress(Arc::new(EmbeddedIngress::new(proxy)))
        .probe(Arc::new(NetworkProbe))
        .strategy(Arc::new(BlueGreen))
        .strategy(Arc::new(Recreate))
        .strategy(Arc::new(Rolling))
        .strategy(Arc::new(Canary))
        .build()?;
    let engine = Engine::builder(registry).store(store).build().await?;

    let (handle, shutdown) = (engine.handle(), CancellationToken::new());
    let visit = async {
        let page = deploy_and_ask(&handle, image).await;
        shutdown.cancel();
        page
    };
    let ((), page) = tokio::join!(engine.run(shutdown.clone()), visit);
    page
}

async fn deploy_and_ask(engine: &EngineHandle, image: &str) -> Result<String, Box<dyn Error>> {
    let hello: AppName = "hello".parse()?;
    let image = ImageSpec::new(image);
    let spec = AppSpec::new(Workload::Image(image));
    let accepted = engine.deploy(DeployRequest::new(&hello, spec, "example")).await?;
    engine.settled(&hello, accepted.revision, Duration::from_secs(600)).await?;

    let ended = engine.deployment(&accepted.deployment).ok_or("the deployment is not known")?;
    let page = match ended.error {
        Some(why) => {
            Err(format!("{}{}", why.what, why.why.map_or_else(String::new, |why| format!(": {why}"))))
        }
        None => Ok(tokio::time::timeout(PATIENCE, first_page(engine.http_addr(), "hello.localhost")).await??),
    };
    // Whatever came of it, nothing is left behind.
    let revision = engine.remove(&hello, false, "example").await?;
    engine.settled(&hello, revision, PATIENCE).await?;
    Ok(page?)
}

/// The head of the answer to `GET /` (RFC 9112, section 3).
async fn first_page(proxy: SocketAddr, host: &str) -> std::io::Result<String> {
    let mut connection = TcpStream::connect(proxy).await?;
    let request = format!("GET / HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
    connection.write_all(request.as_bytes()).await?;
    let mut answer = Vec::new();
    connection.read_to_end(&mut answer).await?;
    let answer = String::from_utf8_lossy(&answer);
    Ok(answer.split("\r\n\r\n").next().unwrap_or_default().to_owned())
}
