//! From an app to a connection to one of its units: the gate, the balancer, the pool; or a refusal.

use std::io;
use std::rc::Rc;
use std::time::Duration;

use nd_types::{AppProtocol, Availability, Gate, ServiceLimits};
use rustix::io::Errno;
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout, timeout_at};

use super::Worker;
use super::app::{App, Held, Turn};
use super::multiplexed;
use super::service::Service;
use super::sticky::Token;
use super::upstream::{InFlight, Upstream};
use crate::net::stream::Stream;
use crate::pages::Refusal;
use crate::turnstile::{Busy, Pass, Turnstile};

/// A request that is not idempotent uses a pooled connection only if it was used that recently: should the app close
/// it at this moment, the request could not be repeated.
const FRESH_FOR_UNREPEATABLE: Duration = Duration::from_secs(1);
/// When all units refuse connections, one of those who wait asks again after this time, then after twice as much, …
const FIRST_RETRY: Duration = Duration::from_millis(20);
/// … up to this.
const LAST_RETRY: Duration = Duration::from_millis(250);

/// A browser that waits longer than this for an app that is being woken gets a page that says so, and asks again by itself.
const PAGE_AFTER: Duration = Duration::from_secs(3);

/// A connection to a unit, and the count of it.
#[derive(Debug)]
pub(crate) struct Lease {
    pub(crate) in_flight: InFlight,
    pub(crate) stream: Stream,
    /// It had to be waited for: the app was paused, or gone.
    pub(crate) has_waited: bool,
    /// The connection carries its first request.
    pub(crate) is_new: bool,
}

/// How long a request has waited, over all attempts to send it.
#[derive(Debug, Default)]
pub(crate) struct Patience {
    since: Option<Instant>,
}

/// What a request asks for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ask {
    pub(crate) reuse: Reuse,
    /// What of it is here already, and takes memory while it waits.
    pub(crate) bytes: usize,
    /// The instance it wants to stay with.
    pub(crate) wanted: Option<Token>,
    /// Its client's lot, where it was dealt one.
    pub(crate) lot: Option<u8>,
    /// Somebody looks at a browser meanwhile.
    pub(crate) is_visit: bool,
}

/// Which connections will do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reuse {
    /// Any that is open.
    Any,
    /// One that was used a moment ago.
    Recent,
    /// None: a new one.
    Never,
    /// None: a new one, for bytes of which nothing is known.
    Raw,
}

/// Waits for a place among the requests that are with the app at once. Cancel safe.
pub(crate) async fn enter(app: &App, turnstile: &Turnstile) -> Result<Pass, Refusal> {
    available(app)?;
    turnstile.enter().await.map_err(|Busy| Refusal::Busy)
}

/// Waits until the app may be asked and connects to the best of its units.
///
/// Nothing more of the request is read meanwhile. Cancel safe.
pub(crate) async fn admit(
    worker: &Worker,
    app: &Rc<App>,
    ask: Ask,
    patience: &mut Patience,
) -> Result<Lease, Refusal> {
    let best = available(app)?;
    let best = if app.paused_until().is_none() { choose(app, &best, ask, &[]) } else { None };
    if let Some(upstream) = &best
        && let Some(stream) = pooled(upstream, ask.reuse)
    {
        let in_flight = InFlight::on(Rc::clone(upstream));
        return Ok(Lease { in_flight, stream: stream.into(), has_waited: false, is_new: false });
    }
    // What few requests do, is not to take room in the task of every connection.
    Box::pin(admit_in_time(worker, app, ask, best, patience)).await
}

/// The same, beginning with a unit to which no connection is at hand.
async fn admit_in_time(
    worker: &Worker,
    app: &Rc<App>,
    ask: Ask,
    mut best: Option<Rc<Upstream>>,
    patience: &mut Patience,
) -> Result<Lease, Refusal> {
    let mut waiting: Option<Waiting> = None;
    let mut refused: Vec<Rc<Upstream>> = Vec::new();
    loop {
        let service = available(app)?;
        if app.paused_until().is_none()
            && let Some(upstream) = best.take().or_else(|| choose(app, &service, ask, &refused))
            && (waiting.is_some() || !app.is_asked_again() || !upstream.was_refused())
        {
            let attempt = connect(worker, InFlight::on(Rc::clone(&upstream)), ask.reuse);
            // A container that is gone answers no SYN, and the kernel repeats it only after a second: the next table
            // ends the attempt.
            let attempt = async {
                tokio::select! {
                    biased;
                    lease = attempt => lease,
                    () = upstream.retirement() => None,
                }
            };
            match attempt.await {
                // While we connected, a table without this unit may have been acknowledged: then it is too late.
                Some(lease) if !upstream.is_retired() => {
                    let has_waited = waiting.map(Waiting::over).is_some();
                    return Ok(Lease { has_waited, ..lease });
                }
                Some(_) => {}
                None => refused.push(upstream),
            }
            continue;
        }
        let waiting = match &mut waiting {
            Some(waiting) => waiting,
            none => none.insert(Waiting::start(app, &service, ask, patience)?),
        };
        waiting.wait(app, &service).await?;
        refused.clear();
    }
}

fn choose(app: &App, service: &Service, ask: Ask, refused: &[Rc<Upstream>]) -> Option<Rc<Upstream>> {
    // A trial that began while the request waited deals with it as with a client that comes without a lot.
    let lot = ask.lot.or_else(|| service.split.as_ref().map(|_| app.dealer.deal())).unwrap_or_default();
    let stay = ask.wanted.and_then(|wanted| service.stay(wanted, lot, refused));
    stay.or_else(|| service.pick(lot, refused))
}

