//! Why the engine refuses a wish, in words for the user.

use std::net::SocketAddr;

use nd_types::{
    AppName, DeploymentId, HostPattern, IngressKind, RuntimeKind, StrategyName, Timestamp, Upstream,
};

use crate::model::edit::EditError;
use crate::ports::{IssuerName, PortError};

/// Why a wish was not taken, or not fulfilled in time.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// There is no such app.
    #[error("Application {0} not found in monitoring")]
    UnknownApp(AppName),
    /// There is no such deployment.
    #[error("deployment {0} is not known")]
    UnknownDeployment(DeploymentId),
    /// Another deployment of the app is under way.
    #[error(
        "deployment {deployment} by {actor} has been under way since {since}; wait for it with --lock-wait, or cancel it"
    )]
    Busy {
        /// The deployment.
        deployment: DeploymentId,
        /// When it began.
        since: Timestamp,
        /// Who asked for it.
        actor: String,
    },
    /// A route belongs to another app.
    #[error("{host} already belongs to app `{by}`; remove it there first, or choose another domain")]
    HostTaken {
        /// Host and path.
        host: String,
        /// Who has it.
        by: AppName,
    },
    /// A host port belongs to another app.
    #[error("host port {bind} already belongs to app `{by}`; choose another one")]
    HostPortTaken {
        /// The address.
        bind: SocketAddr,
        /// Who has it.
        by: AppName,
    },
    /// Another app is reached by this name.
    #[error("the name `{name}` already leads to app `{by}`; choose another one in `aliases`")]
    NameTaken {
        /// The name.
        name: String,
        /// Who has it.
        by: AppName,
    },
    /// No such runtime is registered.
    #[error("runtime {0} is not available in this daemon")]
    NoRuntime(RuntimeKind),
    /// The upstream is what would bring requests to it.
    #[error(
        "requests to {upstream} would go round in circles: the {kind} proxy itself listens there; name the server behind it"
    )]
    UpstreamIsIngress {
        /// The upstream.
        upstream: Upstream,
        /// The ingress.
        kind: IngressKind,
    },
    /// What brings the app's requests cannot do what it asks for.
    #[error("{kind} cannot do {what}; take it out, or use `proxy_type: embedded`")]
    IngressLacks {
        /// The ingress.
        kind: IngressKind,
        /// What it was asked for, in the words of `nextdeploy.yml`.
        what: String,
    },
    /// What is to bring the app's requests is not there.
    #[error("{0}")]
    Ingress(PortError),
    /// Nobody could prove to an issuer that a wildcard is ours.
    #[error(
        "{issuer} gives a certificate for {host} only to who can write into its DNS (dns-01), and nobody who does is set up"
    )]
    Unprovable {
        /// The wildcard.
        host: HostPattern,
        /// Who would issue it.
        issuer: IssuerName,
    },
    /// Nobody has the name of an issuer or of a DNS provider that was asked for.
    #[error("{0}")]
    Certificates(PortError),
    /// The strategy that was asked for cannot be used.
    #[error("strategy {0} cannot be used: {1}; use `strategy: recreate`")]
    Strategy(StrategyName, String),
    /// There is no earlier release.
    #[error("app `{0}` has no earlier release to go back to")]
    NothingToRollBackTo(AppName),
    /// The wish does not fit what is under way.
    #[error(transparent)]
    Edit(#[from] EditError),
    /// Not fulfilled in time; it goes on.
    #[error("app `{app}` did not settle within {}; work goes on", nd_types::format_duration(*.within))]
    Timeout {
        /// The app.
        app: AppName,
        /// How long was waited.
        within: std::time::Duration,
    },
    /// The wish could not be stored, and so does not count.
    #[error("could not store the change: {0}")]
    Store(PortError),
    /// The daemon is ending.
    #[error("the daemon is shutting down")]
    ShuttingDown,
}
