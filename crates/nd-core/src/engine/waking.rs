//! Waking apps that sleep when somebody asks for them.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use nd_types::AppName;
use tokio_util::sync::CancellationToken;

use super::reconciler;
use super::shared::Shared;
use crate::model::AppPhase;
use crate::model::edit::Edit;
use crate::ports::{EdgeFeature, Ingress};

/// The pause after an ingress that could not be asked.
const REST: Duration = Duration::from_millis(500);

/// Listens to every ingress behind which an app may sleep.
pub(super) fn start(shared: &Arc<Shared>, shutdown: &CancellationToken) {
    for (_, ingress) in shared.registry.ingresses().filter(|(_, one)| one.caps().has(EdgeFeature::Hold)) {
        shared.tasks.spawn("wake", run(Arc::clone(shared), Arc::clone(ingress), shutdown.clone()));
    }
}

/// Wakes whom somebody waits for, until `shutdown`.
async fn run(shared: Arc<Shared>, ingress: Arc<dyn Ingress>, shutdown: CancellationToken) {
    let wake = async {
        let mut known = BTreeSet::new();
        loop {
            match ingress.wanted(&known).await {
                Ok(wanted) => {
                    for app in &wanted {
                        wake(&shared, app).await;
                    }
                    known = wanted;
                }
                Err(error) => {
                    tracing::warn!(%error, "ask the ingress whom somebody waits for");
                    tokio::time::sleep(REST).await;
                }
            }
        }
    };
    shutdown.run_until_cancelled(wake).await;
}

async fn wake(shared: &Shared, app: &AppName) {
    let Some(entry) = shared.entry(app) else { return };
    if entry.status.borrow().phase != AppPhase::Sleeping {
        return;
    }
    if let Err(error) = reconciler::ask(&entry.mailbox, Edit::Wake, "").await {
        tracing::warn!(%app, %error, "wake an app");
    }
}
