//! Following a container's output through its runs.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use hyper::Method;
use nd_core::ports::{LogCursor, LogPiece, OutputStream};
use nd_supervise::{Backoff, jitter};
use nd_types::Timestamp;

use super::frames::{Frames, Part, Source};
use super::lines::{Line, Lines};
use super::position::Position;
use crate::engine::{Body, EngineError, JsonLines, request};
use crate::find;
use crate::hints::{self, Event};
use crate::runtime::Shared;

/// Between tries while the engine is away, and between two runs that followed at once.
const RETRY: Backoff = Backoff { first: Duration::from_millis(50), factor: 2, cap: Duration::from_secs(2) };

/// How many more lines than wanted are read of the end of the output: the engine counts each part of a line that it cut,
/// and the times of the first lines depend on those before them.
const TAIL_MARGIN: usize = 64;

/// The largest number that every engine reads as one.
const MOST_LINES: usize = i32::MAX as usize;

/// How far back events are asked for, so that one that came between the request and its effect is not missed.
const EVENT_MARGIN: Duration = Duration::from_secs(2);

/// The output of one container.
pub(super) struct Follow {
    shared: Arc<Shared>,
    container: String,
    /// With a terminal there is one output, without frames.
    tty: bool,
    /// The last lines are to be read first: how many, and what was found.
    tail: Option<(usize, VecDeque<LogPiece>)>,
    position: Position,
    ready: VecDeque<LogPiece>,
    state: State,
    /// The container's starts and its removal, while it does not run.
    events: Option<JsonLines<Event>>,
    /// Whether the output was read to its end since the container stopped.
    read_out: bool,
    tries: u32,
}

enum State {
    /// The output is to be opened.
    Open,
    /// It is being read.
    Reading(Box<Reading>),
    /// It came to an end: by the container's, the engine's, or by accident.
    Ended,
    /// The container does not run.
    Idle,
    /// It is gone.
    Gone,
}

struct Reading {
    body: Body,
    decoder: Decoder,
}

impl Follow {
    pub(super) fn new(shared: Arc<Shared>, container: String, tty: bool, cursor: LogCursor) -> Self {
        let tail = match cursor {
            LogCursor::Tail(lines) => Some((lines, VecDeque::new())),
            LogCursor::Start | LogCursor::After(_) => None,
        };
        let position = Position::new(cursor);
        let (ready, state) = (VecDeque::new(), State::Open);
        Self { shared, container, tty, tail, position, ready, state, events: None, read_out: false, tries: 0 }
    }

    /// The next line; `None` when the container was removed.
    pub(super) async fn next(&mut self) -> Option<LogPiece> {
        loop {
            if let Some(piece) = self.ready.pop_front() {
                return Some(piece);
            }
            match &mut self.state {
                State::Open => self.open().await,
                State::Reading(reading) => {
                    let chunk = reading.body.chunk().await;
                    let (lines, end) = reading.decoder.take(chunk);
                    self.pass_on(lines);
                    if let Some(end) = end {
                        self.end(end);
                    }
                }
                State::Ended => self.look().await,
                State::Idle => self.idle().await,
                State::Gone => return None,
            }
        }
    }

    fn pass_on(&mut self, lines: Vec<Line>) {
        if !lines.is_empty() {
            self.tries = 0;
        }
        for line in lines {
            let Some(at) = self.position.accept(&line) else { continue };
            let piece = LogPiece { at, stream: line.stream, line: line.text };
            match &mut self.tail {
                None => self.ready.push_back(piece),
                Some((wanted, found)) => {
                    found.push_back(piece);
                    if found.len() > *wanted {
                        found.pop_front();
                    }
                }
            }
        }
    }

    fn end(&mut self, end: End) {
        self.state = match (end, self.tail.take()) {
            (_, None) => State::Ended,
            (End::Complete, Some((_, found))) => {
                self.ready = found;
                State::Open
            }
            (End::Broken, Some((wanted, _))) => {
                self.tail = Some((wanted, VecDeque::new()));
                State::Ended
            }
        };
    }

    async fn open(&mut self) {
        let mut path = format!("/containers/{}/logs?stdout=1&stderr=1&timestamps=1", self.container);
        if let Some((wanted, _)) = &self.tail {
            let lines = wanted.saturating_add(TAIL_MARGIN).min(MOST_LINES);
            path.push_str(&format!("&tail={lines}"));
            // Also when this is tried again.
            self.position = Position::new(LogCursor::Tail(*wanted));
        } else {
            path.push_str("&follow=1");
        }
        if let Some(since) = self.position.begin() {
            path.push_str(&format!("&since={}.{:09}", since.as_second(), since.subsec_nanosecond()));
        }
        if self.tail.is_some() {
            // Where there is no line yet, the wish is still not to see what was before it.
            self.position.not_before(Timestamp::now());
        }
        let body = match request(Method::GET, &path) {
            Ok(request) => self.shared.engine.open(request).await,
            Err(error) => Err(error),
        };
        match body {
            Ok(body) => {
                self.state = State::Reading(Box::new(Reading { body, decoder: Decoder::new(self.tty) }));
            }
            Err(error) if error.is_not_found() => self.state = State::Gone,
            Err(error) => {
                tracing::debug!(container = %self.container, %error, "output cannot be opened");
                self.pause().await;
                self.state = State::Ended;
            }
        }
    }

