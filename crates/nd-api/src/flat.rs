//! The flat paths (`POST /deploy`, `GET /status`, `GET /health`): their envelope and bodies, exactly as promised.

use nd_types::{AppName, DeploymentId, HostPattern, Timestamp, Upstream};
use serde::{Deserialize, Serialize};

use crate::manifest::{Env, ImageRef, Manifest, Port, ProxyType};
use crate::v1::Phase;

/// The envelope around every answer of the flat paths.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Envelope<T> {
    /// Whether it worked; the HTTP status says how it did not.
    pub success: bool,
    /// What happened, as in `Deployment started` or `App not found`.
    pub message: String,
    /// The answer itself; left out where there is none.
    #[serde(default = "none", skip_serializing_if = "Option::is_none")]
    pub payload: Option<T>,
}

impl<T> Envelope<T> {
    /// A good answer.
    pub fn ok(message: impl Into<String>, payload: T) -> Self {
        Self { success: true, message: message.into(), payload: Some(payload) }
    }
}

impl Envelope<()> {
    /// A refusal.
    pub fn error(message: impl Into<String>) -> Self {
        Self { success: false, message: message.into(), payload: None }
    }
}

/// The body of `POST /deploy`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DeployRequest {
    /// The app.
    pub app_name: AppName,
    /// The image to run.
    pub image: ImageRef,
    /// Environment variables.
    #[serde(default, skip_serializing_if = "Env::is_empty")]
    pub env: Env,
    /// The port the app listens on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub port: Option<Port>,
    /// The host name that leads to it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub domain: Option<HostPattern>,
    /// Which proxy shall serve it; as before, or what the daemon has as its default, where it is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proxy_type: Option<ProxyType>,
}

impl DeployRequest {
    /// The same wish as a manifest, so that both travel one path through the engine.
    #[must_use]
    pub fn into_manifest(self) -> Manifest {
        let mut manifest = Manifest::new(self.app_name);
        manifest.image = Some(self.image);
        manifest.env = self.env;
        manifest.app.port = self.port;
        manifest.app.domain = self.domain;
        manifest.app.proxy_type = self.proxy_type;
        manifest
    }
}

/// The body of `POST /proxy/configure`: what is left out stays as the app has it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ConfigureProxyRequest {
    /// The app.
    pub app_name: AppName,
    /// The host name that leads to it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub domain: Option<HostPattern>,
    /// The port the app listens on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub port: Option<Port>,
    /// Which proxy shall serve it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proxy_type: Option<ProxyType>,
    /// A server that something else runs: the app is that server from then on, and nothing runs here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub upstream: Option<Upstream>,
}

/// The body of `POST /swap`: like [`DeployRequest`], but what is left out stays as the app has it.
pub type SwapRequest = DeployRequest;

/// Which app `POST /stop`, `POST /restart` and `GET /status` mean: `?app=` or a body.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AppSelector {
    /// The app.
    #[serde(default, alias = "app", skip_serializing_if = "Option::is_none")]
    pub app_name: Option<AppName>,
}

/// The body of `POST /certs/rotate`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RotateRequest {
    /// A name that the certificate is for.
    pub domain: HostPattern,
}

/// The payload of `POST /certs/rotate`: what serves from now on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RotatedCert {
    /// The name that was asked for.
    pub domain: HostPattern,
    /// The serial number in lower-case hexadecimal digits, two a byte.
    pub serial: String,
    /// Valid from.
    pub not_before: Timestamp,
    /// Valid up to and including.
    pub not_after: Timestamp,
}

/// The four words for an app's state that the flat paths use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// It serves.
    Running,
    /// It was stopped, or is being stopped.
    Stopped,
    /// It failed, or crashes again and again.
    Error,
    /// A deployment is under way.
    Updating,
}

impl From<Phase> for Status {
    fn from(phase: Phase) -> Self {
        match phase {
            Phase::Running | Phase::Degraded => Self::Running,
            Phase::Deploying | Phase::RollingBack => Self::Updating,
            Phase::Failed => Self::Error,
            Phase::Sleeping | Phase::Stopping | Phase::Stopped | Phase::Removing => Self::Stopped,
        }
    }
}

