//! `workers` and `status --workers`.

use nd_api::v1::WorkerState;

use super::{Context, Outcome};
use crate::failure::Exit;
use crate::render::table::{Text, Tone, render};
use crate::render::time;

pub(super) async fn run(context: &Context<'_>) -> Outcome {
    let workers = context.client.workers().await?.items;
    if context.output.json {
        context.output.list(&workers);
        return Ok(Exit::Ok);
    }
    let rows = workers.iter().map(|worker| {
        let (word, tone) = match worker.state {
            WorkerState::Pending => ("pending", Tone::Odd),
            WorkerState::Running => ("running", Tone::Good),
            WorkerState::Backoff => ("backoff", Tone::Odd),
            WorkerState::Quarantined => ("quarantined", Tone::Bad),
            WorkerState::Done => ("done", Tone::Dim),
        };
        vec![
            Text::plain(worker.name.clone()),
            Text(word.to_owned(), tone),
            Text::plain(worker.restarts.to_string()),
            Text::or_dash(worker.heartbeat_age_ms.map(time::took)),
            Text::or_dash(worker.last_failure.clone()),
        ]
    });
    context.output.result(&render(
        &["worker", "state", "restarts", "heartbeat", "last failure"],
        rows.collect(),
        context.output,
    ));
    Ok(Exit::Ok)
}
