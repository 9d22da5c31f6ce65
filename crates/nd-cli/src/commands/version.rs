//! `version`: of this program, and of the daemon where one answers.

use nd_api::v1::VersionView;
use serde::Serialize;

use super::{Context, Outcome};
use crate::failure::Exit;

#[derive(Serialize)]
struct Versions {
    client: VersionView,
    #[serde(skip_serializing_if = "Option::is_none")]
    daemon: Option<VersionView>,
}

pub(super) async fn run(context: &Context<'_>) -> Outcome {
    let client = VersionView {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        commit: None,
        platform: format!("{}/{}", std::env::consts::OS, std::env::consts::ARCH),
        api: vec!["v1".to_owned()],
    };
    let daemon = match context.client.version().await {
        Ok(version) => Some(version),
        Err(error) => {
            if context.output.verbose {
                context.output.note(&error.to_string());
            }
            None
        }
    };
    let output = context.output;
    if output.json {
        output.object(&Versions { client, daemon });
        return Ok(Exit::Ok);
    }
    output.result(&format!("{} {} ({})", context.typed.program(), client.version, client.platform));
    match daemon {
        Some(daemon) => output.result(&format!(
            "daemon {} ({}) at {}",
            daemon.version,
            daemon.platform,
            context.client.host()
        )),
        None => output.result(&format!("no daemon answers at {}", context.client.host())),
    }
    Ok(Exit::Ok)
}
