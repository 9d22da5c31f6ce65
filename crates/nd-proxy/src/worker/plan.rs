//! From a request head to all that is needed to carry the request out.

use std::cell::Cell;
use std::net::IpAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use nd_types::{FieldName, HeaderRules, TrafficRules};

use crate::compress::Agreed;
use crate::http1::forward::{Hop, PeerText, write_request};
use crate::http1::request::{BodyLength, RequestHead, field_space};
use crate::limiter::Standing;
use crate::net::pump::Pump;
use crate::net::wire::TYPICAL_HEAD;
use crate::pages::{Addressee, Refusal};
use crate::passwords::Attempt;
use crate::request_id::IdText;
use crate::routes::Passage;
use crate::trust::Trust;
use crate::turnstile::Pass;

use super::Worker;
use super::account::{Account, Subject};
use super::app::App;
use super::client::Introduced;
use super::entry::{Destination, Entry};
use super::policy;
use super::security;
use super::service::{Meters, Service};
use super::sticky::Sticky;
use super::trial::Lot;
use super::upstream::Upstream;

/// One request, after its head has been read.
#[derive(Debug)]
pub(crate) struct Request {
    /// The app that answers; `None` when the request was refused before it was routed.
    pub(crate) app: Option<Rc<App>>,
    pub(crate) id: IdText,
    /// The body, as far as it has been passed on.
    pub(crate) body: Pump,
    pub(crate) has_body: bool,
    pub(crate) is_head: bool,
    pub(crate) is_idempotent: bool,
    pub(crate) is_http10: bool,
    pub(crate) keep_alive: bool,
    pub(crate) expects_continue: bool,
    pub(crate) offers_upgrade: Option<Offer>,
    pub(crate) wants_html: bool,
    pub(crate) account: Account,
    /// How its answer may be compressed.
    pub(crate) agreed: Agreed,
    /// A password that must be right before the app is asked, and who tries it.
    pub(crate) attempt: Option<(Attempt, IpAddr)>,
    /// What the app wants done with its answers, if anything.
    pub(crate) rules: Option<Arc<TrafficRules>>,
    /// How long the app may be silent, where its route says so.
    pub(crate) timeout: Option<Duration>,
    /// Where its client stays, if the app wants that.
    pub(crate) sticky: Option<Sticky>,
    /// Its client's lot, while a release is tried.
    pub(crate) lot: Option<Lot>,
    /// What else its app counts, for all workers together.
    pub(crate) meters: Meters,
    /// What its answer tells browsers of TLS, as a line.
    pub(crate) hsts: Option<Rc<str>>,
    /// How its client stands with the limits, as fields; empty where there are none.
    pub(crate) standing: String,
    /// Its place among the requests that are with the app at once.
    pub(crate) pass: Option<Pass>,
}

/// What the client would like to switch to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Offer {
    WebSocket,
    Other,
}

impl Request {
    /// Whom to tell about a refusal.
    pub(crate) fn addressee(&self, keep_alive: bool) -> Addressee<'_> {
        Addressee {
            app: self.app.as_ref().map(|app| app.name.as_str()),
            request_id: self.id.as_str(),
            wants_html: self.wants_html,
            is_head: self.is_head,
            is_http10: self.is_http10,
            keep_alive,
            headers: self.headers(),
            pages: self.rules.as_ref().map(|rules| &rules.error_pages),
        }
    }

    /// What is done with the fields of its answer, if anything.
    pub(crate) fn headers(&self) -> Option<&HeaderRules> {
        self.rules.as_ref().map(|rules| &rules.headers)
    }

    /// It goes to this unit now, for the first time or again.
    pub(crate) fn sent_to(&mut self, upstream: &Rc<Upstream>) {
        self.account.sent_to(upstream);
        if let (Some(sticky), Some(app)) = (&mut self.sticky, &self.app) {
            sticky.goes_to(&app.name, upstream.token);
        }
    }

    /// Whether a browser shows the answer to somebody, and may be sent back to ask again.
    pub(crate) fn is_visit(&self) -> bool {
        self.wants_html && self.is_idempotent && !self.has_body && self.offers_upgrade.is_none()
    }

    /// Whole field lines that its answer gets.
    pub(crate) fn added(&self) -> [&str; 4] {
        [
            self.hsts.as_deref().unwrap_or_default(),
            &self.standing,
            self.sticky.as_ref().map_or("", Sticky::line),
            self.lot.as_ref().map_or("", Lot::line),
        ]
    }

    /// A request of which nothing is known but that it is refused.
    pub(crate) fn unknown(worker: &Worker, client: &str) -> Self {
        let id = worker.ids.next();
        let subject = Subject { id: id.as_str(), client, ..Subject::default() };
        let account = Account::begin(worker, None, subject);
        Self { has_body: true, ..Self::bare(id, None, Pump::request(BodyLength::None, 0), account) }
    }

    /// A request that is nothing special.
    fn bare(id: IdText, app: Option<Rc<App>>, body: Pump, account: Account) -> Self {
        Self {
            app,
            id,
            body,
            has_body: false,
            is_head: false,
            is_idempotent: false,
            is_http10: false,
            keep_alive: false,
            expects_continue: false,
            offers_upgrade: None,
            wants_html: false,
            account,
            agreed: Agreed::default(),
            attempt: None,
            rules: None,
            timeout: None,
            sticky: None,
            lot: None,
            meters: Meters::default(),
            hsts: None,
            standing: String::new(),
            pass: None,
        }
    }
}

