//! The contract of [`Runtime`] and [`UnitIo`](nd_core::ports::UnitIo).
//!
//! Each promise is a function of its own. An adapter implements [`RuntimeFixture`] and gets one named test for each of
//! them from [`runtime_contract!`](crate::runtime_contract), or runs [`promises`] itself.

mod life;
mod output;
mod scope;
mod work;

use std::error::Error;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures_util::StreamExt;
use nd_core::ports::{LogCursor, LogPiece, LogPieces, Progress, Runtime, Scope, UnitObserved, UnitSpec};
use nd_core::spec::AppSpec;
use nd_types::{AppName, DaemonId, ReleaseId, UnitId};

use super::ContractResult;

/// What a unit of the suite does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Doing {
    /// Runs until it is asked to stop.
    Run,
    /// Listens on the TCP port it is told in `PORT`, on any address.
    Serve,
    /// Ends at once with this code.
    Exit(u8),
    /// Writes the lines `out 0`, `out 1`, … to standard output and as many of `err 0`, `err 1`, … to standard error; then
    /// as [`Doing::Run`].
    Print(u32),
    /// Runs, and ignores the wish to stop.
    IgnoreStop,
}

impl Doing {
    /// What it does as a script for a POSIX shell; listening is beyond a shell.
    #[must_use]
    pub fn script(self) -> Option<String> {
        // A process that waits in small steps hears signals without being a child of its own shell.
        const RUN: &str = "trap 'exit 0' TERM; echo ready; while :; do sleep 0.05; done";
        match self {
            Self::Run => Some(RUN.to_owned()),
            Self::Serve => None,
            Self::Exit(code) => Some(format!("exit {code}")),
            Self::Print(lines) => Some(format!(
                "i=0; while [ $i -lt {lines} ]; do echo \"out $i\"; echo \"err $i\" >&2; i=$((i+1)); done; {RUN}"
            )),
            Self::IgnoreStop => Some(RUN.replace("'exit 0'", "''")),
        }
    }
}

/// What the suite needs to know about an adapter.
#[async_trait]
pub trait RuntimeFixture: Send + Sync + Sized {
    /// A new, empty place for units, for one promise alone.
    async fn new() -> Result<Self, Box<dyn Error>>;

    /// The runtime on that place.
    fn runtime(&self) -> Arc<dyn Runtime>;

    /// Another runtime on the same place, as a daemon that was killed and started again would make it.
    async fn reopened(&self) -> Result<Arc<dyn Runtime>, Box<dyn Error>>;

    /// The daemon all units belong to; one of its own for each fixture, which its units are named after.
    fn daemon(&self) -> DaemonId;

    /// A release that does this. Except for [`Doing::Exit`], it writes the line `ready` to standard output as soon as it
    /// does it; it sets `port` where units do not get one leased.
    fn spec(&self, doing: Doing) -> AppSpec;

    /// A release whose image or program does not exist.
    fn missing(&self) -> AppSpec;

    /// A command that ends with this code when it is executed in a unit.
    fn command_that_exits(&self, code: u8) -> Vec<String>;

    /// A command that runs for longer than any test when it is executed in a unit.
    fn command_that_hangs(&self) -> Vec<String>;

    /// Takes the place away, with what is left in it.
    async fn close(self);
}

/// One promise of the port.
pub struct Promise {
    /// Its name: a sentence.
    pub name: &'static str,
    /// Puts it to the test in a place of its own.
    pub run: fn() -> Pin<Box<dyn Future<Output = ContractResult>>>,
}

/// Every promise, once. Calls `$callback!` with `$args` and the names.
#[doc(hidden)]
#[macro_export]
macro_rules! runtime_promises {
    ($callback:path, $($args:tt)*) => {
        $callback! {
            $($args)*
            a_created_unit_does_not_run
            creating_twice_is_creating_once
            starting_twice_is_starting_once
            starting_at_once_from_two_sides_starts_one
            a_unit_that_does_not_exist_cannot_be_started
            preparing_what_is_missing_says_not_found
            waiting_gives_the_exit_code
            waiting_for_a_unit_that_does_not_run_returns_at_once
            a_wish_to_stop_ends_a_unit_that_heeds_it
            a_unit_that_ignores_the_wish_to_stop_is_killed
            a_signal_to_a_unit_that_does_not_run_is_no_error
            an_ended_unit_starts_again
            removing_kills_and_may_be_repeated
            a_unit_is_observed_with_its_labels
            only_units_of_the_daemon_and_the_app_are_in_scope
            a_new_daemon_finds_what_runs_and_what_has_ended
            output_is_complete_across_a_restart
            output_goes_on_after_any_line
            a_tail_begins_with_the_last_lines
            output_ends_when_the_unit_is_removed
            a_command_inside_gives_its_exit_code
            a_command_inside_is_killed_at_its_deadline
            a_listening_socket_is_seen
            a_running_unit_uses_memory
            a_hint_says_within_a_second_that_a_unit_has_died
        }
    };
}

/// One named, asynchronous test for each promise of [`Runtime`], against a [`RuntimeFixture`]. The calling crate needs
/// tokio.
#[macro_export]
macro_rules! runtime_contract {
    ($fixture:ty) => {
        $crate::runtime_promises! { $crate::runtime_contract, @tests $fixture; }
    };
    (@tests $fixture:ty; $($name:ident)*) => {
        $(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() -> $crate::contract::ContractResult {
                $crate::contract::runtime::keep::<$fixture>(stringify!($name)).await
            }
        )*
    };
}

