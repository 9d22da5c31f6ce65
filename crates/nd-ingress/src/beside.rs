//! What Caddy and nginx have in common: servers beside this one, which know nothing of units.
//!
//! They are handed whole tables; what serves is remembered here and in a file of ours, and what is in flight on a unit is
//! read off its connections.

mod connections;
pub(crate) mod kept;
pub(crate) mod ports;
pub(crate) mod table;
pub(crate) mod tls;
mod units;

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use nd_core::ports::{
    AppTraffic, Applied, BindFault, DrainReport, Ingress, IngressCaps, PortError, PortErrorKind, PortResult,
};
use nd_supervise::TaskSet;
use nd_types::{AppName, EdgeState, Generation, UnitId};
use parking_lot::Mutex;
use tokio::time::Instant;

use kept::Kept;
pub(crate) use kept::replace;
use units::Units;

/// How long a question after sleeping apps is left open: none of these servers lets an app sleep.
const NOBODY: Duration = Duration::from_secs(30);

/// One of those servers.
#[async_trait]
pub(crate) trait Server: Send + Sync + 'static {
    /// What it is called and what it can do.
    fn caps(&self) -> IngressCaps;

    /// Where visitors reach it.
    fn http_addr(&self) -> SocketAddr;

    /// Whether it could take a table now.
    async fn check(&self) -> PortResult<()>;

    /// Has it serve this state and nothing else of ours. Returns when it does, with the host ports that could not be opened;
    /// `before` is what it serves of ours now.
    async fn serve(&self, before: &EdgeState, state: &EdgeState) -> PortResult<Vec<BindFault>>;

    /// Which of our states it serves; nothing where it serves none. Asked again and again, so that a server that began anew
    /// without our routes gets them back.
    async fn generation(&self) -> PortResult<Option<Generation>>;

    /// Whether the table that was replaced at this moment is used by nothing any more but requests in flight.
    async fn has_let_go(&self, replaced: Instant) -> bool;
}

/// An [`Ingress`] on a server beside us. Cheap to clone.
pub(crate) struct Beside<S> {
    inner: Arc<Inner<S>>,
}

struct Inner<S> {
    server: S,
    kept: Kept,
    state: Mutex<Arc<EdgeState>>,
    units: Units,
    /// Held by whoever changes what the server serves.
    turn: tokio::sync::Mutex<()>,
    tasks: TaskSet,
}

impl<S> Clone for Beside<S> {
    fn clone(&self) -> Self {
        Self { inner: Arc::clone(&self.inner) }
    }
}

impl<S: Server> Beside<S> {
    /// Goes on with what was served last, as the file in `folder` has it. `look` is how often the server is asked whether it
    /// still serves that.
    pub(crate) fn new(server: S, folder: PathBuf, look: Option<Duration>) -> Self {
        let kept = Kept::in_folder(folder);
        let state = kept.read();
        let units = Units::default();
        units.named_by(&state);
        let inner = Inner {
            server,
            kept,
            state: Mutex::new(Arc::new(state)),
            units,
            turn: tokio::sync::Mutex::default(),
            tasks: TaskSet::new("ingress"),
        };
        let this = Self { inner: Arc::new(inner) };
        if let Some(look) = look {
            // Only as long as somebody has a use for it.
            let watched = Arc::downgrade(&this.inner);
            this.inner.tasks.spawn("watch the ingress", async move {
                loop {
                    tokio::time::sleep(look).await;
                    let Some(inner) = watched.upgrade() else { return };
                    inner.restore().await;
                }
            });
        }
        this
    }
}

impl<S: Server> Inner<S> {
    fn state(&self) -> Arc<EdgeState> {
        Arc::clone(&self.state.lock())
    }

    /// Has the server serve our state again where it has lost it. One that cannot be reached is asked again later.
    async fn restore(&self) {
        if self.state().services.is_empty() {
            return;
        }
        let _turn = self.turn.lock().await;
        let state = self.state();
        match self.server.generation().await {
            Ok(serving) if serving == Some(state.generation) => {}
            Ok(_) => {
                let kind = self.server.caps().kind;
                match self.server.serve(&EdgeState::default(), &state).await {
                    Ok(_) => tracing::info!(%kind, "the server had lost our routes, and has them again"),
                    Err(error) => tracing::warn!(%kind, %error, "the server has lost our routes"),
                }
            }
            Err(error) => tracing::debug!(%error, "ask the server what it serves"),
        }
    }

    async fn apply(&self, state: Arc<EdgeState>) -> PortResult<Applied> {
        let _turn = self.turn.lock().await;
        let before = self.state();
        if state.generation <= before.generation {
            let (refused, serving) = (state.generation, before.generation);
            let context =
                format!("apply routes of generation {refused}: generation {serving} serves already");
            return Err(PortError::new(PortErrorKind::Conflict, context));
        }
        let faults = self.server.serve(&before, &state).await?;
        self.units.named_by(&state);
        *self.state.lock() = Arc::clone(&state);
        // Only then is it acknowledged: a daemon that starts anew must not go on with an older table.
        self.kept.write(&state).await?;
        Ok(Applied { generation: state.generation, faults })
    }
}

#[async_trait]
impl<S: Server> Ingress for Beside<S> {
    fn caps(&self) -> IngressCaps {
        self.inner.server.caps()
    }

    fn http_addr(&self) -> SocketAddr {
        self.inner.server.http_addr()
    }

    async fn check(&self) -> PortResult<()> {
        self.inner.server.check().await
    }

    async fn apply(&self, state: Arc<EdgeState>) -> PortResult<Applied> {
        // In a task of its own: whoever gives up waiting must not leave the server and our memory of it apart.
        let inner = Arc::clone(&self.inner);
        let applied = self.inner.tasks.spawn_with("apply", async move { inner.apply(state).await });
        ended(applied.await)
    }

    async fn serving(&self) -> PortResult<Arc<EdgeState>> {
        Ok(self.inner.state())
    }

    async fn drain(&self, units: &[UnitId], deadline: Duration) -> PortResult<DrainReport> {
        let server = &self.inner.server;
        Ok(self.inner.units.drain(units, deadline, |replaced| server.has_let_go(replaced)).await)
    }

    async fn wanted(&self, _known: &BTreeSet<AppName>) -> PortResult<BTreeSet<AppName>> {
        tokio::time::sleep(NOBODY).await;
        Ok(BTreeSet::new())
    }

    async fn traffic(&self, _app: &AppName) -> PortResult<AppTraffic> {
        Ok(AppTraffic::default())
    }
}

fn ended<T, E: std::fmt::Display>(ended: Result<PortResult<T>, E>) -> PortResult<T> {
    match ended {
        Ok(result) => result,
        Err(failure) => Err(PortError::new(PortErrorKind::Internal, format!("apply routes: {failure}"))),
    }
}
