//! An engine that is not there, goes away, comes back, hangs, or talks nonsense.

use std::path::{Path, PathBuf};
use std::time::Duration;

use futures_util::StreamExt;
use nd_core::ports::{HintKind, LogCursor, PortErrorKind, Progress, Runtime, Scope, Signal, UnitIo};
use nd_docker::{DockerRuntime, Settings};
use nd_supervise::TaskSet;
use nd_types::ExitStatus;
use tokio::io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional};
use tokio::net::{UnixListener, UnixStream};

use super::bench::{Bench, DEADLINE, until, with_engine};

/// A socket that leads to the engine for as long as this lives.
struct Relay {
    path: PathBuf,
    tasks: TaskSet,
}

impl Relay {
    fn new(path: &Path) -> Self {
        std::fs::remove_file(path).ok();
        let listener = UnixListener::bind(path).unwrap();
        let tasks = TaskSet::new("relay");
        let connections = tasks.clone();
        tasks.spawn("listener", async move {
            while let Ok((mut client, _)) = listener.accept().await {
                connections.spawn("connection", async move {
                    if let Ok(mut engine) = UnixStream::connect(engine()).await {
                        copy_bidirectional(&mut client, &mut engine).await.ok();
                    }
                });
            }
        });
        Self { path: path.to_owned(), tasks }
    }

    async fn stop(self) {
        self.tasks.shutdown(Duration::ZERO).await;
        std::fs::remove_file(self.path).unwrap();
    }
}

/// The socket of the engine that the tests use.
fn engine() -> String {
    let host = std::env::var("DOCKER_HOST").unwrap_or_default();
    host.strip_prefix("unix://").unwrap_or("/var/run/docker.sock").to_owned()
}

fn through(bench: &Bench, path: &Path) -> DockerRuntime {
    let host = Some(format!("unix://{}", path.display()));
    DockerRuntime::new(Settings { host, ..bench.settings.clone() }, None)
}

#[tokio::test]
async fn without_an_engine_every_call_says_so_and_what_to_do() {
    let settings =
        Settings { host: Some("unix:///nonexistent/docker.sock".to_owned()), ..Settings::default() };
    let runtime = DockerRuntime::new(settings, None);
    let unit = "shop-8f3k2a-1".parse().unwrap();
    let error = runtime.observe(&Scope::All("d1".parse().unwrap())).await.unwrap_err();
    assert_eq!(error.kind, PortErrorKind::Unavailable);
    assert!(error.fix.as_ref().unwrap().contains("systemctl start docker"), "{error}");
    for kind in [
        runtime.start(&unit).await.unwrap_err().kind,
        runtime.signal(&unit, Signal::Kill).await.unwrap_err().kind,
        runtime.remove(&unit).await.unwrap_err().kind,
        runtime.logs(&unit, LogCursor::Start).await.err().unwrap().kind,
        runtime.stats(&unit).await.unwrap_err().kind,
        runtime.hints().await.err().unwrap().kind,
        runtime.info().await.unwrap_err().kind,
    ] {
        assert_eq!(kind, PortErrorKind::Unavailable);
    }
}