/// Who sent the head, and where.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Origin<'a> {
    pub(crate) entry: &'a Entry,
    pub(crate) peer: &'a PeerText,
    /// The lot of the connection, once it was dealt one.
    pub(crate) lot: &'a Cell<Option<u8>>,
    pub(crate) trust: Trust,
    /// It came as a stream of HTTP/2.
    pub(crate) is_http2: bool,
    /// A balancer has said that it has taken off its TLS.
    pub(crate) is_behind_tls: bool,
    /// What its handshake has said, if there was one.
    pub(crate) tls: Option<&'a Introduced>,
}

impl Origin<'_> {
    /// What the connection is, as it came to us or to the balancer that has introduced it.
    pub(crate) fn scheme(self) -> &'static str {
        if self.tls.is_some() || self.is_behind_tls { "https" } else { "http" }
    }

    /// Whether the client speaks HTTPS, as far as we or trusted peers know.
    pub(crate) fn is_https(self, head: &RequestHead<'_, '_>) -> bool {
        policy::scheme(head, self) == "https"
    }
}

/// Reads a complete head, routes it, and writes the head for the app to `out`.
///
/// All of it happens in one step without waiting, so that it sees one table.
pub(crate) fn plan(
    worker: &Worker,
    bytes: &[u8],
    from: Origin<'_>,
    out: &mut Vec<u8>,
) -> (Request, Option<Refusal>) {
    let mut space = field_space();
    let mut head = match RequestHead::parse(bytes, &mut space) {
        Ok(head) => head,
        Err(refused) => return (Request::unknown(worker, from.peer.ip()), Some(Refusal::Malformed(refused))),
    };
    let id = head.request_id.and_then(IdText::given).unwrap_or_else(|| worker.ids.next());
    let way = from.entry.route(worker, &head);
    let (app, passage) = way.map_or((None, None), |Destination { app, passage }| (Some(app), passage));
    let service = app.as_ref().and_then(|app| app.service());
    let limit = service.as_ref().map_or(0, |service| service.limits.body_bytes);
    let client = policy::client_address(&worker.settings, &head, from);
    let named = (client != from.peer.address).then(|| client.to_string());
    let subject = subject(&head, &id, named.as_deref().unwrap_or(from.peer.ip()), from.is_http2);
    let account = Account::begin(worker, app.as_ref(), subject);
    let mut request = describe(&head, id, app, limit, account);
    request.meters = service.as_ref().map(|service| service.meters.clone()).unwrap_or_default();
    request.rules = service.as_ref().and_then(|service| service.rules.clone());
    request.agreed = Agreed::on(request.rules.as_ref(), head.accepts_encoding, head.fields);
    request.timeout = passage.as_ref().and_then(|passage| passage.options.timeout);
    if let Some(refusal) = security::decide(worker, &head, from, service.as_deref()) {
        return (request, Some(refusal));
    }
    let Some(app) = &request.app else { return (request, Some(Refusal::Nobody)) };
    request.hsts = service.as_ref().and_then(|service| service.tls.as_ref()?.line(from.is_https(&head)));
    (request.sticky, request.lot) = homes(service.as_deref(), &head, app, from, client);
    let app = Rc::clone(app);
    let hides_authorization = match pass(worker, &head, from, client, passage.as_deref(), &mut request) {
        Ok(asks_for_password) => asks_for_password,
        Err(refusal) => return (request, Some(refusal)),
    };
    if matches!(head.body, BodyLength::Exactly(length) if length > limit) {
        return (request, Some(Refusal::TooLarge { limit }));
    }
    let stripped = passage.as_ref().and_then(|passage| passage.stripped(head.target));
    let hop = Hop {
        peer: from.peer,
        trust: from.trust,
        client: named.as_deref(),
        client_field: worker.settings.client_ip_header.as_ref().map(FieldName::as_str),
        scheme: from.scheme(),
        request_id: request.id.as_str(),
        fallback_host: app.name.as_str(),
        hides_authorization,
        prefix: stripped.as_ref().and(passage.as_ref()).map(|passage| passage.path.as_str()),
    };
    if let Some(stripped) = &stripped {
        head.target = stripped;
    }
    out.clear();
    out.reserve(TYPICAL_HEAD);
    write_request(out, &head, hop);
    (request, None)
}

