//! What happens to containers, as it happens.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use futures_util::stream;
use hyper::Method;
use nd_core::ports::{HintKind, HintStream, PortResult, UnitHint};
use nd_supervise::{Backoff, jitter};
use nd_types::Timestamp;
use serde::Deserialize;

use crate::adopt;
use crate::engine::{EngineError, JsonLines, query_value, request};
use crate::failure::port_error;
use crate::labels::{self, Labels};
use crate::runtime::Shared;

/// Between tries while the engine is away: an app that an engine's restart ended is to be back at once.
const RETRY: Backoff = Backoff { first: Duration::from_millis(100), factor: 2, cap: Duration::from_secs(2) };

/// An event of the engine.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Event {
    #[serde(rename = "Action")]
    action: String,
    #[serde(rename = "Actor")]
    actor: Actor,
    #[serde(rename = "timeNano")]
    nanos: i64,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct Actor {
    #[serde(rename = "ID")]
    id: String,
    #[serde(rename = "Attributes")]
    attributes: HashMap<String, String>,
}

impl Event {
    /// What happened, in the engine's word.
    pub(crate) fn action(&self) -> &str {
        &self.action
    }

    /// When it happened, by the engine's clock.
    fn time(&self) -> Option<Timestamp> {
        Timestamp::from_nanosecond(self.nanos.into()).ok()
    }

    /// Whether somebody asked the engine to kill the container.
    pub(crate) fn is_sigkill(&self) -> bool {
        let signal = self.actor.attributes.get("signal").map(String::as_str);
        self.action == "kill" && matches!(signal, Some("9" | "KILL" | "SIGKILL"))
    }
}

/// Opens a stream of events, from the time `since` on or from now on. It ends at `until`, or goes on.
pub(crate) async fn events(
    shared: &Arc<Shared>,
    filters: &serde_json::Value,
    since: Option<Timestamp>,
    until: Option<Timestamp>,
) -> Result<JsonLines<Event>, EngineError> {
    let mut path = format!("/events?filters={}", query_value(&filters.to_string()));
    for (name, time) in [("since", since), ("until", until)] {
        if let Some(nanos) = time.map(Timestamp::as_nanosecond) {
            let (seconds, rest) = (nanos.div_euclid(1_000_000_000), nanos.rem_euclid(1_000_000_000));
            path.push_str(&format!("&{name}={seconds}.{rest:09}"));
        }
    }
    Ok(JsonLines::new(shared.engine.open(request(Method::GET, &path)?).await?))
}

/// Hints from now on. The stream does not end when the engine goes away: it comes back with what happened meanwhile, as
/// far as the engine remembers, after a `Resync`.
pub(crate) async fn hints(shared: &Arc<Shared>) -> PortResult<HintStream> {
    let source = open(shared, None)
        .await
        .map_err(|error| port_error("listen to the docker engine's events", error))?;
    let hints =
        Hints { shared: Arc::clone(shared), source: Some(source), last: None, ready: VecDeque::new() };
    Ok(Box::pin(stream::unfold(hints, |mut hints| async move {
        let hint = hints.next().await;
        Some((hint, hints))
    })))
}

async fn open(shared: &Arc<Shared>, since: Option<Timestamp>) -> Result<JsonLines<Event>, EngineError> {
    let filters = serde_json::json!({
        "type": ["container"],
        "label": [format!("{}=true", labels::MANAGED)],
        // Without the three events of each run of a health check.
        "event": ["start", "die", "oom", "health_status", "destroy"],
    });
    events(shared, &filters, since, None).await
}

struct Hints {
    shared: Arc<Shared>,
    source: Option<JsonLines<Event>>,
    /// When the last event happened, by the engine's clock.
    last: Option<Timestamp>,
    ready: VecDeque<UnitHint>,
}

impl Hints {
    async fn next(&mut self) -> UnitHint {
        let mut tries = 0;
        loop {
            if let Some(hint) = self.ready.pop_front() {
                return hint;
            }
            match self.source.as_mut() {
                Some(source) => match source.next().await {
                    Ok(Some(event)) => self.take(&event),
                    Ok(None) => self.source = None,
                    Err(error) => {
                        tracing::warn!(%error, "docker engine's events broke off");
                        self.source = None;
                    }
                },
                None => {
                    tokio::time::sleep(RETRY.delay(tries, jitter())).await;
                    tries = tries.saturating_add(1);
                    self.reopen().await;
                }
            }
        }
    }

