//! Streams of JSON values, one a line.

use std::marker::PhantomData;

use serde::de::DeserializeOwned;

use super::{Body, EngineError};

/// Longest line: events and pull messages stay far below it.
const LINE_BYTES: usize = 1 << 20;

/// Reads one JSON value after the other.
#[derive(Debug)]
pub(crate) struct JsonLines<T> {
    body: Body,
    buffer: Vec<u8>,
    /// Bytes of `buffer` that hold no line end.
    searched: usize,
    value: PhantomData<fn() -> T>,
}

impl<T: DeserializeOwned> JsonLines<T> {
    pub(crate) fn new(body: Body) -> Self {
        Self { body, buffer: Vec::new(), searched: 0, value: PhantomData }
    }

    /// The next value; `None` at the end. Cancel safe.
    pub(crate) async fn next(&mut self) -> Result<Option<T>, EngineError> {
        loop {
            if let Some(line) = self.take_line()
                && !line.trim_ascii().is_empty()
            {
                return decode(&line).map(Some);
            }
            if self.searched < self.buffer.len() {
                continue;
            }
            if self.buffer.len() > LINE_BYTES {
                return Err(EngineError::Garbled(format!("a line is longer than {LINE_BYTES} bytes")));
            }
            let Some(chunk) = self.body.chunk().await? else {
                // The last value need not end with a line end.
                let rest = std::mem::take(&mut self.buffer);
                self.searched = 0;
                return if rest.trim_ascii().is_empty() { Ok(None) } else { decode(&rest).map(Some) };
            };
            self.buffer.extend_from_slice(&chunk);
        }
    }

    fn take_line(&mut self) -> Option<Vec<u8>> {
        let unsearched = self.buffer.get(self.searched..).unwrap_or_default();
        let Some(end) = unsearched.iter().position(|byte| *byte == b'\n') else {
            self.searched = self.buffer.len();
            return None;
        };
        let rest = self.buffer.split_off(self.searched + end + 1);
        self.searched = 0;
        Some(std::mem::replace(&mut self.buffer, rest))
    }
}

fn decode<T: DeserializeOwned>(line: &[u8]) -> Result<T, EngineError> {
    serde_json::from_slice(line).map_err(|error| EngineError::Garbled(error.to_string()))
}
