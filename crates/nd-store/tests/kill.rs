//! What was acknowledged is there after SIGKILL.

use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Stdio};

use nd_core::events::{Event, StoredEvent};
use nd_core::ports::{HistoryQuery, StateStore};
use nd_core::records::Record;
use nd_store::SqliteStore;
use nd_types::Timestamp;

type Result<T = (), E = Box<dyn std::error::Error>> = std::result::Result<T, E>;

/// Tells a copy of this test program to be the writer, and where to write.
const STATE: &str = "ND_STORE_TEST_STATE";

#[tokio::test]
async fn what_was_acknowledged_survives_sigkill() -> Result {
    let dir = tempfile::tempdir()?;
    let path = dir.path().join("state.db");
    let mut first = 1;
    for acknowledged in [1, 7, 40] {
        let mut child = Command::new(std::env::current_exe()?)
            .args(["--exact", "the_writer_that_gets_killed", "--nocapture"])
            .env(STATE, &path)
            .stdout(Stdio::piped())
            .spawn()?;
        let output = BufReader::new(child.stdout.take().ok_or("no output")?);
        let numbers = output.lines().filter_map(|line| line.ok()?.strip_prefix("kept ")?.parse::<u64>().ok());
        let seen: Vec<u64> = numbers.take(acknowledged).collect();
        child.kill()?;
        child.wait()?;
        assert_eq!(seen, (first..).take(acknowledged).collect::<Vec<_>>());

        let store = SqliteStore::open(&path)?;
        let kept = store.events(&HistoryQuery { limit: 100_000, ..HistoryQuery::default() }).await?;
        let last = store.load().await?.last_event;
        assert!(last >= seen.last().copied().unwrap_or(0), "{last} is less than {seen:?}");
        // In the order they were handed over, without a hole.
        assert_eq!(
            kept.iter().map(|event| event.id).rev().collect::<Vec<_>>(),
            (1..=last).collect::<Vec<_>>()
        );
        first = last + 1;
    }
    Ok(())
}

/// Not a test by itself: appends forever, and says so after each acknowledgement.
#[tokio::test]
async fn the_writer_that_gets_killed() -> Result {
    let Ok(path) = std::env::var(STATE) else { return Ok(()) };
    let store = SqliteStore::open(path)?;
    let first = store.load().await?.last_event + 1;
    for id in first.. {
        let what = Event::Note { message: format!("event {id}") };
        let (app, unit, deployment, actor) = (None, None, None, None);
        let event = StoredEvent { id, at: Timestamp::now(), app, unit, deployment, actor, what };
        store.append(vec![Record::Event(Box::new(event))]).await?;
        // Straight to the pipe: the test harness would keep what the macros print.
        let mut output = std::io::stdout().lock();
        writeln!(output, "\nkept {id}")?;
        output.flush()?;
    }
    Ok(())
}
