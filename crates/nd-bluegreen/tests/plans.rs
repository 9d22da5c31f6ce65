//! Golden plans: what each strategy has left to do at every stage, as a user reads it.
//!
//! A test walks through a deployment as if each stage had been done, and compares the plans on the way with the snapshot
//! of its name.

use std::fmt::Write as _;

use insta::assert_snapshot;
use nd_bluegreen::{BlueGreen, Canary, Recreate, Rolling};
use nd_core::plan::{Mix, Plan, Step};
use nd_core::ports::{DeployStrategy, PlanInput, UnitInput, UnitReadiness};
use nd_core::spec::CanarySpec;
use nd_types::{AppName, ReleaseId, UnitId};

type Outcome = Result<(), Box<dyn std::error::Error>>;

/// What a strategy sees, and what doing its steps makes of that.
struct Stage {
    app: AppName,
    old: Option<ReleaseId>,
    new: ReleaseId,
    switched: bool,
    mixed: u16,
    watched: u16,
    promoted: bool,
    canary: CanarySpec,
    prepared: bool,
    replicas: u16,
    old_replicas: u16,
    units: Vec<UnitInput>,
}

impl Stage {
    /// So many instances of an old release serve, and a new one is to have so many.
    fn new(old_replicas: u16, replicas: u16) -> Result<Self, Box<dyn std::error::Error>> {
        let app: AppName = "shop".parse()?;
        let (old, new): (ReleaseId, ReleaseId) = ("aaaaaa".parse()?, "bbbbbb".parse()?);
        let unit = |release: &ReleaseId, slot, readiness, routed| UnitInput {
            id: UnitId::new(&app, release, slot),
            readiness,
            routed,
            drained: !routed,
        };
        let before = (1..=old_replicas).map(|slot| unit(&old, slot, UnitReadiness::Ready, true));
        let after = (1..=replicas).map(|slot| unit(&new, slot, UnitReadiness::Absent, false));
        let units = before.chain(after).collect();
        let old = Some(old).filter(|_| old_replicas > 0);
        Ok(Self {
            app,
            old,
            new,
            switched: false,
            mixed: 0,
            watched: 0,
            promoted: false,
            canary: CanarySpec { steps: vec![5, 50, 100], ..CanarySpec::default() },
            prepared: false,
            replicas,
            old_replicas,
            units,
        })
    }

    fn input(&self) -> PlanInput<'_> {
        PlanInput {
            new: &self.new,
            old: self.old.as_ref(),
            switched: self.switched,
            mixed: self.mixed,
            canary: Some(&self.canary),
            watched: self.watched,
            promoted: self.promoted,
            prepared: self.prepared,
            replicas: self.replicas,
            old_replicas: self.old_replicas,
            units: self.units.clone(),
        }
    }

    fn unit(&mut self, id: &UnitId) -> Option<&mut UnitInput> {
        self.units.iter_mut().find(|unit| unit.id == *id)
    }

    fn set(&mut self, id: &UnitId, readiness: UnitReadiness) {
        if let Some(unit) = self.unit(id) {
            unit.readiness = readiness;
        }
    }

    fn of_new(&self, slot: u16) -> UnitId {
        UnitId::new(&self.app, &self.new, slot)
    }

    /// The world after the step was done.
    fn act(&mut self, step: &Step) {
        match step {
            Step::Prepare(_) => self.prepared = true,
            Step::Watch { .. } => self.watched = self.mixed,
            Step::Create(unit) | Step::Stop(unit) => self.set(unit, UnitReadiness::Stopped),
            Step::Start(unit) => self.set(unit, UnitReadiness::Running),
            Step::WaitReady(unit) => self.set(unit, UnitReadiness::Ready),
            Step::Remove(unit) => self.set(unit, UnitReadiness::Absent),
            Step::Drain(unit) => {
                if let Some(unit) = self.unit(unit) {
                    unit.drained = true;
                }
            }
            Step::Apply(routed) | Step::Mix(Mix { units: routed, .. }) => {
                for unit in &mut self.units {
                    unit.routed = routed.contains(&unit.id);
                    unit.drained = unit.drained && !unit.routed;
                }
                if let Step::Mix(mix) = step {
                    self.mixed = mix.number;
                } else if let Some(first) = routed.first() {
                    self.switched = *first.release() == self.new;
                }
            }
        }
    }
}