/// What the app's rules make of a request, in their order; says whether it was asked for a name and a password. What cannot
/// be said about those at once is left to be verified.
fn pass(
    worker: &Worker,
    head: &RequestHead<'_, '_>,
    from: Origin<'_>,
    client: IpAddr,
    way: Option<&Passage>,
    request: &mut Request,
) -> Result<bool, Refusal> {
    let rules = request.rules.as_deref();
    if (rules.is_some() || way.is_some())
        && let Some(refusal) = policy::decide(head, from, client, way, rules)
    {
        return Err(refusal);
    }
    if let Some(limiter) = &request.meters.limiter {
        let standing = policy::count(limiter, head, client).map_err(Refusal::Limited)?;
        request.standing = standing.as_ref().map(Standing::fields).unwrap_or_default();
    }
    let auth = rules.map(|rules| &rules.basic_auth).filter(|auth| !auth.is_empty());
    let Some(auth) = auth.filter(|auth| policy::applies(&auth.paths, head.path())) else { return Ok(false) };
    request.attempt = policy::knock(&worker.verifier, auth, head)?.map(|attempt| (attempt, client));
    Ok(true)
}

/// Where the client stays, and which release it gets, as far as the app wants that.
fn homes(
    service: Option<&Service>,
    head: &RequestHead<'_, '_>,
    app: &App,
    from: Origin<'_>,
    client: IpAddr,
) -> (Option<Sticky>, Option<Lot>) {
    let Some(service) = service else { return (None, None) };
    let sticky = service.limits.sticky.then(|| Sticky::of(head, &app.name, from.is_https(head)));
    let lot = |split| Lot::of(head, &app.name, split, from, client, &app.dealer);
    (sticky, service.split.as_ref().map(lot))
}

fn subject<'s>(head: &RequestHead<'_, 's>, id: &'s IdText, client: &'s str, is_http2: bool) -> Subject<'s> {
    Subject {
        id: id.as_str(),
        client,
        method: head.method,
        protocol: match (is_http2, head.is_http10) {
            (true, _) => "HTTP/2.0",
            (false, true) => "HTTP/1.0",
            (false, false) => "HTTP/1.1",
        },
        host: head.host.map_or("", |host| host.value),
        path: head.target,
        user_agent: head.user_agent,
        referrer: head.referer,
    }
}

fn describe(
    head: &RequestHead<'_, '_>,
    id: IdText,
    app: Option<Rc<App>>,
    limit: u64,
    account: Account,
) -> Request {
    let offer = |upgrade: &str| match upgrade.eq_ignore_ascii_case("websocket") {
        true => Offer::WebSocket,
        false => Offer::Other,
    };
    Request {
        has_body: !head.body.is_empty(),
        is_head: head.method == "HEAD",
        is_idempotent: head.is_idempotent(),
        is_http10: head.is_http10,
        keep_alive: head.keep_alive,
        expects_continue: head.expects_continue,
        offers_upgrade: head.upgrade.map(offer),
        wants_html: head.accepts_html,
        ..Request::bare(id, app, Pump::request(head.body, limit), account)
    }
}
