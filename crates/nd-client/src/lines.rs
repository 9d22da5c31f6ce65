//! A stream of typed values, one JSON object a line.

use std::marker::PhantomData;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::BytesMut;
use futures_util::Stream;
use serde::de::DeserializeOwned;

use crate::error::ClientError;
use crate::host::Host;
use crate::transport::Answer;

/// The longest line; the daemon cuts log lines at 256 KiB.
const LONGEST: usize = 4 * 1024 * 1024;

/// Values that come as they happen. It ends when the daemon ends it, and after an error.
pub struct Lines<T> {
    host: Host,
    /// Gone after the end.
    answer: Option<Answer>,
    waiting: BytesMut,
    kind: PhantomData<fn() -> T>,
}

impl<T> Lines<T> {
    pub(crate) fn new(host: Host, answer: Answer) -> Self {
        Self { host, answer: Some(answer), waiting: BytesMut::new(), kind: PhantomData }
    }

    /// Takes the next whole line out of what has arrived.
    fn line(&mut self) -> Option<BytesMut> {
        let end = self.waiting.iter().position(|byte| *byte == b'\n')?;
        Some(self.waiting.split_to(end + 1))
    }
}

impl<T: DeserializeOwned> Lines<T> {
    fn parsed(&self, line: &[u8]) -> Result<T, ClientError> {
        serde_json::from_slice(line)
            .map_err(|error| ClientError::Unexpected { host: self.host.clone(), reason: error.to_string() })
    }
}

impl<T: DeserializeOwned> Stream for Lines<T> {
    type Item = Result<T, ClientError>;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.get_mut();
        loop {
            if let Some(line) = this.line() {
                if line.iter().all(u8::is_ascii_whitespace) {
                    continue;
                }
                let parsed = this.parsed(&line);
                if parsed.is_err() {
                    this.answer = None;
                }
                return Poll::Ready(Some(parsed));
            }
            let Some(answer) = &mut this.answer else { return Poll::Ready(None) };
            match ready!(answer.poll_piece(context)) {
                Some(Ok(piece)) if this.waiting.len() + piece.len() <= LONGEST => {
                    this.waiting.extend_from_slice(&piece);
                }
                Some(Ok(_)) => {
                    this.answer = None;
                    let reason = format!("a line is longer than {LONGEST} bytes");
                    return Poll::Ready(Some(Err(ClientError::Unexpected {
                        host: this.host.clone(),
                        reason,
                    })));
                }
                Some(Err(error)) => {
                    this.answer = None;
                    let reason = error.to_string();
                    return Poll::Ready(Some(Err(ClientError::Broken { host: this.host.clone(), reason })));
                }
                None => this.answer = None,
            }
        }
    }
}
