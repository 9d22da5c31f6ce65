//! A client's HTTP connection: one request after the other, until either side has had enough.

use std::future::poll_fn;
use std::rc::Rc;
use std::task::{Context, Poll};

use nd_types::AccessEnd;
use tokio::time::{Instant, timeout};

use super::Worker;
use super::admission::{Ask, Lease, Patience, Reuse, admit, enter};
use super::app::App;
use super::client::Client;
use super::exchange::{Answer, End, Exchange};
use super::farewell;
use super::h2;
use super::plan::{Offer, Request, plan};
use super::signal::{Kind, Registered};
use super::sticky::Sticky;
use super::tunnel::Tunnel;
use super::upstream::InFlight;
use crate::http1::request::Refused;
use crate::http1::scan::HeadScan;
use crate::http2::preface::{Opening, opening};
use crate::net::body::Moving as _;
use crate::net::deadline::Deadline;
use crate::net::stream::Stream;
use crate::net::wire::{Outbox, READ_BYTES, Wire};
use crate::pages::{self, Refusal};
use crate::passwords::Busy;

/// A request is sent over at most so many new connections. One of the pool may have been closed at this moment, and the
/// system still takes new ones for a process that is ending.
const MAX_TRIES: u32 = 2;

/// One client connection.
pub(crate) struct Connection {
    worker: Rc<Worker>,
    from: Client,
    registered: Registered,
    client: Wire,
    /// Nothing is known of it yet: it may open with the preface of HTTP/2.
    is_new: bool,
    deadline: Deadline,
    /// The head for the app; kept from request to request to spare an allocation.
    head: Vec<u8>,
}

/// What comes after a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum After {
    NextRequest,
    Close,
    /// Close, but let the client finish sending, or it might never see the answer.
    Linger,
}

/// What has become of a request.
enum Outcome {
    Over(After),
    Refused(Refusal),
    /// Its answer broke off.
    Broken,
    /// The connection leaves HTTP.
    Switched(Box<Spent>, InFlight),
}

enum HeadEvent {
    /// A complete head of so many bytes.
    Head(usize),
    Refused(Refusal),
    /// It is HTTP/2 that is spoken here.
    Http2,
    Close,
}

impl Connection {
    pub(crate) fn new(from: Client, registered: Registered, client: Wire) -> Self {
        let (worker, deadline) = (Rc::clone(&from.worker), Deadline::default());
        let is_new = !client.is_multiplexed();
        Self { worker, from, registered, client, is_new, deadline, head: Vec::new() }
    }

    /// Serves the connection to its end.
    pub(crate) async fn run(mut self) {
        poll_fn(|cx| {
            self.registered.signal.attach(cx);
            Poll::Ready(())
        })
        .await;
        if let Opening::Http2 = self.serve_requests().await {
            return self.turn_into_h2().await;
        }
        if self.client.owes_goodbye() {
            Box::pin(farewell::say(&mut self.client)).await;
        }
        self.worker.buffers.give(self.client.into_parts().1);
    }

    /// Serves requests of HTTP/1 to the last one; `Http2` is what the client turned out to speak before the first.
    async fn serve_requests(&mut self) -> Opening {
        loop {
            let after = match self.read_head().await {
                HeadEvent::Head(length) => self.serve(length).await,
                HeadEvent::Refused(refusal) => {
                    self.worker.counters().unrouted.add(1);
                    self.refuse(&mut Request::unknown(&self.worker, self.from.peer()), &refusal).await
                }
                HeadEvent::Http2 => return Opening::Http2,
                HeadEvent::Close => After::Close,
            };
            match after {
                After::NextRequest => {}
                After::Linger if !self.client.is_multiplexed() => {
                    farewell::linger(&mut self.client, &self.worker.buffers).await;
                    return Opening::Other;
                }
                After::Close | After::Linger => return Opening::Other,
            }
        }
    }

    async fn turn_into_h2(self) {
        let (stream, input, _) = self.client.into_parts();
        Box::pin(h2::serve(self.from.over_http2(), self.registered, stream, input)).await;
    }

    async fn read_head(&mut self) -> HeadEvent {
        let mut scan = HeadScan::default();
        let idle_since = Instant::now();
        let mut begun: Option<Instant> = None;
        let event = poll_fn(|cx| self.poll_head(cx, &mut scan, idle_since, &mut begun)).await;
        self.registered.signal.is_idle_since(None);
        event
    }

    fn poll_head(
        &mut self,
        cx: &mut Context<'_>,
        scan: &mut HeadScan,
        idle_since: Instant,
        begun: &mut Option<Instant>,
    ) -> Poll<HeadEvent> {
        loop {
            if let Some(event) = self.find_head(scan, begun.is_none()) {
                return Poll::Ready(event);
            }
            match self.client.poll_fill(cx, READ_BYTES, &self.worker.buffers) {
                Poll::Ready(Ok(1..)) => {}
                Poll::Ready(Ok(0) | Err(_)) => return Poll::Ready(HeadEvent::Close),
                Poll::Pending => return self.poll_head_due(cx, idle_since, begun),
            }
        }
    }

