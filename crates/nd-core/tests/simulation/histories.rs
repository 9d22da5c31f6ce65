//! Random histories: every law after every step, and rest in the end.

use nd_types::{ExitStatus, StrategyName};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestCaseError, TestError, TestRunner};

use crate::op::{self, Op, Wish};
use crate::recipe::{Nature, Recipe};
use crate::sim::{Outcome, Sim};

/// Histories for each property; `ND_HISTORIES` asks for more.
const HISTORIES: u32 = 800;

fn cases() -> u32 {
    std::env::var("ND_HISTORIES").ok().and_then(|text| text.parse().ok()).unwrap_or(HISTORIES)
}

/// Lives through one history that begins with a running app or with none, and lets it come to rest.
fn live(sim: &mut Sim, begins_with: Option<StrategyName>, ops: &[(Op, bool)]) -> Result<(), String> {
    if let Some(strategy) = begins_with {
        let deploy = sim.new_release(Nature::Good.into(), strategy, Some(2))?;
        sim.ask(deploy)?;
        sim.settle()?;
        sim.check_goal().map_err(|broken| format!("after the first deployment: {broken}"))?;
    }
    for (index, (op, lazily)) in ops.iter().enumerate() {
        sim.note(|| format!("{op:?}"));
        op.apply(sim, *lazily).map_err(|broken| format!("step {index} {op:?}: {broken}"))?;
    }
    sim.settle().map_err(|broken| format!("while it comes to rest: {broken}"))?;
    sim.check_goal().map_err(|broken| format!("in the end: {broken}"))
}

fn every_history(strategies: &[StrategyName]) -> Result<(), String> {
    let config =
        Config { cases: cases(), failure_persistence: None, max_shrink_iters: 20_000, ..Config::default() };
    let begins = prop::option::weighted(0.7, prop::sample::select(strategies.to_vec()));
    let history =
        (begins, prop::collection::vec((op::any(strategies.to_vec()), prop::bool::weighted(0.1)), 1..70));
    let mut runner = TestRunner::new(config);
    let outcome = runner.run(&history, |(begins_with, ops)| {
        Sim::new().and_then(|mut sim| live(&mut sim, begins_with, &ops)).map_err(TestCaseError::fail)
    });
    match outcome {
        Ok(()) => Ok(()),
        Err(TestError::Fail(_, (begins_with, ops))) => Err(retell(begins_with, &ops)?),
        Err(TestError::Abort(reason)) => Err(reason.to_string()),
    }
}

/// The broken law of the shortest history that breaks one, and how it came to that.
fn retell(begins_with: Option<StrategyName>, ops: &[(Op, bool)]) -> Result<String, String> {
    let mut sim = Sim::new()?;
    sim.keep_trace();
    let broken =
        live(&mut sim, begins_with, ops).err().unwrap_or_else(|| "it holds the second time".to_owned());
    Ok(format!("{broken}\nbegins with {begins_with:?}, then {ops:?}\n{}", sim.trace()))
}

#[test]
fn a_start_that_nobody_heard_of_is_drained_although_another_one_was_tried() -> Result<(), String> {
    let recipe = Recipe { keep: 0, ..Nature::Good.into() };
    let deploy = Wish::Deploy(recipe, StrategyName::BlueGreen, None);
    let done = |which| (Op::Complete(which, Outcome::Done), false);
    // The daemon is killed and the unit that serves ends; its start goes unheard, and a request reaches it by the old table.
    let ops = [
        (Op::Ask(deploy, true), true),
        done(0),
        done(0),
        done(0),
        done(2),
        (Op::Effect(0), false),
        (Op::Vanish(4, false), false),
        (Op::Clock(86_400), false),
        (Op::Kill { effects: 0, stored: false, table_survives: true }, false),
        (Op::Crash(0, ExitStatus::Code(0), true), false),
        done(0),
        (Op::Complete(2, Outcome::Unheard), false),
        (Op::Request(0), false),
        done(2),
        (Op::Ask(Wish::Restart, true), false),
        (Op::EndWithApps, false),
    ];
    live(&mut Sim::new()?, Some(StrategyName::BlueGreen), &ops)
}

#[test]
fn no_history_of_blue_green_deployments_breaks_a_law() -> Result<(), String> {
    every_history(&[StrategyName::BlueGreen])
}

#[test]
fn no_history_of_recreate_deployments_breaks_a_law() -> Result<(), String> {
    every_history(&[StrategyName::Recreate])
}

#[test]
fn no_history_of_rolling_deployments_breaks_a_law() -> Result<(), String> {
    every_history(&[StrategyName::Rolling])
}

#[test]
fn no_history_of_canary_deployments_breaks_a_law() -> Result<(), String> {
    every_history(&[StrategyName::Canary])
}

#[test]
fn no_history_of_mixed_deployments_breaks_a_law() -> Result<(), String> {
    let all = [StrategyName::BlueGreen, StrategyName::Recreate, StrategyName::Rolling, StrategyName::Canary];
    every_history(&all)
}
