//! How soon one side hears of what the other one does.

use std::io::{Error, Result};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use nd_types::{Compression, ContentCoding};
use tokio::net::TcpStream;
use tokio::sync::{Mutex, mpsc};

use super::http2::client::{Client, piece, post, with};
use super::support::*;

/// From an app's write to its client's read.
const PROMPT: Duration = Duration::from_millis(150);
const PIECES: usize = 9;
/// From a client's end to its app's knowledge of it.
const ABORT: Duration = Duration::from_secs(2);

/// An app that writes a piece of its answer whenever it is told to, framed as its head says.
async fn in_pieces(head: &'static str) -> Result<(Upstream, mpsc::Sender<()>)> {
    let (more, wait) = mpsc::channel::<()>(1);
    let wait = Arc::new(Mutex::new(wait));
    let app = Upstream::raw(move |mut wire, _| {
        let wait = Arc::clone(&wait);
        async move {
            wire.message(Kind::Request).await?;
            wire.send(head).await?;
            let mut wait = wait.lock().await;
            for n in 0..PIECES {
                wait.recv().await.ok_or(std::io::ErrorKind::BrokenPipe)?;
                let text = format!("data: {n}\n\n");
                let is_chunked = head.contains("chunked");
                wire.send(if is_chunked { format!("{:x}\r\n{text}\r\n", text.len()) } else { text }).await?;
            }
            wire.rest().await.map(drop)
        }
    })
    .await?;
    Ok((app, more))
}

/// One of them may have met a busy machine.
fn assert_prompt(mut waits: Vec<Duration>, about: &str) {
    waits.sort_unstable();
    waits.pop();
    assert!(
        waits.len() == PIECES - 1 && waits.last().is_some_and(|wait| *wait <= PROMPT),
        "{about}: {waits:?}"
    );
}

#[tokio::test]
async fn each_piece_of_an_answer_arrives_within_150_ms_however_it_is_framed() -> Result<()> {
    for (head, accepts) in [
        ("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n", "gzip"),
        ("HTTP/1.1 200 OK\r\nContent-Type: application/x-ndjson\r\nTransfer-Encoding: chunked\r\n\r\n", ""),
        (
            "HTTP/1.1 200 OK\r\nContent-Type: application/x-ndjson\r\nTransfer-Encoding: chunked\r\n\r\n",
            "gzip",
        ),
        ("HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n", ""),
        ("HTTP/1.0 200 OK\r\n\r\n", ""),
    ] {
        let (app, more) = in_pieces(head).await?;
        let proxy = start(settings())?;
        let state = State::new(1).app("app", "aaaaaa", &[app.address]);
        apply(&proxy, state.rules(|rules| rules.compression = Compression(ContentCoding::ALL.to_vec())))
            .await?;
        let mut client = Wire::connect(proxy.http_addr()).await?;
        client
            .send(format!("GET / HTTP/1.1\r\nHost: app.test\r\nAccept-Encoding: {accepts}\r\n\r\n"))
            .await?;
        within("the head", client.through("\r\n\r\n")).await??;
        let mut waits = Vec::new();
        for _ in 0..PIECES {
            more.send(()).await.map_err(Error::other)?;
            let told = Instant::now();
            within("a piece", client.some()).await??;
            waits.push(told.elapsed());
        }
        assert_prompt(waits, head);
        drop(client);
        let (app, more) = in_pieces(head).await?;
        let state = State::new(2).app("app", "bbbbbb", &[app.address]);
        apply(&proxy, state.rules(|rules| rules.compression = Compression(ContentCoding::ALL.to_vec())))
            .await?;
        let mut client = Client::connect(proxy.http_addr()).await?;
        let request = with("GET", "http://app.test/", &[("accept-encoding", accepts)]);
        let answer = within("the head", client.send(request, true).await?.0).await?.map_err(Error::other)?;
        let (mut body, mut waits) = (answer.into_body(), Vec::new());
        for _ in 0..PIECES {
            more.send(()).await.map_err(Error::other)?;
            let told = Instant::now();
            piece(&mut body).await?.ok_or(std::io::ErrorKind::UnexpectedEof)?;
            waits.push(told.elapsed());
        }
        assert_prompt(waits, head);
    }
    Ok(())
}

/// An app that reads a piece of an upload and then to the end of its connection; and whether it has got there, and has
/// seen the end of the body.
async fn reads_to_the_end() -> Result<(Upstream, Arc<[AtomicBool; 3]>)> {
    let flags: Arc<[AtomicBool; 3]> = Arc::default();
    let told = Arc::clone(&flags);
    let app = Upstream::raw(move |mut wire, _| {
        let told = Arc::clone(&told);
        async move {
            let [begun, ended, whole] = &*told;
            wire.through("hel").await?;
            begun.store(true, Ordering::SeqCst);
            let (bytes, _) = wire.end().await?;
            whole.store(bytes.ends_with(b"0\r\n\r\n") || bytes.starts_with(b"lo"), Ordering::SeqCst);
            ended.store(true, Ordering::SeqCst);
            Ok(())
        }
    })
    .await?;
    Ok((app, flags))
}

#[tokio::test]
async fn an_upload_that_was_cut_is_cut_for_the_app_within_two_seconds() -> Result<()> {
    for framing in ["Content-Length: 5", "Transfer-Encoding: chunked"] {
        for leaves in ["h1: closes", "h1: resets", "h2: resets the stream", "h2: closes"] {
            let about = format!("{framing}, {leaves}");
            let (app, flags) = reads_to_the_end().await?;
            let [begun, ended, whole] = &*flags;
            let proxy = start_for(&app).await?;
            let has_begun = || begun.load(Ordering::SeqCst);
            let since;
            if leaves.starts_with("h1") {
                let stream = within("connect", TcpStream::connect(proxy.http_addr())).await??;
                if leaves.ends_with("resets") {
                    stream.set_zero_linger()?;
                }
                let mut client = Wire::new(stream);
                let body = if framing.contains("chunked") { "5\r\nhel" } else { "hel" };
                client.send(format!("POST / HTTP/1.1\r\nHost: app.test\r\n{framing}\r\n\r\n{body}")).await?;
                until("the app has the beginning", has_begun).await?;
                since = Instant::now();
                drop(client);
            } else {
                let mut client = Client::connect(proxy.http_addr()).await?;
                let length = with("POST", "http://app.test/", &[("content-length", "5")]);
                let request = if framing.contains("chunked") { post() } else { length };
                let (_answer, mut upload) = client.send(request, false).await?;
                upload.send_data("hel".into(), false).map_err(Error::other)?;
                until("the app has the beginning", has_begun).await?;
                since = Instant::now();
                match leaves {
                    "h2: closes" => client.kill().await,
                    _ => upload.send_reset(h2::Reason::CANCEL),
                }
                until(&about, || ended.load(Ordering::SeqCst)).await?;
            }
            until(&about, || ended.load(Ordering::SeqCst)).await?;
            assert!(since.elapsed() < ABORT, "{about}: {:?}", since.elapsed());
            assert!(!whole.load(Ordering::SeqCst), "{about}: it looks whole");
        }
    }
    Ok(())
}
