//! A connection after it left HTTP: bytes in both directions; a WebSocket is closed politely when its app goes.

use std::future::poll_fn;
use std::io;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::time::Instant;

use super::Worker;
use super::frames::{FrameReader, close_to_client, close_to_server};
use super::signal::{Kind, Signal};
use super::upstream::InFlight;
use crate::net::buffers::Buffers;
use crate::net::deadline::Deadline;
use crate::net::wire::{READ_BYTES, Wire};

/// The close code of a service that restarts (IANA WebSocket Close Code registry).
pub(crate) const SERVICE_RESTART: u16 = 1012;
/// After the client has answered a Close, the app has so long to answer it too.
const APP_CLOSE_GRACE: Duration = Duration::from_secs(1);

/// Both connections and both directions.
pub(crate) struct Tunnel<'t> {
    worker: &'t Worker,
    signal: &'t Signal,
    client: &'t mut Wire,
    app: Wire,
    up: Lane,
    down: Lane,
    kind: Kind,
    deadline: Deadline,
    goodbye: Option<u16>,
    client_closed_at: Option<Instant>,
    activity: u64,
    last_activity: Instant,
}

/// Bytes that went through.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Moved {
    /// From the client to the app.
    pub(crate) up: u64,
    /// From the app to the client.
    pub(crate) down: u64,
}

/// One direction.
#[derive(Debug, Default)]
struct Lane {
    /// Present for WebSockets.
    frames: Option<FrameReader>,
    /// Bytes at the front of the source's input that may be written.
    ready: usize,
    moved: u64,
    /// Our own Close has been put in: nothing may follow it, so that what still comes is dropped.
    said_goodbye: bool,
    ended: bool,
    finished: bool,
}

impl<'t> Tunnel<'t> {
    pub(crate) fn new(
        worker: &'t Worker,
        signal: &'t Signal,
        client: &'t mut Wire,
        app: Wire,
        kind: Kind,
    ) -> Self {
        let lane =
            || Lane { frames: (kind == Kind::WebSocket).then(FrameReader::default), ..Lane::default() };
        Self {
            worker,
            signal,
            client,
            app,
            up: lane(),
            down: lane(),
            kind,
            deadline: Deadline::default(),
            goodbye: None,
            client_closed_at: None,
            activity: 0,
            last_activity: Instant::now(),
        }
    }

    /// Runs until both sides are done, one of them breaks off, or the tunnel is cut.
    pub(crate) async fn run(mut self, in_flight: &InFlight) -> Moved {
        self.signal.enter(in_flight.upstream(), self.kind);
        if in_flight.upstream().draining.get() && self.kind == Kind::WebSocket {
            self.signal.say_goodbye(Instant::now(), SERVICE_RESTART);
        }
        if let Err(error) = poll_fn(|cx| self.poll(cx)).await {
            tracing::trace!(%error, "a tunnel broke off");
        }
        self.signal.leave();
        Moved { up: self.up.moved, down: self.down.moved }
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.signal.is_cut() {
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        }
        self.take_goodbye();
        let codes = self.goodbye.map(|code| (code, self.worker.ids.number().to_le_bytes()));
        let to_app = codes.map(|(code, [a, b, c, d, ..])| close_to_server(code, [a, b, c, d]));
        let to_client = codes.map(|(code, _)| close_to_client(code));
        let to_app = to_app.as_ref().map(<[u8; 8]>::as_slice);
        let to_client = to_client.as_ref().map(<[u8; 4]>::as_slice);
        let spare = &self.worker.buffers;
        let up = self.up.poll(cx, self.client, &mut self.app, to_app, spare)?;
        let down = self.down.poll(cx, &mut self.app, self.client, to_client, spare)?;
        if up.is_ready() && down.is_ready() {
            return Poll::Ready(Ok(()));
        }
        if self.goodbye.is_some() && self.down.said_goodbye && self.up.has_closed() {
            let closed_at = *self.client_closed_at.get_or_insert_with(Instant::now);
            ready!(self.client.poll_finish(cx))?;
            if self.down.has_closed() {
                return Poll::Ready(Ok(()));
            }
            return self.deadline.poll_due(cx, closed_at + APP_CLOSE_GRACE).map(Ok);
        }
        self.poll_timers(cx)
    }

    fn take_goodbye(&mut self) {
        if let Some((at, code)) = self.signal.goodbye()
            && self.kind == Kind::WebSocket
            && at <= Instant::now()
        {
            self.goodbye = Some(code);
        }
    }

    /// A coming goodbye wakes the task; a half-closed tunnel does not stay for ever.
    fn poll_timers(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if let (Some((at, _)), None, Kind::WebSocket) = (self.signal.goodbye(), self.goodbye, self.kind) {
            if self.deadline.poll_due(cx, at).is_ready() {
                cx.waker().wake_by_ref();
            }
            return Poll::Pending;
        }
        if self.up.finished == self.down.finished {
            return Poll::Pending;
        }
        let activity = self.up.moved + self.down.moved;
        if activity != self.activity {
            self.activity = activity;
            self.last_activity = Instant::now();
        }
        let due = self.last_activity + self.worker.settings.response_idle_timeout;
        self.deadline.poll_due(cx, due).map(|()| Err(io::ErrorKind::TimedOut.into()))
    }
}

impl Lane {
    /// Moves one direction on; `goodbye` is put in at the next frame boundary, if there is one.
    fn poll(
        &mut self,
        cx: &mut Context<'_>,
        source: &mut Wire,
        sink: &mut Wire,
        goodbye: Option<&[u8]>,
        spare: &Buffers,
    ) -> io::Result<Poll<()>> {
        loop {
            if self.ready == 0 && !self.finished {
                self.sort(source, sink, goodbye);
            }
            let step = if self.ready > 0 || !sink.output.is_empty() {
                sink.poll_send(cx, source.input.get(..self.ready).unwrap_or_default()).map_ok(|written| {
                    source.consume(written);
                    self.ready -= written;
                })
            } else if self.finished {
                return Ok(Poll::Ready(()));
            } else if self.ended {
                sink.poll_finish(cx).map_ok(|()| self.finished = true)
            } else {
                source.poll_fill(cx, READ_BYTES, spare).map_ok(|read| self.ended = read == 0)
            };
            match step {
                Poll::Ready(result) => result?,
                Poll::Pending => return Ok(Poll::Pending),
            }
        }
    }

    /// Decides what of the input may be written.
    fn sort(&mut self, source: &mut Wire, sink: &mut Wire, goodbye: Option<&[u8]>) {
        let Some(frames) = &mut self.frames else {
            self.ready = source.input.len();
            self.moved += self.ready as u64;
            return;
        };
        if let Some(close) = goodbye
            && !self.said_goodbye
            && frames.is_at_boundary()
            && !frames.close_seen()
        {
            sink.output.writer().extend_from_slice(close);
            self.said_goodbye = true;
        }
        let mut taken = 0;
        while taken < source.input.len() {
            taken += frames.advance(source.input.get(taken..).unwrap_or_default());
            if goodbye.is_some() && !self.said_goodbye && frames.is_at_boundary() {
                break;
            }
        }
        self.moved += taken as u64;
        if self.said_goodbye {
            source.consume(taken);
        } else {
            self.ready = taken;
        }
    }

    /// Whether the source has said that it is done.
    fn has_closed(&self) -> bool {
        self.ended || self.frames.as_ref().is_some_and(FrameReader::close_seen)
    }
}
