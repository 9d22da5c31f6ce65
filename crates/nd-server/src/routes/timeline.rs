//! What happened to an app and why: its events with the last lines before each end, and how strained the host is.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::{Path, Request, State};
use nd_api::v1::{TimelineEntry, TimelineQuery, TimelineView};
use nd_core::events::{Event, StepState, StoredEvent};
use nd_core::ports::{HistoryQuery, LogFilter};
use nd_types::AppName;
use tokio::time::Instant;

use super::apps::find;
use crate::body::query;
use crate::refusal::Refusal;
use crate::server::Api;
use crate::views;

/// Entries where the client does not say.
const ENTRIES: u32 = 50;

/// The most entries of one answer.
const MOST: usize = 500;

/// Events read at a time, and how often at most.
const BATCH: usize = 1000;
const BATCHES: usize = 10;

/// Lines told before an end.
const LINES: usize = 5;

/// Ends whose lines are told: the newest ones.
const ENDS: usize = 10;

/// How long before its end a unit's last lines may lie.
const LINES_WITHIN: Duration = Duration::from_secs(3600);

/// How long all lines together may take; the rest is told without.
const PATIENCE: Duration = Duration::from_secs(3);

pub(super) async fn timeline(
    State(api): State<Arc<Api>>,
    Path(app): Path<String>,
    request: Request,
) -> Result<Json<TimelineView>, Refusal> {
    let (parts, _) = request.into_parts();
    let asked: TimelineQuery = query(&parts)?;
    let app = find(&api, &app)?.app.clone();
    let (events, more) = causes(&api, &app, &asked).await?;
    let mut items: Vec<TimelineEntry> = events.iter().map(entry).collect();
    add_lines(&api, &events, &mut items).await;
    items.reverse();
    let pressure = api.services.host.sample().await.pressure;
    Ok(Json(TimelineView { app, items, pressure, more }))
}

/// The events that tell why, newest first, and whether there are older ones.
async fn causes(
    api: &Api,
    app: &AppName,
    asked: &TimelineQuery,
) -> Result<(Vec<StoredEvent>, bool), Refusal> {
    let limit = usize::try_from(asked.limit.unwrap_or(ENTRIES)).unwrap_or(MOST).clamp(1, MOST);
    let mut found: Vec<StoredEvent> = Vec::new();
    let mut before = None;
    for _ in 0..BATCHES {
        let query = HistoryQuery { app: Some(app.clone()), before, limit: BATCH, ..HistoryQuery::default() };
        let batch = api.engine().events(&query).await?;
        let is_last = batch.len() < BATCH;
        before = batch.last().map(|event| event.id);
        let is_recent = |event: &StoredEvent| asked.since.is_none_or(|since| event.at >= since);
        let is_over = is_last || !batch.last().is_some_and(is_recent);
        found.extend(batch.into_iter().filter(|event| is_recent(event) && is_cause(&event.what)));
        if found.len() > limit || is_over {
            break;
        }
    }
    let more = found.len() > limit;
    found.truncate(limit);
    Ok((found, more))
}

/// What explains how an app came to be as it is. Steps that went well are told by their deployment's end.
fn is_cause(what: &Event) -> bool {
    match what {
        Event::DeployStep(step) => step.state == StepState::Fail,
        Event::RoutesServing { .. } => false,
        Event::Drained { cut, .. } => *cut > 0,
        _ => true,
    }
}

fn entry(event: &StoredEvent) -> TimelineEntry {
    let view = views::event_view(event);
    TimelineEntry {
        id: view.id,
        ts: view.ts,
        kind: view.kind,
        severity: view.severity,
        instance: view.instance,
        deployment: view.deployment,
        actor: view.actor,
        title: view.title,
        logs: Vec::new(),
    }
}

/// Adds what units wrote last before they ended.
async fn add_lines(api: &Api, events: &[StoredEvent], items: &mut [TimelineEntry]) {
    let give_up = Instant::now() + PATIENCE;
    let ends = events.iter().zip(items).filter(|(event, _)| matches!(event.what, Event::UnitExited { .. }));
    for (event, item) in ends.take(ENDS) {
        let filter = LogFilter {
            unit: event.unit.clone(),
            since: event.at.checked_sub(LINES_WITHIN).ok(),
            until: Some(event.at),
            ..LogFilter::default()
        };
        match tokio::time::timeout_at(give_up, api.services.logs.query(&filter, LINES)).await {
            Ok(Ok(lines)) => item.logs = lines.into_iter().map(|entry| entry.line).collect(),
            Ok(Err(error)) => {
                tracing::warn!(%error, "a timeline is told without the lines before an end");
                return;
            }
            Err(_) => return,
        }
    }
}
