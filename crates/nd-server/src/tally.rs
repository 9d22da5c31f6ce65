//! Restarts and crashes of apps, counted from the events.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use nd_core::engine::EngineHandle;
use nd_core::events::{Event, RestartReason, StoredEvent};
use nd_core::ports::HistoryQuery;
use nd_supervise::CancellationToken;
use nd_types::{AppName, Timestamp};
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
        let restart = matches!(
            event.what,
            Event::UnitStarted {
                restart: Some(
                    RestartReason::Exited | RestartReason::OutOfMemory | RestartReason::FoundStopped
                )
            }
        );
        let crash = matches!(event.what, Event::UnitExited { .. });
        if !restart && !crash {
            return;
        }
        let counts = book.apps.entry(app.clone()).or_default();
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

impl Total {
    fn add(&mut self, restart: bool, crash: bool) {
        self.restarts += u64::from(restart);
        self.crashes += u64::from(crash);
    }
}

#[cfg(test)]
mod tests {
    use nd_types::ExitStatus;

    use super::*;

    fn event(id: u64, at: Timestamp, what: Event) -> StoredEvent {
        let app = "shop".parse().ok();
        StoredEvent { id, at, app, unit: None, deployment: None, actor: None, what }
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
