//! Which strategy a deployment uses, and how long it may take.

use std::num::NonZeroU16;
use std::time::Duration;

use nd_types::StrategyName;

use super::error::EngineError;
use super::shared::Shared;
use crate::model::AppStatus;
use crate::ports::DeployStrategy;
use crate::spec::AppSpec;

/// Pulling the image comes on top of becoming ready; this is the time for it.
const PREPARE_ALLOWANCE: Duration = Duration::from_secs(600);

/// Readings of the counters that end a step of a trial, and a daemon that is started anew meanwhile, may take so long.
const STEP_ALLOWANCE: Duration = Duration::from_secs(60);

/// How long a deployment may take unless the user says otherwise: the time to pull, and for every unit that is waited
/// for in turn the time to become ready and, where another one leaves before the next comes, to end.
pub(super) fn time_limit(strategy: StrategyName, spec: &AppSpec, replicas: u16) -> Duration {
    let ready = spec.readiness.start_period + spec.readiness.deadline;
    match strategy {
        StrategyName::BlueGreen | StrategyName::Recreate => PREPARE_ALLOWANCE + ready,
        StrategyName::Rolling => {
            PREPARE_ALLOWANCE + (ready + spec.drain + spec.stop.grace) * u32::from(replicas)
        }
        StrategyName::Canary => {
            let canary = &spec.rollout.canary;
            PREPARE_ALLOWANCE + ready + (canary.pause + STEP_ALLOWANCE) * u32::from(canary.count())
        }
    }
}

/// The strategy for a spec: the one asked for, or blue-green where two versions may run side by side.
pub(super) fn choose_strategy(
    shared: &Shared,
    spec: &AppSpec,
    status: Option<&AppStatus>,
    fixed_port: Option<NonZeroU16>,
) -> Result<(StrategyName, Option<String>), EngineError> {
    let runtime = shared.registry.runtime(spec.runtime()).ok_or(EngineError::NoRuntime(spec.runtime()))?;
    let asked = spec.strategy.unwrap_or(StrategyName::BlueGreen);
    let checked = match shared.registry.strategies().get(&asked) {
        Some(strategy) => DeployStrategy::check(&**strategy, spec, runtime.caps(), fixed_port),
        None => Err("it is not part of this daemon".to_owned()),
    };
    let before = status.and_then(|status| status.spec.as_deref());
    let checked = checked.and_then(|()| match before.and_then(|before| before.own_ports().next()) {
        Some(bind) => {
            Err(format!("the version before has host port {bind} itself, and gives it back when it stops"))
        }
        None => Ok(()),
    });
    match (spec.strategy, checked) {
        (Some(StrategyName::Recreate), _) => Ok((StrategyName::Recreate, None)),
        (Some(asked), Err(reason)) => Err(EngineError::Strategy(asked, reason)),
        (Some(asked), Ok(())) => Ok((asked, None)),
        (None, Err(reason)) => {
            let gap = if status.is_some_and(|status| status.release.is_some()) {
                if spec.direct {
                    "; nothing answers while the old version stops and the new one starts"
                } else {
                    "; requests wait while the old version stops and the new one starts"
                }
            } else {
                ""
            };
            Ok((StrategyName::Recreate, Some(format!("{reason}{gap}"))))
        }
        (None, Ok(())) => Ok((StrategyName::BlueGreen, None)),
    }
}
