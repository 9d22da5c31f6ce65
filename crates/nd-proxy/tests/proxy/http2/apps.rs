//! Apps that speak HTTP/2.

use std::io::{Error, Result};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use h2::server::{Builder, SendResponse};
use h2::{Reason, RecvStream};
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response};
use nd_proxy::Proxy;
use nd_supervise::TaskSet;
use nd_types::AppProtocol;
use tokio::net::TcpListener;
use tokio::sync::Notify;

use super::client::{Client, get, piece, post, whole, with};
use crate::support::*;

/// From a client's end to its app's knowledge of it.
const ABORT: Duration = Duration::from_secs(2);

/// An app: each request gets what `answer` makes of it. Its connections are counted.
pub(crate) struct App {
    pub(crate) address: SocketAddr,
    connections: Arc<AtomicUsize>,
    _tasks: TaskSet,
}

impl App {
    pub(crate) async fn start<F, A>(answer: F) -> Result<Self>
    where
        F: Fn(Request<RecvStream>, SendResponse<Bytes>) -> A + Clone + Send + Sync + 'static,
        A: Future<Output = std::result::Result<(), h2::Error>> + Send + 'static,
    {
        Self::start_with(false, answer).await
    }

    /// One that `goes_away` after the first request of each connection.
    async fn start_with<F, A>(goes_away: bool, answer: F) -> Result<Self>
    where
        F: Fn(Request<RecvStream>, SendResponse<Bytes>) -> A + Clone + Send + Sync + 'static,
        A: Future<Output = std::result::Result<(), h2::Error>> + Send + 'static,
    {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let (tasks, connections) = (TaskSet::new("h2 app"), Arc::new(AtomicUsize::new(0)));
        let (all, count) = (tasks.clone(), Arc::clone(&connections));
        tasks.spawn("accept", async move {
            while let Ok((stream, _)) = listener.accept().await {
                count.fetch_add(1, Ordering::SeqCst);
                let (requests, answer) = (all.clone(), answer.clone());
                all.spawn("connection", async move {
                    let Ok(mut connection) =
                        Builder::new().initial_connection_window_size(1 << 20).handshake(stream).await
                    else {
                        return;
                    };
                    while let Some(Ok((request, respond))) = connection.accept().await {
                        let answer = answer(request, respond);
                        requests.spawn("request", async move {
                            answer.await.ok();
                        });
                        if goes_away {
                            connection.graceful_shutdown();
                        }
                    }
                });
            }
        });
        Ok(Self { address, connections, _tasks: tasks })
    }

    async fn proxied(&self) -> Result<Proxy> {
        let proxy = start(Settings { workers: 1, ..settings() })?;
        let state = State::new(1).app("app", "aaaaaa", &[self.address]);
        apply(
            &proxy,
            state.with(|service| {
                for backend in &mut service.backends {
                    backend.protocol = AppProtocol::H2c;
                }
            }),
        )
        .await?;
        Ok(proxy)
    }

    fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }
}

pub(crate) fn fields(fields: &[(&'static str, &'static str)]) -> HeaderMap {
    let field = |(name, value): &(&'static str, &'static str)| {
        (HeaderName::from_static(name), HeaderValue::from_static(value))
    };
    fields.iter().map(field).collect()
}

/// Answers like a gRPC service: with the request's fields and content, and a status behind it.
pub(crate) async fn echo(
    request: Request<RecvStream>,
    mut respond: SendResponse<Bytes>,
) -> std::result::Result<(), h2::Error> {
    let (head, mut stream) = request.into_parts();
    let mut text = format!("{} {}\n", head.method, head.uri);
    for (name, value) in &head.headers {
        text.push_str(&format!("{name}: {}\n", value.to_str().unwrap_or_default()));
    }
    let mut answer = respond.send_response(Response::new(()), false)?;
    answer.send_data(text.into(), false)?;
    while let Some(piece) = stream.data().await {
        let piece = piece?;
        stream.flow_control().release_capacity(piece.len())?;
        answer.send_data(piece, false)?;
    }
    let sum = stream.trailers().await?.and_then(|trailers| trailers.get("x-sum").cloned());
    let mut trailers = fields(&[("grpc-status", "0")]);
    trailers.extend(sum.map(|sum| (HeaderName::from_static("x-sum"), sum)));
    answer.send_trailers(trailers)
}

