//! Create, start, stop, remove.

use nd_core::ports::{PortErrorKind, Progress, Signal, UnitStatus};
use nd_types::ExitStatus;

use super::{
    ContractResult, Doing, RuntimeFixture, created, prepared, ready, seen, unit_id, wait_ready, within,
};

pub(super) async fn a_created_unit_does_not_run<F: RuntimeFixture>(fixture: &F) -> ContractResult {
    let unit = created(fixture, Doing::Run).await?;
    let observed = seen(&*fixture.runtime(), &fixture.daemon(), &unit).await?;
    assert_eq!(observed.map(|observed| observed.status), Some(UnitStatus::Created));
    Ok(())
}

pub(super) async fn creating_twice_is_creating_once<F: RuntimeFixture>(fixture: &F) -> ContractResult {
    let runtime = fixture.runtime();
    let unit = prepared(fixture, Doing::Run).await?;
    let first = within("create", runtime.create(&unit)).await??;
    assert_eq!(within("create again", runtime.create(&unit)).await??, first);
    within("start", runtime.start(&unit.id)).await??;
    let third = within("create what runs", runtime.create(&unit)).await??;
    assert!(third.status.is_running(), "{third:?}");
    Ok(())
}

pub(super) async fn starting_twice_is_starting_once<F: RuntimeFixture>(fixture: &F) -> ContractResult {
    let runtime = fixture.runtime();
    let unit = created(fixture, Doing::Run).await?;
    let first = within("start", runtime.start(&unit)).await??;
    let second = within("start again", runtime.start(&unit)).await??;
    assert!(first.status.is_running(), "{first:?}");
    assert_eq!((first.pid, &first.status), (second.pid, &second.status));
    Ok(())
}

pub(super) async fn starting_at_once_from_two_sides_starts_one<F: RuntimeFixture>(
    fixture: &F,
) -> ContractResult {
    let runtime = fixture.runtime();
    let unit = prepared(fixture, Doing::Run).await?;
    let (a, b) =
        within("create", async { tokio::join!(runtime.create(&unit), runtime.create(&unit)) }).await?;
    assert_eq!(a?, b?);
    let (a, b) =
        within("start", async { tokio::join!(runtime.start(&unit.id), runtime.start(&unit.id)) }).await?;
    let (a, b) = (a?, b?);
    assert_eq!((a.pid, a.status), (b.pid, b.status));
    Ok(())
}

pub(super) async fn a_unit_that_does_not_exist_cannot_be_started<F: RuntimeFixture>(
    fixture: &F,
) -> ContractResult {
    let error = within("start", fixture.runtime().start(&unit_id(fixture, "nobody")?)).await?.err();
    assert_eq!(error.map(|error| error.kind), Some(PortErrorKind::NotFound));
    Ok(())
}

pub(super) async fn preparing_what_is_missing_says_not_found<F: RuntimeFixture>(
    fixture: &F,
) -> ContractResult {
    let missing = fixture.missing();
    let error =
        within("prepare", fixture.runtime().prepare(&missing, None, &Progress::default())).await?.err();
    assert_eq!(error.map(|error| error.kind), Some(PortErrorKind::NotFound));
    Ok(())
}

pub(super) async fn waiting_gives_the_exit_code<F: RuntimeFixture>(fixture: &F) -> ContractResult {
    let runtime = fixture.runtime();
    let unit = created(fixture, Doing::Exit(42)).await?;
    within("start", runtime.start(&unit)).await??;
    assert_eq!(within("wait", runtime.wait(&unit)).await??, ExitStatus::Code(42));
    match seen(&*runtime, &fixture.daemon(), &unit).await?.map(|observed| observed.status) {
        Some(UnitStatus::Exited { exit, started, finished }) => {
            assert_eq!(exit, ExitStatus::Code(42));
            assert!(started.is_some() && started <= finished, "{started:?} to {finished:?}");
        }
        other => return Err(format!("an ended unit is observed as {other:?}").into()),
    }
    Ok(())
}

