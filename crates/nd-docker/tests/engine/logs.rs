//! Output comes whole, once, in order, and through restarts.

use futures_util::StreamExt;
use nd_core::ports::{LogCursor, LogPiece, LogPieces, OutputStream, Runtime, Signal, UnitIo};

use super::bench::{Bench, DEADLINE, with_engine};

async fn take(logs: &mut LogPieces, count: usize) -> Vec<LogPiece> {
    let pieces = tokio::time::timeout(DEADLINE, logs.by_ref().take(count).collect::<Vec<_>>());
    pieces.await.expect("the lines come").into_iter().map(|piece| piece.expect("a line")).collect()
}

fn text(piece: &LogPiece) -> String {
    String::from_utf8_lossy(&piece.line).into_owned()
}

/// The numbers of the lines `log line N` of one output.
fn numbers(pieces: &[LogPiece], stream: OutputStream) -> Vec<u64> {
    let of_stream = pieces.iter().filter(|piece| piece.stream == stream);
    of_stream.filter_map(|piece| text(piece).strip_prefix("log line ")?.parse().ok()).collect()
}

async fn ended(bench: &Bench, unit: &nd_types::UnitId) {
    tokio::time::timeout(DEADLINE, bench.runtime.wait(unit)).await.expect("the unit ends").unwrap();
}

/// 2,000 numbered lines by turns to both outputs, then four lines of an error on stderr and the end.
const TALK: [(&str, &str); 2] = [("TESTAPP_LOG_LINES", "2000"), ("TESTAPP_EXIT_CODE", "3")];
const LINES: usize = 2005;

#[tokio::test]
async fn every_line_of_an_ended_unit_comes_once_and_in_order() {
    with_engine(async |bench| {
        let unit = bench.started(1, &TALK).await;
        ended(&bench, &unit).await;
        let pieces = take(&mut bench.runtime.logs(&unit, LogCursor::Start).await.unwrap(), LINES).await;
        let even: Vec<u64> = (0..2000).step_by(2).collect();
        let odd: Vec<u64> = (1..2000).step_by(2).collect();
        assert_eq!(numbers(&pieces, OutputStream::Stdout), even);
        assert_eq!(numbers(&pieces, OutputStream::Stderr), odd);
        assert!(pieces.is_sorted_by_key(|piece| piece.at));

        // From each of some lines on, exactly the rest.
        for cut in [0, 700, 1999] {
            let rest = take(
                &mut bench.runtime.logs(&unit, LogCursor::After(pieces[cut].at)).await.unwrap(),
                LINES - cut - 1,
            )
            .await;
            assert_eq!(
                rest.iter().map(text).collect::<Vec<_>>(),
                pieces[cut + 1..].iter().map(text).collect::<Vec<_>>()
            );
        }
        let tail = take(&mut bench.runtime.logs(&unit, LogCursor::Tail(10)).await.unwrap(), 10).await;
        assert_eq!(
            tail.iter().map(text).collect::<Vec<_>>(),
            pieces[LINES - 10..].iter().map(text).collect::<Vec<_>>()
        );
    })
    .await;
}

#[tokio::test]
async fn following_goes_on_through_restarts_and_ends_with_the_container() {
    with_engine(async |bench| {
        let unit = bench.created(1, &TALK).await;
        let mut logs = bench.runtime.logs(&unit, LogCursor::Start).await.unwrap();
        for run in 0..3 {
            bench.runtime.start(&unit).await.unwrap();
            let pieces = take(&mut logs, LINES).await;
            assert_eq!(
                numbers(&pieces, OutputStream::Stdout),
                (0..2000).step_by(2).collect::<Vec<_>>(),
                "run {run}"
            );
            let last = pieces.iter().rfind(|piece| piece.stream == OutputStream::Stderr).unwrap();
            assert_eq!(text(last), "exit code 3");
            ended(&bench, &unit).await;
        }
        bench.runtime.remove(&unit).await.unwrap();
        let end = tokio::time::timeout(DEADLINE, logs.next()).await.expect("the stream ends");
        assert!(end.is_none(), "{end:?}");
    })
    .await;
}

#[tokio::test]
async fn a_running_unit_is_followed_live_until_it_is_removed() {
    with_engine(async |bench| {
        let unit = bench.started(1, &[("TESTAPP_FLOOD_LINES_PER_S", "200")]).await;
        let mut logs = bench.runtime.logs(&unit, LogCursor::Tail(0)).await.unwrap();
        let pieces = take(&mut logs, 100).await;
        let numbers: Vec<u64> =
            pieces.iter().filter_map(|piece| text(piece).strip_prefix("flood line ")?.parse().ok()).collect();
        assert!(numbers.windows(2).all(|pair| pair[1] == pair[0] + 1), "{numbers:?}");
        bench.runtime.remove(&unit).await.unwrap();
        let end = async { while logs.next().await.is_some() {} };
        tokio::time::timeout(DEADLINE, end).await.expect("the stream ends");
    })
    .await;
}

#[tokio::test]
async fn a_line_that_the_engine_cut_is_whole_and_bytes_are_kept() {
    with_engine(async |bench| {
        let long = "x".repeat(100_000);
        // The test application repeats a value that it does not understand.
        let unit = bench.started(1, &[("TESTAPP_UNHEALTHY", &long)]).await;
        ended(&bench, &unit).await;
        let line = take(&mut bench.runtime.logs(&unit, LogCursor::Start).await.unwrap(), 1).await;
        assert!(text(&line[0]).contains(&long), "{} bytes", line[0].line.len());

        let unit = bench.started(2, &[("TESTAPP_BINARY_LINES", "2"), ("TESTAPP_EXIT_CODE", "0")]).await;
        // Four more lines tell about the end, on the other output.
        let lines = take(&mut bench.runtime.logs(&unit, LogCursor::Start).await.unwrap(), 7).await;
        let binary: Vec<_> = lines.iter().filter(|piece| piece.stream == OutputStream::Stdout).collect();
        assert_eq!(binary.len(), 2);
        // What is not UTF-8 is replaced by the engine before it is stored.
        assert!(
            binary.iter().all(|piece| text(piece).starts_with("binary line ") && piece.line.contains(&0x1b))
        );
    })
    .await;
}

#[tokio::test]
async fn a_unit_that_never_was_has_no_output() {
    with_engine(async |bench| {
        let error = bench.runtime.logs(&bench.unit_id(9), LogCursor::Start).await.err().unwrap();
        assert_eq!(error.kind, nd_core::ports::PortErrorKind::NotFound);
        let unit = bench.started(1, &[]).await;
        bench.runtime.signal(&unit, Signal::Kill).await.unwrap();
    })
    .await;
}