#[tokio::test]
async fn streams_and_waits_survive_an_engine_that_goes_away_and_comes_back() {
    with_engine(async |bench| {
        let path = bench.state.path().join("relay.sock");
        let relay = Relay::new(&path);
        let runtime = through(&bench, &path);
        let unit = bench.started(1, &[("TESTAPP_FLOOD_LINES_PER_S", "100")]).await;
        let mut hints = runtime.hints().await.unwrap();
        let mut logs = runtime.logs(&unit, LogCursor::Start).await.unwrap();
        let before: Vec<_> = logs.by_ref().take(50).collect().await;
        let waiting = TaskSet::new("wait");
        let waiter = runtime.clone();
        let waited = {
            let unit = unit.clone();
            waiting.spawn_with("wait", async move { waiter.wait(&unit).await })
        };

        relay.stop().await;
        let error = runtime.observe(&Scope::All(bench.daemon.clone())).await.unwrap_err();
        assert_eq!(error.kind, PortErrorKind::Unavailable, "{error}");
        bench.runtime.signal(&unit, Signal::Stop(None)).await.unwrap();
        bench.runtime.wait(&unit).await.unwrap();
        let relay = Relay::new(&path);

        let back =
            async { while hints.next().await.expect("the stream goes on").kind != HintKind::Resync {} };
        tokio::time::timeout(DEADLINE, back).await.expect("it comes back");
        assert_eq!(
            tokio::time::timeout(DEADLINE, waited).await.unwrap().unwrap().unwrap(),
            ExitStatus::Code(0)
        );
        runtime.observe(&Scope::All(bench.daemon.clone())).await.unwrap();
        bench.runtime.remove(&unit).await.unwrap();
        let after: Vec<_> =
            tokio::time::timeout(DEADLINE, logs.collect::<Vec<_>>()).await.expect("the stream ends");
        let numbers: Vec<u64> = before
            .into_iter()
            .chain(after)
            .filter_map(|piece| {
                let line = String::from_utf8(piece.unwrap().line).unwrap();
                Some(line.strip_prefix("flood line ")?.parse().unwrap())
            })
            .collect();
        assert!(numbers.windows(2).all(|pair| pair[1] == pair[0] + 1), "{numbers:?}");
        relay.stop().await;
    })
    .await;
}

/// Answers each connection with `answer`; without one it hangs.
fn liar(path: &Path, answer: Option<&'static [u8]>) -> TaskSet {
    let listener = UnixListener::bind(path).unwrap();
    let tasks = TaskSet::new("liar");
    let connections = tasks.clone();
    tasks.spawn("listener", async move {
        while let Ok((mut client, _)) = listener.accept().await {
            connections.spawn("connection", async move {
                let mut request = [0; 4096];
                let read = client.read(&mut request).await;
                assert!(read.is_ok_and(|bytes| bytes > 0));
                match answer {
                    Some(answer) => client.write_all(answer).await.unwrap_or_default(),
                    None => std::future::pending().await,
                }
            });
        }
    });
    tasks
}

#[tokio::test]
async fn an_engine_that_hangs_or_talks_nonsense_is_an_error_in_time() {
    let directory = tempfile::tempdir().unwrap();
    for (name, answer, expected) in [
        ("hangs", None, PortErrorKind::Timeout),
        ("garbage", Some(&b"\x00\x01\x02 what?\r\n\r\n"[..]), PortErrorKind::Unavailable),
        ("closes", Some(&b""[..]), PortErrorKind::Unavailable),
        ("html", Some(&b"HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\n<html>"[..]), PortErrorKind::Internal),
        ("busy", Some(&b"HTTP/1.1 503 Busy\r\ncontent-length: 4\r\n\r\nbusy"[..]), PortErrorKind::Transient),
    ] {
        let path = directory.path().join(name);
        let _liar = liar(&path, answer);
        let settings = Settings {
            host: Some(path.display().to_string()),
            call_timeout: Duration::from_millis(300),
            ..Settings::default()
        };
        let runtime = DockerRuntime::new(settings, None);
        let scope = Scope::All("d1".parse().unwrap());
        let asked = tokio::time::timeout(DEADLINE, runtime.observe(&scope));
        let error = asked.await.expect("an answer within the deadline").unwrap_err();
        assert_eq!(error.kind, expected, "{name}: {error}");
    }
}

#[tokio::test]
async fn an_image_is_prepared_as_soon_as_the_engine_is_there() {
    with_engine(async |bench| {
        let path = bench.state.path().join("relay.sock");
        let runtime = through(&bench, &path);
        let error = runtime.prepare(&bench.spec(&[]), None, &Progress::default()).await.unwrap_err();
        assert_eq!(error.kind, PortErrorKind::Unavailable);
        let relay = Relay::new(&path);
        until("the image is prepared", async || {
            runtime.prepare(&bench.spec(&[]), None, &Progress::default()).await.is_ok()
        })
        .await;
        relay.stop().await;
    })
    .await;
}
