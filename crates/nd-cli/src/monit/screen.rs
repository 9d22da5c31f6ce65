//! The loop of the full screen: news in, pictures out.

use std::time::Duration;

use crossterm::event::{Event, EventStream};
use futures_util::future::LocalBoxFuture;
use futures_util::stream::FuturesUnordered;
use futures_util::{FutureExt, StreamExt};
use nd_api::flat::SystemMetrics;
use nd_api::v1::{AppView, Phase, RollbackBody, StepState};
use nd_client::{Client, ClientError};
use nd_types::{AppName, Timestamp};
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until};

use super::feed::{self, Feed};
use super::keys::{self, Effect};
use super::signals::{self, Asked};
use super::state::State;
use super::terminal::Screen;
use crate::args::MonitArgs;
use crate::commands::{Context, Outcome};
use crate::failure::{Exit, Failure};
use crate::targets;

/// The pause between two pictures that nobody pressed a key for: at most two a second.
const PICTURE: Duration = Duration::from_millis(500);

/// The pause between two questions for figures.
const FIGURES: Duration = Duration::from_secs(2);

/// Lines taken in between two pictures. An app that writes more is not followed line by line by anybody's eyes; what the
/// daemon leaves out then is counted and shown.
const LINES: usize = 500;

/// How long a restart may take before it goes on unwatched.
const PATIENCE: Duration = Duration::from_secs(120);

type Answer = Result<(Vec<AppView>, SystemMetrics), ClientError>;

pub(super) async fn run(args: &MonitArgs, context: &Context<'_>) -> Outcome {
    let name = args.app.as_deref().or(args.name.as_deref());
    let selected = name.map(targets::parse).transpose()?;
    let client = &context.client;
    // What cannot be asked at all is told before the terminal is taken over.
    let (apps, host) = feed::figures(client).await?;
    if let Some(name) = selected.as_ref().filter(|name| !apps.iter().any(|app| app.name == **name)) {
        let title = format!("Application {name} not found in monitoring");
        return Err(Failure::new(Exit::NotFound, title).fix("nextdeploy ls"));
    }
    let mut state = State::new(client.host().to_string(), selected);
    state.figures(apps, host, Timestamp::now());
    Box::pin(Monit::new(state, client, args.interval.unwrap_or(FIGURES)).watch()).await
}

/// Everything that goes on at once.
struct Monit<'c> {
    state: State,
    client: &'c Client,
    feed: Feed,
    /// A question for figures under way.
    asked: Option<LocalBoxFuture<'static, Answer>>,
    /// When figures are asked for again.
    ask_at: Instant,
    pause: Duration,
    /// Actions under way; what came of each is a sentence.
    actions: FuturesUnordered<LocalBoxFuture<'static, Result<String, String>>>,
}

impl<'c> Monit<'c> {
    fn new(state: State, client: &'c Client, pause: Duration) -> Self {
        let mut feed = Feed::new(client.clone());
        feed.follow(&state);
        let (asked, actions) = (None, FuturesUnordered::new());
        Self { state, client, feed, asked, ask_at: Instant::now() + pause, pause, actions }
    }

    async fn watch(mut self) -> Outcome {
        let mut signals = signals::watch()?;
        let mut screen = Screen::open()?;
        let mut keys = EventStream::new();
        let mut tick = interval(PICTURE);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut left = LINES;
        let mut draw_now = true;
        loop {
            if draw_now && self.state.is_dirty {
                self.state.is_dirty = false;
                if !screen.draw(&self.state) {
                    return Ok(Exit::Interrupted);
                }
                fail_after_a_picture();
            }
            draw_now = false;
            let effect = tokio::select! {
                event = keys.next() => {
                    // Whoever presses a key does not wait for the next picture.
                    draw_now = true;
                    match event {
                        Some(Ok(event)) => self.event(&event),
                        Some(Err(_)) | None => Some(Effect::Interrupt),
                    }
                }
                asked = signals.next() => match asked {
                    Some(Asked::Suspend) => Some(Effect::Suspend),
                    Some(Asked::End) | None => Some(Effect::Interrupt),
                },
                _ = tick.tick() => {
                    (left, draw_now) = (LINES, true);
                    None
                }
                frame = self.feed.next(), if left > 0 => {
                    left -= 1;
                    self.state.frame(frame);
                    None
                }
                answer = answer(&mut self.asked, self.client, self.ask_at) => {
                    self.figures(answer);
                    None
                }
                Some(done) = self.actions.next(), if !self.actions.is_empty() => {
                    self.done(done);
                    None
                }
            };
            match effect {
                Some(Effect::Quit) => return Ok(Exit::Ok),
                Some(Effect::Interrupt) => return Ok(Exit::Interrupted),
                Some(Effect::Suspend) => {
                    screen.suspend().map_err(|error| Failure::failed(format!("go on: {error}")))?;
                    (self.state.is_dirty, draw_now) = (true, true);
                }
                Some(effect) => self.act(effect),
                None => {}
            }
        }
    }

