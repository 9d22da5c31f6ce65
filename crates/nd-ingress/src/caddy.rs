//! A Caddy that runs beside us, driven through its admin API.
//!
//! Our routes carry an `@id` that begins with `nextdeploy`; nothing else in its configuration is ever changed. Each table goes
//! in with one conditional write, so that nobody's change is lost; Caddy answers when it serves. Each time it closes idle
//! connections of clients, and its listeners.

mod admin;
mod certificates;
mod config;
mod reloads;
mod routes;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use nd_core::ports::{
    BindFault, EdgeFeature, EdgeTls, Ingress, IngressCaps, PortError, PortErrorKind, PortResult,
};
use nd_types::{EdgeState, Generation, IngressKind};
use serde::Deserialize;
use serde_json::Value;
use tokio::time::Instant;

use crate::beside::tls::{self, Https};
use crate::beside::{Beside, Server};

use admin::{Admin, Changed};
use reloads::Reloads;

/// The table `[caddy]` of `nextdeployd.toml`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CaddySettings {
    /// Where its admin API listens: `ADDRESS:PORT` or `unix//PATH`, as in its own configuration.
    pub admin: String,
    /// Where it serves our apps.
    pub http: SocketAddr,
    /// Where it serves those that have a certificate over TLS; beside port 80 where nothing is written.
    pub https: Option<Https>,
    /// Whose certificates it shows there.
    pub certificates: Certificates,
}

/// Whose certificates Caddy shows for our apps.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Certificates {
    /// Those that the daemon orders.
    #[default]
    NextDeploy,
    /// Its own: it gets one for each host, and leads visitors of plain HTTP to TLS.
    Caddy,
}

impl Default for CaddySettings {
    /// The admin API where Caddy has it, ports 80 and 443 of every address, certificates that the daemon orders.
    fn default() -> Self {
        Self {
            admin: "127.0.0.1:2019".to_owned(),
            http: SocketAddr::from(([0, 0, 0, 0], 80)),
            https: None,
            certificates: Certificates::default(),
        }
    }
}

/// A table that meets a change of somebody else is tried so often.
const TRIES: u32 = 8;

/// How often it is looked whether our routes are still there: another start from its own file brings a configuration
/// without them.
const LOOK: Duration = Duration::from_secs(1);

/// Connections that were opened before a change and have asked nothing yet are answered from the table before it, until
/// Go's server closes them: after five seconds, which it looks at twice a second.
const UNUSED: Duration = Duration::from_secs(6);

/// Begins to drive a Caddy; what it serves of ours is kept in `folder`. It is reached for the first time when there is something
/// to serve.
///
/// # Errors
/// `Invalid` when `admin` is no address.
pub fn caddy_ingress(settings: &CaddySettings, folder: PathBuf) -> PortResult<Arc<dyn Ingress>> {
    let admin = Admin::at(&settings.admin)?;
    let CaddySettings { http, certificates, .. } = *settings;
    let places = Places { http, https: tls::address(settings.https, http), certificates };
    Ok(Arc::new(Beside::new(Caddy { admin, places, reloads: Reloads::default() }, folder, Some(LOOK))))
}

struct Caddy {
    admin: Admin,
    places: Places,
    reloads: Reloads,
}

/// Where our apps are served, and with whose certificates.
struct Places {
    http: SocketAddr,
    https: Option<SocketAddr>,
    certificates: Certificates,
}

#[async_trait]
impl Server for Caddy {
    fn caps(&self) -> IngressCaps {
        let tls = match (self.places.https, self.places.certificates) {
            (None, _) => EdgeTls::Never,
            (Some(https), Certificates::NextDeploy) => EdgeTls::At(https),
            (Some(https), Certificates::Caddy) => EdgeTls::ByItself(https),
        };
        IngressCaps { kind: IngressKind::Caddy, features: &[EdgeFeature::H2c], tls }
    }

    fn http_addr(&self) -> SocketAddr {
        self.places.http
    }

    async fn check(&self) -> PortResult<()> {
        self.admin.config().await.map(drop)
    }

    async fn serve(&self, before: &EdgeState, state: &EdgeState) -> PortResult<Vec<BindFault>> {
        for _ in 0..TRIES {
            let (found, tag) = self.admin.config().await?;
            let (config, faults) = config::with(&found, &self.places, before, state);
            if config == found {
                return Ok(faults);
            }
            self.reloads.prepare();
            if self.admin.replace(&config, &tag).await? == Changed::Done {
                return Ok(faults);
            }
        }
        let context = "apply routes: Caddy's configuration is changed by somebody else all the time";
        Err(PortError::new(PortErrorKind::Transient, context))
    }

    async fn generation(&self) -> PortResult<Option<Generation>> {
        let marker = self.admin.by_id(config::MARKER).await?;
        let number = marker.as_ref().and_then(|route| route.pointer("/handle/0/generation"));
        Ok(number.and_then(Value::as_str).and_then(|number| number.parse().ok()).map(Generation))
    }

    async fn has_let_go(&self, replaced: Instant) -> bool {
        replaced.elapsed() >= UNUSED
    }
}
