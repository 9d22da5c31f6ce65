//! `logs`: the last lines, and with `--follow` what is written, across restarts of the daemon.

use std::time::Duration;

use futures_util::StreamExt;
use nd_api::v1::{LogFrame, LogLevel, LogQuery, LogStream};
use nd_types::Timestamp;
use tokio::time::{Instant, sleep};

use super::{Context, Outcome};
use crate::args::LogsArgs;
use crate::cursors::Cursors;
use crate::failure::{Exit, Failure};
use crate::interrupt::Interrupts;
use crate::render::log::{LogStyle, line};
use crate::targets;

/// How long a follower waits for a daemon that went away.
const COMES_BACK: Duration = Duration::from_secs(120);

/// The pause before asking it again.
const PAUSE: Duration = Duration::from_millis(500);

/// Lines that are asked for again after a break: those it missed, and those that other apps wrote meanwhile.
const MISSED: u32 = 10_000;

pub(super) async fn run(args: &LogsArgs, context: &Context<'_>) -> Outcome {
    let mut follower = Follower {
        query: query(args, context).await?,
        style: LogStyle { raw: args.raw, time: !args.no_time },
        cursors: Cursors::default(),
        was_connected: false,
        interrupts: Interrupts::new()?,
        context,
    };
    let mut lost: Option<Instant> = None;
    loop {
        match follower.show(&mut lost).await {
            Ok(Ended::Reader) => return Ok(Exit::Ok),
            Ok(Ended::Interrupted) => return Ok(Exit::Interrupted),
            Ok(Ended::Stream) if !args.follow => {
                if follower.cursors.earliest().is_none() {
                    context.output.note("no line was written, or none that passes the filters");
                }
                return Ok(Exit::Ok);
            }
            Ok(Ended::Stream) => {}
            Err(failure) if args.follow && follower.was_connected && failure.exit == Exit::Unreachable => {}
            Err(failure) => return Err(failure),
        }
        let since = *lost.get_or_insert_with(|| {
            context.output.note("the daemon is gone; waiting for it to come back");
            Instant::now()
        });
        if since.elapsed() > COMES_BACK {
            let title = "the daemon did not come back within 2m";
            return Err(Failure::new(Exit::Unreachable, title).fix("nextdeployd run"));
        }
        tokio::select! {
            () = sleep(PAUSE) => {}
            () = follower.interrupts.pressed() => return Ok(Exit::Interrupted),
        }
        follower.query.after = follower.cursors.earliest();
        follower.query.tail = Some(MISSED);
    }
}

enum Ended {
    /// The daemon ended the stream.
    Stream,
    /// Nobody reads what is printed any more.
    Reader,
    Interrupted,
}

struct Follower<'c> {
    query: LogQuery,
    style: LogStyle,
    cursors: Cursors,
    was_connected: bool,
    interrupts: Interrupts,
    context: &'c Context<'c>,
}

impl Follower<'_> {
    /// Prints one stream to its end.
    async fn show(&mut self, lost: &mut Option<Instant>) -> Result<Ended, Failure> {
        let mut frames = self.context.client.logs(&self.query).await?;
        *lost = None;
        self.was_connected = true;
        self.cursors.connected();
        loop {
            let frame = tokio::select! {
                frame = frames.next() => frame,
                () = self.interrupts.pressed() => return Ok(Ended::Interrupted),
            };
            let Some(frame) = frame else { return Ok(Ended::Stream) };
            let frame = frame?;
            let is_new = match &frame {
                LogFrame::Log(line) => self.cursors.admit(line),
                LogFrame::Gap { .. } => true,
            };
            if is_new && !self.print(&frame) {
                return Ok(Ended::Reader);
            }
        }
    }

    /// False: nobody reads any more.
    fn print(&self, frame: &LogFrame) -> bool {
        let output = self.context.output;
        match frame {
            _ if output.json => output.line(frame),
            LogFrame::Log(entry) => output.stream(&line(entry, self.style, output)),
            LogFrame::Gap { dropped } => {
                let lines = if *dropped == 1 { "line was" } else { "lines were" };
                output.note(&format!(
                    "{dropped} {lines} skipped, this reader is too slow; nextdeploy logs -n {dropped}"
                ));
                true
            }
        }
    }
}

async fn query(args: &LogsArgs, context: &Context<'_>) -> Result<LogQuery, Failure> {
    let apps = targets::narrowed(&args.apps, &args.name, context.global, &context.client).await?;
    if let Some(level) = &args.level {
        let word = level.strip_suffix('+').unwrap_or(level);
        word.parse::<LogLevel>().map_err(|error| Failure::usage(format!("--level: {error}")))?;
    }
    let app = apps.iter().map(nd_types::AppName::as_str).collect::<Vec<_>>().join(",");
    Ok(LogQuery {
        app: (!app.is_empty()).then_some(app),
        container: args.container.clone(),
        instance: args.instance,
        stream: stream(args),
        level: args.level.clone(),
        q: args.text.clone(),
        tail: Some(args.lines),
        since: args.since.as_deref().map(|text| time("--since", text)).transpose()?,
        until: args.until.as_deref().map(|text| time("--until", text)).transpose()?,
        after: None,
        follow: args.follow,
    })
}

fn stream(args: &LogsArgs) -> Option<LogStream> {
    match args.stream.as_deref() {
        Some("stderr") => Some(LogStream::Stderr),
        Some(_) => Some(LogStream::Stdout),
        None if args.err => Some(LogStream::Stderr),
        None => args.out.then_some(LogStream::Stdout),
    }
}

/// `10m` ago, or a time.
pub(super) fn time(flag: &str, text: &str) -> Result<Timestamp, Failure> {
    if let Ok(age) = nd_types::parse_duration(text) {
        return Timestamp::now().checked_sub(age).map_err(|error| Failure::usage(format!("{flag}: {error}")));
    }
    text.parse().map_err(|_| {
        Failure::usage(format!("{flag}: `{text}` is not a time; write 10m, or 2026-11-21T15:04:05Z"))
    })
}
