//! What can happen next.

use std::time::Duration;

use nd_core::model::edit::Edit;
use nd_core::ports::PortErrorKind;
use nd_core::spec::RestartPolicy;
use nd_types::{ExitStatus, StrategyName};
use proptest::prelude::*;

use crate::laws::{self, Law};
use crate::recipe::{Nature, Recipe};
use crate::sim::{Outcome, Sim};

/// One event of a history. Numbers pick one of what there is.
#[derive(Clone, Debug)]
pub(crate) enum Op {
    /// An action ends.
    Complete(usize, Outcome),
    /// An action has its effect; its report comes later.
    Effect(usize),
    /// A unit ends by itself; somebody notices, or not.
    Crash(usize, ExitStatus, bool),
    /// A unit fails its checks from now on, and uses too much memory, or not.
    Fall { pick: usize, ill: bool, greedy: bool },
    /// Somebody removes a unit.
    Vanish(usize, bool),
    /// Somebody starts a unit that was stopped.
    StartBehind(usize),
    /// The daemon is killed.
    Kill { effects: u32, stored: bool, table_survives: bool },
    /// The daemon ends with `--stop-apps`, and is started again.
    EndWithApps,
    /// A hint that something happened.
    Hint,
    /// The periodic look.
    Sweep,
    /// Time passes.
    Advance(u64),
    /// A request arrives.
    Request(usize),
    /// The requests of a unit are answered.
    Respond(usize),
    /// A release that is routed to answers a hundred requests, so many of them badly.
    Answers(usize, u64),
    /// The disk is full, or not any more.
    Disk(bool),
    /// The host port is taken, or not any more.
    Port(bool),
    /// Somebody sets the host's clock.
    Clock(i64),
    /// The user wishes something; the daemon is killed before it can act on it, or not.
    Ask(Wish, bool),
}

/// What the user may wish.
#[derive(Clone, Debug)]
pub(crate) enum Wish {
    Deploy(Recipe, StrategyName, Option<u16>),
    Rollback(usize, StrategyName),
    Cancel,
    Promote,
    Start,
    Stop,
    Restart,
    Reload,
    Scale(u16),
    Remove,
}

impl Op {
    /// Lets it happen. The daemon acts on it at once, or later (`lazily`), together with what happens next.
    pub(crate) fn apply(&self, sim: &mut Sim, lazily: bool) -> Law {
        sim.advance(Duration::from_millis(1));
        match self {
            Self::Complete(pick, outcome) => sim.complete(pick % sim.pending.len().max(1), *outcome),
            Self::Effect(pick) => sim.take_effect(pick % sim.pending.len().max(1)),
            Self::Crash(pick, exit, hint) => {
                if let Some(unit) = pick_of(*pick, sim.world.running()) {
                    sim.world.crash(&unit, *exit);
                    notice(sim, *hint);
                }
            }
            Self::Fall { pick, ill, greedy } => {
                if let Some(unit) = pick_of(*pick, sim.world.running()) {
                    if *ill {
                        sim.world.ill.insert(unit.clone())
                    } else {
                        sim.world.ill.remove(&unit)
                    };
                    if *greedy {
                        sim.world.greedy.insert(unit)
                    } else {
                        sim.world.greedy.remove(&unit)
                    };
                }
            }
            Self::Vanish(pick, hint) => {
                if let Some(unit) = pick_of(*pick, sim.world.units.keys()) {
                    sim.world.vanish(&unit);
                    notice(sim, *hint);
                }
            }
            Self::StartBehind(pick) => {
                let idle = sim.world.units.iter().filter(|(_, machine)| !machine.runs()).map(|(id, _)| id);
                if let Some(unit) = pick_of(*pick, idle) {
                    sim.world.meddled = true;
                    sim.world.start(&unit).ok();
                }
            }
            Self::Kill { effects, stored, table_survives } => {
                return sim.kill(*effects, *stored, *table_survives);
            }
            Self::EndWithApps => return sim.end_with_apps(),
            Self::Hint => sim.model.look_again(),
            Self::Sweep => sim.model.sweep(),
            Self::Advance(millis) => sim.advance(Duration::from_millis(*millis)),
            Self::Request(pick) => sim.world.request(*pick),
            Self::Respond(pick) => {
                if let Some(unit) = pick_of(*pick, sim.world.requests.keys()) {
                    sim.world.requests.remove(&unit);
                }
            }
            Self::Answers(pick, failed) => {
                let routed = sim.world.routed();
                if let Some(unit) = pick_of(*pick, routed.iter()) {
                    sim.world.answer(unit.release(), 100, *failed, 5_000);
                }
            }
            Self::Clock(error) => sim.world.clock_error = *error,
            Self::Disk(full) => sim.world.disk_full = *full,
            Self::Port(taken) => sim.world.port_taken = *taken,
            Self::Ask(wish, lives) => wish.ask(sim, *lives)?,
        }
        if lazily {
            return Ok(());
        }
        sim.activate()?;
        sim.store();
        laws::check_stored(sim)
    }
}

