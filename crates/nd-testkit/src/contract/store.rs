//! The contract of [`StateStore`].

use std::future::Future;
use std::sync::Arc;

use nd_core::events::{Event, StoredEvent};
use nd_core::ports::{HistoryQuery, StateStore};
use nd_core::records::{DaemonRecord, Record, ReleaseRecord};
use nd_core::spec::{AppSpec, ImageSpec, Workload};
use nd_types::{AppName, DaemonId, DeploymentId, ReleaseId, Timestamp};

use super::ContractResult;

/// No event.
const NONE: [u64; 0] = [];

/// Runs the whole contract. Each call of `place` answers a new, empty place; each call of what it answers opens that
/// place again.
///
/// # Errors
/// The first error of the store.
///
/// # Panics
/// When the store breaks the contract.
pub async fn run<P, O, F>(place: P) -> ContractResult
where
    P: Fn() -> O,
    O: Fn() -> F,
    F: Future<Output = Arc<dyn StateStore>>,
{
    a_new_store_is_empty(&*place()().await).await?;
    load_returns_what_append_took(&*place()().await).await?;
    a_record_replaces_the_one_of_its_key(&*place()().await).await?;
    a_deleted_record_is_gone(&*place()().await).await?;
    a_batch_may_replace_and_delete_its_own_records(&*place()().await).await?;
    numbers_grow_with_what_is_written(&*place()().await).await?;
    events_come_newest_first_and_in_pages(&*place()().await).await?;
    events_are_found_by_app_and_deployment(&*place()().await).await?;
    an_event_that_is_appended_again_is_one_event(&*place()().await).await?;
    compacting_forgets_old_events_and_no_number(&*place()().await).await?;
    appends_at_once_are_all_kept(place()().await).await?;
    let open = place();
    what_was_appended_survives_a_reopening(&open).await
}

async fn a_new_store_is_empty(store: &dyn StateStore) -> ContractResult {
    let snapshot = store.load().await?;
    assert_eq!((snapshot.records, snapshot.last_event), (vec![], 0));
    assert_eq!(store.events(&newest(10)).await?, []);
    Ok(())
}

async fn load_returns_what_append_took(store: &dyn StateStore) -> ContractResult {
    let records = vec![daemon("d1")?, release("r1", "node:22")?, release("r2", "node:23")?];
    let event = event(1, "shop", None)?;
    store.append([records.clone(), vec![stored(&event)]].concat()).await?;
    let snapshot = store.load().await?;
    assert_same(snapshot.records, records);
    assert_eq!(snapshot.last_event, 1, "the newest event's number");
    assert_eq!(store.events(&newest(10)).await?, [event]);
    Ok(())
}

async fn a_record_replaces_the_one_of_its_key(store: &dyn StateStore) -> ContractResult {
    store.append(vec![release("r1", "node:22")?, release("r2", "node:22")?]).await?;
    store.append(vec![release("r1", "node:23")?]).await?;
    assert_same(store.load().await?.records, vec![release("r1", "node:23")?, release("r2", "node:22")?]);
    Ok(())
}

async fn a_deleted_record_is_gone(store: &dyn StateStore) -> ContractResult {
    store.append(vec![release("r1", "node:22")?, release("r2", "node:22")?]).await?;
    store.append(vec![Record::ReleaseGone("r1".parse()?), Record::ReleaseGone("never".parse()?)]).await?;
    assert_same(store.load().await?.records, vec![release("r2", "node:22")?]);
    Ok(())
}

async fn a_batch_may_replace_and_delete_its_own_records(store: &dyn StateStore) -> ContractResult {
    let batch = vec![
        release("r1", "node:22")?,
        release("r2", "node:22")?,
        Record::ReleaseGone("r1".parse()?),
        release("r2", "node:23")?,
    ];
    store.append(batch).await?;
    assert_same(store.load().await?.records, vec![release("r2", "node:23")?]);
    Ok(())
}

async fn numbers_grow_with_what_is_written(store: &dyn StateStore) -> ContractResult {
    let first = store.append(vec![daemon("d1")?]).await?;
    let second = store.append(vec![release("r1", "node:22")?, stored(&event(1, "shop", None)?)]).await?;
    assert!(first < second, "{first:?} then {second:?}");
    store.append(vec![]).await?;
    Ok(())
}

async fn events_come_newest_first_and_in_pages(store: &dyn StateStore) -> ContractResult {
    let events = (1..=7).map(|id| event(id, "shop", None)).collect::<Result<Vec<_>, _>>()?;
    store.append(events.iter().map(stored).collect()).await?;

    assert_eq!(ids(store, &newest(3)).await?, [7, 6, 5]);
    assert_eq!(ids(store, &HistoryQuery { before: Some(5), ..newest(3) }).await?, [4, 3, 2]);
    assert_eq!(ids(store, &HistoryQuery { before: Some(2), ..newest(3) }).await?, [1]);
    assert_eq!(ids(store, &HistoryQuery { after: Some(5), ..newest(10) }).await?, [7, 6]);
    assert_eq!(ids(store, &HistoryQuery { after: Some(2), before: Some(6), ..newest(2) }).await?, [5, 4]);
    assert_eq!(ids(store, &HistoryQuery { after: Some(7), ..newest(10) }).await?, NONE);
    assert_eq!(ids(store, &newest(0)).await?, NONE);
    assert_eq!(ids(store, &newest(usize::MAX)).await?.len(), 7);
    Ok(())
}

