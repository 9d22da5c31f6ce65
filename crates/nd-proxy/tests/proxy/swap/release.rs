//! A release under mixed load: short answers, long ones, uploads, long polls, events and WebSockets.

use std::collections::HashMap;
use std::io::Result;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::sleep;

use crate::support::{Kind, Message, Upstream, Wire, ok};

/// How often each request was executed that must not be executed twice.
pub(super) type Executed = Arc<Mutex<HashMap<String, u32>>>;

/// Pieces of a long answer, and how long it pauses between them.
pub(super) const PIECES: usize = 10;
const PAUSE: Duration = Duration::from_millis(10);

/// Two instances of one release.
pub(super) struct Release {
    instances: [Upstream; 2],
}

impl Release {
    pub(super) async fn start(name: &'static str, executed: &Executed) -> Result<Self> {
        Ok(Self { instances: [instance(name, executed).await?, instance(name, executed).await?] })
    }

    pub(super) fn addresses(&self) -> [SocketAddr; 2] {
        [&self.instances[0], &self.instances[1]].map(|instance| instance.address)
    }

    /// Ends both with all their connections.
    pub(super) async fn kill(self) {
        for instance in &self.instances {
            instance.kill().await;
        }
    }
}

async fn instance(name: &'static str, executed: &Executed) -> Result<Upstream> {
    let executed = Arc::clone(executed);
    Upstream::raw(move |mut wire, _| {
        let executed = Arc::clone(&executed);
        async move {
            loop {
                let request = wire.message(Kind::Request).await?;
                let target = request.head.split(' ').nth(1).unwrap_or_default().to_owned();
                if target == "/ws" {
                    return echo_frames(wire, name).await;
                }
                if let Some(order) = target.strip_prefix("/order/") {
                    *executed.lock().entry(order.to_owned()).or_default() += 1;
                }
                answer(&mut wire, name, &target, &request).await?;
            }
        }
    })
    .await
}

/// Each answer begins with the name of its release and a line feed.
async fn answer(wire: &mut Wire, name: &str, target: &str, request: &Message) -> Result<()> {
    match target {
        "/download" | "/events" => return in_pieces(wire, name, target == "/events").await,
        "/poll" => {
            for _ in 0..PIECES {
                sleep(PAUSE).await; // still no news
            }
        }
        _ => {}
    }
    wire.send(ok(&format!("{name}\n{}", request.text()))).await
}

async fn in_pieces(wire: &mut Wire, name: &str, is_chunked: bool) -> Result<()> {
    let text = long(name);
    let framing = match is_chunked {
        true => "Content-Type: text/event-stream\r\nTransfer-Encoding: chunked".to_owned(),
        false => format!("Content-Length: {}", text.len()),
    };
    wire.send(format!("HTTP/1.1 200 OK\r\n{framing}\r\n\r\n")).await?;
    for piece in text.as_bytes().chunks(text.len().div_ceil(PIECES)) {
        if is_chunked {
            wire.send([format!("{:x}\r\n", piece.len()).as_bytes(), piece, b"\r\n"].concat()).await?;
        } else {
            wire.send(piece).await?;
        }
        sleep(PAUSE).await;
    }
    if is_chunked { wire.send("0\r\n\r\n").await } else { Ok(()) }
}

/// What a long answer of this release says.
pub(super) fn long(name: &str) -> String {
    format!("{name}\n{}", "0123456789".repeat(5000))
}

/// Greets with its name, and then sends back what is in each frame, until it is told to close.
async fn echo_frames(mut wire: Wire, name: &str) -> Result<()> {
    wire.send("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
        .await?;
    wire.send(frame(0x81, name.as_bytes())).await?;
    loop {
        let (opcode, payload) = read_frame(&mut wire).await?;
        wire.send(frame(opcode, &payload)).await?;
        if opcode == 0x88 {
            return Ok(());
        }
    }
}

/// A short frame without a mask (RFC 6455, section 5.2).
fn frame(opcode: u8, payload: &[u8]) -> Vec<u8> {
    [&[opcode, u8::try_from(payload.len()).unwrap_or(0)], payload].concat()
}

/// The same, masked as a client does it; with a mask of zeros it reads as it is.
pub(super) fn masked(opcode: u8, payload: &[u8]) -> Vec<u8> {
    [&[opcode, 0x80 | u8::try_from(payload.len()).unwrap_or(0), 0, 0, 0, 0], payload].concat()
}

/// The next short frame, whichever side it is from.
pub(super) async fn read_frame(wire: &mut Wire) -> Result<(u8, Vec<u8>)> {
    let (opcode, length) = match wire.exactly(2).await?.as_slice() {
        [opcode, length] => (*opcode, *length),
        _ => return Err(std::io::ErrorKind::UnexpectedEof.into()),
    };
    let mask = if length & 0x80 == 0 { vec![0; 4] } else { wire.exactly(4).await? };
    let payload = wire.exactly(usize::from(length & 0x7f)).await?;
    Ok((opcode, payload.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask).collect()))
}
