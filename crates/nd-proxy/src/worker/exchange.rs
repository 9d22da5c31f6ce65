//! One attempt at one request: the body goes up while the answer comes down, in one task without any hop.

use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::time::Instant;

use super::Worker;
use super::plan::Request;
use super::signal::Signal;
use crate::bandwidth::Paces;
use crate::compress::{Encoder, Encoders, Recoding, recoding};
use crate::http1::reply::{Coding, Reply, write_interim, write_response, write_switch};
use crate::http1::request::{Refused, field_space};
use crate::http1::response::{ResponseBody, ResponseHead};
use crate::net::body::{Body, Moving as _};
use crate::net::deadline::Deadline;
use crate::net::encoded::Encoded;
use crate::net::pump::{Pump, PumpError};
use crate::net::wire::{READ_BYTES, Wire};
use crate::pages::Refusal;

/// A client that has closed its side may still read: it gets an answer that comes within this time. After that the app
/// learns that nobody listens.
const LEFT_CLIENT_GRACE: Duration = Duration::from_secs(1);
/// From when on an exchange notices that its client goes away: most are over before it would be worth the effort.
const WATCH_AFTER: Duration = Duration::from_millis(50);
/// Never, for practical purposes.
const NEVER: Duration = Duration::from_secs(365 * 86400);

/// An attempt in progress.
pub(crate) struct Exchange<'e> {
    pub(crate) worker: &'e Worker,
    pub(crate) signal: &'e Signal,
    pub(crate) client: &'e mut Wire,
    pub(crate) deadline: &'e mut Deadline,
    pub(crate) request: &'e mut Request,
    pub(crate) upstream: Wire,
    pub(crate) answer: Option<Answer>,
    upload: Upload,
    /// How fast bodies go up and down, where that is limited.
    paces: Option<Box<Paces>>,
    client_left: Option<Instant>,
    /// When the client will be watched, unless it had to be waited for before.
    watch_from: Instant,
    activity: u64,
    last_activity: Instant,
    /// How much there was of heads so far: interim ones without end are none.
    heads: usize,
}

/// An answer whose head has been passed on.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) body: Body,
    /// The client may send its next request on this connection.
    pub(crate) keep_alive: bool,
    /// The app accepts another request on its connection.
    pub(crate) is_reusable: bool,
    pub(crate) keep_alive_timeout: Option<Duration>,
    /// The client notices when the body is cut.
    pub(crate) shows_its_end: bool,
    is_event_stream: bool,
}

/// How an attempt ends.
#[derive(Debug)]
pub(crate) enum End {
    /// The answer is complete.
    Done,
    /// The app agreed to switch protocols; its head waits in the client's output.
    Switched,
    /// The app broke off.
    Lost,
    /// The request is refused, if it has not been answered yet; cut otherwise.
    Refused(Refusal),
    ClientGone,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Upload {
    Going,
    Complete,
    /// The app takes no more; it may still answer.
    Declined,
}

enum HeadStep {
    Incomplete,
    Interim,
    Final(Answer),
    Switch,
}

impl<'e> Exchange<'e> {
    pub(crate) fn new(
        worker: &'e Worker,
        signal: &'e Signal,
        client: &'e mut Wire,
        deadline: &'e mut Deadline,
        request: &'e mut Request,
        upstream: Wire,
    ) -> Self {
        let now = Instant::now();
        Self {
            paces: request.meters.bandwidth.as_ref().map(|bandwidth| Box::new(Paces::new(bandwidth))),
            worker,
            signal,
            client,
            deadline,
            request,
            upstream,
            answer: None,
            upload: Upload::Going,
            client_left: None,
            watch_from: now + WATCH_AFTER,
            activity: 0,
            last_activity: now,
            heads: 0,
        }
    }

    /// Whether the same request may be sent again: nothing of it was sent, or doing it twice is as good as once and
    /// the app has not begun to answer. A body that was passed on cannot be read again.
    pub(crate) fn is_repeatable(&self) -> bool {
        let untouched =
            self.answer.is_none() && self.upstream.input.is_empty() && !self.request.body.is_touched();
        let is_unread = self.upstream.output.is_unsent() || self.upstream.is_refused();
        untouched && (self.request.is_idempotent || is_unread)
    }

    /// Whether the app has got the whole request.
    pub(crate) fn is_uploaded(&self) -> bool {
        self.upload == Upload::Complete
    }

