//! The probe against servers made of raw sockets.

use std::net::SocketAddr;
use std::time::Duration;

use nd_core::ports::{HealthProbe, ProbeFailure, ProbeOutcome, ProbeRequest, ProbeTarget};
use nd_core::spec::{HttpProbe, StatusRange, Statuses};
use nd_probe::NetworkProbe;
use nd_supervise::TaskSet;
use nd_types::AppProtocol;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::time::Instant;

type Result<T = (), E = Box<dyn std::error::Error>> = std::result::Result<T, E>;

/// How the server treats its only connection.
#[derive(Clone, Copy)]
enum Server {
    /// Reads a request head, sends these bytes and closes.
    Answers(&'static [u8]),
    /// Reads a request head, sends these bytes and keeps the connection open.
    AnswersAndStays(&'static [u8]),
    /// Sends these bytes before it reads anything.
    Greets(&'static [u8]),
    /// Closes at once.
    Closes,
    /// Accepts and says nothing.
    Sleeps,
}

struct Started {
    address: SocketAddr,
    heard: oneshot::Receiver<Vec<u8>>,
    _tasks: TaskSet,
}

async fn start(server: Server) -> Result<Started> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let (tell, heard) = oneshot::channel();
    let tasks = TaskSet::new("server");
    tasks.spawn("serve", async move {
        let Ok((stream, _)) = listener.accept().await else { return };
        // The probe may hang up at any time; the test looks at what the probe says.
        tell.send(serve(server, stream).await.unwrap_or_default()).ok();
    });
    Ok(Started { address, heard, _tasks: tasks })
}

async fn serve(server: Server, mut stream: TcpStream) -> Result<Vec<u8>> {
    let mut head = Vec::new();
    match server {
        Server::Answers(answer) => {
            read_head(&mut stream, &mut head).await?;
            stream.write_all(answer).await?;
        }
        Server::AnswersAndStays(answer) => {
            read_head(&mut stream, &mut head).await?;
            stream.write_all(answer).await?;
            stream.read_to_end(&mut Vec::new()).await?;
        }
        Server::Greets(greeting) => {
            stream.write_all(greeting).await?;
            stream.read_to_end(&mut head).await?;
        }
        Server::Closes => {}
        Server::Sleeps => {
            stream.read_to_end(&mut head).await?;
        }
    }
    Ok(head)
}

async fn read_head(stream: &mut TcpStream, head: &mut Vec<u8>) -> Result {
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await?);
    }
    Ok(())
}

fn get(address: SocketAddr, path: &str) -> ProbeRequest {
    let target = ProbeTarget::Http(HttpProbe::new(path));
    ProbeRequest { address, target, protocol: AppProtocol::Http, timeout: Duration::from_secs(5) }
}

async fn ask(server: Server) -> Result<ProbeOutcome> {
    let started = start(server).await?;
    Ok(NetworkProbe.probe(&get(started.address, "/up")).await)
}

#[tokio::test]
async fn an_accepted_status_passes() -> Result {
    let outcome = ask(Server::Answers(b"HTTP/1.1 204 No Content\r\n\r\n")).await?;
    assert!(matches!(outcome, ProbeOutcome::Pass { status: Some(204), .. }), "{outcome:?}");
    Ok(())
}

