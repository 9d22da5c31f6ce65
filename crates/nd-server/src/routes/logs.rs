//! Log lines: the last ones, and what is written.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, Request, State};
use axum::response::Response;
use futures_util::{Stream, StreamExt, stream};
use nd_api::v1::{LogFrame, LogQuery, LogStream, OperationView};
use nd_core::ports::{LogEntry, LogFilter, LogFollow, LogLevel, OutputStream};
use nd_types::{AppName, UnitId};

use super::apps::find;
use super::stream as streams;
use crate::body::{app_name, query};
use crate::refusal::Refusal;
use crate::server::Api;
use crate::views::log_line;

/// Lines where the client does not say.
const TAIL: u32 = 100;

/// The most lines of one answer.
const MOST: usize = 50_000;

/// Lines that are searched for those that pass what the store cannot filter.
const SEARCH: usize = 100_000;

pub(super) async fn logs(State(api): State<Arc<Api>>, request: Request) -> Result<Response, Refusal> {
    let (parts, _) = request.into_parts();
    let asked: LogQuery = query(&parts)?;
    Ok(streams::ndjson(&api, frames(&api, &asked).await?))
}

/// Drops the kept lines of an app.
pub(super) async fn clear(
    State(api): State<Arc<Api>>,
    Path(app): Path<String>,
) -> Result<Json<OperationView>, Refusal> {
    let status = find(&api, &app)?;
    let freed = api.services.logs.clear(&status.app).await?.div_ceil(1024);
    Ok(Json(OperationView {
        app: status.app.clone(),
        operation: "clear logs".to_owned(),
        deployment: None,
        settled: true,
        status: None,
        notes: vec![format!("{freed} KiB of kept lines dropped")],
    }))
}

/// The frames that a query asks for.
pub(super) async fn frames(
    api: &Api,
    asked: &LogQuery,
) -> Result<stream::BoxStream<'static, LogFrame>, Refusal> {
    let wanted = Wanted::new(api, asked)?;
    let tail = usize::try_from(asked.tail.unwrap_or(TAIL)).unwrap_or(MOST).min(MOST);
    let logs = &api.services.logs;
    if asked.follow {
        let follow = logs.follow(&wanted.filter, if wanted.is_exact() { tail } else { 0 }).await?;
        let before = if wanted.is_exact() { Vec::new() } else { wanted.last(api, tail).await? };
        return Ok(followed(wanted, before, follow).boxed());
    }
    let entries = if wanted.is_exact() {
        logs.query(&wanted.filter, tail).await?
    } else {
        wanted.last(api, tail).await?
    };
    Ok(stream::iter(entries).map(|entry| LogFrame::Log(log_line(entry))).boxed())
}

/// First the lines that were there, then the live ones that came after them.
fn followed(
    wanted: Wanted,
    before: Vec<LogEntry>,
    live: impl Stream<Item = LogFollow> + Send + 'static,
) -> impl Stream<Item = LogFrame> + Send + 'static {
    let last = before.last().map_or(0, |entry| entry.seq);
    let before = stream::iter(before).map(|entry| LogFrame::Log(log_line(entry)));
    let live = live.filter_map(move |item| {
        let frame = match item {
            LogFollow::Entry(entry) if entry.seq > last && wanted.admits(&entry) => {
                Some(LogFrame::Log(log_line(entry)))
            }
            LogFollow::Entry(_) => None,
            LogFollow::Gap(dropped) => Some(LogFrame::Gap { dropped }),
        };
        std::future::ready(frame)
    });
    before.chain(live)
}

/// What passes: what the store filters, and what is filtered here.
struct Wanted {
    filter: LogFilter,
    /// This level and no other.
    only: Option<LogLevel>,
    slot: Option<u16>,
    after: u64,
}

