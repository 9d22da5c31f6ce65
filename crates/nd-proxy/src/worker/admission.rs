//! From an app to a connection to one of its units: the gate, the balancer, the pool; or a refusal.

use std::rc::Rc;
use std::time::Duration;

use nd_types::{AppProtocol, Availability, Gate};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout, timeout_at};

use super::Worker;
use super::app::{App, Held, Service};
use super::multiplexed;
use super::upstream::{InFlight, Upstream};
use crate::net::stream::Stream;
use crate::pages::Refusal;

/// A request that is not idempotent uses a pooled connection only if it was used that recently: should the app close
/// it at this moment, the request could not be repeated.
const FRESH_FOR_UNREPEATABLE: Duration = Duration::from_secs(1);
/// When all units refuse connections, they are asked again after this time, then after twice as much, …
const FIRST_RETRY: Duration = Duration::from_millis(50);
/// … up to this.
const LAST_RETRY: Duration = Duration::from_secs(1);

/// A connection to a unit, and the count of it.
#[derive(Debug)]
pub(crate) struct Lease {
    pub(crate) in_flight: InFlight,
    pub(crate) stream: Stream,
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

/// Waits until the app may be asked and connects to the best of its units.
///
/// Nothing more of the request is read meanwhile than the `bytes` that are here. Cancel safe.
pub(crate) async fn admit(
    worker: &Worker,
    app: &Rc<App>,
    reuse: Reuse,
    bytes: usize,
) -> Result<Lease, Refusal> {
    let mut waiting: Option<Waiting> = None;
    let mut refused: Vec<Rc<Upstream>> = Vec::new();
    loop {
        let service = available(app)?;
        if app.paused_until().is_none()
            && let Some(upstream) = service.pick(&refused)
        {
            let attempt = connect(worker, InFlight::on(Rc::clone(&upstream)), reuse);
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
                Some(lease) if !upstream.is_retired() => return Ok(lease),
                Some(_) => {}
                None => refused.push(upstream),
            }
            continue;
        }
        let waiting = match &mut waiting {
            Some(waiting) => waiting,
            none => none.insert(Waiting::start(app, &service, bytes)?),
        };
        waiting.wait(app, !refused.is_empty()).await?;
        refused.clear();
    }
}

fn available(app: &App) -> Result<Rc<Service>, Refusal> {
    let service = app.service().ok_or(Refusal::Nobody)?;
    if let Gate::Maintenance { retry_after_s } = app.gate() {
        return Err(Refusal::Maintenance { retry_after_s });
    }
    match &service.availability {
        Availability::Serving => Ok(service),
        Availability::Stopped => Err(Refusal::Stopped),
        Availability::Failed { reason } => Err(Refusal::Failed { reason: reason.clone() }),
    }
}

async fn connect(worker: &Worker, in_flight: InFlight, reuse: Reuse) -> Option<Lease> {
    let upstream = in_flight.upstream();
    let pooled = match reuse {
        Reuse::Any => upstream.take_idle(),
        Reuse::Recent => upstream.take_recent(FRESH_FOR_UNREPEATABLE),
        Reuse::Never | Reuse::Raw => None,
    };
    if let Some(stream) = pooled {
        return Some(Lease { in_flight, stream: stream.into() });
    }
    let stream = match upstream.protocol {
        AppProtocol::H2c if reuse != Reuse::Raw => {
            let stream = multiplexed::stream(worker, upstream, open(worker, upstream)).await?;
            Stream::App(Box::new(stream))
        }
        AppProtocol::H2c | AppProtocol::Http => open(worker, upstream).await?.into(),
    };
    Some(Lease { in_flight, stream })
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
            upstream.mark_refused(Instant::now());
            None
        }
        Err(_) => {
            tracing::debug!(unit = %upstream.unit, address = %upstream.address, "connect to unit: timed out");
            upstream.mark_refused(Instant::now());
            None
        }
    }
}

/// A request that is held.
struct Waiting {
    _place: Held,
    until: Instant,
    pause: Duration,
}

impl Waiting {
    fn start(app: &Rc<App>, service: &Service, bytes: usize) -> Result<Self, Refusal> {
        let place = app.hold(service.limits.hold_requests, bytes).ok_or(Refusal::Crowded)?;
        Ok(Self { _place: place, until: Instant::now() + service.limits.hold, pause: FIRST_RETRY })
    }

    /// Waits for a change of the app; for the next attempt if there are units to try again; for the end of a pause.
    async fn wait(&mut self, app: &App, try_again: bool) -> Result<(), Refusal> {
        let mut next = self.until;
        if let Some(end) = app.paused_until() {
            next = next.min(end);
        } else if try_again {
            next = next.min(Instant::now() + self.pause);
            self.pause = (self.pause * 2).min(LAST_RETRY);
        }
        match timeout_at(next, app.changed()).await {
            Err(_) if next >= self.until => Err(Refusal::NotReady),
            Ok(()) | Err(_) => Ok(()),
        }
    }
}
