//! Clients that upload, and that read server-sent events.

use std::io;
use std::thread;
use std::time::Duration;

use nd_testapp::pattern;

use super::Shared;
use crate::http::{Answer, Connection};

/// The pieces of an upload, with a pause between them.
const PIECES: u64 = 20;
const PIECE: usize = 8 * 1024;
const PAUSE: Duration = Duration::from_millis(50);

/// The events of a stream, with a pause between them.
const EVENTS: u64 = 20;

impl Shared {
    pub(super) fn upload_in_a_row(&self) {
        self.in_a_row("upload", Self::upload);
    }

    pub(super) fn events_in_a_row(&self) {
        self.in_a_row("events", Self::events);
    }

    /// One connection for as long as it lasts; `exchange` answers whether it ends with its answer.
    fn in_a_row(
        &self,
        what: &str,
        exchange: impl Fn(&Self, &mut Connection) -> std::result::Result<bool, String>,
    ) {
        let Some(mut connection) = self.connect() else { return };
        while !self.is_stopping() {
            match exchange(self, &mut connection) {
                Ok(false) if self.closures.is_none() => {}
                Ok(_) => return,
                Err(why) => return self.fail(&format!("{what}: {why}")),
            }
        }
    }

    fn upload(&self, connection: &mut Connection) -> std::result::Result<bool, String> {
        let begun = self.begin();
        let bytes = PIECES * PIECE as u64;
        let length = bytes.to_string();
        let answer = match send(connection, &length) {
            Ok(answer) => answer,
            Err(error) if self.forgives(&begun, connection, &error) => return Ok(true),
            Err(error) => return Err(error.to_string()),
        };
        self.check(&begun, &answer)?;
        let got = answer.json().map_err(|error| error.to_string())?;
        match got.get("bytes").and_then(serde_json::Value::as_u64) {
            Some(count) if count == bytes => Ok(answer.closes()),
            count => Err(format!("{bytes} bytes were sent, and {count:?} arrived")),
        }
    }

    fn events(&self, connection: &mut Connection) -> std::result::Result<bool, String> {
        let begun = self.begin();
        let path = format!("/sse?ms={}&count={EVENTS}", PAUSE.as_millis());
        let answer = match connection.request("GET", &path, &[], b"") {
            Ok(answer) => answer,
            Err(error) if self.forgives(&begun, connection, &error) => return Ok(true),
            Err(error) => return Err(error.to_string()),
        };
        self.check(&begun, &answer)?;
        let text = answer.text();
        let ids = text.lines().filter_map(|line| line.strip_prefix("id: ")?.parse::<u64>().ok());
        match ids.eq(0..EVENTS) {
            true => Ok(answer.closes()),
            false => Err(format!("events are missing: {text:?}")),
        }
    }
}

fn send(connection: &mut Connection, length: &str) -> io::Result<Answer> {
    connection.send("PUT", "/upload", &[("content-length", length)], b"")?;
    let mut piece = [0; PIECE];
    for number in 0..PIECES {
        pattern::fill(number * PIECE as u64, &mut piece);
        connection.write(&piece)?;
        thread::sleep(PAUSE);
    }
    connection.answer()
}