    fn take(&mut self, event: &Event) {
        self.last = event.time().or(self.last);
        if let ("oom", Some(at)) = (event.action(), event.time()) {
            self.shared.kills.lock().heard(&event.actor.id, at);
        }
        self.ready.extend(hint(event));
    }

    async fn reopen(&mut self) {
        match open(&self.shared, self.last.map(just_after)).await {
            Ok(source) => {
                tracing::info!("docker engine's events are back");
                self.source = Some(source);
                self.ready.push_back(UnitHint { unit: None, kind: HintKind::Resync });
            }
            Err(error) => tracing::debug!(%error, "docker engine is still away"),
        }
    }
}

/// The next moment that events can be asked for.
fn just_after(time: Timestamp) -> Timestamp {
    time.saturating_add(Duration::from_nanos(1)).unwrap_or(time)
}

fn hint(event: &Event) -> Option<UnitHint> {
    let kind = match event.action.as_str() {
        "start" => HintKind::Started,
        "die" => HintKind::Died,
        "oom" => HintKind::OutOfMemory,
        "destroy" => HintKind::Removed,
        action if action.starts_with("health_status") => HintKind::Health,
        _ => return None,
    };
    let labels = Labels::read(&event.actor.attributes);
    let unit = if labels.unclaimed() {
        event.actor.attributes.get("name").and_then(|name| adopt::unit_id(name, &event.actor.id))
    } else {
        labels.unit
    };
    Some(UnitHint { unit, kind })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hint_of(json: &str) -> Option<UnitHint> {
        hint(&serde_json::from_str(json).unwrap())
    }

    #[test]
    fn events_of_old_and_new_engines_become_hints() {
        let old = r#"{"status":"die","id":"8103","from":"x","Type":"container","Action":"die","Actor":{"ID":"8103","Attributes":
            {"exitCode":"137","name":"shop-8f3k2a-1","nextdeploy.managed":"true","nextdeploy.daemon":"d1",
             "nextdeploy.unit":"shop-8f3k2a-1"}},"scope":"local","time":1795237090,"timeNano":1795237090291473491}"#;
        let unit = "shop-8f3k2a-1".parse().ok();
        assert_eq!(hint_of(old), Some(UnitHint { unit: unit.clone(), kind: HintKind::Died }));
        let new = r#"{"Type":"container","Action":"health_status: healthy","Actor":{"ID":"8103","Attributes":
            {"nextdeploy.managed":"true","nextdeploy.daemon":"d1","nextdeploy.unit":"shop-8f3k2a-1"}}}"#;
        assert_eq!(hint_of(new), Some(UnitHint { unit, kind: HintKind::Health }));
    }

    #[test]
    fn an_unclaimed_container_is_the_unit_it_would_be_adopted_as() {
        let event = r#"{"Action":"start","Actor":{"ID":"71e50cd0f8df","Attributes":{"name":"Web","nextdeploy.managed":"true"}}}"#;
        let hint = hint_of(event).unwrap();
        assert_eq!(hint.unit.map(|unit| unit.to_string()).as_deref(), Some("web-71e50c-1"));
    }

    #[test]
    fn a_kill_that_somebody_asked_for_is_told_from_a_wish_to_stop() {
        let signal = |signal: &str| {
            let json =
                format!(r#"{{"Action":"kill","Actor":{{"ID":"1","Attributes":{{"signal":"{signal}"}}}}}}"#);
            serde_json::from_str::<Event>(&json).unwrap().is_sigkill()
        };
        assert!(signal("9") && signal("SIGKILL") && !signal("15"));
    }

    #[test]
    fn what_says_nothing_about_the_state_is_no_hint() {
        assert_eq!(hint_of(r#"{"Action":"exec_start: /check","Actor":{"ID":"1"}}"#), None);
        assert_eq!(hint_of("{}"), None);
    }
}
