//! Restarts and crashes of apps, counted from the events, and the last of them.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use nd_core::engine::EngineHandle;
use nd_core::events::{Event, RestartReason, StoredEvent};
use nd_core::ports::HistoryQuery;
use nd_supervise::CancellationToken;
use nd_types::{AppName, ExitStatus, Timestamp, UnitId};
use parking_lot::Mutex;
use tokio::sync::broadcast::error::RecvError;

/// Events read at the start, and after some were missed.
const BATCH: usize = 10_000;

/// Restarts within a day that are remembered by their time; more of them count as this many.
const RECENT: usize = 10_000;

const DAY: Duration = Duration::from_secs(24 * 3600);

/// Counts restarts and crashes by app.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    book: Mutex<Book>,
}

#[derive(Debug, Default)]
struct Book {
    /// The newest event that was counted.
    last: u64,
    apps: BTreeMap<AppName, Counts>,
    /// Since the daemon started.
    daemon: Total,
}

#[derive(Debug, Default)]
struct Counts {
    total: Total,
    recent: VecDeque<Timestamp>,
    last: Last,
    /// The last of each unit; forgotten when the unit is removed.
    units: BTreeMap<UnitId, Last>,
}

/// What happened last, to an app or to one unit.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Last {
    pub(crate) exit: Option<Exit>,
    pub(crate) restart: Option<Restart>,
    /// Why it gets no requests although it runs.
    pub(crate) unhealthy: Option<String>,
}

/// An end nobody asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Exit {
    pub(crate) unit: UnitId,
    pub(crate) at: Timestamp,
    pub(crate) exit: ExitStatus,
    pub(crate) uptime: Duration,
}

/// A start of a unit that had run before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Restart {
    pub(crate) unit: UnitId,
    pub(crate) at: Timestamp,
    pub(crate) reason: RestartReason,
}

/// How often something happened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Total {
    pub(crate) restarts: u64,
    pub(crate) crashes: u64,
}

impl Tally {
    /// Reads what is stored, then counts what happens.
    pub(crate) async fn run(&self, engine: &EngineHandle, shutdown: CancellationToken) {
        let mut live = engine.subscribe();
        self.catch_up(engine, false).await;
        loop {
            let event = tokio::select! {
                event = live.recv() => event,
                () = shutdown.cancelled() => return,
            };
            match event {
                Ok(event) => self.count(&event, true),
                Err(RecvError::Lagged(_)) => self.catch_up(engine, true).await,
                Err(RecvError::Closed) => return,
            }
        }
    }

    /// An app's counts: since it is known, and restarts within the last day.
    pub(crate) fn of(&self, app: &AppName, now: Timestamp) -> (Total, u64) {
        let book = self.book.lock();
        let Some(counts) = book.apps.get(app) else { return (Total::default(), 0) };
        let day = now.checked_sub(DAY).unwrap_or(Timestamp::UNIX_EPOCH);
        let recent = counts.recent.iter().rev().take_while(|at| **at >= day).count();
        (counts.total, u64::try_from(recent).unwrap_or(u64::MAX))
    }

    /// What happened last to an app.
    pub(crate) fn last_of(&self, app: &AppName) -> Last {
        self.book.lock().apps.get(app).map(|counts| counts.last.clone()).unwrap_or_default()
    }

    /// What happened last to a unit.
    pub(crate) fn last_of_unit(&self, unit: &UnitId) -> Last {
        let book = self.book.lock();
        let counts = book.apps.get(unit.app());
        counts.and_then(|counts| counts.units.get(unit)).cloned().unwrap_or_default()
    }

    /// Counts of all apps since the daemon started.
    pub(crate) fn daemon(&self) -> Total {
        self.book.lock().daemon
    }

    async fn catch_up(&self, engine: &EngineHandle, live: bool) {
        let after = Some(self.book.lock().last).filter(|_| live);
        match engine.events(&HistoryQuery { after, limit: BATCH, ..HistoryQuery::default() }).await {
            Ok(events) => events.iter().rev().for_each(|event| self.count(event, live)),
            Err(error) => {
                tracing::warn!(%error, "restarts of apps could not be counted from the stored events");
            }
        }
    }

    fn count(&self, event: &StoredEvent, live: bool) {
        let mut book = self.book.lock();
        if event.id <= book.last {
            return;
        }
        book.last = event.id;
        let Some(app) = &event.app else { return };
        let counts = book.apps.entry(app.clone()).or_default();
        counts.remember(event);
        let restart =
            matches!(&event.what, Event::UnitStarted { restart: Some(reason) } if is_unasked(*reason));
        let crash = matches!(event.what, Event::UnitExited { .. });
        counts.total.add(restart, crash);
        if restart {
            counts.recent.push_back(event.at);
            if counts.recent.len() > RECENT {
                counts.recent.pop_front();
            }
        }
        if live {
            book.daemon.add(restart, crash);
        }
    }
}

