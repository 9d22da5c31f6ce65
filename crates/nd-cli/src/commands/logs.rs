//! `logs`: the last lines, and with `--follow` what is written, across restarts of the daemon.

use std::time::Duration;

use futures_util::StreamExt;
use nd_api::v1::{LogFrame, LogLevel, LogQuery, LogStream};
use nd_types::Timestamp;
use tokio::time::{Instant, sleep};

use super::{Context, Outcome};
use crate::args::LogsArgs;
use crate::failure::{Exit, Failure};
use crate::render::log::{LogStyle, line};
use crate::targets;

/// How long a follower waits for a daemon that went away.
const COMES_BACK: Duration = Duration::from_secs(120);

pub(super) async fn run(args: &LogsArgs, context: &Context<'_>) -> Outcome {
    let mut query = query(args, context).await?;
    let style = LogStyle { raw: args.raw, time: !args.no_time };
    let mut last = 0;
    let mut lost: Option<Instant> = None;
    loop {
        match show(&query, style, &mut last, &mut lost, context).await {
            // A reader that left, or the end of what was asked for.
            Ok(Ended::Reader) => return Ok(Exit::Ok),
            Ok(Ended::Stream) if !args.follow => return Ok(Exit::Ok),
            Ok(Ended::Interrupted) => return Ok(Exit::Interrupted),
            Ok(Ended::Stream) => {}
            Err(error) if args.follow && last > 0 && error.exit == Exit::Unreachable => {}
            Err(error) => return Err(error),
        }
        let since = *lost.get_or_insert_with(|| {
            context.output.note("the daemon is gone; waiting for it to come back");
            Instant::now()
        });
        if since.elapsed() > COMES_BACK {
            return Err(
                Failure::new(Exit::Unreachable, "the daemon did not come back").fix("nextdeployd run")
            );
        }
        sleep(Duration::from_millis(500)).await;
        // What was written meanwhile follows the last line that was shown.
        query.after = Some(last).filter(|last| *last > 0);
        query.tail = Some(query.tail.unwrap_or_default().max(1000));
    }
}

enum Ended {
    Stream,
    Reader,
    Interrupted,
}

async fn show(
    query: &LogQuery,
    style: LogStyle,
    last: &mut u64,
    lost: &mut Option<Instant>,
    context: &Context<'_>,
) -> Result<Ended, Failure> {
    let mut frames = context.client.logs(query).await?;
    *lost = None;
    loop {
        let frame = tokio::select! {
            frame = frames.next() => frame,
            _ = tokio::signal::ctrl_c() => return Ok(Ended::Interrupted),
        };
        let Some(frame) = frame else { return Ok(Ended::Stream) };
        let frame = frame?;
        if let LogFrame::Log(line) = &frame {
            *last = line.seq.max(*last);
        }
        if !print(&frame, style, context) {
            return Ok(Ended::Reader);
        }
    }
}

/// False: nobody reads any more.
fn print(frame: &LogFrame, style: LogStyle, context: &Context<'_>) -> bool {
    let output = context.output;
    match frame {
        _ if output.json => output.line(frame),
        LogFrame::Log(entry) => output.stream(&line(entry, style, output)),
        LogFrame::Gap { dropped } => {
            output.note(&format!(
                "{dropped} lines were skipped, this reader is too slow; nextdeploy logs -n {dropped}"
            ));
            true
        }
    }
}

async fn query(args: &LogsArgs, context: &Context<'_>) -> Result<LogQuery, Failure> {
    let named = !args.apps.is_empty() || !args.name.is_empty();
    let apps = if named {
        targets::several(&args.apps, &args.name, context.global, &context.client).await?
    } else {
        targets::of_project(context.global)?.into_iter().collect()
    };
    if let Some(level) = &args.level {
        let word = level.strip_suffix('+').unwrap_or(level);
        word.parse::<LogLevel>().map_err(|error| Failure::usage(format!("--level: {error}")))?;
    }
    let app = apps.iter().map(nd_types::AppName::as_str).collect::<Vec<_>>().join(",");
    Ok(LogQuery {
        app: (!app.is_empty()).then_some(app),
        container: args.container.clone(),
        instance: args.instance,
        stream: args.stream.as_deref().map(|stream| match stream {
            "stderr" => LogStream::Stderr,
            _ => LogStream::Stdout,
        }),
        level: args.level.clone(),
        q: args.text.clone(),
        tail: Some(args.lines),
        since: args.since.as_deref().map(|text| time("--since", text)).transpose()?,
        until: args.until.as_deref().map(|text| time("--until", text)).transpose()?,
        after: None,
        follow: args.follow,
    })
}

/// `10m` ago, or a time.
fn time(flag: &str, text: &str) -> Result<Timestamp, Failure> {
    if let Ok(age) = nd_types::parse_duration(text) {
        return Timestamp::now().checked_sub(age).map_err(|error| Failure::usage(format!("{flag}: {error}")));
    }
    text.parse().map_err(|_| {
        Failure::usage(format!("{flag}: `{text}` is not a time; write 10m, or 2026-11-21T15:04:05Z"))
    })
}