impl std::fmt::Display for Status {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Running => "running",
            Self::Stopped => "stopped",
            Self::Error => "error",
            Self::Updating => "updating",
        })
    }
}

/// One app, as `POST /deploy` and `GET /status` answer it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AppStatus {
    /// The app.
    pub app_name: AppName,
    /// The image; empty for an app that is a plain process.
    pub image: String,
    /// Its state.
    pub status: Status,
    /// The port it listens on.
    pub port: Option<u16>,
    /// The host name that leads to it.
    pub domain: Option<String>,
    /// When its state was last changed.
    pub updated_at: Timestamp,
    /// Its state more finely.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phase: Option<Phase>,
    /// Why it is in this state, where there is a reason.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The deployment that was started.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deployment_id: Option<DeploymentId>,
    /// What the user should know, as in `proxy_type caddy is not available; serving through the embedded proxy`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
}

/// The payload of `GET /metrics` as JSON.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SystemMetrics {
    /// Processor use of the host in percent.
    pub cpu: f64,
    /// Memory in use in percent.
    pub memory: f64,
    /// Disk in use in percent, where the data directory lies.
    pub disk: f64,
    /// How long the daemon runs, as in `1h42m`.
    pub uptime: String,
    /// More about the host.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<serde_json::Value>,
    /// Figures of each app.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub apps: Vec<serde_json::Value>,
}

/// The body of `GET /health`, which has no envelope.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Health {
    /// `ok`, or `degraded` while a worker is down.
    pub status: String,
    /// Now.
    pub timestamp: Timestamp,
    /// `nextdeployd`.
    pub service: String,
    /// How long the daemon runs, in seconds.
    pub uptime: f64,
    /// Memory of the daemon itself.
    pub memory: HealthMemory,
    /// Errors of the daemon itself.
    pub errors: HealthErrors,
    /// API requests answered since the start.
    pub requests: u64,
}

/// Memory of the daemon.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct HealthMemory {
    /// Resident bytes.
    pub rss: u64,
}

/// Errors of the daemon since its start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct HealthErrors {
    /// All of them.
    pub total: u64,
    /// In the last hour.
    pub last_hour: u64,
    /// In the last minute.
    pub last_minute: u64,
}

fn none<T>() -> Option<T> {
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_documented_body_is_read() {
        let body = r#"{"app_name":"myapp","image":"myimage","env":{"PORT":"3000"},"port":3000,"domain":"myapp.com","proxy_type":"caddy"}"#;
        let request: DeployRequest = serde_json::from_str(body).unwrap();
        assert_eq!(request.proxy_type, Some(ProxyType::Caddy));
        let manifest = request.into_manifest();
        assert_eq!(manifest.app.port.map(Port::get), Some(3000));
        assert_eq!(manifest.env.get("PORT"), Some("3000"));
    }

    #[test]
    fn a_bad_body_is_told_what_is_wrong_with_it() {
        for (body, reason) in [
            (r#"{"image":"a"}"#, "missing field `app_name`"),
            (r#"{"app_name":"A","image":"a"}"#, "only a-z, 0-9 and - are allowed"),
            (r#"{"app_name":"a","image":""}"#, "image must not be empty"),
            (r#"{"app_name":"a","image":"a","port":0}"#, "port must be 1–65535, found 0"),
            (r#"{"app_name":"a","image":"a","imge":"b"}"#, "unknown field `imge`"),
            (
                r#"{"app_name":"a","image":"a","proxy_type":"apache"}"#,
                "`apache` is not one of embedded, caddy, nginx",
            ),
        ] {
            let error = serde_json::from_str::<DeployRequest>(body).unwrap_err().to_string();
            assert!(error.contains(reason), "{body}: {error}");
        }
    }

    #[test]
    fn an_empty_payload_is_left_out() {
        let text = serde_json::to_string(&Envelope::error("App not found")).unwrap();
        assert_eq!(text, r#"{"success":false,"message":"App not found"}"#);
    }
}
