//! The one thread that knows all segments and writes them.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::sync::Arc;

use jiff::civil::Date;
use jiff::tz::TimeZone;
use nd_core::ports::LogEntry;
use nd_supervise::Clock;
use nd_types::{AppName, Timestamp, UnitId};
use tokio::sync::{mpsc, oneshot};

use crate::app_log::AppLog;
use crate::error::LogError;
use crate::follower::Follower;
use crate::line;
use crate::query::View;
use crate::segment::found;
use crate::settings::Settings;

type Done<T> = oneshot::Sender<Result<T, LogError>>;

/// What the thread is asked to do.
#[derive(Debug)]
pub(crate) enum Job {
    /// Keep lines and show them to followers.
    Append(Vec<LogEntry>, Done<()>),
    /// Say what there is of these apps (of all, if none is named), and show what comes next to the follower.
    View(Vec<AppName>, Option<Follower>, Done<View>),
    /// Say when a unit's last line was written.
    Newest(UnitId, Done<Option<Timestamp>>),
    /// Drop an app's lines.
    Clear(AppName, Done<u64>),
    /// Forget an app.
    Remove(AppName, Done<()>),
    /// Drop what is too old or too much.
    Sweep(Done<()>),
    /// Put on disk what was kept so far.
    Flush(Done<()>),
}

pub(crate) struct Writer {
    dir: PathBuf,
    settings: Settings,
    clock: Arc<dyn Clock>,
    apps: BTreeMap<AppName, AppLog>,
    followers: Vec<Follower>,
    last_seq: u64,
}

impl Writer {
    pub(crate) fn new(dir: PathBuf, settings: Settings, clock: Arc<dyn Clock>) -> Self {
        Self { dir, settings, clock, apps: BTreeMap::new(), followers: Vec::new(), last_seq: 0 }
    }

    /// Works until every sender is gone.
    pub(crate) fn run(mut self, jobs: &mut mpsc::Receiver<Job>) {
        if let Err(error) = self.take_over() {
            // New lines can be kept all the same; if not, who appends them gets the error.
            tracing::error!(%error, "kept logs cannot be taken over");
        }
        while let Some(job) = jobs.blocking_recv() {
            // Who no longer waits for an answer has been told that there was none.
            match job {
                Job::Append(entries, done) => drop(done.send(self.append(entries))),
                Job::View(apps, follower, done) => drop(done.send(self.view(&apps, follower))),
                Job::Newest(unit, done) => {
                    drop(done.send(self.app(unit.app()).map(|app| app.units().newest(&unit))));
                }
                Job::Clear(app, done) => drop(done.send(self.clear(&app))),
                Job::Remove(app, done) => drop(done.send(self.remove(&app))),
                Job::Sweep(done) => drop(done.send(self.sweep())),
                Job::Flush(done) => drop(done.send(self.apps.values().try_for_each(AppLog::sync))),
            }
        }
    }

    fn take_over(&mut self) -> Result<(), LogError> {
        let failed = |source| LogError::file("read the logs in", &self.dir, source);
        let names: Vec<AppName> = fs::read_dir(&self.dir)
            .map_err(failed)?
            .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
            .collect();
        for name in names {
            if let Err(error) = self.app(&name) {
                // The others are fine; this one is tried again when it is asked for, and who asks gets the error.
                tracing::error!(app = %name, %error, "kept logs cannot be read");
            }
        }
        self.sweep()
    }

    fn app(&mut self, name: &AppName) -> Result<&mut AppLog, LogError> {
        match self.apps.entry(name.clone()) {
            std::collections::btree_map::Entry::Occupied(entry) => Ok(entry.into_mut()),
            std::collections::btree_map::Entry::Vacant(entry) => {
                let log = AppLog::load(&self.dir.join(name.as_str()))?;
                self.last_seq = self.last_seq.max(log.units().last_seq);
                Ok(entry.insert(log))
            }
        }
    }

    fn append(&mut self, mut entries: Vec<LogEntry>) -> Result<(), LogError> {
        for entries in entries.chunk_by_mut(|a, b| a.app == b.app) {
            self.append_to_one(entries)?;
        }
        Ok(())
    }

    fn append_to_one(&mut self, entries: &mut [LogEntry]) -> Result<(), LogError> {
        let Some(name) = entries.first().map(|entry| entry.app.clone()) else { return Ok(()) };
        let (today, limit) = (day(self.clock.wall()), self.settings.segment_size.0);
        self.app(&name)?;
        let mut seq = self.last_seq;
        let mut text = Vec::with_capacity(entries.len() * 192);
        for entry in entries.iter_mut() {
            seq += 1;
            entry.seq = seq;
            line::write(entry, &mut text)
                .map_err(|error| LogError::file("encode a line for", &self.dir, error.into()))?;
        }
        let rolled = self.app(&name)?.append(entries, &text, today, limit)?;
        self.last_seq = seq;
        self.followers.retain(|follower| follower.push(entries));
        if rolled && let Err(error) = self.sweep() {
            // The lines are kept, which is what was asked; what is too much goes with the next sweep.
            tracing::warn!(%error, "old logs could not be dropped");
        }
        Ok(())
    }

    fn view(&mut self, names: &[AppName], follower: Option<Follower>) -> Result<View, LogError> {
        for name in names {
            // An app that has nothing is not remembered: anybody may ask for any name.
            if self.dir.join(name.as_str()).exists() {
                self.app(name)?;
            }
        }
        let wanted = self.apps.iter().filter(|(name, _)| names.is_empty() || names.contains(name));
        let apps =
            wanted.map(|(_, app)| (app.dir().to_owned(), app.segments().rev().cloned().collect())).collect();
        self.followers.extend(follower);
        Ok(View { last_seq: self.last_seq, apps })
    }

    fn clear(&mut self, name: &AppName) -> Result<u64, LogError> {
        if !self.apps.contains_key(name) && !self.dir.join(name.as_str()).exists() {
            return Ok(0);
        }
        self.app(name)?.clear()
    }

    fn remove(&mut self, name: &AppName) -> Result<(), LogError> {
        self.apps.remove(name);
        let dir = self.dir.join(name.as_str());
        found(fs::remove_dir_all(&dir)).map(drop).map_err(|source| LogError::file("remove", &dir, source))
    }

    fn sweep(&mut self) -> Result<(), LogError> {
        let now = self.clock.wall();
        let oldest = now.checked_sub(self.settings.retention).unwrap_or(Timestamp::MIN);
        for app in self.apps.values_mut() {
            app.drop_before(day(oldest))?;
            while app.bytes() > self.settings.max_app_size.0 && app.oldest_sealed().is_some() {
                app.drop_oldest()?;
            }
        }
        while self.apps.values().map(AppLog::bytes).sum::<u64>() > self.settings.max_total_size.0 {
            let with_most_history = self.apps.values_mut().filter(|app| app.oldest_sealed().is_some());
            match with_most_history.min_by_key(|app| app.oldest_sealed()) {
                Some(app) => app.drop_oldest()?,
                None => break,
            }
        }
        Ok(())
    }
}

/// The day in UTC, so that the directories of two hosts match.
fn day(time: Timestamp) -> Date {
    time.to_zoned(TimeZone::UTC).date()
}