    fn event(&mut self, event: &Event) -> Option<Effect> {
        match event {
            Event::Key(key) => keys::pressed(&mut self.state, *key),
            Event::Resize(..) => {
                self.state.is_dirty = true;
                None
            }
            Event::FocusGained | Event::FocusLost | Event::Mouse(_) | Event::Paste(_) => None,
        }
    }

    fn figures(&mut self, answer: Answer) {
        self.asked = None;
        self.ask_at = Instant::now() + self.pause;
        match answer {
            Ok((apps, host)) => {
                if self.state.figures(apps, host, Timestamp::now()) {
                    self.feed.follow(&self.state);
                }
            }
            Err(error) => self.state.lost(Failure::from(error).title),
        }
    }

    fn act(&mut self, effect: Effect) {
        let client = self.client.clone();
        match effect {
            Effect::Follow => self.feed.follow(&self.state),
            Effect::Restart(app) => {
                self.state.say(format!("{app}: restarting …"));
                self.actions.push(async move { restart(&client, &app).await }.boxed_local());
            }
            Effect::Scale(app, instances) => {
                self.state.say(format!("{app}: scaling to {instances} …"));
                let scaling = async move {
                    let view = client.scale(&app, instances, PATIENCE).await;
                    view.map_err(failed).map(|view| format!("{app}: {}", view.operation))
                };
                self.actions.push(scaling.boxed_local());
            }
            Effect::Rollback(app) => {
                self.state.say(format!("{app}: rolling back …"));
                self.actions.push(async move { rollback(&client, &app).await }.boxed_local());
            }
            Effect::Suspend | Effect::Quit | Effect::Interrupt => {}
        }
        // What it does to the app is worth seeing at once.
        self.ask_at = Instant::now();
    }

    fn done(&mut self, done: Result<String, String>) {
        match done {
            Ok(text) => self.state.say(text),
            Err(text) => self.state.complain(text),
        }
        self.ask_at = Instant::now();
    }
}

/// Figures, once it is time for them. Cancellation safe: the question goes on where it was.
async fn answer(
    asked: &mut Option<LocalBoxFuture<'static, Answer>>,
    client: &Client,
    ask_at: Instant,
) -> Answer {
    if asked.is_none() {
        sleep_until(ask_at).await;
    }
    let client = client.clone();
    asked.get_or_insert_with(|| async move { feed::figures(&client).await }.boxed_local()).await
}

async fn restart(client: &Client, app: &AppName) -> Result<String, String> {
    let view = client.restart(app, PATIENCE).await.map_err(failed)?;
    match view.status {
        Some(status) if view.settled && status.phase == Phase::Failed => {
            let reason = status.reason.map(|reason| format!(": {reason}")).unwrap_or_default();
            Err(format!("{app} does not run{reason}"))
        }
        _ if view.settled => Ok(format!("{app}: restarted")),
        _ => Ok(format!("{app}: the restart goes on")),
    }
}

async fn rollback(client: &Client, app: &AppName) -> Result<String, String> {
    let deployment = client.rollback(app, &RollbackBody::default()).await.map_err(failed)?;
    let mut steps = client.steps(&deployment.id).await.map_err(failed)?;
    while let Some(record) = steps.next().await {
        let record = record.map_err(failed)?;
        if record.is_last() {
            let why = record.error.map(|error| format!(": {}", error.what)).unwrap_or_default();
            return match record.state {
                StepState::Fail => Err(format!("{app} was not rolled back{why}")),
                _ => Ok(format!("{app}: rolled back, {}", deployment.id)),
            };
        }
    }
    Ok(format!("{app}: the rollback goes on, {}", deployment.id))
}

fn failed(error: ClientError) -> String {
    Failure::from(error).title
}

/// In debug builds a test can see what a panic leaves behind.
fn fail_after_a_picture() {
    #[cfg(debug_assertions)]
    if std::env::var_os("ND_FAILPOINT").is_some_and(|point| point == "monit.picture") {
        #[allow(clippy::panic, reason = "a fail point")]
        {
            panic!("fail point monit.picture");
        }
    }
}
