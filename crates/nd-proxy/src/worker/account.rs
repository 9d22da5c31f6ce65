//! One request's account: counted, and written down, once, when it ends, however it ends.

use std::rc::Rc;
use std::time::Duration;

use nd_types::AccessEnd;
use tokio::time::Instant;

use super::Worker;
use super::app::App;
use super::ledger::{Ledger, put_millis, put_text};
use super::upstream::Upstream;
use crate::http1::forward::put_number;
use crate::stats::ReleaseCounters;

/// The longest path that is written down; clients may send more.
const LONGEST_PATH: usize = 4096;
/// The longest value of any other field that is written down.
const LONGEST_FIELD: usize = 1024;
/// The status of a request whose client left before its answer, as nginx has it.
const CLIENT_GONE: u16 = 499;

/// What the head of a request says, for its record.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Subject<'s> {
    pub(crate) id: &'s str,
    pub(crate) client: &'s str,
    pub(crate) method: &'s str,
    pub(crate) protocol: &'s str,
    pub(crate) host: &'s str,
    pub(crate) path: &'s str,
    pub(crate) user_agent: &'s [u8],
    pub(crate) referrer: &'s [u8],
}

/// A request in progress. Whatever is not said of it by then, is not known when it is dropped.
#[derive(Debug)]
pub(crate) struct Account {
    app: Option<Rc<App>>,
    ledger: Option<Rc<Ledger>>,
    /// What the head said, as fields of the record.
    draft: Vec<u8>,
    began: Instant,
    upstream: Option<Rc<Upstream>>,
    sent: Instant,
    answered_after: Option<Duration>,
    status: u16,
    bytes_in: u64,
    bytes_out: u64,
    retries: u32,
    end: AccessEnd,
    is_upgraded: bool,
}

impl Account {
    /// Begins when the head has been read and routed.
    pub(crate) fn begin(worker: &Worker, app: Option<&Rc<App>>, subject: Subject<'_>) -> Self {
        let ledger = worker.ledger.clone();
        let draft = ledger.as_ref().map(|ledger| write_draft(ledger.draft(), subject)).unwrap_or_default();
        if let Some(app) = app {
            app.share().requests.add(1);
            app.share().in_flight.add(1);
        }
        let began = Instant::now();
        Self {
            app: app.cloned(),
            ledger,
            draft,
            began,
            upstream: None,
            sent: began,
            answered_after: None,
            status: CLIENT_GONE,
            bytes_in: 0,
            bytes_out: 0,
            retries: 0,
            end: AccessEnd::ClientGone,
            is_upgraded: false,
        }
    }

    /// It goes to this unit now, for the first time or again.
    pub(crate) fn sent_to(&mut self, upstream: &Rc<Upstream>) {
        if self.upstream.replace(Rc::clone(upstream)).is_some() {
            self.retries += 1;
            if let Some(app) = &self.app {
                app.share().retries.add(1);
            }
        }
        self.sent = Instant::now();
    }

    /// The head of the app's answer is passed on.
    pub(crate) fn answered(&mut self, status: u16) {
        self.answered_after = Some(self.sent.elapsed());
        self.status = status;
        self.end = AccessEnd::Cut;
    }

    /// The connection leaves HTTP.
    pub(crate) fn upgraded(&mut self) {
        self.answered(101);
        self.end = AccessEnd::Complete;
        self.is_upgraded = true;
        if let Some(app) = &self.app {
            app.share().upgrades.add(1);
        }
    }

    /// The proxy answers itself, with `bytes` of body.
    pub(crate) fn refused(&mut self, status: u16, bytes: u64) {
        self.status = status;
        self.bytes_out = bytes;
        self.end = AccessEnd::Refused;
    }

    /// So many bytes of content went either way.
    pub(crate) fn moved(&mut self, bytes_in: u64, bytes_out: u64) {
        self.bytes_in = bytes_in;
        self.bytes_out = bytes_out;
    }

    /// How an answer that was passed on ended.
    pub(crate) fn ended(&mut self, end: AccessEnd) {
        self.end = end;
    }

    fn count(&self, app: &App, took: Duration) {
        let share = app.share();
        share.in_flight.subtract(1);
        share.bytes_in.add(self.bytes_in);
        share.bytes_out.add(self.bytes_out);
        share.response(self.status);
        // A socket that lives for hours says nothing about how fast the app is.
        let took = Some(took).filter(|_| !self.is_upgraded);
        let count = |traffic: &ReleaseCounters| {
            traffic.share(app.worker()).count(self.status, self.bytes_in, self.bytes_out, took);
        };
        match (&self.upstream, app.service()) {
            (Some(upstream), _) => count(&upstream.traffic),
            (None, Some(service)) => count(&service.traffic),
            (None, None) => {}
        }
    }

    fn write(&self, out: &mut Vec<u8>, took: Duration) {
        if let Some(app) = &self.app {
            put_field(out, ",\"app\":\"", app.name.as_str());
            match &self.upstream {
                Some(upstream) => {
                    put_field(out, "\",\"release\":\"", upstream.unit.release().as_str());
                    put_field(out, "\",\"instance\":\"", upstream.unit.as_str());
                }
                None => {
                    if let Some(service) = app.service() {
                        put_field(out, "\",\"release\":\"", service.traffic.release.as_str());
                    }
                }
            }
            out.push(b'"');
        }
        out.extend_from_slice(&self.draft);
        put_count(out, ",\"status\":", self.status.into());
        put_count(out, ",\"bytes_in\":", self.bytes_in);
        put_count(out, ",\"bytes_out\":", self.bytes_out);
        if let Some(after) = self.answered_after {
            out.extend_from_slice(b",\"upstream_ms\":");
            put_millis(out, after);
        }
        out.extend_from_slice(b",\"total_ms\":");
        put_millis(out, took);
        put_count(out, ",\"retries\":", self.retries.into());
        put_field(out, ",\"end\":\"", self.end.as_str());
        out.push(b'"');
    }
}

impl Drop for Account {
    fn drop(&mut self) {
        let took = self.began.elapsed();
        if let Some(app) = &self.app {
            self.count(app, took);
        }
        if let Some(ledger) = self.ledger.take() {
            ledger.add(took, |out| self.write(out, took));
            ledger.give(std::mem::take(&mut self.draft));
        }
    }
}

fn write_draft(mut out: Vec<u8>, subject: Subject<'_>) -> Vec<u8> {
    put_field(&mut out, ",\"id\":\"", subject.id);
    put_field(&mut out, "\",\"client\":\"", subject.client);
    put_field(&mut out, "\",\"method\":\"", subject.method);
    put_field(&mut out, "\",\"protocol\":\"", subject.protocol);
    put_field(&mut out, "\",\"host\":\"", "");
    put_text(&mut out, subject.host.as_bytes(), LONGEST_FIELD);
    put_field(&mut out, "\",\"path\":\"", "");
    put_text(&mut out, subject.path.as_bytes(), LONGEST_PATH);
    for (name, value) in
        [("\",\"user_agent\":\"", subject.user_agent), ("\",\"referrer\":\"", subject.referrer)]
    {
        if !value.is_empty() {
            out.extend_from_slice(name.as_bytes());
            put_text(&mut out, value, LONGEST_FIELD);
        }
    }
    out.push(b'"');
    out
}

/// Appends a name and a value that needs no escape.
fn put_field(out: &mut Vec<u8>, name: &str, value: &str) {
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(value.as_bytes());
}

fn put_count(out: &mut Vec<u8>, name: &str, number: u64) {
    out.extend_from_slice(name.as_bytes());
    put_number(out, number);
}