#[tokio::test]
async fn a_call_with_trailers_passes_both_ways() -> Result<()> {
    let app = App::start(echo).await?;
    let proxy = app.proxied().await?;
    let mut client = Client::connect(proxy.http_addr()).await?;
    let request =
        with("POST", "http://app.test/p.S/M", &[("content-type", "application/grpc"), ("te", "trailers")]);
    let (answer, mut upload) = client.send(request, false).await?;
    upload.send_data("hello".into(), false).map_err(Error::other)?;
    upload.send_trailers(fields(&[("x-sum", "7")])).map_err(Error::other)?;
    let answer = whole(answer).await?;
    let text = answer.text();
    assert!(text.starts_with("POST http://app.test/p.S/M\n") && text.ends_with("hello"), "{text}");
    for line in ["te: trailers\n", "content-type: application/grpc\n", "x-forwarded-for: 127.0.0.1\n"] {
        assert!(text.contains(line), "{line} in {text}");
    }
    let trailers = answer.trailers.ok_or(Error::other("no trailers"))?;
    assert_eq!(
        (trailers.get("grpc-status"), trailers.get("x-sum")),
        (Some(&HeaderValue::from_static("0")), Some(&HeaderValue::from_static("7")))
    );
    Ok(())
}

#[tokio::test]
async fn a_client_of_http_1_gets_the_trailers_after_the_last_chunk() -> Result<()> {
    let app = App::start(echo).await?;
    let proxy = app.proxied().await?;
    let mut client = Wire::connect(proxy.http_addr()).await?;
    client.send("POST /x HTTP/1.1\r\nHost: app.test\r\nTransfer-Encoding: chunked\r\n\r\n").await?;
    client.send("5\r\nhello\r\n0\r\nX-Sum: 3\r\n\r\n").await?;
    let answer = client.response().await?;
    assert!(answer.text().starts_with("POST http://app.test/x\n") && answer.text().ends_with("hello"));
    assert_eq!(answer.trailers, "grpc-status: 0\r\nx-sum: 3\r\n");
    let answer = client.get("/again").await?;
    assert!(answer.text().starts_with("GET http://app.test/again\n"), "{}", answer.text());
    assert_eq!(app.connections(), 1);
    Ok(())
}

#[tokio::test]
async fn a_stream_of_messages_goes_both_ways_at_once() -> Result<()> {
    let app = App::start(echo).await?;
    let proxy = app.proxied().await?;
    let mut client = Client::connect(proxy.http_addr()).await?;
    let (answer, mut upload) = client.send(post(), false).await?;
    let mut down = within("the head", answer).await?.map_err(Error::other)?.into_body();
    piece(&mut down).await?;
    for message in ["one", "two", "three"] {
        upload.send_data(message.into(), false).map_err(Error::other)?;
        assert_eq!(piece(&mut down).await?, Some(message.into()));
    }
    Ok(())
}

#[tokio::test]
async fn many_requests_share_few_connections() -> Result<()> {
    let app = App::start(echo).await?;
    let proxy = app.proxied().await?;
    let (mut clients, mut answers) = (Vec::new(), Vec::new());
    for _ in 0..3 {
        let mut client = Client::connect(proxy.http_addr()).await?;
        for _ in 0..80 {
            let (answer, mut upload) = client.send(post(), false).await?;
            answers.push(answer);
            upload.send_data("x".into(), true).map_err(Error::other)?;
        }
        answers.push(client.send(get("/"), true).await?.0);
        clients.push(client);
    }
    for answer in answers {
        let answer = whole(answer).await?;
        assert_eq!(answer.status(), 200, "{}", answer.text());
    }
    assert!((1..=3).contains(&app.connections()), "{}", app.connections());
    Ok(())
}

#[tokio::test]
async fn a_request_that_was_refused_is_sent_again_whatever_it_asks_for() -> Result<()> {
    let count = Arc::new(AtomicUsize::new(0));
    let seen = Arc::clone(&count);
    let app = App::start(move |request, mut respond: SendResponse<Bytes>| {
        let first = seen.fetch_add(1, Ordering::SeqCst) == 0;
        async move {
            if first {
                respond.send_reset(Reason::REFUSED_STREAM);
                return Ok(());
            }
            echo(request, respond).await
        }
    })
    .await?;
    let proxy = app.proxied().await?;
    let mut client = Client::connect(proxy.http_addr()).await?;
    let (answer, _upload) = client.send(post(), true).await?;
    assert_eq!((whole(answer).await?.status(), count.load(Ordering::SeqCst)), (200, 2));
    Ok(())
}

#[tokio::test]
async fn a_request_that_was_reset_is_not_doubled() -> Result<()> {
    let count = Arc::new(AtomicUsize::new(0));
    let seen = Arc::clone(&count);
    let app = App::start(move |_request, mut respond: SendResponse<Bytes>| {
        seen.fetch_add(1, Ordering::SeqCst);
        async move {
            respond.send_reset(Reason::INTERNAL_ERROR);
            Ok(())
        }
    })
    .await?;
    let proxy = app.proxied().await?;
    let mut client = Client::connect(proxy.http_addr()).await?;
    let (answer, _upload) = client.send(post(), true).await?;
    assert_eq!((whole(answer).await?.status(), count.load(Ordering::SeqCst)), (502, 1));
    Ok(())
}