/// Whether nobody wanted the restart: neither a user nor a schedule.
fn is_unasked(reason: RestartReason) -> bool {
    !matches!(reason, RestartReason::Manual | RestartReason::Cron)
}

impl Counts {
    fn remember(&mut self, event: &StoredEvent) {
        let Some(unit) = &event.unit else { return };
        if event.what == Event::UnitRemoved {
            self.units.remove(unit);
            return;
        }
        match &event.what {
            Event::UnitExited { exit, uptime_ms } => {
                let uptime = Duration::from_millis(*uptime_ms);
                let exit = Some(Exit { unit: unit.clone(), at: event.at, exit: *exit, uptime });
                self.last.exit.clone_from(&exit);
                self.of_unit(unit).exit = exit;
            }
            Event::UnitStarted { restart: Some(reason) } => {
                let restart = Some(Restart { unit: unit.clone(), at: event.at, reason: *reason });
                self.last.restart.clone_from(&restart);
                let unit = self.of_unit(unit);
                (unit.restart, unit.unhealthy) = (restart, None);
            }
            Event::UnitUnhealthy { reason } => self.of_unit(unit).unhealthy = Some(reason.clone()),
            Event::UnitRecovered | Event::UnitReady { .. } => self.of_unit(unit).unhealthy = None,
            _ => {}
        }
    }

    fn of_unit(&mut self, unit: &UnitId) -> &mut Last {
        self.units.entry(unit.clone()).or_default()
    }
}

impl Total {
    fn add(&mut self, restart: bool, crash: bool) {
        self.restarts += u64::from(restart);
        self.crashes += u64::from(crash);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(id: u64, at: Timestamp, what: Event) -> StoredEvent {
        let (app, unit) = ("shop".parse().ok(), "shop-8f3k2a-1".parse().ok());
        StoredEvent { id, at, app, unit, deployment: None, actor: None, what }
    }

    #[test]
    fn the_last_end_and_the_last_restart_stay_known_until_the_unit_is_removed() {
        let (tally, now) = (Tally::default(), Timestamp::UNIX_EPOCH);
        let unit: UnitId = "shop-8f3k2a-1".parse().unwrap();
        tally.count(&event(1, now, Event::UnitExited { exit: ExitStatus::Code(1), uptime_ms: 2300 }), true);
        tally.count(&event(2, now, Event::UnitStarted { restart: Some(RestartReason::Exited) }), true);
        tally.count(&event(3, now, Event::UnitUnhealthy { reason: "TCP :3000: refused".to_owned() }), true);
        let last = tally.last_of_unit(&unit);
        assert_eq!(last.exit.map(|exit| exit.uptime), Some(Duration::from_millis(2300)));
        assert_eq!(last.restart.map(|restart| restart.reason), Some(RestartReason::Exited));
        assert_eq!(last.unhealthy.as_deref(), Some("TCP :3000: refused"));
        tally.count(&event(4, now, Event::UnitRecovered), true);
        assert_eq!(tally.last_of_unit(&unit).unhealthy, None);
        tally.count(&event(5, now, Event::UnitRemoved), true);
        assert_eq!(tally.last_of_unit(&unit), Last::default());
        assert!(tally.last_of(unit.app()).exit.is_some(), "the app remembers it");
    }

    #[test]
    fn an_event_counts_once_and_a_restart_leaves_the_last_day() {
        let tally = Tally::default();
        let now = Timestamp::UNIX_EPOCH + 3 * DAY;
        let started = |reason| Event::UnitStarted { restart: Some(reason) };
        let crash = Event::UnitExited { exit: ExitStatus::Code(1), uptime_ms: 5 };
        let events = [
            event(1, Timestamp::UNIX_EPOCH, started(RestartReason::Exited)),
            event(2, now, crash),
            event(3, now, started(RestartReason::OutOfMemory)),
            event(4, now, started(RestartReason::Manual)),
        ];
        for event in events.iter().chain(&events) {
            tally.count(event, true);
        }
        let shop = "shop".parse().unwrap();
        assert_eq!(tally.of(&shop, now), (Total { restarts: 2, crashes: 1 }, 1));
        assert_eq!(tally.daemon(), Total { restarts: 2, crashes: 1 });
    }
}
