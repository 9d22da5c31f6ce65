//! What can be done with units that run.

use std::time::{Duration, Instant};

use futures_util::StreamExt;
use nd_core::ports::{HintKind, PortErrorKind, Signal};
use nd_types::ExitStatus;

use super::{ContractResult, Doing, RuntimeFixture, ready, seen, within};

pub(super) async fn a_command_inside_gives_its_exit_code<F: RuntimeFixture>(fixture: &F) -> ContractResult {
    let runtime = fixture.runtime();
    let unit = ready(fixture, Doing::Run).await?;
    for code in [0, 3] {
        let argv = fixture.command_that_exits(code);
        let outcome = within("exec", runtime.exec(&unit, &argv, Duration::from_secs(20))).await??;
        assert_eq!(
            outcome.exit,
            ExitStatus::Code(code.into()),
            "{}",
            String::from_utf8_lossy(&outcome.output)
        );
    }
    Ok(())
}

pub(super) async fn a_command_inside_is_killed_at_its_deadline<F: RuntimeFixture>(
    fixture: &F,
) -> ContractResult {
    let runtime = fixture.runtime();
    let unit = ready(fixture, Doing::Run).await?;
    let begin = Instant::now();
    let argv = fixture.command_that_hangs();
    let error = within("exec", runtime.exec(&unit, &argv, Duration::from_millis(500))).await?.err();
    assert_eq!(error.map(|error| error.kind), Some(PortErrorKind::Timeout));
    assert!(begin.elapsed() < Duration::from_secs(10), "the deadline was kept after {:?}", begin.elapsed());
    let observed = seen(&*runtime, &fixture.daemon(), &unit).await?;
    assert!(observed.is_some_and(|observed| observed.status.is_running()), "the unit itself was hit");
    Ok(())
}

pub(super) async fn a_listening_socket_is_seen<F: RuntimeFixture>(fixture: &F) -> ContractResult {
    let runtime = fixture.runtime();
    let unit = ready(fixture, Doing::Serve).await?;
    let observed = seen(&*runtime, &fixture.daemon(), &unit).await?.ok_or("not observed")?;
    let port = observed.port.or(fixture.spec(Doing::Serve).port).ok_or("no port known")?;
    let sockets = within("listening", runtime.listening(&unit)).await??;
    assert!(sockets.iter().any(|socket| socket.port == port), "{port} is not among {sockets:?}");
    Ok(())
}

pub(super) async fn a_running_unit_uses_memory<F: RuntimeFixture>(fixture: &F) -> ContractResult {
    let unit = ready(fixture, Doing::Run).await?;
    let stats = within("stats", fixture.runtime().stats(&unit)).await??;
    assert!(stats.memory_bytes > 0 && stats.processes > 0, "{stats:?}");
    Ok(())
}

pub(super) async fn a_hint_says_within_a_second_that_a_unit_has_died<F: RuntimeFixture>(
    fixture: &F,
) -> ContractResult {
    let runtime = fixture.runtime();
    let mut hints = within("hints", runtime.hints()).await??;
    let unit = ready(fixture, Doing::Run).await?;
    within("kill", runtime.signal(&unit, Signal::Kill)).await??;
    let died = async {
        while let Some(hint) = hints.next().await {
            if hint.unit.as_ref() == Some(&unit) && hint.kind == HintKind::Died {
                return true;
            }
        }
        false
    };
    let heard = tokio::time::timeout(Duration::from_secs(1), died).await;
    assert_eq!(heard, Ok(true), "no hint within a second");
    Ok(())
}
