//! A client's connection that carries many requests at once: each of its streams is served like a connection.

use std::cell::Cell;
use std::future::poll_fn;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use h2::server::{Builder, Connection as H2, SendResponse};
use h2::{Reason, RecvStream};
use http::Request;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::{Instant, timeout};

use super::client::Client;
use super::connection::Connection;
use super::signal::Registered;
use crate::http2::guarded::Guarded;
use crate::http2::stalls::{StallWatch, Stalls};
use crate::http2::stream::ClientStream;
use crate::http2::watch::Watch;
use crate::net::deadline::Deadline;
use crate::net::stream::Stream;
use crate::net::wire::Wire;
use crate::settings::Settings;

/// Requests at once on one connection.
const MAX_STREAMS: u32 = 128;
/// A client may send so much of one request ahead of the app …
const STREAM_WINDOW: u32 = 1024 * 1024;
/// … and so much of all of them.
const CONNECTION_WINDOW: u32 = 4 * 1024 * 1024;
/// So much of an answer is taken from the app ahead of a slow client.
const SEND_BUFFER: usize = 64 * 1024;
/// The last words of a connection are given up after this time.
const GOODBYE: Duration = Duration::from_secs(2);

/// Serves a connection to its end. `read` was read from it already.
pub(crate) async fn serve<S>(from: Client, registered: Registered, stream: S, read: BytesMut)
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let settings = &from.worker.settings;
    let watch = Rc::new(Watch::new());
    let guarded = Guarded::new(stream, read, Rc::clone(&watch), Rc::clone(&from.worker.buffers));
    match timeout(settings.header_read_timeout, builder(settings).handshake(guarded.clone())).await {
        Ok(Ok(connection)) => {
            guarded.gather();
            let mut front = Front::new(from, registered, (connection, guarded), watch);
            poll_fn(|cx| front.poll(cx)).await;
        }
        Ok(Err(error)) => tracing::trace!(%error, "an HTTP/2 connection did not begin"),
        Err(_) => tracing::trace!("an HTTP/2 connection did not begin in time"),
    }
}

fn builder(settings: &Settings) -> Builder {
    let mut builder = Builder::new();
    builder
        .max_concurrent_streams(MAX_STREAMS)
        .initial_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_send_buffer_size(SEND_BUFFER)
        .enable_connect_protocol()
        .max_header_list_size(u32::try_from(settings.max_head_bytes).unwrap_or(u32::MAX));
    builder
}

/// A connection and the streams on it.
struct Front<S> {
    from: Client,
    registered: Registered,
    connection: H2<Guarded<S>, Bytes>,
    /// What carries it.
    line: Guarded<S>,
    streams: Rc<Streams>,
    watch: Rc<Watch>,
    stalls: Rc<Stalls>,
    stall_watch: StallWatch,
    farewell: Farewell,
    deadline: Deadline,
}

/// How far a connection is from its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Farewell {
    Open,
    /// The client has been told to send no more requests.
    Said,
    /// The client has been told that it went too far. The connection lives until then, should it not take that.
    Expelled(Instant),
}

impl<S: AsyncRead + AsyncWrite + Unpin> Front<S> {
    fn new(
        from: Client,
        registered: Registered,
        (connection, line): (H2<Guarded<S>, Bytes>, Guarded<S>),
        watch: Rc<Watch>,
    ) -> Self {
        Self {
            from,
            registered,
            connection,
            line,
            streams: Rc::new(Streams { open: Cell::new(0), changed: Cell::new(Instant::now()) }),
            watch,
            stalls: Rc::default(),
            stall_watch: StallWatch::default(),
            farewell: Farewell::Open,
            deadline: Deadline::default(),
        }
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.registered.signal.attach(cx);
        loop {
            match self.connection.poll_accept(cx) {
                Poll::Ready(Some(Ok((request, respond)))) => self.start(request, respond),
                Poll::Ready(Some(Err(error))) => {
                    tracing::trace!(%error, "an HTTP/2 connection broke off");
                    return Poll::Ready(());
                }
                Poll::Ready(None) => return Poll::Ready(()),
                Poll::Pending if self.goes_too_far(cx) => {
                    tracing::debug!("an HTTP/2 client asked for too much and is sent away");
                    self.connection.abrupt_shutdown(Reason::ENHANCE_YOUR_CALM);
                }
                Poll::Pending if self.leaves_now() => self.connection.graceful_shutdown(),
                Poll::Pending => {
                    return match self.line.poll_send(cx) {
                        Poll::Ready(Err(error)) => {
                            tracing::trace!(%error, "an HTTP/2 connection broke off");
                            Poll::Ready(())
                        }
                        Poll::Ready(Ok(())) | Poll::Pending => self.poll_due(cx),
                    };
                }
            }
        }
    }

