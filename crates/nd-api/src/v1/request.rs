//! Bodies and parameters of requests.

use std::fmt;

use nd_types::StrategyName;
use serde::{Deserialize, Serialize};

use crate::manifest::{Instances, Manifest};

/// The body of `POST /apps/{app}/deployments` and of `POST /plan`.
///
/// The client sends it with a [`Manifest`]; the daemon reads it with a `serde_json::Value` in its place and lets
/// `nd-config` check that, so that all mistakes are answered at once, each with its JSON pointer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DeployBody<M = Manifest> {
    /// What the app should be.
    pub manifest: M,
    /// Whether what the manifest leaves out stays as the app has it (`swap`, `start --name=app --restart=always`).
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub inherit: bool,
    /// How to log in to the image's registry; kept in memory only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub registry_auth: Option<RegistryAuth>,
    /// What the user says about this deployment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// How the release replaces the one before, this time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub strategy: Option<StrategyName>,
    /// How many of a hundred clients get the release at each step of a canary, this time; rising, 1 to 100.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub canary_steps: Option<Vec<u8>>,
    /// How long to wait for a deployment of the same app that is under way, in milliseconds; without it the
    /// deployment is queued, with 0 it is refused at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lock_wait_ms: Option<u64>,
    /// Deploy although nothing changed.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub force: bool,
    /// Answer with the plan and do nothing.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub dry_run: bool,
    /// The directory that relative paths of the manifest start from, as the daemon's host sees it. Only a client on
    /// the same host sends it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base_dir: Option<String>,
    /// The client's `PATH`, in which the command of a plain process is searched.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub search_path: Option<String>,
}

impl<M> DeployBody<M> {
    /// A deployment with nothing special about it.
    pub fn new(manifest: M) -> Self {
        Self {
            manifest,
            inherit: false,
            registry_auth: None,
            message: None,
            strategy: None,
            canary_steps: None,
            lock_wait_ms: None,
            force: false,
            dry_run: false,
            base_dir: None,
            search_path: None,
        }
    }

    /// The same request around another manifest.
    pub fn with_manifest<N>(self, manifest: N) -> DeployBody<N> {
        DeployBody {
            manifest,
            inherit: self.inherit,
            registry_auth: self.registry_auth,
            message: self.message,
            strategy: self.strategy,
            canary_steps: self.canary_steps,
            lock_wait_ms: self.lock_wait_ms,
            force: self.force,
            dry_run: self.dry_run,
            base_dir: self.base_dir,
            search_path: self.search_path,
        }
    }
}

/// How to log in to a registry. `Debug` hides what is secret.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RegistryAuth {
    /// The registry, as in `ghcr.io`.
    pub server: String,
    /// The user.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub username: String,
    /// The password or access token.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub password: String,
    /// A token that stands for both.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub identity_token: Option<String>,
}

impl fmt::Debug for RegistryAuth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RegistryAuth")
            .field("server", &self.server)
            .field("username", &self.username)
            .finish_non_exhaustive()
    }
}

/// The body of `POST /apps/{app}/actions/scale`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ScaleBody {
    /// How many instances shall run.
    pub instances: Instances,
}

/// The body of `POST /apps/{app}/actions/maintenance`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MaintenanceBody {
    /// Whether requests get the page.
    pub on: bool,
    /// When to ask again, in seconds; 300 where it is left out, at most a day.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_after_s: Option<u32>,
}

/// The body of `POST /apps/{app}/actions/pause`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PauseBody {
    /// For how long, in milliseconds, at most 10 min; each request waits 30 s at most.
    pub for_ms: u64,
}

/// The body of `POST /apps/{app}/actions/rollback`; empty means the release before.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RollbackBody {
    /// A deployment or release to go back to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<String>,
    /// How many releases to go back, where `to` is left out; 1 where both are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub steps: Option<u32>,
    /// What the user says about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
}

/// The parameters of `DELETE /apps/{app}`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DestroyQuery {
    /// Destroy an app that has `deletion_protection`.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub force: bool,
    /// As in [`WaitQuery`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wait_ms: Option<u64>,
}

/// The parameters of the verbs `start`, `stop`, `restart` and `scale`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WaitQuery {
    /// How long the answer may wait until the app is as asked, in milliseconds; without it, it does not wait.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wait_ms: Option<u64>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_not_shown_when_debugging() {
        let auth =
            RegistryAuth { server: "ghcr.io".into(), password: "hunter2".into(), ..RegistryAuth::default() };
        assert!(!format!("{auth:?}").contains("hunter2"));
    }

    #[test]
    fn what_the_client_sends_is_read_with_a_raw_manifest() {
        let body = DeployBody::new(Manifest::new("shop".parse().unwrap()));
        let text = serde_json::to_string(&body).unwrap();
        assert_eq!(text, r#"{"manifest":{"version":"1.0","app":{"name":"shop"}}}"#);
        let raw: DeployBody<serde_json::Value> = serde_json::from_str(&text).unwrap();
        assert_eq!(serde_json::from_value::<Manifest>(raw.manifest).unwrap(), body.manifest);
    }
}
