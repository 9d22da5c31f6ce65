//! One method for each endpoint.

use std::time::Duration;

use nd_api::endpoints::{self, Endpoint, Method};
use nd_api::flat::{Envelope, SystemMetrics};
use nd_api::manifest::Instances;
use nd_api::v1::{
    AppView, CertExport, CertImportBody, CertRevokeBody, CertView, DaemonView, DeployBody, DeploymentView,
    DestroyQuery, DomainCheckQuery, DomainCheckView, DomainListQuery, DomainView, DomainsBody, DomainsQuery,
    DomainsView, EventQuery, EventView, ListPage, LogFrame, LogQuery, MaintenanceBody, OperationView,
    PageQuery, PauseBody, PlanView, ProxyTestQuery, ProxyTestView, ProxyView, RequestFrame, RequestQuery,
    RollbackBody, RootView, ScaleBody, StepRecord, TimelineQuery, TimelineView, UpgradeView, VersionView,
    WaitQuery, WorkerView,
};
use nd_types::{AppName, DeploymentId};

use crate::client::{Call, Client};
use crate::error::ClientError;
use crate::lines::Lines;

type Answer<T> = Result<T, ClientError>;

/// How long a certificate may take that is ordered: an authority looks at names for minutes.
const CERT_ORDERED: Duration = Duration::from_secs(16 * 60);

/// How long it may take to keep a certificate, or to tell its issuer that it counts no more.
const CERT_STORED: Duration = Duration::from_secs(60);

/// How long a look at every domain may take: name servers and ports that do not answer are waited for.
const LOOKED_AT: Duration = Duration::from_secs(120);

/// No row of the table, which has the paths of `/api/v1`.
const METRICS: Endpoint = Endpoint {
    name: "METRICS",
    method: Method::Get,
    path: "/metrics",
    summary: "Figures of the host and of every app.",
};

/// Each method fails as [`ClientError`] says.
#[allow(clippy::missing_errors_doc, reason = "they all fail in the same ways")]
impl Client {
    /// The daemon's version.
    pub async fn version(&self) -> Answer<VersionView> {
        self.call(Call::new(endpoints::VERSION, &[])).await
    }

    /// The daemon itself.
    pub async fn daemon(&self) -> Answer<DaemonView> {
        self.call(Call::new(endpoints::DAEMON, &[])).await
    }

    /// The workers inside the daemon.
    pub async fn workers(&self) -> Answer<ListPage<WorkerView>> {
        self.call(Call::new(endpoints::WORKERS, &[])).await
    }

    /// What the proxy serves.
    pub async fn proxy(&self) -> Answer<ProxyView> {
        self.call(Call::new(endpoints::PROXY, &[])).await
    }

    /// What the proxy would do with a request.
    pub async fn proxy_test(&self, query: &ProxyTestQuery) -> Answer<ProxyTestView> {
        self.call(Call::new(endpoints::PROXY_TEST, &[]).query(query)).await
    }

    /// The host now, with figures of every app. One of the flat paths: it has the same answer for whoever uses curl.
    pub async fn metrics(&self) -> Answer<SystemMetrics> {
        let envelope: Envelope<SystemMetrics> = self.call(Call::new(METRICS, &[])).await?;
        envelope.payload.ok_or_else(|| self.unexpected("an envelope without a payload".to_owned()))
    }

    /// All apps, by name.
    pub async fn apps(&self) -> Answer<Vec<AppView>> {
        let page: ListPage<AppView> = self.call(Call::new(endpoints::APPS, &[])).await?;
        Ok(page.items)
    }

    /// One app with its instances and last lines.
    pub async fn app(&self, app: &AppName) -> Answer<AppView> {
        self.call(Call::new(endpoints::APP, &[app.as_str()])).await
    }

    /// Runs a stopped app, and waits for it at most `wait`.
    pub async fn start(&self, app: &AppName, wait: Duration) -> Answer<OperationView> {
        let values = [app.as_str()];
        self.call(waiting(Call::new(endpoints::APP_START, &values), wait)).await
    }

    /// Stops an app, and waits for it at most `wait`.
    pub async fn stop(&self, app: &AppName, wait: Duration) -> Answer<OperationView> {
        let values = [app.as_str()];
        self.call(waiting(Call::new(endpoints::APP_STOP, &values), wait)).await
    }

    /// Replaces every instance of an app by a fresh one, and waits for it at most `wait`.
    pub async fn restart(&self, app: &AppName, wait: Duration) -> Answer<OperationView> {
        let values = [app.as_str()];
        self.call(waiting(Call::new(endpoints::APP_RESTART, &values), wait)).await
    }

    /// Replaces every instance of an app once its successor serves, and waits for it at most `wait`.
    pub async fn reload_app(&self, app: &AppName, wait: Duration) -> Answer<OperationView> {
        let values = [app.as_str()];
        self.call(waiting(Call::new(endpoints::APP_RELOAD, &values), wait)).await
    }