    /// Decides how to go on after the end of the output.
    async fn look(&mut self) {
        if self.events.is_none() {
            let since = Timestamp::now().checked_sub(EVENT_MARGIN).unwrap_or(Timestamp::UNIX_EPOCH);
            let filters = serde_json::json!({ "container": [self.container], "event": ["start", "destroy"] });
            match hints::events(&self.shared, &filters, Some(since), None).await {
                Ok(events) => self.events = Some(events),
                Err(error) => return self.retry(&error).await,
            }
        }
        match find::inspect(&self.shared, &self.container).await {
            Ok(None) => self.state = State::Gone,
            Ok(Some(found)) if found.runs() => {
                self.events = None;
                self.read_out = false;
                self.pause().await;
                self.state = State::Open;
            }
            // Once more from where we were: an engine may end the stream before the last lines of a dying app.
            Ok(Some(_)) if !self.read_out => {
                self.read_out = true;
                self.state = State::Open;
            }
            Ok(Some(_)) => self.state = State::Idle,
            Err(error) => self.retry(&error).await,
        }
    }

    async fn idle(&mut self) {
        let Some(events) = &mut self.events else {
            self.state = State::Ended;
            return;
        };
        match events.next().await {
            Ok(Some(event)) if event.action() == "destroy" => self.state = State::Gone,
            Ok(Some(_)) => {
                self.tries = 0;
                self.read_out = false;
                self.state = State::Open;
            }
            Ok(None) => self.retry(&EngineError::Garbled("events ended".to_owned())).await,
            Err(error) => self.retry(&error).await,
        }
    }

    async fn retry(&mut self, error: &EngineError) {
        tracing::debug!(container = %self.container, %error, "output cannot be followed");
        self.events = None;
        self.pause().await;
        self.state = State::Ended;
    }

    async fn pause(&mut self) {
        tokio::time::sleep(RETRY.delay(self.tries, jitter())).await;
        self.tries = self.tries.saturating_add(1);
    }
}

/// How the output came to an end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// It was all there is.
    Complete,
    /// There may be more.
    Broken,
}

/// From bytes to lines.
struct Decoder {
    /// `None` with a terminal.
    frames: Option<Frames>,
    lines: Lines,
    /// With a terminal: whether the next byte begins a line.
    at_line_begin: bool,
}

impl Decoder {
    fn new(tty: bool) -> Self {
        Self { frames: (!tty).then(Frames::default), lines: Lines::default(), at_line_begin: true }
    }

    /// Takes in what was read; gives the lines that it completes, and the end if that was it.
    fn take(&mut self, read: Result<Option<Bytes>, EngineError>) -> (Vec<Line>, Option<End>) {
        let mut found = Vec::new();
        let end = match read {
            Ok(Some(chunk)) => self.chunk(&chunk, &mut found).then_some(End::Broken),
            Ok(None) => {
                self.lines.finish(&mut found);
                Some(End::Complete)
            }
            // A line that was begun will be read anew.
            Err(error) => {
                tracing::debug!(%error, "output broke off");
                Some(End::Broken)
            }
        };
        (found, end)
    }

    /// Says whether the stream is of no more use.
    fn chunk(&mut self, chunk: &[u8], found: &mut Vec<Line>) -> bool {
        let lines = &mut self.lines;
        let Some(frames) = &mut self.frames else {
            for piece in chunk.split_inclusive(|byte| *byte == b'\n') {
                if std::mem::replace(&mut self.at_line_begin, piece.ends_with(b"\n")) {
                    lines.take(&Part::Begin(Source::Output(OutputStream::Stdout)), found);
                }
                lines.take(&Part::Data(piece), found);
                if self.at_line_begin {
                    lines.take(&Part::End, found);
                }
            }
            return false;
        };
        let mut engine_failed = false;
        let fed = frames.feed(chunk, |part| {
            engine_failed |= part == Part::Begin(Source::Engine);
            lines.take(&part, found);
        });
        fed.is_err() || engine_failed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_terminals_output_has_lines_without_frames() {
        let mut decoder = Decoder::new(true);
        let mut texts = Vec::new();
        for chunk in
            ["2026-11-21T04:58:08.1Z one\r\n2026-11-21T04:5", "8:08.2Z two\r\n", "2026-11-21T04:58:08.3Z thr"]
        {
            let (lines, end) = decoder.take(Ok(Some(Bytes::from(chunk))));
            assert_eq!(end, None);
            texts.extend(lines.into_iter().map(|line| String::from_utf8_lossy(&line.text).into_owned()));
        }
        let (last, end) = decoder.take(Ok(None));
        assert_eq!(end, Some(End::Complete));
        texts.extend(last.into_iter().map(|line| String::from_utf8_lossy(&line.text).into_owned()));
        assert_eq!(texts, ["one", "two", "thr"]);
    }

    #[test]
    fn what_is_not_framed_ends_the_stream() {
        let (lines, end) = Decoder::new(false).take(Ok(Some(Bytes::from("HTTP/1.1 200 OK garbage"))));
        assert!(end == Some(End::Broken) && lines.is_empty());
    }
}