    /// Moves both directions on.
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<End> {
        if self.signal.is_cut() {
            return Poll::Ready(End::Refused(Refusal::Replaced));
        }
        if let Poll::Ready(end) = self.poll_upload(cx) {
            return Poll::Ready(end);
        }
        if let Poll::Ready(end) = self.poll_answer(cx) {
            return Poll::Ready(end);
        }
        let activity = self.request.body.activity() + self.answer.as_ref().map_or(0, |a| a.body.activity());
        if activity != self.activity {
            self.activity = activity;
            self.last_activity = Instant::now();
        }
        if !self.client.is_watched() && self.watch_from < self.due().0 {
            ready!(self.deadline.poll_due(cx, self.watch_from));
            if let Poll::Ready(end) = self.poll_watch(cx) {
                return Poll::Ready(end);
            }
        }
        let (due, end) = self.due();
        self.deadline.poll_due(cx, due).map(|()| end)
    }

    fn poll_upload(&mut self, cx: &mut Context<'_>) -> Poll<End> {
        if self.upload == Upload::Going {
            let (body, spare) = (&mut self.request.body, &self.worker.buffers);
            let poll = match &mut self.paces {
                Some(paces) => paces.up.poll(cx, body, (self.client, &mut self.upstream), spare),
                None => body.poll(cx, self.client, &mut self.upstream, spare),
            };
            match poll {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Ok(())) => self.upload = Upload::Complete,
                Poll::Ready(Err(PumpError::Sink)) => self.upload = Upload::Declined,
                Poll::Ready(Err(PumpError::Source)) => return Poll::Ready(End::ClientGone),
                Poll::Ready(Err(PumpError::Malformed)) => {
                    let refused = Refused { status: 400, reason: "the chunked request body is malformed" };
                    return Poll::Ready(End::Refused(Refusal::Malformed(refused)));
                }
                Poll::Ready(Err(PumpError::TooLarge)) => {
                    let limit = self.request.body.limit();
                    return Poll::Ready(End::Refused(Refusal::TooLarge { limit }));
                }
            }
        }
        let is_watching = self.upload == Upload::Complete && self.client.is_watched();
        if is_watching { self.poll_watch(cx) } else { Poll::Pending }
    }

