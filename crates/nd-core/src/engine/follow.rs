//! Following one deployment: what it has told so far, then live, up to its last event.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use futures_util::{Stream, stream};
use nd_types::DeploymentId;
use tokio::sync::broadcast::{self, error::RecvError};
use tokio::time::Instant;

use super::reconciler::ends_deployment;
use super::shared::Shared;
use crate::events::StoredEvent;
use crate::ports::HistoryQuery;

/// Events of one deployment that are read back from the store.
const STORED: usize = 1000;

/// How long the last event of a deployment that has ended may take to appear; longer means that a daemon was killed
/// before it could store it.
const LAST_EVENT: Duration = Duration::from_secs(2);

/// Every event of a deployment from its start, then live, up to its last one. Who reads too slowly misses nothing that
/// was stored.
pub(super) async fn follow(
    shared: Arc<Shared>,
    id: DeploymentId,
) -> impl Stream<Item = Arc<StoredEvent>> + Send + use<> {
    let live = shared.bus.subscribe();
    let mut follower =
        Follower { shared, id, live, waiting: VecDeque::new(), last: 0, over: false, give_up: None };
    follower.catch_up().await;
    stream::unfold(follower, |mut follower| async move { Some((follower.next().await?, follower)) })
}

struct Follower {
    shared: Arc<Shared>,
    id: DeploymentId,
    live: broadcast::Receiver<Arc<StoredEvent>>,
    /// Read back, and not handed out yet.
    waiting: VecDeque<Arc<StoredEvent>>,
    /// The number of the last event that was handed out.
    last: u64,
    /// Whether the last event was handed out.
    over: bool,
    /// When to wait no longer for the last event.
    give_up: Option<Instant>,
}

impl Follower {
    async fn next(&mut self) -> Option<Arc<StoredEvent>> {
        while !self.over {
            let event = match self.waiting.pop_front() {
                Some(event) => Ok(event),
                None => self.receive().await,
            };
            let event = match event {
                Ok(event) => event,
                Err(RecvError::Lagged(_)) => {
                    self.catch_up().await;
                    continue;
                }
                Err(RecvError::Closed) => return None,
            };
            if event.deployment.as_ref() == Some(&self.id) && event.id > self.last {
                self.last = event.id;
                self.over = ends_deployment(&event.what);
                return Some(event);
            }
        }
        None
    }

    /// The next event as it happens. Nothing more is waited for once the deployment has ended.
    async fn receive(&mut self) -> Result<Arc<StoredEvent>, RecvError> {
        let ended = self.shared.deployments.read().get(&self.id).map(|known| known.finished_at.is_some());
        match ended {
            None => Err(RecvError::Closed),
            Some(false) => self.live.recv().await,
            Some(true) => {
                let give_up = *self.give_up.get_or_insert_with(|| Instant::now() + LAST_EVENT);
                let last = tokio::time::timeout_at(give_up, self.live.recv()).await;
                last.unwrap_or(Err(RecvError::Closed))
            }
        }
    }

    async fn catch_up(&mut self) {
        let (recent, live) = self.shared.bus.of_deployment(&self.id);
        self.live = live;
        self.waiting = self.stored(recent.first().map(|event| event.id)).await.into();
        self.waiting.extend(recent);
    }

    async fn stored(&self, before: Option<u64>) -> Vec<Arc<StoredEvent>> {
        let query = HistoryQuery {
            deployment: Some(self.id.clone()),
            before,
            after: Some(self.last),
            limit: STORED,
            ..HistoryQuery::default()
        };
        match self.shared.store.events(&query).await {
            Ok(mut events) => {
                events.reverse();
                events.into_iter().map(Arc::new).collect()
            }
            Err(error) => {
                let deployment = &self.id;
                tracing::warn!(%deployment, %error, "the deployment's earlier events could not be read");
                Vec::new()
            }
        }
    }
}
