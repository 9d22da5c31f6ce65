//! The paths of `/api/v1`, in one table that server and client share.

use std::fmt::Write as _;

/// An HTTP method.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Method {
    /// Read.
    Get,
    /// Do.
    Post,
    /// Remove.
    Delete,
}

impl Method {
    /// Its name on the wire.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Post => "POST",
            Self::Delete => "DELETE",
        }
    }
}

/// One row of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// What it is called, in code and documentation.
    pub name: &'static str,
    /// The method.
    pub method: Method,
    /// The path; `{app}` stands for a value.
    pub path: &'static str,
    /// What it does, in one line.
    pub summary: &'static str,
}

impl Endpoint {
    /// The path with values in the place of its names, in the order they stand in it, percent-encoded (RFC 3986,
    /// section 2.1).
    #[must_use]
    pub fn path_with(&self, values: &[&str]) -> String {
        let mut values = values.iter();
        let mut path = String::with_capacity(self.path.len() + 32);
        for part in self.path.split('/').skip(1) {
            path.push('/');
            let value = if part.starts_with('{') { values.next() } else { None };
            match value {
                Some(value) => encode(value, &mut path),
                None => path.push_str(part),
            }
        }
        path
    }
}

macro_rules! endpoints {
    ($($name:ident = $method:ident $path:literal, $summary:literal;)+) => {
        $(
            #[doc = $summary]
            pub const $name: Endpoint =
                Endpoint { name: stringify!($name), method: Method::$method, path: $path, summary: $summary };
        )+

        /// Every row.
        pub const ALL: &[Endpoint] = &[$($name),+];
    };
}