macro_rules! table {
    ($fixture:ident; $($name:ident)*) => {
        vec![$(Promise {
            name: stringify!($name),
            run: || Box::pin(async {
                let fixture = $fixture::new().await?;
                let result = $name(&fixture).await;
                fixture.close().await;
                result
            }),
        }),*]
    };
}

use life::*;
use output::*;
use scope::*;
use work::*;

/// All promises, to be put to the test against `F`.
#[must_use]
pub fn promises<F: RuntimeFixture + 'static>() -> Vec<Promise> {
    runtime_promises! { table, F; }
}

/// Puts the promise of this name to the test against `F`.
///
/// # Errors
/// The first error of the runtime, or that there is no such promise.
///
/// # Panics
/// When the runtime breaks the promise.
pub async fn keep<F: RuntimeFixture + 'static>(name: &str) -> ContractResult {
    match promises::<F>().into_iter().find(|promise| promise.name == name) {
        Some(promise) => (promise.run)().await,
        None => Err(format!("there is no promise {name}").into()),
    }
}

/// How long anything may take that is not measured: a container on a busy machine needs seconds.
const LIMIT: Duration = Duration::from_secs(30);

/// Waits for `future`, but not for ever.
async fn within<T>(what: &str, future: impl Future<Output = T>) -> Result<T, Box<dyn Error>> {
    tokio::time::timeout(LIMIT, future).await.map_err(|_| format!("{what} took longer than {LIMIT:?}").into())
}

/// The unit in slot 1 of `app`. Its release is named after the fixture's daemon, so that fixtures which share an engine
/// are not in each other's way.
fn unit_id<F: RuntimeFixture>(fixture: &F, app: &str) -> Result<UnitId, Box<dyn Error>> {
    let release: String = fixture.daemon().as_str().chars().take(6).collect();
    let (app, release): (AppName, ReleaseId) = (app.parse()?, release.parse()?);
    Ok(UnitId::new(&app, &release, 1))
}

/// A unit of `shop` that is prepared, and not created.
async fn prepared<F: RuntimeFixture>(fixture: &F, doing: Doing) -> Result<UnitSpec, Box<dyn Error>> {
    let spec = Arc::new(fixture.spec(doing));
    let prepared = within("prepare", fixture.runtime().prepare(&spec, None, &Progress::default())).await??;
    Ok(UnitSpec { id: unit_id(fixture, "shop")?, daemon: fixture.daemon(), spec, prepared })
}

/// A unit of `shop` that is created.
async fn created<F: RuntimeFixture>(fixture: &F, doing: Doing) -> Result<UnitId, Box<dyn Error>> {
    let unit = prepared(fixture, doing).await?;
    within("create", fixture.runtime().create(&unit)).await??;
    Ok(unit.id)
}

/// A unit of `shop` that does what it is meant to do.
async fn ready<F: RuntimeFixture>(fixture: &F, doing: Doing) -> Result<UnitId, Box<dyn Error>> {
    let unit = created(fixture, doing).await?;
    within("start", fixture.runtime().start(&unit)).await??;
    wait_ready(&*fixture.runtime(), &unit, 1).await?;
    Ok(unit)
}

/// Waits until the unit has said `times` times that it is ready.
async fn wait_ready(runtime: &dyn Runtime, unit: &UnitId, times: usize) -> ContractResult {
    let logs = runtime.logs(unit, LogCursor::Start).await?;
    until(logs, |pieces| pieces.iter().filter(|piece| piece.line == b"ready").count() == times).await?;
    Ok(())
}

/// Reads output until `enough`.
async fn until(
    mut logs: LogPieces,
    enough: impl Fn(&[LogPiece]) -> bool,
) -> Result<Vec<LogPiece>, Box<dyn Error>> {
    let mut pieces = Vec::new();
    let read = async {
        while !enough(&pieces) {
            match logs.next().await {
                Some(piece) => pieces.push(piece?),
                None => return Err("the output has ended".into()),
            }
        }
        Ok::<_, Box<dyn Error>>(())
    };
    let outcome = tokio::time::timeout(LIMIT, read).await;
    match outcome {
        Ok(Ok(())) => Ok(pieces),
        Ok(Err(error)) => Err(format!("{error}; so far: {}", texts(&pieces).join(" | ")).into()),
        Err(_) => Err(format!("no more output for {LIMIT:?}; so far: {}", texts(&pieces).join(" | ")).into()),
    }
}

fn texts(pieces: &[LogPiece]) -> Vec<String> {
    pieces.iter().map(|piece| String::from_utf8_lossy(&piece.line).into_owned()).collect()
}

/// The unit as it is observed; `None` when it is not.
async fn seen(
    runtime: &dyn Runtime,
    daemon: &DaemonId,
    unit: &UnitId,
) -> Result<Option<UnitObserved>, Box<dyn Error>> {
    let all = within("observe", runtime.observe(&Scope::All(daemon.clone()))).await??;
    Ok(all.into_iter().find(|observed| observed.id.as_ref() == Some(unit)))
}
