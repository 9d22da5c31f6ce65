//! A disk without space: records are refused clearly, none that was acknowledged is lost, and it goes on by itself.

use std::fs;
use std::io::Write;
use std::path::Path;

use nd_core::events::{Event, StoredEvent};
use nd_core::ports::{HistoryQuery, PortErrorKind, StateStore};
use nd_core::records::Record;
use nd_store::SqliteStore;
use nd_types::Timestamp;

type Result<T = (), E = Box<dyn std::error::Error>> = std::result::Result<T, E>;

/// Runs the test below in a mount namespace of its own, where everybody may mount.
#[test]
fn a_full_disk_refuses_records_and_loses_none_that_were_acknowledged() -> Result {
    nd_testkit::on_a_small_disk("on_a_small_disk")
}

/// Not a test by itself.
#[tokio::test]
async fn on_a_small_disk() -> Result {
    let Some(dir) = nd_testkit::small_disk("2m")? else { return Ok(()) };
    fs::write(dir.join("other"), vec![b'x'; 1 << 20])?;
    let path = dir.join("data/state.db");

    let store = SqliteStore::open(&path)?;
    let mut last = 0;
    let refused = loop {
        match store.append(vec![event(last + 1)]).await {
            Ok(_) => last += 1,
            Err(error) => break error,
        }
        assert!(last < 10_000, "the disk is never full");
    };
    assert_eq!(refused.kind, PortErrorKind::Exhausted, "{refused}");
    assert!(refused.fix.as_deref().is_some_and(|fix| fix.contains("df -h")), "{refused}");
    assert!(last > 10, "{last}");
    assert_eq!(
        kept(&store).await?,
        (1..=last).collect::<Vec<_>>(),
        "what was acknowledged is read on a full disk"
    );

    drop(store);
    fill(&dir.join("rest"))?;
    let store = SqliteStore::open(&path)?;
    assert_eq!(
        kept(&store).await?,
        (1..=last).collect::<Vec<_>>(),
        "a daemon that starts on a full disk knows all"
    );
    let refused = store.append(vec![event(last + 1)]).await.err().ok_or("written on a full disk")?;
    assert_eq!(refused.kind, PortErrorKind::Exhausted, "{refused}");

    fs::remove_file(dir.join("other"))?;
    store.append(vec![event(last + 1)]).await?;
    drop(store);
    assert_eq!(kept(&SqliteStore::open(&path)?).await?, (1..=last + 1).collect::<Vec<_>>());
    Ok(())
}

fn event(id: u64) -> Record {
    let what = Event::Note { message: "x".repeat(3000) };
    let (app, unit, deployment, actor) = (None, None, None, None);
    Record::Event(Box::new(StoredEvent { id, at: Timestamp::UNIX_EPOCH, app, unit, deployment, actor, what }))
}

/// Takes what is left of the disk, to the last byte.
fn fill(path: &Path) -> Result {
    let mut file = fs::File::create(path)?;
    while let Ok(1..) = file.write(&[b'x'; 512]) {}
    Ok(())
}

/// The numbers of all events, oldest first.
async fn kept(store: &SqliteStore) -> Result<Vec<u64>> {
    let events = store.events(&HistoryQuery { limit: 100_000, ..HistoryQuery::default() }).await?;
    Ok(events.iter().rev().map(|event| event.id).collect())
}