    /// What has arrived, once enough of it has.
    fn find_head(&mut self, scan: &mut HeadScan, is_start: bool) -> Option<HeadEvent> {
        if self.is_new {
            match opening(&self.client.input) {
                Opening::Open => return None,
                Opening::Http2 => return Some(HeadEvent::Http2),
                Opening::Other => self.is_new = false,
            }
        }
        if is_start && self.client.input.starts_with(b"\r\n") {
            self.client.consume(2); // RFC 9112, section 2.2: an empty line before a request is ignored
        }
        let limit = self.worker.settings.max_head_bytes;
        match scan.find_end(&self.client.input) {
            Err(_) => Some(refused(400, "the request head has a line that does not end in CRLF")),
            Ok(Some(length)) if length <= limit => Some(HeadEvent::Head(length)),
            Ok(_) if self.client.input.len() > limit => Some(refused(431, "the request head is too long")),
            Ok(_) => None,
        }
    }

    fn poll_head_due(
        &mut self,
        cx: &mut Context<'_>,
        idle_since: Instant,
        begun: &mut Option<Instant>,
    ) -> Poll<HeadEvent> {
        let settings = &self.worker.settings;
        if self.client.input.is_empty() {
            let due = idle_since + settings.keep_alive_timeout;
            let due = self.worker.closing_at().map_or(due, |closing| due.min(closing));
            if !self.client.is_multiplexed() {
                self.registered.signal.is_idle_since(Some(idle_since));
                if self.registered.signal.gives_way() {
                    return Poll::Ready(HeadEvent::Close);
                }
            }
            return self.deadline.poll_due(cx, due).map(|()| HeadEvent::Close);
        }
        self.registered.signal.is_idle_since(None);
        let due = *begun.get_or_insert_with(Instant::now) + settings.header_read_timeout;
        self.deadline.poll_due(cx, due).map(|()| HeadEvent::Refused(Refusal::ClientSlow))
    }

    async fn serve(&mut self, head_length: usize) -> After {
        let bytes = self.client.input.get(..head_length).unwrap_or_default();
        let (mut request, refusal) = plan(&self.worker, bytes, self.from.origin(), &mut self.head);
        self.client.consume(head_length);
        let refusal = match refusal {
            None => self.verify(&mut request).await,
            refused => refused,
        };
        let outcome = match (refusal, request.app.clone()) {
            (None, Some(app)) => self.carry_out(&mut request, &app).await,
            (refusal, _) => {
                if request.app.is_none() {
                    self.worker.counters().unrouted.add(1);
                }
                Outcome::Refused(refusal.unwrap_or(Refusal::Nobody))
            }
        };
        match outcome {
            Outcome::Over(after) => after,
            Outcome::Broken => {
                if self.client.is_multiplexed() {
                    // A reset discards what has not been sent: first it is the turn of whoever sends.
                    tokio::task::yield_now().await;
                }
                After::Close
            }
            Outcome::Refused(refusal) => self.refuse(&mut request, &refusal).await,
            // What most requests never do, is not to take room in the task of every connection.
            Outcome::Switched(spent, in_flight) => {
                Box::pin(self.switch(&mut request, *spent, &in_flight)).await
            }
        }
    }

    /// Finds out whether the password is right, where the app asks for one that has not been seen lately.
    async fn verify(&self, request: &mut Request) -> Option<Refusal> {
        let (attempt, client) = request.attempt.take()?;
        match self.worker.verifier.verify(attempt, client).await {
            Ok(true) => None,
            Ok(false) => Some(Refusal::Unauthorized),
            Err(Busy) => Some(Refusal::PasswordsBusy),
        }
    }

    async fn carry_out(&mut self, request: &mut Request, app: &Rc<App>) -> Outcome {
        let mut reuse = if request.is_idempotent { Reuse::Any } else { Reuse::Recent };
        app.retries.deposit();
        if let Some(turnstile) = &request.meters.turnstile {
            match enter(app, turnstile).await {
                Ok(pass) => request.pass = Some(pass),
                Err(refusal) => return Outcome::Refused(refusal),
            }
        }
        let (mut patience, mut tries) = (Patience::default(), 0);
        for attempt in 1.. {
            let bytes = self.head.len() + self.client.input.len();
            let wanted = request.sticky.as_ref().and_then(Sticky::wanted);
            let lot = request.lot.as_ref().map(|lot| lot.number);
            let ask = Ask { reuse, bytes, wanted, lot, is_visit: request.is_visit() };
            let admitted = admit(&self.worker, app, ask, &mut patience).await;
            let Lease { in_flight, stream, has_waited, is_new } = match admitted {
                Ok(lease) => lease,
                Err(refusal) => return Outcome::Refused(refusal),
            };
            // What has waited until the app was back is no further load for units that live.
            if attempt > 1 && !has_waited && !app.retries.withdraw(Instant::now()) {
                return Outcome::Refused(Refusal::BrokeOff);
            }
            self.registered.signal.enter(in_flight.upstream(), Kind::Requests);
            request.sent_to(in_flight.upstream());
            let mut upstream = Wire::new(stream);
            upstream.output = Outbox::with(std::mem::take(&mut self.head));
            let (end, spent) = self.attempt(request, upstream).await;
            self.registered.signal.leave();
            in_flight.upstream().judge(&end, spent.answer.is_some());
            tries += u32::from(is_new);
            let may_repeat = matches!(end, End::Lost) && spent.is_repeatable && tries < MAX_TRIES;
            if may_repeat {
                self.head = spent.upstream.output.into_bytes();
                reuse = Reuse::Never;
                continue;
            }
            return self.conclude(request, end, spent, in_flight);
        }
        Outcome::Over(After::Close)
    }

