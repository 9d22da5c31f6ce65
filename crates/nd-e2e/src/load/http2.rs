//! Clients of HTTP/2: a connection, and streams on it.

use std::error::Error;
use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use h2::client::{self, SendRequest};
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};

use super::{PATIENCE, Shared};
use crate::http::{Answer, Target};

/// Streams of a connection at a time.
const STREAMS: usize = 4;

type Sender = SendRequest<Bytes>;

impl Shared {
    /// One connection, for as long as it takes new streams.
    pub(super) fn multiplex(&self, pause: Duration) {
        let Target::Tcp(address) = self.target else { return self.fail("HTTP/2 is spoken over TCP") };
        let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
            Ok(runtime) => runtime,
            Err(error) => return self.fail(&error.to_string()),
        };
        if let Err(error) = runtime.block_on(self.connection(address, pause)) {
            self.fail(&format!("HTTP/2: {error}"));
        }
    }

    async fn connection(&self, address: SocketAddr, pause: Duration) -> Result<(), Box<dyn Error>> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        let (sender, connection) = client::handshake(stream).await?;
        let streams = (0..STREAMS).map(|_| self.stream_in_a_row(sender.clone(), pause));
        tokio::select! {
            // With GOAWAY it ends when the last stream has.
            ended = connection => Ok(ended?),
            () = async { futures_util::future::join_all(streams).await; } => Ok(()),
        }
    }

    async fn stream_in_a_row(&self, mut sender: Sender, pause: Duration) {
        while !self.is_stopping() {
            // A server that wants no more streams says so before it takes this one.
            let Ok(ready) = sender.clone().ready().await else { return };
            sender = ready;
            let begun = self.begin();
            let asked = timeout(PATIENCE, ask(&mut sender, &self.host)).await;
            let result = match asked {
                Err(_) => Err("no answer".to_owned()),
                Ok(Err(error)) if is_untouched(&error) => return self.forget(),
                Ok(Err(error)) => Err(error.to_string()),
                Ok(Ok(answer)) => self.check(&begun, &answer),
            };
            if let Err(why) = result {
                return self.fail(&format!("GET / over HTTP/2: {why}"));
            }
            sleep(pause).await;
        }
    }
}

/// A stream that the server has not taken, as it says: the client may ask elsewhere (RFC 9113, section 8.7).
fn is_untouched(error: &h2::Error) -> bool {
    (error.is_remote() && error.is_go_away()) || error.reason() == Some(h2::Reason::REFUSED_STREAM)
}

async fn ask(sender: &mut Sender, host: &str) -> Result<Answer, h2::Error> {
    let request = http::Request::get(format!("http://{host}/")).body(());
    let request = request.map_err(|_| h2::Reason::INTERNAL_ERROR)?;
    let (response, _) = sender.send_request(request, true)?;
    let (head, mut body) = response.await?.into_parts();
    let mut answer = Answer { status: head.status.as_u16(), ..Answer::default() };
    for (name, value) in &head.headers {
        answer.headers.push((name.to_string(), String::from_utf8_lossy(value.as_bytes()).into_owned()));
    }
    while let Some(piece) = body.data().await {
        let piece = piece?;
        body.flow_control().release_capacity(piece.len())?;
        answer.body.extend_from_slice(&piece);
    }
    Ok(answer)
}