/// Follows the plans until nothing is left, at most so many stages; answers them as text.
fn walk(
    stage: &mut Stage,
    plan: impl Fn(&PlanInput<'_>) -> Plan,
    stages: usize,
) -> Result<String, std::fmt::Error> {
    let mut text = String::new();
    for number in 1..=stages {
        let plan = plan(&stage.input());
        writeln!(text, "plan {number}{}", owned(&plan))?;
        if plan.is_done() {
            writeln!(text, "  done")?;
            return Ok(text);
        }
        for steps in &plan.stages {
            let steps: Vec<String> = steps.iter().map(ToString::to_string).collect();
            writeln!(text, "  {}", steps.join("; "))?;
        }
        for step in plan.next_steps() {
            stage.act(step);
        }
    }
    Ok(text)
}

/// Which old units are the plan's.
fn owned(plan: &Plan) -> String {
    match plan.owned.len() {
        0 => String::new(),
        some => format!(", {some} of the old units are the plan's"),
    }
}

const ALL: usize = 40;

#[test]
fn blue_green_deploys_for_the_first_time() -> Outcome {
    let mut stage = Stage::new(0, 1)?;
    assert_snapshot!(walk(&mut stage, |input| BlueGreen.plan(input), ALL)?);
    Ok(())
}

#[test]
fn blue_green_swaps_two_instances_for_two() -> Outcome {
    let mut stage = Stage::new(2, 2)?;
    assert_snapshot!(walk(&mut stage, |input| BlueGreen.plan(input), ALL)?);
    Ok(())
}

#[test]
fn blue_green_swaps_one_instance_for_three() -> Outcome {
    let mut stage = Stage::new(1, 3)?;
    assert_snapshot!(walk(&mut stage, |input| BlueGreen.plan(input), ALL)?);
    Ok(())
}

#[test]
fn blue_green_undoes_before_the_switch() -> Outcome {
    let mut stage = Stage::new(2, 2)?;
    // Prepared, created, started; one of the two has ended since.
    walk(&mut stage, |input| BlueGreen.plan(input), 3)?;
    stage.set(&stage.of_new(2), UnitReadiness::Stopped);
    assert_snapshot!(walk(&mut stage, |input| BlueGreen.undo(input), ALL)?);
    Ok(())
}

#[test]
fn blue_green_undoes_after_the_switch() -> Outcome {
    let mut stage = Stage::new(2, 2)?;
    // Prepared, created, started, ready, routed, the old units drained and stopped.
    walk(&mut stage, |input| BlueGreen.plan(input), 7)?;
    assert_snapshot!(walk(&mut stage, |input| BlueGreen.undo(input), ALL)?);
    Ok(())
}

#[test]
fn blue_green_goes_back_although_the_new_units_are_gone() -> Outcome {
    let mut stage = Stage::new(1, 1)?;
    walk(&mut stage, |input| BlueGreen.plan(input), 7)?;
    let unit = stage.of_new(1);
    stage.act(&Step::Apply(Vec::new()));
    stage.set(&unit, UnitReadiness::Stopped);
    assert_snapshot!(walk(&mut stage, |input| BlueGreen.undo(input), ALL)?);
    Ok(())
}

#[test]
fn blue_green_undoes_a_first_deployment() -> Outcome {
    let mut stage = Stage::new(0, 1)?;
    // The routes lead to it, but one of its listeners could not be opened, so it never counted as serving.
    walk(&mut stage, |input| BlueGreen.plan(input), 5)?;
    stage.switched = false;
    assert_snapshot!(walk(&mut stage, |input| BlueGreen.undo(input), ALL)?);
    Ok(())
}

#[test]
fn there_is_no_way_back_from_a_first_release_that_serves() -> Outcome {
    let mut stage = Stage::new(0, 1)?;
    walk(&mut stage, |input| BlueGreen.plan(input), 5)?;
    assert!(BlueGreen.undo(&stage.input()).is_done());
    assert!(Recreate.undo(&stage.input()).is_done());
    Ok(())
}

#[test]
fn recreate_deploys_for_the_first_time() -> Outcome {
    let mut stage = Stage::new(0, 1)?;
    assert_snapshot!(walk(&mut stage, |input| Recreate.plan(input), ALL)?);
    Ok(())
}

#[test]
fn recreate_swaps_two_instances_for_two() -> Outcome {
    let mut stage = Stage::new(2, 2)?;
    assert_snapshot!(walk(&mut stage, |input| Recreate.plan(input), ALL)?);
    Ok(())
}

#[test]
fn recreate_undoes_before_the_gap() -> Outcome {
    let mut stage = Stage::new(2, 2)?;
    walk(&mut stage, |input| Recreate.plan(input), 2)?;
    assert_snapshot!(walk(&mut stage, |input| Recreate.undo(input), ALL)?);
    Ok(())
}

#[test]
fn recreate_undoes_from_within_the_gap() -> Outcome {
    let mut stage = Stage::new(2, 2)?;
    // Prepared, created, held, drained, stopped; one of the new units is on its way.
    walk(&mut stage, |input| Recreate.plan(input), 5)?;
    stage.set(&stage.of_new(1), UnitReadiness::Starting);
    assert_snapshot!(walk(&mut stage, |input| Recreate.undo(input), ALL)?);
    Ok(())
}

#[test]
fn recreate_undoes_after_the_switch() -> Outcome {
    let mut stage = Stage::new(1, 1)?;
    walk(&mut stage, |input| Recreate.plan(input), 8)?;
    assert_snapshot!(walk(&mut stage, |input| Recreate.undo(input), ALL)?);
    Ok(())
}

#[test]
fn a_start_under_way_keeps_the_old_units_from_coming_back() -> Outcome {
    let mut stage = Stage::new(1, 2)?;
    walk(&mut stage, |input| Recreate.plan(input), 5)?;
    let (first, second) = (stage.of_new(1), stage.of_new(2));
    stage.set(&first, UnitReadiness::Starting);
    stage.set(&second, UnitReadiness::Absent);
    let plan = Recreate.plan(&stage.input());
    assert!(!plan.owned.is_empty(), "{plan:?}");
    Ok(())
}

#[test]
fn rolling_deploys_for_the_first_time() -> Outcome {
    let mut stage = Stage::new(0, 2)?;
    assert_snapshot!(walk(&mut stage, |input| Rolling.plan(input), ALL)?);
    Ok(())
}

#[test]
fn rolling_replaces_three_instances_one_after_the_other() -> Outcome {
    let mut stage = Stage::new(3, 3)?;
    assert_snapshot!(walk(&mut stage, |input| Rolling.plan(input), ALL)?);
    Ok(())
}

#[test]
fn rolling_replaces_one_instance_by_two() -> Outcome {
    let mut stage = Stage::new(1, 2)?;
    assert_snapshot!(walk(&mut stage, |input| Rolling.plan(input), ALL)?);
    Ok(())
}

#[test]
fn rolling_undoes_from_the_middle() -> Outcome {
    let mut stage = Stage::new(3, 3)?;
    // Prepared; the first new unit is created, started, ready and routed; the first old one is drained and stopped; the
    // second new one is created and started.
    walk(&mut stage, |input| Rolling.plan(input), 9)?;
    assert_snapshot!(walk(&mut stage, |input| Rolling.undo(input), ALL)?);
    Ok(())
}

#[test]
fn rolling_leaves_the_new_release_in_the_routes_until_an_old_unit_is_back() -> Outcome {
    let mut stage = Stage::new(2, 2)?;
    walk(&mut stage, |input| Rolling.plan(input), 5)?;
    for slot in [1, 2] {
        let old = UnitId::new(&stage.app, stage.old.as_ref().ok_or("no old release")?, slot);
        stage.set(&old, UnitReadiness::Stopped);
    }
    assert_snapshot!(walk(&mut stage, |input| Rolling.undo(input), ALL)?);
    Ok(())
}

#[test]
fn a_canary_deploys_for_the_first_time() -> Outcome {
    let mut stage = Stage::new(0, 1)?;
    assert_eq!(Canary.plan(&stage.input()), BlueGreen.plan(&stage.input()));
    walk(&mut stage, |input| Canary.plan(input), ALL)?;
    assert!(stage.switched);
    Ok(())
}

#[test]
fn a_canary_gets_a_growing_share_of_the_clients_and_then_all() -> Outcome {
    let mut stage = Stage::new(2, 2)?;
    assert_snapshot!(walk(&mut stage, |input| Canary.plan(input), ALL)?);
    Ok(())
}

#[test]
fn a_canary_that_is_promoted_skips_what_is_left_of_its_trial() -> Outcome {
    let mut stage = Stage::new(1, 1)?;
    // Prepared, created, started, ready, and some of the clients have it.
    walk(&mut stage, |input| Canary.plan(input), 5)?;
    stage.promoted = true;
    assert_snapshot!(walk(&mut stage, |input| Canary.plan(input), ALL)?);
    Ok(())
}

#[test]
fn a_canary_is_undone_by_one_table_since_every_old_unit_serves() -> Outcome {
    let mut stage = Stage::new(2, 2)?;
    walk(&mut stage, |input| Canary.plan(input), 7)?;
    assert_snapshot!(walk(&mut stage, |input| Canary.undo(input), ALL)?);
    Ok(())
}
