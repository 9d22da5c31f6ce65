//! `flush`: drops the log lines that are kept.

use nd_api::v1::OperationView;

use super::{Context, Outcome};
use crate::args::FlushArgs;
use crate::failure::Exit;
use crate::targets;

pub(super) async fn run(args: &FlushArgs, context: &Context<'_>) -> Outcome {
    let mut apps = targets::narrowed(&args.apps, &args.name, context.global, &context.client).await?;
    if apps.is_empty() {
        apps = context.client.apps().await?.into_iter().map(|app| app.name).collect();
    }
    let mut views: Vec<OperationView> = Vec::new();
    for app in &apps {
        let view = context.client.clear_logs(app).await?;
        if !context.output.json {
            context.output.result(&format!("{app} flushed; what it writes from now on is kept"));
        }
        view.notes.iter().for_each(|note| context.output.warning(note));
        views.push(view);
    }
    if context.output.json {
        context.output.list(&views);
    } else if apps.is_empty() {
        context.output.note("there are no apps, and so no log lines");
    }
    Ok(Exit::Ok)
}
