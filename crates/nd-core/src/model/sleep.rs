//! Apps that sleep while nobody asks for them: they are stopped, and the next request wakes them.

use std::time::Duration;

use nd_supervise::Mono;
use nd_types::{HostPortProtocol, format_duration};

use super::decide::Decision;
use super::watch::tick_after;
use super::{AppModel, Now};
use crate::events::Event;
use crate::ports::AppTraffic;
use crate::records::RunIntent;

/// The counters are read so often in the time after which an app sleeps, …
const LOOKS: u32 = 8;
/// … but no more often, and no less often than this.
const LEAST: Duration = Duration::from_millis(250);
const MOST: Duration = Duration::from_secs(60);

/// How long nobody has asked for an app. A daemon that begins counts anew: an app may sleep later for that, never sooner.
#[derive(Clone, Debug, Default)]
pub(super) struct Idleness {
    next: Option<Mono>,
    requests: u64,
    since: Option<Mono>,
}

impl AppModel {
    /// Whether it sleeps: it should run, but not before somebody asks for it.
    #[must_use]
    pub fn sleeps(&self) -> bool {
        self.record.asleep && self.record.run == RunIntent::Running && !self.suspended
    }

    /// Whether the counters are to be read, to see if anybody has asked for the app.
    pub(super) fn is_idleness_due(&mut self, now: Now, decision: &mut Decision) -> bool {
        let Some(after) = self.sleeps_after(now) else {
            self.idleness = Idleness::default();
            return false;
        };
        let every = (after / LOOKS).clamp(LEAST, MOST);
        let next = *self.idleness.next.get_or_insert_with(|| tick_after(now.mono + every));
        if next > now.mono {
            decision.wake(next);
        }
        next <= now.mono
    }

    /// Takes in a reading, or that there is none: then it is as if somebody had asked.
    pub(super) fn count_requests(&mut self, traffic: Option<&AppTraffic>, now: Now) {
        self.idleness.next = None;
        let Some(after) = self.sleeps_after(now) else { return };
        let idleness = &mut self.idleness;
        let is_quiet = traffic.is_some_and(|traffic| {
            let before = std::mem::replace(&mut idleness.requests, traffic.requests);
            before == traffic.requests && traffic.in_flight == 0
        });
        match idleness.since.filter(|_| is_quiet) {
            None => idleness.since = Some(now.mono),
            Some(since) if now.mono.saturating_since(since) >= after => self.fall_asleep(after, now),
            Some(_) => {}
        }
    }

    fn fall_asleep(&mut self, after: Duration, now: Now) {
        self.idleness = Idleness::default();
        self.record.asleep = true;
        let change = format!("sleep: no request for {}", format_duration(after));
        self.fact(None, Event::AppChanged { change });
        self.touch(now);
    }

    /// After which time without a request the app sleeps; nothing while it may not, or nothing could wake it.
    fn sleeps_after(&self, now: Now) -> Option<Duration> {
        let record = &self.record;
        let is_calm = self.run() == RunIntent::Running
            && record.rollout.is_none()
            && record.gate.is_open()
            && record.bake.as_ref().is_none_or(|bake| bake.until < now.wall);
        let release = record.active.as_ref().and_then(|active| self.releases.get(active));
        let release = release.filter(|release| is_calm && !release.portless)?;
        let spec = &release.spec;
        let hears_requests =
            !spec.direct && spec.host_ports.iter().all(|port| port.protocol == HostPortProtocol::Http);
        let all_serve = self.serving_units().count() >= usize::from(record.replicas);
        spec.sleep_after.filter(|_| hears_requests && all_serve)
    }

    /// Why it does not run.
    pub(super) fn sleep_reason(&self) -> String {
        let spec = self.record.active.as_ref().and_then(|active| self.spec_of(active));
        let after = spec.and_then(|spec| spec.sleep_after).map(format_duration);
        let after = after.map(|after| format!(" for {after}")).unwrap_or_default();
        format!("no request{after}; the next one wakes it")
    }
}