pub(super) async fn waiting_for_a_unit_that_does_not_run_returns_at_once<F: RuntimeFixture>(
    fixture: &F,
) -> ContractResult {
    let runtime = fixture.runtime();
    let unit = created(fixture, Doing::Exit(3)).await?;
    within("wait for a created unit", runtime.wait(&unit)).await??;
    within("start", runtime.start(&unit)).await??;
    within("wait", runtime.wait(&unit)).await??;
    assert_eq!(within("wait again", runtime.wait(&unit)).await??, ExitStatus::Code(3));
    Ok(())
}

pub(super) async fn a_wish_to_stop_ends_a_unit_that_heeds_it<F: RuntimeFixture>(
    fixture: &F,
) -> ContractResult {
    let runtime = fixture.runtime();
    let unit = ready(fixture, Doing::Run).await?;
    within("signal", runtime.signal(&unit, Signal::Stop(None))).await??;
    let exit = within("wait", runtime.wait(&unit)).await??;
    assert!(matches!(exit, ExitStatus::Code(0) | ExitStatus::Signal(15)), "{exit:?}");
    Ok(())
}

pub(super) async fn a_unit_that_ignores_the_wish_to_stop_is_killed<F: RuntimeFixture>(
    fixture: &F,
) -> ContractResult {
    let runtime = fixture.runtime();
    let unit = ready(fixture, Doing::IgnoreStop).await?;
    within("signal", runtime.signal(&unit, Signal::Stop(Some(15)))).await??;
    let observed = seen(&*runtime, &fixture.daemon(), &unit).await?;
    assert!(
        observed.is_some_and(|observed| observed.status.is_running()),
        "it stopped though it ignores that"
    );
    within("kill", runtime.signal(&unit, Signal::Kill)).await??;
    assert_eq!(within("wait", runtime.wait(&unit)).await??, ExitStatus::Signal(9));
    Ok(())
}

pub(super) async fn a_signal_to_a_unit_that_does_not_run_is_no_error<F: RuntimeFixture>(
    fixture: &F,
) -> ContractResult {
    let runtime = fixture.runtime();
    let unit = created(fixture, Doing::Exit(0)).await?;
    within("signal a created unit", runtime.signal(&unit, Signal::Stop(None))).await??;
    within("start", runtime.start(&unit)).await??;
    within("wait", runtime.wait(&unit)).await??;
    within("signal an ended unit", runtime.signal(&unit, Signal::Stop(None))).await??;
    within("kill an ended unit", runtime.signal(&unit, Signal::Kill)).await??;
    assert_eq!(within("wait", runtime.wait(&unit)).await??, ExitStatus::Code(0));
    Ok(())
}

pub(super) async fn an_ended_unit_starts_again<F: RuntimeFixture>(fixture: &F) -> ContractResult {
    let runtime = fixture.runtime();
    let unit = ready(fixture, Doing::Run).await?;
    for times in 2..5 {
        within("kill", runtime.signal(&unit, Signal::Kill)).await??;
        assert_eq!(within("wait", runtime.wait(&unit)).await??, ExitStatus::Signal(9));
        let observed = within("start", runtime.start(&unit)).await??;
        assert!(observed.status.is_running(), "{observed:?}");
        wait_ready(&*runtime, &unit, times).await?;
    }
    Ok(())
}

pub(super) async fn removing_kills_and_may_be_repeated<F: RuntimeFixture>(fixture: &F) -> ContractResult {
    let runtime = fixture.runtime();
    let unit = ready(fixture, Doing::IgnoreStop).await?;
    within("remove", runtime.remove(&unit)).await??;
    assert_eq!(seen(&*runtime, &fixture.daemon(), &unit).await?, None);
    within("remove again", runtime.remove(&unit)).await??;
    within("remove what never was", runtime.remove(&unit_id(fixture, "nobody")?)).await??;
    // Its name is free again.
    let unit = ready(fixture, Doing::Run).await?;
    within("remove", runtime.remove(&unit)).await??;
    Ok(())
}