#[tokio::test]
async fn an_accepted_status_passes_before_its_body_ends() -> Result {
    let outcome = ask(Server::AnswersAndStays(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nx")).await?;
    assert!(matches!(outcome, ProbeOutcome::Pass { status: Some(200), .. }), "{outcome:?}");
    Ok(())
}

#[tokio::test]
async fn the_request_names_host_and_probe_and_ends_its_connection() -> Result {
    let started = start(Server::Answers(b"HTTP/1.0 200 OK\r\n\r\n")).await?;
    NetworkProbe.probe(&get(started.address, "/up?full=1")).await;
    let head = String::from_utf8(started.heard.await?)?.to_lowercase();
    assert!(head.starts_with("get /up?full=1 http/1.1\r\n"), "{head}");
    for line in ["host: localhost\r\n", "user-agent: nextdeploy-probe\r\n", "connection: close\r\n"] {
        assert!(head.contains(line), "{line} in {head}");
    }
    Ok(())
}

#[tokio::test]
async fn the_probes_own_headers_are_sent_once_each() -> Result {
    let started = start(Server::Answers(b"HTTP/1.1 200 OK\r\n\r\n")).await?;
    let mut probe = HttpProbe::new("/up");
    let headers = [("Host", "shop.example.com"), ("X-Probe", "1"), ("user-agent", "me")];
    probe.headers = headers.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
    let request = ProbeRequest { target: ProbeTarget::Http(probe), ..get(started.address, "/") };
    NetworkProbe.probe(&request).await;
    let head = String::from_utf8(started.heard.await?)?.to_lowercase();
    for line in ["host: shop.example.com\r\n", "x-probe: 1\r\n", "user-agent: me\r\n"] {
        assert!(head.contains(line), "{line} in {head}");
    }
    assert_eq!((head.matches("host:").count(), head.matches("user-agent:").count()), (1, 1), "{head}");
    Ok(())
}

#[tokio::test]
async fn a_status_of_any_range_passes_and_no_other() -> Result {
    let accept =
        Statuses::new(vec![StatusRange { first: 204, last: 204 }, StatusRange { first: 400, last: 404 }]);
    for (answer, good) in [
        (b"HTTP/1.1 204 A\r\n\r\n".as_slice(), true),
        (b"HTTP/1.1 401 B\r\n\r\n", true),
        (b"HTTP/1.1 200 C\r\n\r\n", false),
        (b"HTTP/1.1 405 D\r\n\r\n", false),
    ] {
        let started = start(Server::Answers(answer)).await?;
        let probe = HttpProbe { accept: accept.clone(), ..HttpProbe::new("/") };
        let request = ProbeRequest { target: ProbeTarget::Http(probe), ..get(started.address, "/") };
        let outcome = NetworkProbe.probe(&request).await;
        assert_eq!(matches!(outcome, ProbeOutcome::Pass { .. }), good, "{outcome:?}");
    }
    Ok(())
}

#[tokio::test]
async fn a_redirect_is_an_answer_and_is_not_followed() -> Result {
    let outcome =
        ask(Server::Answers(b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\n\r\n")).await?;
    assert!(matches!(outcome, ProbeOutcome::Pass { status: Some(302), .. }), "{outcome:?}");
    Ok(())
}

#[tokio::test]
async fn a_bad_status_brings_the_first_line_of_its_body() -> Result {
    let answer =
        b"HTTP/1.1 500 Oops\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nno DB\r\n6\r\n\nstack\r\n0\r\n\r\n";
    let expected = ProbeFailure::Status { status: 500, body: "no DB".into() };
    assert_eq!(ask(Server::Answers(answer)).await?, ProbeOutcome::Fail(expected));
    Ok(())
}

#[tokio::test]
async fn a_bad_status_counts_even_if_its_body_is_cut() -> Result {
    let answer = b"HTTP/1.1 503 Busy\r\nContent-Length: 100\r\n\r\nnot yet";
    let expected = ProbeFailure::Status { status: 503, body: "not yet".into() };
    assert_eq!(ask(Server::Answers(answer)).await?, ProbeOutcome::Fail(expected));
    Ok(())
}

#[tokio::test]
async fn a_bad_status_counts_even_if_its_body_never_ends() -> Result {
    let started =
        start(Server::AnswersAndStays(b"HTTP/1.1 503 Busy\r\nContent-Length: 100\r\n\r\nnot yet")).await?;
    let request = ProbeRequest { timeout: Duration::from_millis(200), ..get(started.address, "/") };
    let expected = ProbeFailure::Status { status: 503, body: "not yet".into() };
    assert_eq!(NetworkProbe.probe(&request).await, ProbeOutcome::Fail(expected));
    Ok(())
}

#[tokio::test]
async fn a_port_that_greets_first_speaks_no_http() -> Result {
    for greeting in
        [b"SSH-2.0-OpenSSH_9.2\r\n".as_slice(), b"220 mail ESMTP\r\n", b"\x4a\0\0\0\x0a8.0.36\0", b"+"]
    {
        let outcome = ask(Server::Greets(greeting)).await?;
        assert_eq!(outcome, ProbeOutcome::Fail(ProbeFailure::NotHttp), "{greeting:?}");
    }
    Ok(())
}

#[tokio::test]
async fn a_port_that_answers_something_else_speaks_no_http() -> Result {
    for answer in
        [b"-ERR wrong number of arguments\r\n".as_slice(), b"\x15\x03\x01\0\x02\x02\x46", b"+PONG\r\n"]
    {
        for server in [Server::Answers(answer), Server::AnswersAndStays(answer)] {
            assert_eq!(ask(server).await?, ProbeOutcome::Fail(ProbeFailure::NotHttp), "{answer:?}");
        }
    }
    Ok(())
}

#[tokio::test]
async fn a_port_that_closes_before_it_answers_is_closed() -> Result {
    for server in [Server::Closes, Server::Answers(b""), Server::Answers(b"HTTP/1.1 20")] {
        assert_eq!(ask(server).await?, ProbeOutcome::Fail(ProbeFailure::Closed));
    }
    Ok(())
}

#[tokio::test]
async fn no_answer_ends_the_probe_at_its_timeout() -> Result {
    let started = start(Server::Sleeps).await?;
    let timeout = Duration::from_millis(150);
    let begin = Instant::now();
    let outcome = NetworkProbe.probe(&ProbeRequest { timeout, ..get(started.address, "/") }).await;
    assert_eq!(outcome, ProbeOutcome::Fail(ProbeFailure::Timeout(timeout)));
    let took = begin.elapsed();
    assert!(took >= timeout && took < timeout + Duration::from_secs(1), "{took:?}");
    Ok(())
}

#[tokio::test]
async fn a_port_nobody_listens_on_is_refused_at_once() -> Result {
    let address = TcpListener::bind("127.0.0.1:0").await?.local_addr()?;
    let http = get(address, "/");
    let tcp = ProbeRequest { target: ProbeTarget::Tcp, ..http.clone() };
    for request in [http, tcp] {
        let begin = Instant::now();
        assert_eq!(NetworkProbe.probe(&request).await, ProbeOutcome::Fail(ProbeFailure::Refused));
        assert!(begin.elapsed() < Duration::from_secs(1));
    }
    Ok(())
}

#[tokio::test]
async fn a_port_that_accepts_passes_a_tcp_probe() -> Result {
    let started = start(Server::Sleeps).await?;
    let request = ProbeRequest { target: ProbeTarget::Tcp, ..get(started.address, "/") };
    let outcome = NetworkProbe.probe(&request).await;
    assert!(matches!(outcome, ProbeOutcome::Pass { status: None, .. }), "{outcome:?}");
    Ok(())
}