impl Wanted {
    fn new(api: &Api, asked: &LogQuery) -> Result<Self, Refusal> {
        let apps = apps(api, asked)?;
        let level = asked.level.as_deref().map(level).transpose()?;
        let container = asked.container.as_deref().filter(|container| !container.is_empty());
        let unit = container.map(|container| unit(api, &apps, container)).transpose()?;
        let filter = LogFilter {
            apps,
            unit,
            stream: asked.stream.map(|stream| match stream {
                LogStream::Stdout => OutputStream::Stdout,
                LogStream::Stderr => OutputStream::Stderr,
            }),
            level: level.map(|(level, _)| level),
            text: asked.q.clone().filter(|text| !text.is_empty()),
            since: asked.since,
            until: asked.until,
        };
        let only = level.filter(|(_, and_worse)| !and_worse).map(|(level, _)| level);
        Ok(Self { filter, only, slot: asked.instance, after: asked.after.unwrap_or(0) })
    }

    /// Whether the store filters it all.
    fn is_exact(&self) -> bool {
        // The worst level alone is the same as this level and worse.
        self.only.is_none_or(|level| level == LogLevel::Error) && self.slot.is_none() && self.after == 0
    }

    fn admits(&self, entry: &LogEntry) -> bool {
        self.only.is_none_or(|level| entry.level == level)
            && self.slot.is_none_or(|slot| entry.unit.slot() == slot)
            && entry.seq > self.after
    }

    async fn last(&self, api: &Api, tail: usize) -> Result<Vec<LogEntry>, Refusal> {
        let mut entries = api.services.logs.query(&self.filter, SEARCH).await?;
        entries.retain(|entry| self.admits(entry));
        let surplus = entries.len().saturating_sub(tail);
        Ok(entries.split_off(surplus))
    }
}

fn apps(api: &Api, asked: &LogQuery) -> Result<Vec<AppName>, Refusal> {
    let names = asked.app.as_deref().unwrap_or_default().split(',').filter(|name| !name.is_empty());
    let apps: Vec<AppName> = names.map(app_name).collect::<Result<_, _>>()?;
    match apps.iter().find(|app| api.engine().status(app).is_none()) {
        Some(unknown) => Err(Refusal::unknown_app(unknown)),
        None => Ok(apps),
    }
}

/// `error` is that level alone, `warn+` that level and worse. Nothing is worse than an error.
fn level(text: &str) -> Result<(LogLevel, bool), Refusal> {
    // A plus in a query string that nobody encoded arrives as a space.
    let (word, and_worse) = match text.strip_suffix(['+', ' ']) {
        Some(word) => (word, true),
        None => (text, false),
    };
    let level = match word.parse::<nd_api::v1::LogLevel>().map_err(Refusal::invalid)? {
        nd_api::v1::LogLevel::Trace => LogLevel::Trace,
        nd_api::v1::LogLevel::Debug => LogLevel::Debug,
        nd_api::v1::LogLevel::Info => LogLevel::Info,
        nd_api::v1::LogLevel::Warn => LogLevel::Warn,
        nd_api::v1::LogLevel::Error | nd_api::v1::LogLevel::Fatal => LogLevel::Error,
    };
    Ok((level, and_worse))
}

/// The unit that a container's name, or the beginning of it, means. A whole name is that unit, also when it is gone:
/// `shop-8f3k2a-1` never means `shop-8f3k2a-12`.
fn unit(api: &Api, apps: &[AppName], container: &str) -> Result<UnitId, Refusal> {
    if let Ok(unit) = container.parse() {
        return Ok(unit);
    }
    let statuses = api.engine().list();
    let of_apps = statuses.iter().filter(|status| apps.is_empty() || apps.contains(&status.app));
    let mut units = of_apps.flat_map(|status| &status.units).map(|unit| &unit.id);
    units.find(|unit| unit.as_str().starts_with(container)).cloned().ok_or_else(|| {
        Refusal::invalid(format!("there is no container `{container}`; `nextdeploy status APP` lists them"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_level_may_stand_alone_or_for_all_that_is_worse() {
        assert_eq!(level("warn+").ok(), Some((LogLevel::Warn, true)));
        assert_eq!(level("warn ").ok(), Some((LogLevel::Warn, true)));
        assert_eq!(level("error").ok(), Some((LogLevel::Error, false)));
        assert!(level("loud").is_err());
    }
}
