//! Whether a container that was killed was killed for memory.
//!
//! The engine's own flag (`State.OOMKilled`) travels apart from the container's end and loses the race now and then: an
//! engine that hears of the kill after the end leaves the flag unset for good, and one whose shim had no time to watch
//! the control group never hears of it at all. So an end by SIGKILL that the flag does not explain is looked into:
//! - the kernel's log, which names the control group before the process dies (local engines whose log may be read);
//! - the engine's `oom` event, which may come a moment after the end.
//!
//! What is proven is written into the flag, so that everything after it reads one truth.

use std::sync::Arc;
use std::time::Duration;

use bollard::models::ContainerInspectResponse;
use nd_types::Timestamp;

use crate::find::Found;
use crate::hints;
use crate::observed::timestamp;
use crate::recent::Recent;
use crate::runtime::Shared;

mod kernel;

/// The code of an app that SIGKILL ended, also as an init passes it on.
const KILLED: i64 = 137;

/// How long after a container's end the engine's word is waited for.
const LATE: Duration = Duration::from_millis(500);

/// How long asking the engine may take beyond that.
const ASKING: Duration = Duration::from_millis(500);

/// After so long nothing more will be heard of an end.
const SETTLED: Duration = Duration::from_secs(2);

/// What is known of kills, by container.
#[derive(Debug, Default)]
pub(crate) struct Kills {
    /// When the engine last said that something in the container was killed for memory.
    told: Recent<Timestamp>,
    /// The end that was looked into last, and whether it was for memory.
    judged: Recent<(Timestamp, bool)>,
}

impl Kills {
    /// The engine says that something in `container` was killed for memory.
    pub(crate) fn heard(&mut self, container: &str, at: Timestamp) {
        self.told.set(container, at);
    }

    fn judge(&mut self, container: &str, end: &End, for_memory: bool) {
        self.judged.set(container, (end.finished, for_memory));
    }

    fn verdict(&self, container: &str, end: &End) -> Option<bool> {
        let told = self.told.get(container).is_some_and(|at| *at >= end.started);
        let judged = self.judged.get(container).filter(|(finished, _)| *finished == end.finished);
        told.then_some(true).or(judged.map(|(_, for_memory)| *for_memory))
    }
}

/// How much time there is to find out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Patience {
    /// What can be known at once: a restart waits for the answer.
    None,
    /// Also what the engine says a moment after the end: a person waits for the cause.
    ForTheEngine,
}

/// A run of a container that is over.
#[derive(Clone, Copy, Debug)]
struct End {
    started: Timestamp,
    finished: Timestamp,
    /// Whether it had a memory limit.
    limited: bool,
}

impl End {
    /// The end by SIGKILL that the engine has no reason for.
    fn unexplained(container: &ContainerInspectResponse) -> Option<Self> {
        let state = container.state.as_ref()?;
        let limit = container.host_config.as_ref().and_then(|config| config.memory);
        let over = !state.running.unwrap_or(false) && state.exit_code == Some(KILLED);
        let started = timestamp(state.started_at.as_deref())?;
        let finished = timestamp(state.finished_at.as_deref())?.max(started);
        (over && state.oom_killed != Some(true)).then_some(Self {
            started,
            finished,
            limited: limit.is_some_and(|bytes| bytes > 0),
        })
    }
}

/// Sets the container's flag when it is proven that its last end was for memory.
pub(crate) async fn complete(shared: &Arc<Shared>, found: &mut Found, patience: Patience) {
    let Some(end) = End::unexplained(&found.inspected) else { return };
    if for_memory(shared, &found.id, &end, patience).await
        && let Some(state) = found.inspected.state.as_mut()
    {
        state.oom_killed = Some(true);
    }
}

async fn for_memory(shared: &Arc<Shared>, container: &str, end: &End, patience: Patience) -> bool {
    let verdict = || shared.kills.lock().verdict(container, end);
    if let Some(verdict) = verdict() {
        return verdict;
    }
    let mut proven = the_kernel_says_so(shared, container, end).await;
    if !proven && patience == Patience::ForTheEngine {
        proven = the_engine_says_so(shared, container, end).await || verdict() == Some(true);
    }
    let settled = || Timestamp::now().duration_since(end.finished).unsigned_abs() > SETTLED;
    if proven || patience == Patience::ForTheEngine || settled() {
        shared.kills.lock().judge(container, end, proven);
    }
    proven
}

async fn the_kernel_says_so(shared: &Shared, container: &str, end: &End) -> bool {
    if !shared.engine.session().await.is_ok_and(|session| session.local) {
        return false;
    }
    let End { started, finished, limited } = *end;
    let run = kernel::Run { container: container.to_owned(), started, finished, limited };
    let read = nd_supervise::blocking("read kernel log", move || kernel::killed_for_memory(&run));
    read.await.unwrap_or(false)
}

/// Waits for the engine's word until shortly after the end; a kill that somebody asked the engine for ends the wait.
async fn the_engine_says_so(shared: &Arc<Shared>, container: &str, end: &End) -> bool {
    let until = end.finished.saturating_add(LATE).unwrap_or(end.finished);
    let filters =
        serde_json::json!({ "type": ["container"], "container": [container], "event": ["oom", "kill"] });
    let asked = async {
        let mut events = hints::events(shared, &filters, Some(end.started), Some(until)).await?;
        while let Some(event) = events.next().await? {
            match event.action() {
                "oom" => return Ok(true),
                _ if event.is_sigkill() => return Ok(false),
                _ => {}
            }
        }
        Ok::<bool, crate::engine::EngineError>(false)
    };
    match tokio::time::timeout(LATE + ASKING, asked).await {
        Ok(Ok(said)) => said,
        Ok(Err(error)) => {
            tracing::debug!(container, %error, "docker engine cannot be asked about a kill");
            false
        }
        Err(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use bollard::models::ContainerState;

    use super::*;

    fn end(started: &str, finished: &str) -> End {
        End { started: started.parse().unwrap(), finished: finished.parse().unwrap(), limited: true }
    }

    #[test]
    fn only_an_end_by_sigkill_without_a_reason_is_looked_into() {
        let unexplained = |running, code, oom_killed| {
            let state = ContainerState {
                running: Some(running),
                exit_code: Some(code),
                oom_killed: Some(oom_killed),
                started_at: Some("2026-11-21T04:58:06Z".to_owned()),
                finished_at: Some("2026-11-21T04:58:05.99Z".to_owned()),
                ..Default::default()
            };
            End::unexplained(&ContainerInspectResponse { state: Some(state), ..Default::default() })
        };
        let looked_into = unexplained(false, 137, false).unwrap();
        assert_eq!(looked_into.started, looked_into.finished);
        assert!(unexplained(false, 137, true).is_none());
        assert!(unexplained(false, 1, false).is_none());
        assert!(unexplained(true, 137, false).is_none());
    }

    #[test]
    fn what_the_engine_said_of_an_earlier_run_says_nothing_of_this_one() {
        let mut kills = Kills::default();
        let first = end("2026-11-21T04:58:06Z", "2026-11-21T04:58:07Z");
        let second = end("2026-11-21T04:58:08Z", "2026-11-21T04:58:09Z");
        kills.heard("c1", first.finished);
        assert_eq!(kills.verdict("c1", &first), Some(true));
        assert_eq!(kills.verdict("c1", &second), None);
        kills.judge("c1", &second, false);
        assert_eq!(kills.verdict("c1", &second), Some(false));
    }
}
