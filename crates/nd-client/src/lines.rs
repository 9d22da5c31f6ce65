//! Answers that go on: NDJSON, and server-sent events (WHATWG HTML, section 9.2).

use std::collections::VecDeque;
use std::marker::PhantomData;

use serde::de::DeserializeOwned;

use crate::error::ClientError;
use crate::wire::Answer;

/// The longest line; a daemon that sends more is not ours.
const LONGEST: usize = 8 * 1024 * 1024;

/// A stream of values, one a line. Dropping it closes the connection.
pub struct Lines<T> {
    answer: Answer,
    splitter: Splitter,
    value: PhantomData<fn() -> T>,
}

impl<T: DeserializeOwned> Lines<T> {
    pub(crate) fn new(answer: Answer) -> Self {
        Self { answer, splitter: Splitter::default(), value: PhantomData }
    }

    /// The next value; nothing when the daemon ended the stream. Dropping the future loses no value.
    ///
    /// # Errors
    /// [`ClientError::Broken`] when the connection ends in the middle, [`ClientError::Garbled`] for a line that is no value.
    pub async fn next(&mut self) -> Result<Option<T>, ClientError> {
        loop {
            while let Some(line) = self.splitter.line() {
                if let Some(json) = self.splitter.payload(&line) {
                    return serde_json::from_str(json)
                        .map(Some)
                        .map_err(|error| self.garbled(error.to_string()));
                }
            }
            match self.answer.piece().await? {
                Some(piece) => self.splitter.feed(&piece),
                None => return Ok(None),
            }
            if self.splitter.rest.len() > LONGEST {
                return Err(self.garbled(format!("a line is longer than {LONGEST} bytes")));
            }
        }
    }

    fn garbled(&self, reason: String) -> ClientError {
        ClientError::Garbled { doing: self.answer.doing().to_owned(), reason }
    }
}

impl<T> std::fmt::Debug for Lines<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Lines").field("of", &self.answer.doing()).finish_non_exhaustive()
    }
}

/// Cuts bytes into lines, and lines of either form into their JSON.
#[derive(Default)]
struct Splitter {
    rest: Vec<u8>,
    lines: VecDeque<String>,
    heartbeat: bool,
}

impl Splitter {
    fn feed(&mut self, piece: &[u8]) {
        self.rest.extend_from_slice(piece);
        let Some(end) = self.rest.iter().rposition(|byte| *byte == b'\n') else { return };
        let whole: Vec<u8> = self.rest.drain(..=end).collect();
        let text = String::from_utf8_lossy(&whole);
        self.lines.extend(text.lines().map(|line| line.trim_end().to_owned()));
    }

    fn line(&mut self) -> Option<String> {
        self.lines.pop_front()
    }

    /// The JSON of a line; nothing for blank lines, comments, field lines and heartbeats.
    fn payload<'l>(&mut self, line: &'l str) -> Option<&'l str> {
        if line.is_empty() {
            self.heartbeat = false;
            return None;
        }
        if let Some(kind) = line.strip_prefix("event:") {
            self.heartbeat = kind.trim() == "heartbeat";
            return None;
        }
        let json = line.strip_prefix("data:").map_or(line, str::trim_start);
        (json.starts_with('{') && !self.heartbeat).then_some(json)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn payloads(pieces: &[&str]) -> Vec<String> {
        let mut splitter = Splitter::default();
        let mut found = Vec::new();
        for piece in pieces {
            splitter.feed(piece.as_bytes());
            while let Some(line) = splitter.line() {
                found.extend(splitter.payload(&line).map(str::to_owned));
            }
        }
        found
    }

    #[test]
    fn lines_are_whole_however_they_arrive() {
        assert_eq!(
            payloads(&["{\"a\":1}\n{\"a\"", ":2}\r\n", "\n", "{\"a\":3}\n{"]),
            [r#"{"a":1}"#, r#"{"a":2}"#, r#"{"a":3}"#]
        );
    }

    #[test]
    fn server_sent_events_are_their_data_without_heartbeats() {
        let text = ": hello\n\nid: 7\nevent: app.crashed\ndata: {\"id\":7}\n\nevent: heartbeat\ndata: {}\n\ndata:{\"id\":8}\n\n";
        assert_eq!(payloads(&[text]), [r#"{"id":7}"#, r#"{"id":8}"#]);
    }
}
