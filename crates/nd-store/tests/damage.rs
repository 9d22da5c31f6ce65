//! What a damaged, emptied, foreign or unreadable file gets, and how it comes back.

use std::fs::{self, OpenOptions};
use std::os::unix::fs::{FileExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::Command;

use nd_core::events::{Event, StoredEvent};
use nd_core::ports::{HistoryQuery, StateStore};
use nd_core::records::Record;
use nd_store::{SqliteStore, StoreError};
use nd_types::Timestamp;

type Result<T = (), E = Box<dyn std::error::Error>> = std::result::Result<T, E>;

fn event(id: u64) -> Record {
    let what = Event::Note { message: "x".repeat(3000) };
    let (app, unit, deployment, actor) = (None, None, None, None);
    Record::Event(Box::new(StoredEvent { id, at: Timestamp::UNIX_EPOCH, app, unit, deployment, actor, what }))
}

/// A closed state file of many pages, with a copy of it.
async fn filled(dir: &Path) -> Result<PathBuf> {
    let path = dir.join("state.db");
    let store = SqliteStore::open(&path)?;
    store.append((1..=100).map(event).collect()).await?;
    drop(store);
    fs::remove_file(copy_of(&path))?;
    drop(SqliteStore::open(&path)?);
    assert!(fs::metadata(&path)?.len() > 100 * 3000);
    Ok(path)
}

fn copy_of(path: &Path) -> PathBuf {
    path.with_extension("db.copy")
}

async fn count(path: &Path) -> Result<usize> {
    let store = SqliteStore::open(path)?;
    Ok(store.events(&HistoryQuery { limit: 1000, ..HistoryQuery::default() }).await?.len())
}

/// Opens the damaged file, expects a refusal, and does what the refusal says.
async fn recover(path: &Path) -> Result<usize> {
    let refused = SqliteStore::open(path).err().ok_or("a damaged file was opened")?;
    assert!(matches!(refused, StoreError::Damaged { .. }), "{refused}");
    assert!(refused.to_string().contains(&path.display().to_string()), "{refused}");
    let fix = refused.fix().ok_or("no way out is named")?;
    let (_, command) = fix.split_once(": ").ok_or("no command in the fix")?;
    let status = Command::new("sh").arg("-c").arg(command).status()?;
    assert!(status.success(), "{command}");
    count(path).await
}

#[tokio::test]
async fn a_truncated_file_is_refused_and_its_copy_brings_the_state_back() -> Result {
    for part in [2, 3, 10] {
        let dir = tempfile::tempdir()?;
        let path = filled(dir.path()).await?;
        let length = fs::metadata(&path)?.len();
        OpenOptions::new().write(true).open(&path)?.set_len(length / part)?;
        assert_eq!(recover(&path).await?, 100);
        assert!(dir.path().join("state.db.damaged").exists(), "the damaged file is kept");
    }
    Ok(())
}

#[tokio::test]
async fn an_overwritten_file_is_refused_and_its_copy_brings_the_state_back() -> Result {
    for (offset, length) in [(0, 100), (100, 4000), (8192, 8192)] {
        let dir = tempfile::tempdir()?;
        let path = filled(dir.path()).await?;
        OpenOptions::new().write(true).open(&path)?.write_all_at(&vec![0xa5; length], offset)?;
        assert_eq!(recover(&path).await?, 100, "{length} bytes from {offset}");
    }
    Ok(())
}

#[tokio::test]
async fn an_emptied_file_is_not_taken_for_a_new_one() -> Result {
    let dir = tempfile::tempdir()?;
    let path = filled(dir.path()).await?;
    OpenOptions::new().write(true).open(&path)?.set_len(0)?;
    assert_eq!(recover(&path).await?, 100);
    Ok(())
}

#[tokio::test]
async fn a_damaged_file_without_a_copy_is_refused_with_a_way_out() -> Result {
    let dir = tempfile::tempdir()?;
    let path = filled(dir.path()).await?;
    fs::remove_file(copy_of(&path))?;
    OpenOptions::new().write(true).open(&path)?.write_all_at(&[0xa5; 100], 0)?;
    let refused = SqliteStore::open(&path).err().ok_or("a damaged file was opened")?;
    assert!(refused.fix().is_some_and(|fix| fix.contains(".recover")), "{refused}");
    Ok(())
}

#[tokio::test]
async fn every_file_of_the_store_is_private() -> Result {
    let dir = tempfile::tempdir()?;
    let path = dir.path().join("data/state.db");
    let store = SqliteStore::open(&path)?;
    store.append(vec![event(1)]).await?;
    let mode = |path: &Path| fs::metadata(path).map(|file| file.permissions().mode() & 0o777);
    let home = dir.path().join("data");
    assert_eq!(mode(&home)?, 0o700);
    let files =
        fs::read_dir(&home)?.map(|entry| entry.map(|entry| entry.path())).collect::<Result<Vec<_>, _>>()?;
    assert!(files.len() >= 3, "{files:?}");
    for file in files {
        assert_eq!(mode(&file)?, 0o600, "{}", file.display());
    }
    Ok(())
}

#[test]
fn a_directory_instead_of_the_file_is_refused() -> Result {
    let dir = tempfile::tempdir()?;
    let refused = SqliteStore::open(dir.path()).err().ok_or("a directory was opened")?;
    assert!(refused.to_string().contains(&dir.path().display().to_string()), "{refused}");
    Ok(())
}
