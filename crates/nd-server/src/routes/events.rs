//! Events: pages of what happened, and what happens.

use std::collections::VecDeque;
use std::sync::Arc;

use axum::Json;
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use futures_util::{Stream, StreamExt, stream};
use nd_api::v1::{EventQuery, EventView, ListPage};
use nd_core::events::StoredEvent;
use nd_core::ports::HistoryQuery;
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;

use super::stream as streams;
use crate::body::query;
use crate::refusal::Refusal;
use crate::server::Api;
use crate::views::event_view;

/// Events on a page where the client does not say.
const PAGE: u32 = 50;

/// The largest page; also how many missed events are read at a time.
const MOST: usize = 1000;

/// Pages of the store that one request may read in search of a kind.
const SEARCH: usize = 20;

pub(super) async fn events(State(api): State<Arc<Api>>, request: Request) -> Result<Response, Refusal> {
    let (parts, _) = request.into_parts();
    let mut asked: EventQuery = query(&parts)?;
    let sent = streams::accepts_events(&parts.headers);
    if !asked.follow && !sent {
        return page(&api, &asked).await.map(|page| Json(page).into_response());
    }
    asked.after = streams::last_event_id(&parts.headers).or(asked.after);
    let events = follow(&api, asked).await?;
    Ok(if sent {
        streams::server_sent(&api, events.map(|event| (event.id, event)))
    } else {
        streams::ndjson(&api, events)
    })
}

async fn page(api: &Api, asked: &EventQuery) -> Result<ListPage<EventView>, Refusal> {
    let limit = usize::try_from(asked.limit.unwrap_or(PAGE)).unwrap_or(MOST).clamp(1, MOST);
    let mut before = match asked.cursor.as_deref().map(str::parse) {
        Some(Ok(cursor)) => Some(cursor),
        Some(Err(_)) => return Err(Refusal::invalid("cursor is not one of this list")),
        None => None,
    };
    let mut items = Vec::new();
    let mut more = true;
    for _ in 0..SEARCH {
        let query = HistoryQuery {
            app: asked.app.clone(),
            before,
            after: asked.after,
            limit: MOST,
            ..HistoryQuery::default()
        };
        let found = api.engine().events(&query).await?;
        more = found.len() == MOST;
        before = found.last().map(|event| event.id).or(before);
        let wanted = found.iter().filter(|event| is_kind(event, asked.kind.as_deref()));
        items.extend(wanted.map(event_view));
        if items.len() > limit || !more {
            break;
        }
    }
    if items.len() > limit {
        items.truncate(limit);
        (more, before) = (true, items.last().map(|event| event.id));
    }
    let next_cursor = before.filter(|_| more).map(|id| id.to_string());
    Ok(ListPage { items, next_cursor })
}

/// What came after an event, oldest first, then what happens. Without an event to begin at: only what happens.
async fn follow(api: &Arc<Api>, asked: EventQuery) -> Result<impl Stream<Item = EventView> + use<>, Refusal> {
    let live = api.engine().subscribe();
    let (past, last) = match asked.after {
        Some(after) => since(api, &asked, after).await?,
        None => (Vec::new(), 0),
    };
    let reader = Reader { api: Arc::clone(api), asked, live, last, waiting: past.into() };
    Ok(stream::unfold(reader, |mut reader| async { reader.next().await.map(|event| (event, reader)) }))
}

struct Reader {
    api: Arc<Api>,
    asked: EventQuery,
    live: Receiver<Arc<StoredEvent>>,
    /// The newest event that was given or passed over.
    last: u64,
    waiting: VecDeque<EventView>,
}

impl Reader {
    async fn next(&mut self) -> Option<EventView> {
        loop {
            if let Some(event) = self.waiting.pop_front() {
                return Some(event);
            }
            match self.live.recv().await {
                Ok(event) if event.id > self.last => {
                    self.last = event.id;
                    if is_wanted(&event, &self.asked) {
                        return Some(event_view(&event));
                    }
                }
                Ok(_) => {}
                // What was missed is stored.
                Err(RecvError::Lagged(_)) => {
                    let (missed, last) = since(&self.api, &self.asked, self.last).await.ok()?;
                    self.waiting.extend(missed);
                    self.last = last;
                }
                Err(RecvError::Closed) => return None,
            }
        }
    }
}

/// The wanted ones among the stored events after one, oldest first, and the newest event there was.
async fn since(api: &Api, asked: &EventQuery, after: u64) -> Result<(Vec<EventView>, u64), Refusal> {
    let query = HistoryQuery { after: Some(after), limit: 10 * MOST, ..HistoryQuery::default() };
    let found = api.engine().events(&query).await?;
    let newest = found.first().map_or(after, |event| event.id);
    let wanted = found.iter().rev().filter(|event| is_wanted(event, asked)).map(event_view);
    Ok((wanted.collect(), newest))
}

fn is_wanted(event: &StoredEvent, asked: &EventQuery) -> bool {
    let of_app = asked.app.as_ref().is_none_or(|app| event.app.as_ref() == Some(app));
    of_app && is_kind(event, asked.kind.as_deref())
}

/// `deploy.failed` is one kind, `deploy` a group of them.
fn is_kind(event: &StoredEvent, wanted: Option<&str>) -> bool {
    let Some(wanted) = wanted else { return true };
    let kind = event.what.type_name();
    kind == wanted || kind.strip_prefix(wanted).is_some_and(|rest| rest.starts_with('.'))
}