    /// Changes the number of instances of an app, and waits for it at most `wait`.
    pub async fn scale(&self, app: &AppName, instances: Instances, wait: Duration) -> Answer<OperationView> {
        let values = [app.as_str()];
        let call = waiting(Call::new(endpoints::APP_SCALE, &values), wait);
        self.call(call.body(self, &ScaleBody { instances })?).await
    }

    /// Answers requests of an app with a page, for `retry_after_s` seconds as far as it is known, or does so no more; and
    /// waits until that serves at most `wait`.
    pub async fn maintenance(
        &self,
        app: &AppName,
        body: MaintenanceBody,
        wait: Duration,
    ) -> Answer<OperationView> {
        let values = [app.as_str()];
        let call = waiting(Call::new(endpoints::APP_MAINTENANCE, &values), wait);
        self.call(call.body(self, &body)?).await
    }

    /// Lets requests of an app wait for `length` or until they may go on, and waits until that serves at most `wait`.
    pub async fn pause(&self, app: &AppName, length: Duration, wait: Duration) -> Answer<OperationView> {
        let values = [app.as_str()];
        let call = waiting(Call::new(endpoints::APP_PAUSE, &values), wait);
        self.call(call.body(self, &PauseBody { for_ms: millis(length) })?).await
    }

    /// Lets requests of an app go on, and waits until that serves at most `wait`.
    pub async fn resume(&self, app: &AppName, wait: Duration) -> Answer<OperationView> {
        self.call(waiting(Call::new(endpoints::APP_RESUME, &[app.as_str()]), wait)).await
    }

    /// Destroys an app, and waits for it at most `wait`.
    pub async fn destroy(&self, app: &AppName, force: bool, wait: Duration) -> Answer<OperationView> {
        let values = [app.as_str()];
        let query = DestroyQuery { force, wait_ms: Some(millis(wait)) };
        self.call(Call::new(endpoints::APP_DESTROY, &values).query(&query).patience(wait)).await
    }

    /// Begins a deployment. Waits for its turn as long as the body says.
    pub async fn deploy(&self, body: &DeployBody) -> Answer<DeploymentView> {
        let values = [body.manifest.app.name.as_str()];
        // Without a wish of its own it is queued for up to ten minutes.
        let patience = body.lock_wait_ms.map_or(Duration::from_secs(600), Duration::from_millis);
        let call = Call::new(endpoints::DEPLOY, &values).body(self, body)?.patience(patience);
        // A request with a key is done to its end; one in a queue leaves it with whoever waits for it.
        self.call(if body.lock_wait_ms == Some(0) { call } else { call.once() }).await
    }

    /// What a deployment would do.
    pub async fn plan(&self, body: &DeployBody) -> Answer<PlanView> {
        self.call(Call::new(endpoints::PLAN, &[]).body(self, body)?).await
    }

    /// Brings an earlier release back.
    pub async fn rollback(&self, app: &AppName, body: &RollbackBody) -> Answer<DeploymentView> {
        let values = [app.as_str()];
        let call = Call::new(endpoints::APP_ROLLBACK, &values).patience(Duration::from_secs(60));
        self.call(call.body(self, body)?).await
    }

    /// Deployments of an app, newest first.
    pub async fn deployments(&self, app: &AppName, page: &PageQuery) -> Answer<ListPage<DeploymentView>> {
        self.call(Call::new(endpoints::DEPLOYMENTS, &[app.as_str()]).query(page)).await
    }

    /// One deployment.
    pub async fn deployment(&self, id: &DeploymentId) -> Answer<DeploymentView> {
        self.call(Call::new(endpoints::DEPLOYMENT, &[id.as_str()])).await
    }

    /// The steps of a deployment so far.
    pub async fn deployment_log(&self, id: &DeploymentId) -> Answer<ListPage<StepRecord>> {
        self.call(Call::new(endpoints::DEPLOYMENT_LOG, &[id.as_str()])).await
    }

    /// The steps of a deployment from its start to its end, as they happen.
    pub async fn steps(&self, id: &DeploymentId) -> Answer<Lines<StepRecord>> {
        self.stream(Call::new(endpoints::DEPLOYMENT_STREAM, &[id.as_str()])).await
    }

    /// Ends a deployment that is under way.
    pub async fn cancel(&self, id: &DeploymentId) -> Answer<DeploymentView> {
        self.call(Call::new(endpoints::DEPLOYMENT_CANCEL, &[id.as_str()])).await
    }

    /// Lets the release that a canary tries take over at once.
    pub async fn promote(&self, id: &DeploymentId) -> Answer<DeploymentView> {
        self.call(Call::new(endpoints::DEPLOYMENT_PROMOTE, &[id.as_str()])).await
    }

    /// Every domain that leads to an app, or to this one.
    pub async fn domains(&self, query: &DomainListQuery) -> Answer<Vec<DomainView>> {
        let page: ListPage<DomainView> = self.call(Call::new(endpoints::DOMAINS, &[]).query(query)).await?;
        Ok(page.items)
    }

    /// Looks at domains as their visitors find them.
    pub async fn check_domains(&self, query: &DomainCheckQuery) -> Answer<Vec<DomainCheckView>> {
        let call = Call::new(endpoints::DOMAINS_CHECK, &[]).query(query).patience(LOOKED_AT);
        let page: ListPage<DomainCheckView> = self.call(call).await?;
        Ok(page.items)
    }