#[tokio::test]
async fn an_app_that_goes_away_finishes_and_gets_a_new_connection() -> Result<()> {
    let app = App::start_with(true, echo).await?;
    let proxy = app.proxied().await?;
    let mut client = Client::connect(proxy.http_addr()).await?;
    for _ in 0..5 {
        let answer = client.ask(post(), b"hello").await?;
        assert!(answer.status() == 200 && answer.text().ends_with("hello"), "{}", answer.text());
    }
    assert!(app.connections() > 1);
    Ok(())
}

#[tokio::test]
async fn an_answer_that_was_cut_is_cut_for_the_client() -> Result<()> {
    let cut = Arc::new(Notify::new());
    let told = Arc::clone(&cut);
    let app = App::start(move |_request, mut respond: SendResponse<Bytes>| {
        let told = Arc::clone(&told);
        async move {
            let mut answer = respond.send_response(Response::new(()), false)?;
            answer.send_data("hello".into(), false)?;
            told.notified().await;
            answer.send_reset(Reason::INTERNAL_ERROR);
            Ok(())
        }
    })
    .await?;
    let proxy = app.proxied().await?;
    let mut client = Client::connect(proxy.http_addr()).await?;
    let answer = within("the head", client.send(get("/"), true).await?.0).await?.map_err(Error::other)?;
    let mut body = answer.into_body();
    assert_eq!(piece(&mut body).await?, Some("hello".into()));
    cut.notify_one();
    assert!(piece(&mut body).await.is_err());
    let mut client = Wire::connect(proxy.http_addr()).await?;
    client.send("GET / HTTP/1.1\r\nHost: app.test\r\n\r\n").await?;
    within("the first piece", client.through("hello\r\n")).await??;
    cut.notify_one();
    assert_eq!(client.rest().await?, b"", "it looks complete");
    Ok(())
}

#[tokio::test]
async fn an_app_hears_that_its_client_is_gone() -> Result<()> {
    let (say, mut heard) = tokio::sync::mpsc::channel(1);
    let app = App::start(move |_request, mut respond: SendResponse<Bytes>| {
        let say = say.clone();
        async move {
            let mut answer = respond.send_response(Response::new(()), false)?;
            answer.send_data("hello".into(), false)?;
            let reason = std::future::poll_fn(|cx| answer.poll_reset(cx)).await?;
            say.send(reason).await.ok();
            Ok(())
        }
    })
    .await?;
    let proxy = app.proxied().await?;
    let mut client = Client::connect(proxy.http_addr()).await?;
    let (answer, mut stream) = client.send(get("/"), true).await?;
    within("the head", answer).await?.map_err(Error::other)?;
    let since = Instant::now();
    stream.send_reset(Reason::CANCEL);
    assert_eq!(within("the reset", heard.recv()).await?, Some(Reason::CANCEL));
    assert!(since.elapsed() < ABORT, "{:?}", since.elapsed());
    Ok(())
}

#[tokio::test]
async fn an_upload_that_was_cut_is_reset_for_the_app() -> Result<()> {
    let (say, mut heard) = tokio::sync::mpsc::channel(10);
    let app = App::start(move |request: Request<RecvStream>, _respond| {
        let say = say.clone();
        async move {
            let mut body = request.into_body();
            while let Some(Ok(_)) = body.data().await {
                say.send("a piece").await.ok();
            }
            // After a reset there are no trailers, not even none.
            let end = if body.trailers().await.is_err() { "a reset" } else { "the end" };
            say.send(end).await.ok();
            Ok(())
        }
    })
    .await?;
    let proxy = app.proxied().await?;
    let mut client = Client::connect(proxy.http_addr()).await?;
    let (_answer, mut upload) = client.send(post(), false).await?;
    upload.send_data("hello".into(), false).map_err(Error::other)?;
    assert_eq!(within("a piece", heard.recv()).await?, Some("a piece"));
    let since = Instant::now();
    upload.send_reset(Reason::CANCEL);
    assert_eq!(within("the reset", heard.recv()).await?, Some("a reset"));
    assert!(since.elapsed() < ABORT, "{:?}", since.elapsed());
    let mut client = Wire::connect(proxy.http_addr()).await?;
    client
        .send("POST / HTTP/1.1\r\nHost: app.test\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n")
        .await?;
    assert_eq!(within("a piece", heard.recv()).await?, Some("a piece"));
    let since = Instant::now();
    drop(client);
    assert_eq!(within("the reset", heard.recv()).await?, Some("a reset"));
    assert!(since.elapsed() < ABORT, "{:?}", since.elapsed());
    Ok(())
}

#[tokio::test]
async fn an_app_that_speaks_something_else_is_a_bad_gateway() -> Result<()> {
    let http1 = Upstream::named("app").await?;
    let app = App::start(echo).await?;
    let proxy = App { address: http1.address, ..app }.proxied().await?;
    let mut client = Client::connect(proxy.http_addr()).await?;
    assert_eq!(client.get("/").await?.status(), 502);
    Ok(())
}
