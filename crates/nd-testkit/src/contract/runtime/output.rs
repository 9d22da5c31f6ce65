//! What units write.

use futures_util::StreamExt;
use nd_core::ports::{LogCursor, LogPiece, OutputStream, Signal};

use super::{ContractResult, Doing, RuntimeFixture, ready, texts, until, wait_ready, within};

const LINES: u32 = 40;

/// How many lines a unit writes that prints [`LINES`] to both outputs and says that it is ready, in two lives.
const IN_TWO_LIVES: usize = 2 * (2 * LINES as usize + 1);

pub(super) async fn output_is_complete_across_a_restart<F: RuntimeFixture>(fixture: &F) -> ContractResult {
    let runtime = fixture.runtime();
    let unit = ready(fixture, Doing::Print(LINES)).await?;
    let follower = runtime.logs(&unit, LogCursor::Start).await?;
    restart(fixture, &unit).await?;
    let followed = until(follower, |pieces| pieces.len() == IN_TWO_LIVES).await?;
    let life = |name: &str| (0..LINES).map(|line| format!("{name} {line}")).collect::<Vec<_>>();
    for (stream, name) in [(OutputStream::Stdout, "out"), (OutputStream::Stderr, "err")] {
        let lines: Vec<LogPiece> = followed
            .iter()
            .filter(|piece| piece.stream == stream && piece.line != b"ready")
            .cloned()
            .collect();
        assert_eq!(texts(&lines), [life(name), life(name)].concat());
    }
    let again =
        until(runtime.logs(&unit, LogCursor::Start).await?, |pieces| pieces.len() == IN_TWO_LIVES).await?;
    assert_eq!(again, followed, "a second reader sees something else");
    Ok(())
}

pub(super) async fn output_goes_on_after_any_line<F: RuntimeFixture>(fixture: &F) -> ContractResult {
    let runtime = fixture.runtime();
    let unit = ready(fixture, Doing::Print(LINES)).await?;
    restart(fixture, &unit).await?;
    let all =
        until(runtime.logs(&unit, LogCursor::Start).await?, |pieces| pieces.len() == IN_TWO_LIVES).await?;
    for (index, piece) in all.iter().enumerate().step_by(7) {
        let expected = all.get(index + 1..).unwrap_or_default();
        let logs = runtime.logs(&unit, LogCursor::After(piece.at)).await?;
        let resumed = until(logs, |pieces| pieces.len() == expected.len()).await?;
        assert_eq!(resumed, expected, "resumed after line {index}");
    }
    Ok(())
}

pub(super) async fn a_tail_begins_with_the_last_lines<F: RuntimeFixture>(fixture: &F) -> ContractResult {
    let runtime = fixture.runtime();
    let unit = ready(fixture, Doing::Print(LINES)).await?;
    let all =
        until(runtime.logs(&unit, LogCursor::Start).await?, |pieces| pieces.len() == 2 * LINES as usize + 1);
    let all = all.await?;
    let tail = until(runtime.logs(&unit, LogCursor::Tail(5)).await?, |pieces| pieces.len() == 5).await?;
    assert_eq!(Some(tail.as_slice()), all.get(all.len() - 5..));
    Ok(())
}

pub(super) async fn output_ends_when_the_unit_is_removed<F: RuntimeFixture>(fixture: &F) -> ContractResult {
    let runtime = fixture.runtime();
    let unit = ready(fixture, Doing::Print(LINES)).await?;
    let logs = runtime.logs(&unit, LogCursor::Start).await?;
    within("remove", runtime.remove(&unit)).await??;
    within("the end of the output", logs.for_each(|_| std::future::ready(()))).await?;
    assert!(runtime.logs(&unit, LogCursor::Start).await.is_err(), "a removed unit has no output");
    Ok(())
}

/// Kills and starts a unit, and waits until it is ready for the second time.
async fn restart<F: RuntimeFixture>(fixture: &F, unit: &nd_types::UnitId) -> ContractResult {
    let runtime = fixture.runtime();
    within("kill", runtime.signal(unit, Signal::Kill)).await??;
    within("wait", runtime.wait(unit)).await??;
    within("start", runtime.start(unit)).await??;
    wait_ready(&*runtime, unit, 2).await
}
