//! What is observed.

use nd_core::ports::{Scope, Signal, UnitSpec, UnitStatus};
use nd_types::{DaemonId, ExitStatus};

use super::{ContractResult, Doing, RuntimeFixture, prepared, ready, seen, unit_id, within};

pub(super) async fn a_unit_is_observed_with_its_labels<F: RuntimeFixture>(fixture: &F) -> ContractResult {
    let unit = ready(fixture, Doing::Run).await?;
    let observed = seen(&*fixture.runtime(), &fixture.daemon(), &unit).await?.ok_or("not observed")?;
    assert_eq!(observed.id.as_ref(), Some(&unit));
    assert_eq!(observed.daemon, Some(fixture.daemon()));
    assert_eq!(observed.app.as_deref(), Some("shop"));
    assert_eq!(observed.release.as_ref(), Some(unit.release()));
    assert!(observed.status.is_running(), "{observed:?}");
    assert!(observed.pid.is_some() && observed.ip.is_some(), "{observed:?}");
    assert!(!observed.runs.is_empty() && observed.adoptable.is_none(), "{observed:?}");
    Ok(())
}

pub(super) async fn only_units_of_the_daemon_and_the_app_are_in_scope<F: RuntimeFixture>(
    fixture: &F,
) -> ContractResult {
    let runtime = fixture.runtime();
    let shop = prepared(fixture, Doing::Run).await?;
    let blog = UnitSpec { id: unit_id(fixture, "blog")?, ..shop.clone() };
    let other = UnitSpec { id: unit_id(fixture, "other")?, daemon: DaemonId::random()?, ..shop.clone() };
    for unit in [&shop, &blog, &other] {
        within("create", runtime.create(unit)).await??;
    }
    let ids = async |scope| -> Result<Vec<_>, Box<dyn std::error::Error>> {
        let mut ids: Vec<_> = within("observe", runtime.observe(&scope))
            .await??
            .into_iter()
            .filter_map(|unit| unit.id)
            .collect();
        ids.sort();
        Ok(ids)
    };
    assert_eq!(ids(Scope::App(fixture.daemon(), "shop".parse()?)).await?, std::slice::from_ref(&shop.id));
    let all = ids(Scope::All(fixture.daemon())).await?;
    assert!(all.contains(&shop.id) && all.contains(&blog.id) && !all.contains(&other.id), "{all:?}");
    assert_eq!(ids(Scope::App(other.daemon.clone(), "shop".parse()?)).await?, []);
    assert_eq!(ids(Scope::Unit(fixture.daemon(), shop.id.clone())).await?, std::slice::from_ref(&shop.id));
    assert_eq!(ids(Scope::Unit(other.daemon.clone(), shop.id.clone())).await?, []);
    within("remove", runtime.remove(&other.id)).await??;
    Ok(())
}

pub(super) async fn a_new_daemon_finds_what_runs_and_what_has_ended<F: RuntimeFixture>(
    fixture: &F,
) -> ContractResult {
    let unit = ready(fixture, Doing::Run).await?;
    let before = seen(&*fixture.runtime(), &fixture.daemon(), &unit).await?.ok_or("not observed")?;
    let second = fixture.reopened().await?;
    let after = seen(&*second, &fixture.daemon(), &unit).await?.ok_or("not observed")?;
    assert_eq!((before.pid, before.status, before.port), (after.pid, after.status, after.port));

    within("kill", second.signal(&unit, Signal::Kill)).await??;
    within("wait", second.wait(&unit)).await??;
    let third = fixture.reopened().await?;
    match seen(&*third, &fixture.daemon(), &unit).await?.map(|observed| observed.status) {
        Some(UnitStatus::Exited { exit, .. }) => assert_eq!(exit, ExitStatus::Signal(9)),
        other => return Err(format!("an ended unit is observed as {other:?}").into()),
    }
    Ok(())
}