impl Wish {
    fn ask(&self, sim: &mut Sim, lives: bool) -> Law {
        let edit = match self {
            Self::Deploy(recipe, strategy, replicas) => Some(sim.new_release(*recipe, *strategy, *replicas)?),
            Self::Rollback(pick, strategy) => {
                let record = sim.model.record();
                match pick_of(*pick, record.kept.iter().chain(&record.active)) {
                    Some(release) => Some(sim.old_release(release, *strategy)?),
                    None => None,
                }
            }
            Self::Cancel => {
                sim.model.record().rollout.as_ref().map(|rollout| Edit::Cancel(rollout.deployment.clone()))
            }
            Self::Promote => {
                sim.model.record().rollout.as_ref().map(|rollout| Edit::Promote(rollout.deployment.clone()))
            }
            Self::Start => Some(Edit::Start),
            Self::Stop => Some(Edit::Stop),
            Self::Restart => Some(Edit::Restart),
            Self::Reload => Some(Edit::Reload),
            Self::Scale(replicas) => Some(Edit::Scale(*replicas)),
            Self::Remove => Some(Edit::Remove { force: false }),
        };
        match edit {
            Some(edit) if lives => sim.ask(edit).map(|_| ()),
            Some(edit) => sim.ask_and_die(edit),
            None => Ok(()),
        }
    }
}

fn notice(sim: &mut Sim, hint: bool) {
    if hint {
        sim.model.look_again();
    }
}

fn pick_of<'a, T: Clone + 'a>(pick: usize, from: impl Iterator<Item = &'a T>) -> Option<T> {
    let all: Vec<&T> = from.collect();
    all.get(pick % all.len().max(1)).map(|found| (*found).clone())
}

/// Any event; mostly that an action ends as it should.
pub(crate) fn any(strategies: Vec<StrategyName>) -> impl Strategy<Value = Op> {
    let kinds = vec![
        PortErrorKind::Transient,
        PortErrorKind::Timeout,
        PortErrorKind::Unavailable,
        PortErrorKind::Invalid,
        PortErrorKind::NotFound,
        PortErrorKind::Conflict,
        PortErrorKind::Exhausted,
    ];
    let exits =
        vec![ExitStatus::Code(0), ExitStatus::Code(1), ExitStatus::Signal(9), ExitStatus::OutOfMemory];
    let which = 0usize..8;
    prop_oneof![
        40 => which.clone().prop_map(|pick| Op::Complete(pick, Outcome::Done)),
        3 => (which.clone(), prop::sample::select(kinds)).prop_map(|(pick, kind)| Op::Complete(pick, Outcome::Fails(kind))),
        3 => which.clone().prop_map(|pick| Op::Complete(pick, Outcome::Unheard)),
        8 => which.clone().prop_map(Op::Effect),
        7 => (which.clone(), prop::sample::select(exits), any_bool()).prop_map(|(pick, exit, hint)| Op::Crash(pick, exit, hint)),
        3 => (which.clone(), any_bool(), any_bool())
            .prop_map(|(pick, ill, greedy)| Op::Fall { pick, ill, greedy }),
        2 => (which.clone(), any_bool()).prop_map(|(pick, hint)| Op::Vanish(pick, hint)),
        1 => which.clone().prop_map(Op::StartBehind),
        4 => (0u32..256, any_bool(), prop::bool::weighted(0.2))
            .prop_map(|(effects, stored, table_survives)| Op::Kill { effects, stored, table_survives }),
        1 => Just(Op::EndWithApps),
        3 => Just(Op::Hint),
        3 => Just(Op::Sweep),
        6 => prop::sample::select(vec![20u64, 600, 5_000, 31_000, 130_000]).prop_map(Op::Advance),
        6 => which.clone().prop_map(Op::Request),
        3 => which.clone().prop_map(Op::Respond),
        4 => (which, prop::sample::select(vec![0u64, 0, 2, 60]))
            .prop_map(|(pick, failed)| Op::Answers(pick, failed)),
        1 => any_bool().prop_map(Op::Disk),
        1 => any_bool().prop_map(Op::Port),
        1 => prop::sample::select(vec![-86_400i64, -30, 0, 30, 86_400]).prop_map(Op::Clock),
        9 => (wish(strategies), prop::bool::weighted(0.9)).prop_map(|(wish, lives)| Op::Ask(wish, lives)),
    ]
}

fn wish(strategies: Vec<StrategyName>) -> impl Strategy<Value = Wish> {
    let natures = vec![
        Nature::Good,
        Nature::Good,
        Nature::Good,
        Nature::NeverReady,
        Nature::DiesStarting,
        Nature::DiesServing,
        Nature::Missing,
        Nature::Unstartable,
    ];
    let strategy = prop::sample::select(strategies);
    let policies =
        vec![RestartPolicy::Always, RestartPolicy::Always, RestartPolicy::OnFailure, RestartPolicy::Never];
    let mirror = prop::bool::weighted(0.25);
    let recipe = (prop::sample::select(natures), 0u16..3, prop::sample::select(policies), mirror)
        .prop_map(|(nature, keep, policy, mirror)| Recipe { nature, keep, policy, mirror });
    let deploy = (recipe, strategy.clone(), prop::option::weighted(0.3, 0u16..4));
    prop_oneof![
        6 => deploy.prop_map(|(recipe, strategy, replicas)| Wish::Deploy(recipe, strategy, replicas)),
        2 => (0usize..4, strategy).prop_map(|(pick, strategy)| Wish::Rollback(pick, strategy)),
        2 => Just(Wish::Cancel),
        1 => Just(Wish::Promote),
        2 => Just(Wish::Start),
        1 => Just(Wish::Stop),
        2 => Just(Wish::Restart),
        2 => Just(Wish::Reload),
        2 => (0u16..4).prop_map(Wish::Scale),
        1 => Just(Wish::Remove),
    ]
}

fn any_bool() -> impl Strategy<Value = bool> {
    prop::bool::ANY
}