    /// Serves a request as a task of its own.
    fn start(&self, request: Request<RecvStream>, mut respond: SendResponse<Bytes>) {
        if !self.has_room() {
            // Nothing was done with it: the client may ask again (RFC 9113, section 8.7).
            return respond.send_reset(Reason::REFUSED_STREAM);
        }
        let (from, place) = (self.from.clone(), Streams::enter(&self.streams));
        let worker = &self.from.worker;
        let registered = worker.signals.register_stream();
        let mut head = worker.scratch.take();
        let stream = ClientStream::new(request, respond, &self.stalls, &worker.ids, &mut head);
        let mut input = worker.buffers.take();
        input.extend_from_slice(&head);
        head.clear();
        worker.scratch.set(head);
        let client = Wire::with_input(Stream::Client(Box::new(stream)), input);
        let connection = Connection::new(from, registered, client);
        // In a box, because whoever spawns it moves it several times.
        worker.tasks.spawn(
            "stream",
            Box::pin(async move {
                let _place = place;
                connection.run().await;
            }),
        );
    }

    /// Whether there is a descriptor for one more stream, which may need a connection to an app: two were set aside for
    /// each connection that may be open. The first stream has the one of its own connection.
    fn has_room(&self) -> bool {
        let worker = &self.from.worker;
        let taken = worker.signals.streams() + 2 * worker.signals.count();
        self.streams.open.get() == 0 || taken < 2 * worker.max_connections
    }

    /// Whether the client has just used up what it may do to us.
    fn goes_too_far(&mut self, cx: &mut Context<'_>) -> bool {
        if matches!(self.farewell, Farewell::Expelled(_)) {
            return false;
        }
        let is_flood = self.watch.is_exhausted() || self.stall_watch.poll(cx, &self.stalls).is_ready();
        if is_flood {
            self.farewell = Farewell::Expelled(Instant::now() + GOODBYE);
        }
        is_flood
    }

    /// Whether this is the moment to say goodbye: nothing was asked for a long time, or the worker ends.
    fn leaves_now(&mut self) -> bool {
        let worker = &self.from.worker;
        let is_idle = self.streams.idle() >= worker.settings.keep_alive_timeout
            || (self.streams.open.get() == 0 && self.registered.signal.gives_way());
        let leaves_now = self.farewell == Farewell::Open && (is_idle || worker.is_closing());
        if leaves_now {
            self.farewell = Farewell::Said;
            self.streams.changed.set(Instant::now());
        }
        leaves_now
    }

    /// Wakes the task for its next goodbye; ends a connection whose client does not answer to that.
    fn poll_due(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let idle_since = (self.streams.open.get() == 0).then(|| self.streams.changed.get());
        let is_open = self.farewell == Farewell::Open;
        self.registered.signal.is_idle_since(idle_since.filter(|_| is_open));
        let since = idle_since.unwrap_or_else(Instant::now);
        let due = match self.farewell {
            Farewell::Open => since + self.from.worker.settings.keep_alive_timeout,
            Farewell::Said => since + GOODBYE,
            Farewell::Expelled(until) => until,
        };
        match self.deadline.poll_due(cx, due) {
            Poll::Ready(()) if self.farewell == Farewell::Open => {
                cx.waker().wake_by_ref();
                Poll::Pending
            }
            poll => poll,
        }
    }
}

/// The streams of a connection that are being served.
#[derive(Debug)]
struct Streams {
    open: Cell<usize>,
    /// When the last of them began or ended.
    changed: Cell<Instant>,
}

impl Streams {
    fn enter(this: &Rc<Self>) -> Place {
        this.open.set(this.open.get() + 1);
        Place(Rc::clone(this))
    }

    /// How long there has been none.
    fn idle(&self) -> Duration {
        if self.open.get() == 0 { self.changed.get().elapsed() } else { Duration::ZERO }
    }
}

/// A stream's place among them.
#[derive(Debug)]
struct Place(Rc<Streams>);

impl Drop for Place {
    fn drop(&mut self) {
        self.0.open.set(self.0.open.get().saturating_sub(1));
        self.0.changed.set(Instant::now());
    }
}