    async fn attempt(&mut self, request: &mut Request, upstream: Wire) -> (End, Spent) {
        let Self { worker, registered, client, deadline, .. } = self;
        let mut exchange = Exchange::new(worker, &registered.signal, client, deadline, request, upstream);
        let end = poll_fn(|cx| exchange.poll(cx)).await;
        let (is_repeatable, is_uploaded) = (exchange.is_repeatable(), exchange.is_uploaded());
        (end, Spent { is_repeatable, is_uploaded, upstream: exchange.upstream, answer: exchange.answer })
    }

    /// Settles accounts after the last attempt.
    fn conclude(
        &mut self,
        request: &mut Request,
        end: End,
        mut spent: Spent,
        in_flight: InFlight,
    ) -> Outcome {
        if matches!(end, End::Refused(_)) && self.client.output.take_back() {
            spent.answer = None; // nothing of it has left, so that the client can be told what is wrong
        }
        let bytes_out = spent.answer.as_ref().map_or(0, |answer| answer.body.content());
        request.account.moved(request.body.content(), bytes_out);
        match (end, &spent.answer) {
            (End::Done, Some(answer)) => {
                request.account.ended(AccessEnd::Complete);
                let after = match (answer.keep_alive, spent.is_uploaded) {
                    (true, true) => After::NextRequest,
                    (false, true) => After::Close,
                    (_, false) => After::Linger,
                };
                self.release(spent, &in_flight);
                Outcome::Over(after)
            }
            (End::Switched, _) => Outcome::Switched(Box::new(spent), in_flight),
            (End::ClientGone, _) => {
                request.account.ended(AccessEnd::ClientGone);
                Outcome::Over(After::Close)
            }
            (End::Lost, None) | (End::Done, None) => Outcome::Refused(Refusal::BrokeOff),
            (End::Refused(refusal), None) => Outcome::Refused(refusal),
            (End::Lost | End::Refused(_), Some(answer)) => {
                if !answer.shows_its_end {
                    self.client.reset_on_close();
                }
                Outcome::Broken
            }
        }
    }

    /// Gives back the connection to the app, if it can carry another request, and its buffer.
    fn release(&mut self, spent: Spent, in_flight: &InFlight) {
        let Spent { upstream, answer, is_uploaded, .. } = spent;
        let Wire { input, output, .. } = &upstream;
        let is_clean = is_uploaded && input.is_empty() && output.is_empty();
        let keep =
            answer.filter(|answer| answer.is_reusable && is_clean).map(|answer| answer.keep_alive_timeout);
        let (stream, input, output) = upstream.into_parts();
        self.worker.buffers.give(input);
        self.head = output.into_bytes();
        if let (Some(apps_timeout), Stream::Tcp(stream)) = (keep, stream) {
            self.worker.keep(in_flight.upstream(), stream, apps_timeout);
        }
    }

    async fn switch(&mut self, request: &mut Request, spent: Spent, in_flight: &InFlight) -> After {
        let kind = match request.offers_upgrade {
            Some(Offer::WebSocket) => Kind::WebSocket,
            Some(Offer::Other) | None => Kind::Opaque,
        };
        request.account.upgraded();
        request.pass = None; // it may stay for hours
        let tunnel =
            Tunnel::new(&self.worker, &self.registered.signal, &mut self.client, spent.upstream, kind);
        let moved = tunnel.run(in_flight).await;
        request.account.moved(moved.up, moved.down);
        After::Close
    }

    /// Answers with a page of our own. The connection lives on if the request's end is known.
    async fn refuse(&mut self, request: &mut Request, refusal: &Refusal) -> After {
        let is_read = !request.has_body || request.body.is_done();
        let keep_alive = request.keep_alive && is_read && !self.worker.is_closing();
        let out = self.client.output.writer();
        let bytes = pages::write(out, refusal, request.addressee(keep_alive));
        request.account.refused(refusal.status(), bytes);
        let flush = poll_fn(|cx| self.client.poll_flush(cx));
        match timeout(self.worker.settings.send_timeout, flush).await {
            Ok(Ok(())) if keep_alive => After::NextRequest,
            Ok(Ok(())) => After::Linger,
            Ok(Err(_)) | Err(_) => After::Close,
        }
    }
}

/// What is left after an attempt.
struct Spent {
    is_repeatable: bool,
    is_uploaded: bool,
    upstream: Wire,
    answer: Option<Answer>,
}

fn refused(status: u16, reason: &'static str) -> HeadEvent {
    HeadEvent::Refused(Refusal::Malformed(Refused { status, reason }))
}
