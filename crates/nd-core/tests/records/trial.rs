//! What a trial, a mirror and their rules look like in the store.

use std::path::PathBuf;
use std::time::Duration;

use nd_core::events::{Event, StoredEvent};
use nd_core::records::{AppRecord, CanaryRecord, Record, RolloutRecord, RolloutStage};
use nd_core::spec::{AbortRules, AppSpec, CanarySpec, CommandSpec, MirrorSpec, RolloutSpec, Workload};
use nd_types::StrategyName;

use crate::{Outcome, at, keeps, release};

#[test]
fn the_record_of_a_trial_is_kept() -> Outcome {
    let rollout = RolloutRecord {
        deployment: "dpl_8f3k2a1".parse()?,
        release: "9g4m3b".parse()?,
        strategy: StrategyName::Canary,
        replicas: 2,
        old_replicas: 2,
        from_stopped: false,
        from_idle: false,
        deadline: at(900)?,
        mixed: 2,
        canary: CanaryRecord { since: Some(at(70)?), watched: 1, promoted: true },
        before: None,
        stage: RolloutStage::Advancing,
    };
    let app = AppRecord {
        rollout: Some(rollout),
        failover: Some(at(50)?),
        ..AppRecord::new("shop".parse()?, at(0)?)
    };
    keeps("app-canary.json", &Record::App(Box::new(app)))
}

#[test]
fn the_record_of_a_release_that_is_to_be_tried_is_kept() -> Outcome {
    let command =
        CommandSpec { argv: vec!["app".to_owned()], cwd: PathBuf::from("/srv"), user: None, path: None };
    let abort_if = AbortRules { error_rate: "2%".parse().ok(), p95: Some(Duration::from_millis(800)) };
    let canary = CanarySpec { steps: vec![10, 100], pause: Duration::from_secs(120), abort_if };
    let spec = AppSpec {
        strategy: Some(StrategyName::Canary),
        rollout: RolloutSpec { canary, ..RolloutSpec::default() },
        mirror: Some(MirrorSpec { cooldown: Duration::from_secs(45) }),
        ..AppSpec::new(Workload::Command(command))
    };
    keeps("release-canary.json", &release(&spec)?)
}

#[test]
fn the_events_of_a_failover_are_kept() -> Outcome {
    let event = |id, what| -> Outcome<Record> {
        let unit = Some("shop-8f3k2a-2".parse()?);
        let app = Some("shop".parse()?);
        Ok(Record::Event(Box::new(StoredEvent {
            id,
            at: at(0)?,
            app,
            unit,
            deployment: None,
            actor: None,
            what,
        })))
    };
    keeps(
        "event-32-failover-started.json",
        &event(1, Event::FailedOver { from: "shop-8f3k2a-1".parse()? })?,
    )?;
    keeps("event-33-failover-ended.json", &event(2, Event::FailedBack)?)
}
