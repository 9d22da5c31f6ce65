//! What units write.

use futures_util::StreamExt;
use nd_core::ports::{LogCursor, OutputStream};
use nd_testkit::contract::ContractResult;
use nd_testkit::contract::runtime::RuntimeFixture;
use nd_types::ExitStatus;

use crate::fixture::{Fixture, LIMIT};

crate::tests![
    every_byte_of_a_line_is_kept,
    a_line_of_a_megabyte_comes_in_pieces,
    the_last_line_needs_no_end,
    output_before_the_end_is_there_when_the_end_is_known,
    a_unit_that_closes_its_output_runs_on,
    a_flood_does_not_hold_up_the_unit,
    output_written_without_a_daemon_is_kept,
    a_flood_that_is_followed_comes_whole_or_says_what_is_missing,
];

async fn lines(fixture: &Fixture, script: &str) -> Result<Vec<Vec<u8>>, Box<dyn std::error::Error>> {
    let runtime = fixture.runtime();
    let unit = fixture.started(script).await?;
    tokio::time::timeout(LIMIT, runtime.wait(&unit)).await??;
    let logs = runtime.logs(&unit, LogCursor::Start).await?;
    runtime.remove(&unit).await?;
    let lines = logs.filter_map(|piece| std::future::ready(piece.ok().map(|piece| piece.line))).collect();
    Ok(tokio::time::timeout(LIMIT, lines).await?)
}

async fn every_byte_of_a_line_is_kept(fixture: &Fixture) -> ContractResult {
    let found = lines(fixture, r"printf 'a\000b\033[1m\377\376 \r c\r\n\n\303\050\n'").await?;
    assert_eq!(found, [&b"a\0b\x1b[1m\xff\xfe \r c"[..], b"", b"\xc3\x28"]);
    Ok(())
}

async fn a_line_of_a_megabyte_comes_in_pieces(fixture: &Fixture) -> ContractResult {
    let found = lines(fixture, "head -c 1048576 /dev/zero | tr '\\0' x; echo; echo next").await?;
    assert_eq!(
        found.iter().map(Vec::len).collect::<Vec<_>>(),
        [256 << 10, 256 << 10, 256 << 10, 256 << 10, 4]
    );
    Ok(())
}

async fn the_last_line_needs_no_end(fixture: &Fixture) -> ContractResult {
    assert_eq!(lines(fixture, "echo one; printf two").await?, [b"one", b"two"]);
    Ok(())
}

async fn output_before_the_end_is_there_when_the_end_is_known(fixture: &Fixture) -> ContractResult {
    for round in 0..20 {
        let (exit, found) = fixture.run(&format!("echo error {round} >&2; exit 3")).await?;
        assert_eq!((exit, found), (ExitStatus::Code(3), vec![format!("error {round}")]));
    }
    Ok(())
}

async fn a_unit_that_closes_its_output_runs_on(fixture: &Fixture) -> ContractResult {
    let marker = fixture.scratch().join("closed");
    let script = format!("echo ready; exec >&- 2>&-; sleep 0.1; echo done > {}; exit 5", marker.display());
    let (exit, found) = fixture.run(&script).await?;
    assert_eq!((exit, found), (ExitStatus::Code(5), vec!["ready".to_owned()]));
    assert!(marker.exists());
    Ok(())
}

async fn a_flood_does_not_hold_up_the_unit(fixture: &Fixture) -> ContractResult {
    // More than the spool keeps: 30 MB of lines of 100 bytes.
    let line = "x".repeat(99);
    let script = format!("yes {line} | head -n 300000; echo last; exit 7");
    let unit = fixture.started(&script).await?;
    let runtime = fixture.runtime();
    assert_eq!(tokio::time::timeout(LIMIT, runtime.wait(&unit)).await??, ExitStatus::Code(7));
    let out = fixture.units().join(unit.as_str()).join("out");
    let kept: u64 =
        std::fs::read_dir(out)?.flatten().filter_map(|file| Some(file.metadata().ok()?.len())).sum();
    assert!((8 << 20..18 << 20).contains(&kept), "{kept} bytes are kept");
    let last: Vec<_> = runtime.logs(&unit, LogCursor::Tail(1)).await?.take(1).collect().await;
    let last = last.into_iter().next().ok_or("no line")??;
    assert_eq!((last.line.as_slice(), last.stream), (&b"last"[..], OutputStream::Stdout));
    Ok(())
}

async fn a_flood_that_is_followed_comes_whole_or_says_what_is_missing(fixture: &Fixture) -> ContractResult {
    // As fast as it can, which is far more than 50,000 lines a second.
    const LINES: usize = 500_000;
    let unit = fixture.started(&format!("seq 1 {LINES}; exec sleep 3600")).await?;
    let mut logs = fixture.runtime().logs(&unit, LogCursor::Start).await?;
    let followed = async {
        let (mut found, mut told, mut last) = (0, 0, 0);
        while let Some(piece) = logs.next().await {
            let line = String::from_utf8(piece?.line)?;
            match line.parse::<usize>() {
                Ok(number) => {
                    assert!(number > last, "{number} after {last}");
                    found += 1;
                    last = number;
                }
                Err(_) => told += usize::from(line.contains("bytes of output were lost here")),
            }
            if last == LINES {
                break;
            }
        }
        Ok::<_, Box<dyn std::error::Error>>((found, told))
    };
    let (found, told) = tokio::time::timeout(LIMIT, followed).await??;
    assert!(found == LINES || told > 0, "{} lines are missing, and nobody says so", LINES - found);
    Ok(())
}

async fn output_written_without_a_daemon_is_kept(fixture: &Fixture) -> ContractResult {
    let go = fixture.scratch().join("go");
    let script = format!("while [ ! -e {} ]; do sleep 0.02; done; echo alone; exit 9", go.display());
    let runtime = fixture.open()?;
    let unit = fixture.started(&script).await?;
    drop(runtime);
    std::fs::write(&go, "")?;
    let later = fixture.open()?;
    assert_eq!(fixture.line(&unit, "al").await?, "one");
    let exit = nd_core::ports::Runtime::wait(&*later, &unit);
    assert_eq!(tokio::time::timeout(LIMIT, exit).await??, ExitStatus::Code(9));
    Ok(())
}
