//! `upgrade`: the program that lies where the daemon's does takes over.

use std::time::Duration;

use nd_api::v1::{DaemonView, UpgradeView};
use serde::Serialize;
use tokio::time::{Instant, sleep};

use super::{Context, Outcome};
use crate::failure::{Exit, Failure};
use crate::render::time;

/// How long the new proxy may take to serve and the old one to finish what is in flight.
const PROXY: Duration = Duration::from_secs(60);

/// How long the daemon may be away.
const AWAY: Duration = Duration::from_secs(30);

/// Between two looks.
const AGAIN: Duration = Duration::from_millis(50);

#[derive(Serialize)]
struct Upgraded<'a> {
    #[serde(flatten)]
    upgrade: &'a UpgradeView,
    took_ms: u64,
}

pub(super) async fn run(context: &Context<'_>) -> Outcome {
    let began = Instant::now();
    context.output.note("the proxy goes first; what is in flight through the old one may take 10s to finish");
    let upgrade = context.client.upgrade(PROXY).await?;
    context.output.note(&format!("the proxy serves from {}; now the daemon", upgrade.program));
    let daemon = back(&upgrade, context).await?;
    let took = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
    if context.output.json {
        context.output.object(&Upgraded { upgrade: &upgrade, took_ms: took });
    } else {
        let (from, to, pid) = (&upgrade.from, &daemon.version, daemon.pid);
        context.output.result(&format!("{from} → {to} in {}; daemon pid {pid}", time::took(took)));
    }
    daemon.notes.iter().for_each(|note| context.output.warning(note));
    Ok(Exit::Ok)
}

/// Waits until another daemon answers than the one that was asked.
async fn back(upgrade: &UpgradeView, context: &Context<'_>) -> Result<DaemonView, Failure> {
    let deadline = Instant::now() + AWAY;
    loop {
        match context.client.daemon().await {
            Ok(daemon) if daemon.started_at != upgrade.started_at => return Ok(daemon),
            Ok(_) | Err(_) if Instant::now() < deadline => sleep(AGAIN).await,
            _ => {
                let what = format!("the daemon is not back after {}s; the proxy serves on", AWAY.as_secs());
                return Err(Failure::failed(what).fix("journalctl -u nextdeployd -n 50"));
            }
        }
    }
}
