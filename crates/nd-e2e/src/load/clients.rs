//! Clients that ask in a row, download, and talk over WebSockets.

use std::collections::BTreeSet;
use std::io;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::{Duration, Instant};

use nd_testapp::pattern;

use super::{PATIENCE, Shared};
use crate::http::Answer;
use crate::websocket::Socket;

/// The bytes of one download, which takes [`DOWNLOAD_TIME`].
const DOWNLOAD: u64 = 256 * 1024;
const DOWNLOAD_TIME: Duration = Duration::from_secs(2);

/// How often a WebSocket sends a message.
const CHATTER: Duration = Duration::from_millis(50);

impl Shared {
    /// One connection, for as long as it lasts.
    pub(super) fn request_in_a_row(&self, pause: Duration) {
        let Some(mut connection) = self.connect() else { return };
        while !self.stop.load(Ordering::Relaxed) {
            let (begun, at) = (self.begin(), Instant::now());
            let result = match connection.request("GET", "/", &[], b"") {
                Ok(answer) => self.check_greeting(&begun, &answer),
                Err(error) if self.forgives(&begun, &connection, &error) => return,
                Err(error) => Err(error.to_string()),
            };
            match result {
                Ok(true) => return,
                Ok(false) => thread::sleep(pause),
                Err(why) => {
                    self.fail(&format!("GET /, after {} ms: {why}", at.elapsed().as_millis()));
                    return;
                }
            }
        }
    }

    /// Whether the connection ends with this answer to `GET /`.
    fn check_greeting(&self, begun: &BTreeSet<String>, answer: &Answer) -> Result<bool, String> {
        self.check(begun, answer)?;
        let expected = format!("hello from release {}\n", answer.header("x-release").unwrap_or_default());
        match answer.text() == expected {
            true => Ok(answer.closes()),
            false => Err(format!("wrong body {:?}", answer.text())),
        }
    }

    pub(super) fn download(&self) {
        let Some(mut connection) = self.connect() else { return };
        let begun = self.begin();
        let rate = DOWNLOAD / DOWNLOAD_TIME.as_secs();
        let path = format!("/download?bytes={DOWNLOAD}&rate={rate}");
        let mut offset = 0;
        let mut wrong = None;
        let result = connection.send("GET", &path, &[], b"").and_then(|()| {
            let head = connection.read_head()?;
            connection.read_body(&head, |bytes| {
                wrong = wrong.or(pattern::check(offset, bytes).err());
                offset += bytes.len() as u64;
            })?;
            Ok(head)
        });
        let result = match result {
            Ok(head) => self.check(&begun, &head),
            Err(error) if self.forgives(&begun, &connection, &error) => return,
            Err(error) => Err(error.to_string()),
        };
        let result = result.and_then(|()| match wrong {
            None if offset == DOWNLOAD => Ok(()),
            None => Err(format!("ends at byte {offset}")),
            Some(byte) => Err(format!("byte {byte} is wrong")),
        });
        if let Err(why) = result {
            self.fail(&format!("download at byte {offset}: {why}"));
        }
    }

    pub(super) fn chat(&self) {
        let begun = self.begin();
        let mut socket = match Socket::open(&self.target, &self.host, "/ws", PATIENCE) {
            Ok(socket) => socket,
            Err(error) => return self.refused("WebSocket", &error),
        };
        if let Err(why) = self.check_head(&begun, &socket.head) {
            return self.fail(&format!("WebSocket: {why}"));
        }
        match self.converse(&mut socket) {
            Ok(None) => {}
            Ok(Some(1012)) => {
                self.closed_1012.fetch_add(1, Ordering::SeqCst);
            }
            Ok(Some(code)) => self.fail(&format!("WebSocket closed with {code}")),
            Err(error) => self.fail(&format!("WebSocket: {error}")),
        }
    }

    /// Sends and hears until the other side closes, or this one is to stop.
    fn converse(&self, socket: &mut Socket) -> io::Result<Option<u16>> {
        let mut count = 0_u64;
        while !self.stop.load(Ordering::Relaxed) {
            count += 1;
            let message = format!("message {count}");
            socket.send_text(&message)?;
            let frame = socket.read()?;
            if let Some(code) = frame.close_code() {
                socket.send_close(code).ok(); // the other side may be gone already
                return Ok(Some(code));
            }
            if frame.text() != message {
                return Err(io::Error::other(format!("{message:?} came back as {:?}", frame.text())));
            }
            thread::sleep(CHATTER);
        }
        socket.send_close(1000)?;
        Ok(None)
    }
}