endpoints! {
    VERSION = Get "/api/v1/version", "The daemon's version: `VersionView`.";
    DAEMON = Get "/api/v1/daemon", "The daemon itself: `DaemonView`.";
    WORKERS = Get "/api/v1/workers", "Workers inside the daemon: a list of `WorkerView`.";
    WORKER_RESTART = Post "/api/v1/workers/{worker}/restart", "Ends a worker in order and starts it anew: `WorkerView`.";
    RELOAD = Post "/api/v1/reload", "Reads `nextdeployd.toml` again, as SIGHUP does.";
    UPGRADE = Post "/api/v1/upgrade", "Puts the program that lies where the daemon's does into its place and the proxy's: 202 with `UpgradeView`.";
    PROXY = Get "/api/v1/proxy", "What the proxy serves: `ProxyView`.";
    PROXY_TEST = Get "/api/v1/proxy/test", "What the proxy would do with a request (`ProxyTestQuery`): `ProxyTestView`.";
    APPS = Get "/api/v1/apps", "All apps: a page of `AppView`.";
    APP = Get "/api/v1/apps/{app}", "One app: `AppView` with instances and last log lines.";
    APP_DESTROY = Delete "/api/v1/apps/{app}", "Destroys an app (`DestroyQuery`): `OperationView`.";
    APP_START = Post "/api/v1/apps/{app}/actions/start", "Starts a stopped app: `OperationView`.";
    APP_STOP = Post "/api/v1/apps/{app}/actions/stop", "Stops an app and keeps it: `OperationView`.";
    APP_RESTART = Post "/api/v1/apps/{app}/actions/restart", "Replaces every instance by a fresh one: `OperationView`.";
    APP_RELOAD = Post "/api/v1/apps/{app}/actions/reload", "Replaces every instance so that nobody notices: `OperationView`.";
    APP_SCALE = Post "/api/v1/apps/{app}/actions/scale", "Changes the number of instances (`ScaleBody`): `OperationView`.";
    APP_MAINTENANCE = Post "/api/v1/apps/{app}/actions/maintenance", "Answers requests with a page instead of the app, or does so no more (`MaintenanceBody`): `OperationView`.";
    APP_PAUSE = Post "/api/v1/apps/{app}/actions/pause", "Lets requests wait for a while (`PauseBody`): `OperationView`.";
    APP_RESUME = Post "/api/v1/apps/{app}/actions/resume", "Lets requests go on: `OperationView`.";
    APP_ROLLBACK = Post "/api/v1/apps/{app}/actions/rollback", "Brings an earlier release back (`RollbackBody`): `DeploymentView`.";
    APP_LOGS_CLEAR = Delete "/api/v1/apps/{app}/logs", "Drops the kept log lines of an app: `OperationView`.";
    APP_TIMELINE = Get "/api/v1/apps/{app}/timeline", "What happened to an app and why (`TimelineQuery`): `TimelineView`.";
    APP_REQUESTS = Get "/api/v1/apps/{app}/requests", "Requests to an app (`RequestQuery`), as NDJSON of `RequestFrame`.";
    INSTANCES = Get "/api/v1/apps/{app}/instances", "Instances of an app: a list of `InstanceView`.";
    DEPLOY = Post "/api/v1/apps/{app}/deployments", "Deploys (`DeployBody`): 202 with `DeploymentView`.";
    DEPLOYMENTS = Get "/api/v1/apps/{app}/deployments", "Deployments of an app: a page of `DeploymentView`.";
    DEPLOYMENT = Get "/api/v1/deployments/{deployment}", "One deployment: `DeploymentView`.";
    DEPLOYMENT_LOG = Get "/api/v1/deployments/{deployment}/log", "The steps so far: a list of `StepRecord`.";
    DEPLOYMENT_STREAM = Get "/api/v1/deployments/{deployment}/stream", "The steps from the start to the end, as NDJSON of `StepRecord` or server-sent events.";
    DEPLOYMENT_CANCEL = Post "/api/v1/deployments/{deployment}/cancel", "Ends a deployment that is under way: `DeploymentView`.";
    DEPLOYMENT_PROMOTE = Post "/api/v1/deployments/{deployment}/promote", "Lets the release that a canary tries take over at once: `DeploymentView`.";
    PLAN = Post "/api/v1/plan", "What a deployment would do (`DeployBody`): `PlanView`.";
    DOMAINS = Get "/api/v1/domains", "Every domain that leads to an app (`DomainListQuery`): a list of `DomainView`.";
    DOMAINS_ADD = Post "/api/v1/domains", "Lets domains lead to an app (`DomainsBody`), while its instances run on: `DomainsView`.";
    DOMAINS_REMOVE = Delete "/api/v1/domains", "Lets domains lead to an app no more (`DomainsQuery`): `DomainsView`.";
    DOMAINS_CHECK = Get "/api/v1/domains/check", "How domains look to their visitors (`DomainCheckQuery`), in the DNS and at ports 80 and 443: a list of `DomainCheckView`.";
    CERTS = Get "/api/v1/certs", "Every certificate that is kept or wanted: a list of `CertView`.";
    CERT = Get "/api/v1/certs/{name}", "One certificate, by one of its names: `CertView` with its orders.";
    CERT_IMPORT = Post "/api/v1/certs", "Serves a certificate that somebody brings (`CertImportBody`): `CertView`.";
    CERT_REMOVE = Delete "/api/v1/certs/{name}", "Forgets a certificate; what an app wants is ordered anew: `CertView` as it was.";
    CERT_RENEW = Post "/api/v1/certs/{name}/renew", "Gets a new certificate now: `CertView`, when it serves.";
    CERT_REVOKE = Post "/api/v1/certs/{name}/revoke", "Has its issuer make a certificate worthless (`CertRevokeBody`), and forgets it: `CertView` as it was.";
    CERT_EXPORT = Get "/api/v1/certs/{name}/export", "A certificate with its key, on the unix socket alone: `CertExport`.";
    ISSUER_ROOT = Get "/api/v1/issuers/{issuer}/root", "The root that clients of an authority of our own must trust: `RootView`.";
    LOGS = Get "/api/v1/logs", "Log lines (`LogQuery`), as NDJSON of `LogFrame`.";
    EVENTS = Get "/api/v1/events", "Events (`EventQuery`): a page of `EventView`, or server-sent events.";
}

/// Appends a value, percent-encoding everything but the unreserved characters of RFC 3986, section 2.3.
pub fn encode(value: &str, out: &mut String) {
    for byte in value.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
            out.push(char::from(byte));
        } else if write!(out, "%{byte:02X}").is_err() {
            return; // writing to a String does not fail
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_take_the_places_of_their_names() {
        assert_eq!(APP_SCALE.path_with(&["shop"]), "/api/v1/apps/shop/actions/scale");
        assert_eq!(APP.path_with(&["../x y"]), "/api/v1/apps/..%2Fx%20y");
        assert_eq!(APPS.path_with(&[]), "/api/v1/apps");
    }

    #[test]
    fn no_row_stands_twice() {
        for (index, row) in ALL.iter().enumerate() {
            let twin =
                ALL.iter().skip(index + 1).find(|other| other.path == row.path && other.method == row.method);
            assert_eq!(twin, None);
        }
    }
}
