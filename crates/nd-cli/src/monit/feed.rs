//! What the daemon is asked: figures again and again, and the lines of the selected app as they are written.

use std::time::Duration;

use futures_util::future::LocalBoxFuture;
use futures_util::{FutureExt, StreamExt};
use nd_api::flat::SystemMetrics;
use nd_api::v1::{AppView, LogFrame, LogLevel, LogQuery};
use nd_client::{Client, ClientError, Lines};
use tokio::time::{Instant, sleep_until};

use super::state::State;

/// Lines that are shown of what was written before; as many are asked for again after a broken stream.
const TAIL: u32 = 500;

/// The pause before a stream that broke off is asked for again.
const PAUSE: Duration = Duration::from_secs(1);

/// Apps and the host, as they are now.
pub(super) async fn figures(client: &Client) -> Result<(Vec<AppView>, SystemMetrics), ClientError> {
    tokio::try_join!(client.apps(), client.metrics())
}

/// The lines of one app.
pub(super) struct Feed {
    client: Client,
    query: Option<LogQuery>,
    stream: Stream,
}

enum Stream {
    Closed,
    Opening(LocalBoxFuture<'static, Result<Lines<LogFrame>, ClientError>>),
    Open(Box<Lines<LogFrame>>),
    /// It broke off, and is asked for again then.
    Waiting(Instant),
}

impl Feed {
    pub(super) fn new(client: Client) -> Self {
        Self { client, query: None, stream: Stream::Closed }
    }

    /// Begins anew with the selected app and the filters. The daemon filters, so that the last lines are found however
    /// rare they are.
    pub(super) fn follow(&mut self, state: &State) {
        self.query = state.selected.as_ref().map(|app| LogQuery {
            app: Some(app.to_string()),
            level: state.logs.level.map(at_least),
            q: (!state.logs.text.is_empty()).then(|| state.logs.text.clone()),
            tail: Some(TAIL),
            follow: true,
            ..LogQuery::default()
        });
        self.stream = self.opening();
    }

    /// The next frame. Cancellation safe: a frame that nobody waits for is given by the next call.
    pub(super) async fn next(&mut self) -> LogFrame {
        loop {
            match &mut self.stream {
                Stream::Closed => std::future::pending().await,
                Stream::Waiting(until) => {
                    sleep_until(*until).await;
                    self.stream = self.opening();
                }
                Stream::Opening(opening) => {
                    self.stream = match opening.await {
                        Ok(lines) => Stream::Open(Box::new(lines)),
                        // The figures say what is wrong with the daemon.
                        Err(_) => Stream::Waiting(Instant::now() + PAUSE),
                    };
                }
                Stream::Open(lines) => match lines.next().await {
                    Some(Ok(frame)) => {
                        if let (LogFrame::Log(line), Some(query)) = (&frame, &mut self.query) {
                            query.after = Some(line.seq);
                        }
                        return frame;
                    }
                    Some(Err(_)) | None => self.stream = Stream::Waiting(Instant::now() + PAUSE),
                },
            }
        }
    }

    fn opening(&self) -> Stream {
        let Some(query) = self.query.clone() else { return Stream::Closed };
        let client = self.client.clone();
        Stream::Opening(async move { client.logs(&query).await }.boxed_local())
    }
}

fn at_least(level: LogLevel) -> String {
    format!("{level}+")
}
