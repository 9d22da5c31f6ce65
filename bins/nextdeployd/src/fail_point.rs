//! Breaking the daemon on purpose, for tests of what it makes of it. Only in debug builds.

use nd_core::engine::FailPoint;
use nd_supervise::Supervisor;
use tokio::signal::unix::{Signal, SignalKind, signal};

/// The value of `ND_FAILPOINT` that makes SIGUSR2 strike every worker.
const STRIKE: &str = "panic-workers";

/// The fail point that `ND_FAILPOINT` names (`after-create`), in a debug build.
pub(crate) fn from_environment() -> Option<FailPoint> {
    let name = wanted()?;
    Some(std::sync::Arc::new(move |moment: &str| {
        if moment == name {
            // As sudden as SIGKILL: nothing is flushed, nothing is said.
            std::process::abort();
        }
    }))
}

/// With `ND_FAILPOINT=panic-workers`, makes every worker panic once at each SIGUSR2. Otherwise waits for ever.
pub(crate) async fn strike_workers(supervisor: &Supervisor) {
    let wanted = wanted().is_some_and(|name| name == STRIKE);
    let asked = wanted.then(|| signal(SignalKind::user_defined2())).and_then(Result::ok);
    let Some(mut asked): Option<Signal> = asked else {
        return std::future::pending().await;
    };
    while asked.recv().await.is_some() {
        for worker in supervisor.workers() {
            supervisor.inject_panic(worker.name);
        }
    }
}

fn wanted() -> Option<String> {
    if cfg!(debug_assertions) { std::env::var("ND_FAILPOINT").ok() } else { None }
}