async fn events_are_found_by_app_and_deployment(store: &dyn StateStore) -> ContractResult {
    let (first, second) = ("dpl_1", "dpl_2");
    let events = [
        event(1, "shop", Some(first))?,
        event(2, "blog", Some(second))?,
        event(3, "shop", None)?,
        event(4, "shop", Some(first))?,
        StoredEvent { app: None, ..event(5, "shop", None)? },
    ];
    store.append(events.iter().map(stored).collect()).await?;

    let app = |name: &str| name.parse::<AppName>().map(Some);
    let deployment = |id: &str| id.parse::<DeploymentId>().map(Some);
    assert_eq!(ids(store, &HistoryQuery { app: app("shop")?, ..newest(10) }).await?, [4, 3, 1]);
    assert_eq!(ids(store, &HistoryQuery { app: app("sho")?, ..newest(10) }).await?, NONE);
    assert_eq!(ids(store, &HistoryQuery { deployment: deployment(first)?, ..newest(10) }).await?, [4, 1]);
    assert_eq!(
        ids(store, &HistoryQuery { deployment: deployment(second)?, app: app("shop")?, ..newest(10) })
            .await?,
        NONE
    );
    assert_eq!(ids(store, &HistoryQuery { app: app("shop")?, before: Some(4), ..newest(1) }).await?, [3]);
    Ok(())
}

async fn an_event_that_is_appended_again_is_one_event(store: &dyn StateStore) -> ContractResult {
    let event = event(1, "shop", None)?;
    store.append(vec![stored(&event)]).await?;
    store.append(vec![stored(&event)]).await?;
    assert_eq!(store.events(&newest(10)).await?, [event]);
    Ok(())
}

async fn compacting_forgets_old_events_and_no_number(store: &dyn StateStore) -> ContractResult {
    let events = (1..=4).map(|id| event(id, "shop", None)).collect::<Result<Vec<_>, _>>()?;
    store.append(events.iter().map(stored).chain([daemon("d1")?]).collect()).await?;

    store.compact(time(3)?).await?;
    assert_eq!(ids(store, &newest(10)).await?, [4, 3], "events of that time and later stay");
    store.compact(time(1000)?).await?;
    assert_eq!(ids(store, &newest(10)).await?, NONE);
    let snapshot = store.load().await?;
    assert_eq!(snapshot.last_event, 4, "a number that was given out stays given out");
    assert_same(snapshot.records, vec![daemon("d1")?]);
    Ok(())
}

async fn appends_at_once_are_all_kept(store: Arc<dyn StateStore>) -> ContractResult {
    let tasks = nd_supervise::TaskSet::new("contract");
    let mut appends = Vec::new();
    for number in 1..=50 {
        let batch = vec![release(&format!("r{number}"), "node:22")?, stored(&event(number, "shop", None)?)];
        let store = Arc::clone(&store);
        appends.push(tasks.spawn_with("append", async move { store.append(batch).await }));
    }
    for append in appends {
        append.await??;
    }
    assert_eq!(store.load().await?.records.len(), 50);
    assert_eq!(ids(&*store, &newest(100)).await?, (1..=50).rev().collect::<Vec<_>>());
    Ok(())
}

async fn what_was_appended_survives_a_reopening<O, F>(open: &O) -> ContractResult
where
    O: Fn() -> F,
    F: Future<Output = Arc<dyn StateStore>>,
{
    let event = event(9, "shop", None)?;
    let store = open().await;
    let before = store.append(vec![daemon("d1")?, release("r1", "node:22")?, stored(&event)]).await?;
    store.append(vec![Record::ReleaseGone("r1".parse()?)]).await?;
    drop(store);

    let store = open().await;
    let snapshot = store.load().await?;
    assert_same(snapshot.records, vec![daemon("d1")?]);
    assert_eq!(snapshot.last_event, 9);
    assert_eq!(store.events(&newest(10)).await?, [event]);
    let after = store.append(vec![release("r2", "node:22")?]).await?;
    assert!(before < after, "{before:?} before the reopening, {after:?} after it");
    Ok(())
}

async fn ids(store: &dyn StateStore, query: &HistoryQuery) -> Result<Vec<u64>, Box<dyn std::error::Error>> {
    Ok(store.events(query).await?.iter().map(|event| event.id).collect())
}

fn newest(limit: usize) -> HistoryQuery {
    HistoryQuery { limit, ..HistoryQuery::default() }
}

fn assert_same(mut found: Vec<Record>, mut expected: Vec<Record>) {
    let order = |record: &Record| format!("{record:?}");
    found.sort_by_key(order);
    expected.sort_by_key(order);
    assert_eq!(found, expected);
}

fn daemon(id: &str) -> Result<Record, Box<dyn std::error::Error>> {
    Ok(Record::Daemon(DaemonRecord { id: id.parse::<DaemonId>()?, told: 0 }))
}

fn release(id: &str, image: &str) -> Result<Record, Box<dyn std::error::Error>> {
    let image = ImageSpec::new(image);
    Ok(Record::Release(Box::new(ReleaseRecord {
        id: id.parse::<ReleaseId>()?,
        app: "shop".parse()?,
        deployment: None,
        created_at: time(1)?,
        adopted: None,
        prepared: None,
        spec: (&AppSpec::new(Workload::Image(image))).into(),
    })))
}

/// An event at as many seconds as its number says.
fn event(id: u64, app: &str, deployment: Option<&str>) -> Result<StoredEvent, Box<dyn std::error::Error>> {
    Ok(StoredEvent {
        id,
        at: time(i64::try_from(id)?)?,
        app: Some(app.parse()?),
        unit: None,
        deployment: deployment.map(str::parse).transpose()?,
        actor: None,
        what: Event::Note { message: format!("event {id}") },
    })
}

fn stored(event: &StoredEvent) -> Record {
    Record::Event(Box::new(event.clone()))
}

fn time(second: i64) -> Result<Timestamp, Box<dyn std::error::Error>> {
    Ok(Timestamp::from_second(second)?)
}