    /// Lets domains lead to an app, and waits until that serves as long as the body says.
    pub async fn add_domains(&self, body: &DomainsBody) -> Answer<DomainsView> {
        let patience = Duration::from_millis(body.wait_ms.unwrap_or_default());
        self.call(Call::new(endpoints::DOMAINS_ADD, &[]).body(self, body)?.patience(patience)).await
    }

    /// Lets domains lead to an app no more, and waits until that serves as long as the query says.
    pub async fn remove_domains(&self, query: &DomainsQuery) -> Answer<DomainsView> {
        let patience = Duration::from_millis(query.wait_ms.unwrap_or_default());
        self.call(Call::new(endpoints::DOMAINS_REMOVE, &[]).query(query).patience(patience)).await
    }

    /// Every certificate that is kept or wanted.
    pub async fn certs(&self) -> Answer<Vec<CertView>> {
        let page: ListPage<CertView> = self.call(Call::new(endpoints::CERTS, &[])).await?;
        Ok(page.items)
    }

    /// One certificate with its orders, by one of its names.
    pub async fn cert(&self, name: &str) -> Answer<CertView> {
        self.call(Call::new(endpoints::CERT, &[name])).await
    }

    /// Has a certificate served that somebody brings.
    pub async fn import_cert(&self, body: &CertImportBody) -> Answer<CertView> {
        self.call(Call::new(endpoints::CERT_IMPORT, &[]).body(self, body)?.patience(CERT_STORED)).await
    }

    /// Gets a new certificate, and waits until it serves.
    pub async fn renew_cert(&self, name: &str) -> Answer<CertView> {
        self.call(Call::new(endpoints::CERT_RENEW, &[name]).patience(CERT_ORDERED)).await
    }

    /// Has its issuer make a certificate worthless, and the daemon forget it.
    pub async fn revoke_cert(&self, name: &str, body: &CertRevokeBody) -> Answer<CertView> {
        self.call(Call::new(endpoints::CERT_REVOKE, &[name]).body(self, body)?.patience(CERT_STORED)).await
    }

    /// Forgets a certificate.
    pub async fn remove_cert(&self, name: &str) -> Answer<CertView> {
        self.call(Call::new(endpoints::CERT_REMOVE, &[name]).patience(CERT_STORED)).await
    }

    /// A certificate with its key; the daemon gives it out on its unix socket alone.
    pub async fn export_cert(&self, name: &str) -> Answer<CertExport> {
        self.call(Call::new(endpoints::CERT_EXPORT, &[name])).await
    }

    /// The root that clients of an authority of the daemon's own must be told to trust.
    pub async fn root(&self, issuer: &str) -> Answer<RootView> {
        self.call(Call::new(endpoints::ISSUER_ROOT, &[issuer])).await
    }

    /// Log lines: the last ones, and with `follow` what is written.
    pub async fn logs(&self, query: &LogQuery) -> Answer<Lines<LogFrame>> {
        self.stream(Call::new(endpoints::LOGS, &[]).query(query)).await
    }

    /// Requests to an app: the latest ones, and with `follow` those that come.
    pub async fn requests(&self, app: &AppName, query: &RequestQuery) -> Answer<Lines<RequestFrame>> {
        self.stream(Call::new(endpoints::APP_REQUESTS, &[app.as_str()]).query(query)).await
    }

    /// Drops the log lines of an app that are kept.
    pub async fn clear_logs(&self, app: &AppName) -> Answer<OperationView> {
        self.call(Call::new(endpoints::APP_LOGS_CLEAR, &[app.as_str()])).await
    }

    /// What happened to an app and why, oldest first.
    pub async fn timeline(&self, app: &AppName, query: &TimelineQuery) -> Answer<TimelineView> {
        self.call(Call::new(endpoints::APP_TIMELINE, &[app.as_str()]).query(query)).await
    }

    /// A page of events, newest first.
    pub async fn events(&self, query: &EventQuery) -> Answer<ListPage<EventView>> {
        self.call(Call::new(endpoints::EVENTS, &[]).query(query)).await
    }

    /// Events as they happen.
    pub async fn follow_events(&self, query: &EventQuery) -> Answer<Lines<EventView>> {
        let query = EventQuery { follow: true, ..query.clone() };
        self.stream(Call::new(endpoints::EVENTS, &[]).query(&query)).await
    }

    /// Has the program that lies where the daemon's does take over from it and its proxy, which may take `patience`.
    pub async fn upgrade(&self, patience: Duration) -> Answer<UpgradeView> {
        self.call(Call::new(endpoints::UPGRADE, &[]).patience(patience)).await
    }

    /// Has the daemon read its settings again; answers what changed.
    pub async fn reload(&self) -> Answer<ListPage<String>> {
        self.call(Call::new(endpoints::RELOAD, &[])).await
    }
}

fn waiting(call: Call<'_>, wait: Duration) -> Call<'_> {
    call.query(&WaitQuery { wait_ms: Some(millis(wait)) }).patience(wait)
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