fn available(app: &App) -> Result<Rc<Service>, Refusal> {
    let service = app.service().ok_or(Refusal::Nobody)?;
    if let Gate::Maintenance { retry_after_s } = app.gate() {
        return Err(Refusal::Maintenance { retry_after_s });
    }
    match &service.availability {
        Availability::Serving | Availability::Sleeping => Ok(service),
        Availability::Stopped => Err(Refusal::Stopped),
        Availability::Failed { reason } => Err(Refusal::Failed { reason: reason.clone() }),
    }
}

async fn connect(worker: &Worker, in_flight: InFlight, reuse: Reuse) -> Option<Lease> {
    let upstream = in_flight.upstream();
    if let Some(stream) = pooled(upstream, reuse) {
        return Some(Lease { in_flight, stream: stream.into(), has_waited: false, is_new: false });
    }
    let stream = match upstream.protocol {
        AppProtocol::H2c if reuse != Reuse::Raw => {
            let stream = multiplexed::stream(worker, upstream, open(worker, upstream)).await?;
            Stream::App(Box::new(stream))
        }
        AppProtocol::H2c | AppProtocol::Http => open(worker, upstream).await?.into(),
    };
    Some(Lease { in_flight, stream, has_waited: false, is_new: true })
}

fn pooled(upstream: &Upstream, reuse: Reuse) -> Option<TcpStream> {
    match reuse {
        Reuse::Any => upstream.take_idle(),
        Reuse::Recent => upstream.take_recent(FRESH_FOR_UNREPEATABLE),
        Reuse::Never | Reuse::Raw => None,
    }
}

async fn open(worker: &Worker, upstream: &Upstream) -> Option<TcpStream> {
    match timeout(worker.settings.connect_timeout, TcpStream::connect(upstream.address)).await {
        Ok(Ok(stream)) => {
            if let Err(error) = stream.set_nodelay(true) {
                tracing::debug!(%error, "cannot switch off Nagle's algorithm; answers may be slower");
            }
            Some(stream)
        }
        Ok(Err(error)) => {
            tracing::debug!(unit = %upstream.unit, address = %upstream.address, %error, "connect to unit");
            if !is_our_own(&error) {
                upstream.mark_refused(Instant::now());
            }
            None
        }
        Err(_) => {
            tracing::debug!(unit = %upstream.unit, address = %upstream.address, "connect to unit: timed out");
            upstream.mark_refused(Instant::now());
            None
        }
    }
}

/// Whether it is we who have no descriptor or port left, which says nothing about the unit.
fn is_our_own(error: &io::Error) -> bool {
    let ours = [Errno::MFILE, Errno::NFILE, Errno::ADDRNOTAVAIL, Errno::NOBUFS, Errno::NOMEM];
    Errno::from_io_error(error).is_some_and(|errno| ours.contains(&errno))
}

/// A request that is held.
struct Waiting {
    _place: Held,
    since: Instant,
    is_visit: bool,
    /// Since when the units in the table cannot be reached: they have died.
    dead_since: Option<Instant>,
    pause: Duration,
    /// It is this one that asks the units again, for all who wait.
    turn: Option<Turn>,
}

impl Waiting {
    fn start(app: &Rc<App>, service: &Service, ask: Ask, patience: &mut Patience) -> Result<Self, Refusal> {
        let place = app.hold(service.limits.hold_requests, ask.bytes).ok_or(Refusal::Crowded)?;
        let since = *patience.since.get_or_insert_with(Instant::now);
        let is_visit = ask.is_visit;
        Ok(Self { _place: place, since, is_visit, dead_since: None, pause: FIRST_RETRY, turn: None })
    }

    /// Waits for a change of the app; for the next attempt, if there are units to ask again and nobody else does; for the
    /// end of a pause.
    async fn wait(&mut self, app: &Rc<App>, service: &Service) -> Result<(), Refusal> {
        let (now, paused_until) = (Instant::now(), app.paused_until());
        let (mut until, mut refusal) = (self.since + service.limits.hold, Refusal::NotReady);
        if service.availability == Availability::Sleeping {
            app.ring();
        }
        if self.is_visit && app.is_waking() && self.since + PAGE_AFTER < until {
            (until, refusal) = (self.since + PAGE_AFTER, Refusal::Waking);
        }
        let mut next = until;
        if paused_until.is_some() || service.backends.is_empty() {
            (self.turn, self.dead_since) = (None, None);
            next = paused_until.map_or(next, |end| next.min(end));
        } else {
            // Whoever is alive to start them again says so soon.
            until = until.min(*self.dead_since.get_or_insert(now) + ServiceLimits::CRASH_HOLD);
            self.turn = self.turn.take().or_else(|| app.take_turn());
            next = until;
            if self.turn.is_some() {
                next = next.min(now + self.pause);
                self.pause = (self.pause * 2).min(LAST_RETRY);
            }
        }
        match timeout_at(next, app.changed()).await {
            Err(_) if next >= until => Err(refusal),
            Ok(()) | Err(_) => Ok(()),
        }
    }

    /// The app can be asked again: so can all others who wait.
    fn over(self) {
        if let Some(turn) = self.turn {
            turn.succeeded();
        }
    }
}