    /// Notices a client that goes away; what it sends ahead is kept for later.
    fn poll_watch(&mut self, cx: &mut Context<'_>) -> Poll<End> {
        while self.client_left.is_none() && self.client.input.len() < self.worker.settings.max_head_bytes {
            match self.client.poll_fill(cx, READ_BYTES, &self.worker.buffers) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Ok(0)) => self.client_left = Some(Instant::now()),
                Poll::Ready(Ok(_)) => {}
                Poll::Ready(Err(_)) => return Poll::Ready(End::ClientGone),
            }
        }
        Poll::Pending
    }

    fn poll_answer(&mut self, cx: &mut Context<'_>) -> Poll<End> {
        loop {
            if let Some(answer) = &mut self.answer {
                let spare = &self.worker.buffers;
                let poll = match &mut self.paces {
                    Some(paces) => {
                        paces.down.poll(cx, &mut answer.body, (&mut self.upstream, self.client), spare)
                    }
                    None => answer.body.poll(cx, &mut self.upstream, self.client, spare),
                };
                return poll.map(|result| match result {
                    Ok(()) => End::Done,
                    Err(PumpError::Sink) => End::ClientGone,
                    Err(PumpError::Source) => End::Lost,
                    Err(PumpError::Malformed | PumpError::TooLarge) => End::Refused(Refusal::BadAnswer),
                });
            }
            match self.read_head() {
                Err(refusal) => return Poll::Ready(End::Refused(refusal)),
                Ok(HeadStep::Switch) => return Poll::Ready(End::Switched),
                Ok(HeadStep::Final(answer)) => self.answer = Some(answer),
                Ok(HeadStep::Interim) => {}
                Ok(HeadStep::Incomplete) => {
                    if matches!(self.client.poll_flush(cx), Poll::Ready(Err(_))) {
                        return Poll::Ready(End::ClientGone);
                    }
                    match self.upstream.poll_fill(cx, READ_BYTES, &self.worker.buffers) {
                        Poll::Pending => return Poll::Pending,
                        Poll::Ready(Ok(1..)) => {}
                        Poll::Ready(Ok(0) | Err(_)) => return Poll::Ready(End::Lost),
                    }
                }
            }
        }
    }

    /// Reads a head from what the app has sent and writes its counterpart for the client.
    fn read_head(&mut self) -> Result<HeadStep, Refusal> {
        if self.upstream.input.is_empty() {
            return Ok(HeadStep::Incomplete);
        }
        let mut space = field_space();
        let parsed = ResponseHead::parse(&self.upstream.input, &mut space, self.request.is_head);
        let head = parsed.map_err(|_| Refusal::BadAnswer)?;
        let length = head.as_ref().map_or(self.upstream.input.len(), |head| head.length);
        if self.heads + length > self.worker.settings.max_head_bytes {
            return Err(Refusal::BadAnswer);
        }
        let Some(head) = head else { return Ok(HeadStep::Incomplete) };
        let id = self.request.id;
        let out = self.client.output.writer();
        let step = match head.status {
            101 if self.request.offers_upgrade.is_none() => return Err(Refusal::BadAnswer),
            101 => {
                write_switch(out, &head, id.as_str(), &self.request.added());
                HeadStep::Switch
            }
            100 if !self.request.expects_continue => HeadStep::Interim,
            100..200 => {
                if !self.request.is_http10 {
                    write_interim(out, &head);
                }
                HeadStep::Interim
            }
            status => {
                let is_refused_early = status >= 400 && self.upload != Upload::Complete;
                let keep_alive = self.request.keep_alive && !is_refused_early && !self.worker.is_closing();
                self.request.account.answered(status);
                let encoders = &self.worker.encoders;
                let recoding = recoding(self.request.agreed, &head, |coding| encoders.have_room(coding));
                let is_http10 = self.request.is_http10;
                let (answer, coding) = Answer::new(&head, is_http10, keep_alive, recoding, encoders)?;
                let (keep_alive, headers) = (answer.keep_alive, self.request.headers());
                let (request_id, added) = (id.as_str(), self.request.added());
                let reply = Reply { keep_alive, is_http10, coding, request_id, headers, recoding, added };
                write_response(out, &head, reply);
                HeadStep::Final(answer)
            }
        };
        self.upstream.consume(length);
        self.heads += length;
        Ok(step)
    }

    /// Until when something must happen, and what it means if it does not.
    fn due(&self) -> (Instant, End) {
        let settings = &self.worker.settings;
        let (patience, end) = match &self.answer {
            None if self.upload == Upload::Going && !self.request.body.waits_for_sink(&self.upstream) => {
                (settings.body_idle_timeout, End::Refused(Refusal::ClientSlow))
            }
            None => (self.response_header_timeout(), End::Refused(Refusal::Slow)),
            Some(answer) if answer.body.waits_for_sink(self.client) => {
                (settings.send_timeout, End::ClientGone)
            }
            Some(answer) if answer.is_event_stream => (NEVER, End::Lost),
            Some(_) => (self.request.timeout.unwrap_or(settings.response_idle_timeout), End::Lost),
        };
        // Whoever waits for its turn is not idle.
        let turn = self.paces.as_ref().and_then(|paces| paces.until());
        let due = turn.map_or(self.last_activity, |turn| turn.max(self.last_activity)) + patience;
        match self.client_left {
            Some(left) => (due.min(left.max(self.last_activity) + LEFT_CLIENT_GRACE), End::ClientGone),
            None => (due, end),
        }
    }

    fn response_header_timeout(&self) -> Duration {
        if let Some(timeout) = self.request.timeout {
            return timeout;
        }
        let service = self.request.app.as_ref().and_then(|app| app.service());
        service.map_or(Duration::from_secs(60), |service| service.limits.response_header_timeout)
    }
}

impl Answer {
    /// The answer, and how its body is delimited.
    fn new(
        head: &ResponseHead<'_, '_>,
        is_http10: bool,
        keep_alive: bool,
        recoding: Recoding,
        encoders: &Rc<Encoders>,
    ) -> Result<(Self, Coding), Refusal> {
        let coded = match recoding {
            Recoding::Coded(coding) if head.body != ResponseBody::None => Some(coding),
            _ => None,
        };
        let coding = match (coded, is_http10) {
            (None, _) => Coding::choose(head.body, is_http10),
            (Some(_), false) => Coding::Chunked,
            (Some(_), true) => Coding::Bare,
        };
        let body = match coded {
            None => Body::Plain(Pump::response(head.body, coding)),
            Some(coding) => {
                let encoder = Encoder::new(coding, encoders).map_err(|_| Refusal::NotReady)?;
                Body::Encoded(Box::new(Encoded::new(head.body, encoder, !is_http10)))
            }
        };
        let shows_its_end = match coding {
            Coding::Same => head.body != ResponseBody::UntilClose,
            Coding::Chunked => true,
            Coding::Bare => false,
        };
        let answer = Self {
            body,
            keep_alive: keep_alive && shows_its_end,
            is_reusable: head.keep_alive,
            keep_alive_timeout: head.keep_alive_timeout,
            shows_its_end,
            is_event_stream: head.is_event_stream,
        };
        Ok((answer, coding))
    }
}
