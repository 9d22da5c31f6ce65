//! One method an endpoint.

use std::time::Duration;

use bytes::Bytes;
use http::{Request, header};
use http_body_util::Full;
use nd_api::endpoints::{self as rows, Endpoint};
use nd_api::v1::{
    AppView, DaemonView, DeployBody, DeploymentView, DestroyQuery, EventQuery, EventView, ListPage, LogFrame,
    LogQuery, OperationView, PageQuery, PlanView, Problem, RollbackBody, ScaleBody, StepRecord, VersionView,
    WaitQuery, WorkerView,
};
use nd_types::{AppName, DeploymentId};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::error::ClientError;
use crate::host::Host;
use crate::lines::Lines;
use crate::query::query;
use crate::wire::{self, Answer};

/// How long the daemon may take to begin an answer.
const ANSWER: Duration = Duration::from_secs(30);

/// How long the daemon keeps a deployment waiting for the one before it, where the body does not say.
const QUEUE: Duration = Duration::from_secs(600);

/// A client of one daemon.
#[derive(Clone)]
pub struct Client {
    host: Host,
    token: Option<String>,
}

/// What every method may answer with.
type Result<T> = std::result::Result<T, ClientError>;

impl Client {
    /// A client of the daemon at `host`; the token is needed for TCP alone.
    #[must_use]
    pub fn new(host: Host, token: Option<String>) -> Self {
        Self { host, token }
    }

    /// Where the daemon is.
    #[must_use]
    pub fn host(&self) -> &Host {
        &self.host
    }

    /// The daemon's version.
    ///
    /// # Errors
    /// [`ClientError`], as for every method.
    pub async fn version(&self) -> Result<VersionView> {
        self.get(&rows::VERSION, &[], &()).await
    }

    /// The daemon itself.
    ///
    /// # Errors
    /// [`ClientError`], as for every method.
    pub async fn daemon(&self) -> Result<DaemonView> {
        self.get(&rows::DAEMON, &[], &()).await
    }

    /// Workers inside the daemon.
    ///
    /// # Errors
    /// [`ClientError`], as for every method.
    pub async fn workers(&self) -> Result<Vec<WorkerView>> {
        let page: ListPage<WorkerView> = self.get(&rows::WORKERS, &[], &()).await?;
        Ok(page.items)
    }

    /// All apps, every page of them.
    ///
    /// # Errors
    /// [`ClientError`], as for every method.
    pub async fn apps(&self) -> Result<Vec<AppView>> {
        let mut apps = Vec::new();
        let mut page = PageQuery::default();
        loop {
            let answer: ListPage<AppView> = self.get(&rows::APPS, &[], &page).await?;
            apps.extend(answer.items);
            match answer.next_cursor {
                Some(cursor) if page.cursor.as_ref() != Some(&cursor) => page.cursor = Some(cursor),
                _ => return Ok(apps),
            }
        }
    }

    /// One app, with its instances and last log lines.
    ///
    /// # Errors
    /// [`ClientError`], as for every method.
    pub async fn app(&self, app: &AppName) -> Result<AppView> {
        self.get(&rows::APP, &[app.as_str()], &()).await
    }

    /// Destroys an app.
    ///
    /// # Errors
    /// [`ClientError`], as for every method.
    pub async fn destroy(&self, app: &AppName, how: DestroyQuery) -> Result<OperationView> {
        let target = format!("{}{}", rows::APP_DESTROY.path_with(&[app.as_str()]), query(&how));
        let wait = Duration::from_millis(how.wait_ms.unwrap_or(0));
        self.ask(&rows::APP_DESTROY, &target, None, ANSWER.saturating_add(wait)).await
    }

    /// Starts a stopped app, and waits until it runs.
    ///
    /// # Errors
    /// [`ClientError`], as for every method.
    pub async fn start(&self, app: &AppName, wait: Duration) -> Result<OperationView> {
        self.edit(&rows::APP_START, app, &Empty {}, wait).await
    }

    /// Stops an app and keeps it, and waits until nothing of it runs.
    ///
    /// # Errors
    /// [`ClientError`], as for every method.
    pub async fn stop(&self, app: &AppName, wait: Duration) -> Result<OperationView> {
        self.edit(&rows::APP_STOP, app, &Empty {}, wait).await
    }

    /// Replaces every instance by a fresh one, and waits until all are ready.
    ///
    /// # Errors
    /// [`ClientError`], as for every method.
    pub async fn restart(&self, app: &AppName, wait: Duration) -> Result<OperationView> {
        self.edit(&rows::APP_RESTART, app, &Empty {}, wait).await
    }

    /// Changes the number of instances, and waits until that many are ready.
    ///
    /// # Errors
    /// [`ClientError`], as for every method.
    pub async fn scale(&self, app: &AppName, body: ScaleBody, wait: Duration) -> Result<OperationView> {
        self.edit(&rows::APP_SCALE, app, &body, wait).await
    }

    /// Brings an earlier release back.
    ///
    /// # Errors
    /// [`ClientError`], as for every method.
    pub async fn rollback(&self, app: &AppName, body: &RollbackBody) -> Result<DeploymentView> {
        self.post(&rows::APP_ROLLBACK, app.as_str(), body, ANSWER).await
    }

    /// Deploys. The answer comes when the daemon has stored the wish, after waiting for a deployment of the same app
    /// for as long as the body says.
    ///
    /// # Errors
    /// [`ClientError`], as for every method.
    pub async fn deploy(&self, app: &AppName, body: &DeployBody) -> Result<DeploymentView> {
        let wait = body.lock_wait_ms.map_or(QUEUE, Duration::from_millis);
        self.post(&rows::DEPLOY, app.as_str(), body, ANSWER.saturating_add(wait)).await
    }

    /// What a deployment would do.
    ///
    /// # Errors
    /// [`ClientError`], as for every method.
    pub async fn plan(&self, body: &DeployBody) -> Result<PlanView> {
        self.post(&rows::PLAN, "", body, ANSWER).await
    }

    /// Deployments of an app, newest first.
    ///
    /// # Errors
    /// [`ClientError`], as for every method.
    pub async fn deployments(&self, app: &AppName, page: &PageQuery) -> Result<ListPage<DeploymentView>> {
        self.get(&rows::DEPLOYMENTS, &[app.as_str()], page).await
    }

    /// One deployment.
    ///
    /// # Errors
    /// [`ClientError`], as for every method.
    pub async fn deployment(&self, id: &DeploymentId) -> Result<DeploymentView> {
        self.get(&rows::DEPLOYMENT, &[id.as_str()], &()).await
    }

    /// The steps of a deployment so far.
    ///
    /// # Errors
    /// [`ClientError`], as for every method.
    pub async fn deployment_log(&self, id: &DeploymentId) -> Result<Vec<StepRecord>> {
        let page: ListPage<StepRecord> = self.get(&rows::DEPLOYMENT_LOG, &[id.as_str()], &()).await?;
        Ok(page.items)
    }

    /// The steps of a deployment, from its start to its end.
    ///
    /// # Errors
    /// [`ClientError`], as for every method.
    pub async fn follow_deployment(&self, id: &DeploymentId) -> Result<Lines<StepRecord>> {
        let target = rows::DEPLOYMENT_STREAM.path_with(&[id.as_str()]);
        self.stream(&rows::DEPLOYMENT_STREAM, &target).await
    }

    /// Ends a deployment that is under way.
    ///
    /// # Errors
    /// [`ClientError`], as for every method.
    pub async fn cancel(&self, id: &DeploymentId) -> Result<DeploymentView> {
        self.post(&rows::DEPLOYMENT_CANCEL, id.as_str(), &Empty {}, ANSWER).await
    }

    /// Log lines; with `follow` the stream goes on.
    ///
    /// # Errors
    /// [`ClientError`], as for every method.
    pub async fn logs(&self, asked: &LogQuery) -> Result<Lines<LogFrame>> {
        self.stream(&rows::LOGS, &format!("{}{}", rows::LOGS.path, query(asked))).await
    }

    /// Events, newest first.
    ///
    /// # Errors
    /// [`ClientError`], as for every method.
    pub async fn events(&self, asked: &EventQuery) -> Result<ListPage<EventView>> {
        let asked = EventQuery { follow: false, ..asked.clone() };
        self.get(&rows::EVENTS, &[], &asked).await
    }

    /// Events as they happen.
    ///
    /// # Errors
    /// [`ClientError`], as for every method.
    pub async fn follow_events(&self, asked: &EventQuery) -> Result<Lines<EventView>> {
        let asked = EventQuery { follow: true, ..asked.clone() };
        self.stream(&rows::EVENTS, &format!("{}{}", rows::EVENTS.path, query(&asked))).await
    }

    async fn edit(
        &self,
        row: &Endpoint,
        app: &AppName,
        body: &impl Serialize,
        wait: Duration,
    ) -> Result<OperationView> {
        let wait_ms = u64::try_from(wait.as_millis()).ok().filter(|ms| *ms > 0);
        let target = format!("{}{}", row.path_with(&[app.as_str()]), query(&WaitQuery { wait_ms }));
        let body = serde_json::to_vec(body).map_err(|error| garbled(row, &error.to_string()))?;
        self.ask(row, &target, Some(body), ANSWER.saturating_add(wait)).await
    }

    async fn get<T: DeserializeOwned>(
        &self,
        row: &Endpoint,
        values: &[&str],
        parameters: &impl Serialize,
    ) -> Result<T> {
        let target = format!("{}{}", row.path_with(values), query(parameters));
        self.ask(row, &target, None, ANSWER).await
    }

    async fn post<T: DeserializeOwned>(
        &self,
        row: &Endpoint,
        value: &str,
        body: &impl Serialize,
        within: Duration,
    ) -> Result<T> {
        let body = serde_json::to_vec(body).map_err(|error| garbled(row, &error.to_string()))?;
        self.ask(row, &row.path_with(&[value]), Some(body), within).await
    }

    async fn ask<T: DeserializeOwned>(
        &self,
        row: &Endpoint,
        target: &str,
        body: Option<Vec<u8>>,
        within: Duration,
    ) -> Result<T> {
        let request = self.request(row, target, "application/json", body)?;
        let answer = wire::send(&self.host, request, within).await?;
        let (status, body) = answer.whole().await?;
        if !status.is_success() {
            return Err(refused(status, &body));
        }
        serde_json::from_slice(&body).map_err(|error| garbled(row, &error.to_string()))
    }

    async fn stream<T: DeserializeOwned>(&self, row: &Endpoint, target: &str) -> Result<Lines<T>> {
        let request = self.request(row, target, "application/x-ndjson, text/event-stream", None)?;
        let answer: Answer = wire::send(&self.host, request, ANSWER).await?;
        if answer.head.status.is_success() {
            return Ok(Lines::new(answer));
        }
        let (status, body) = answer.whole().await?;
        Err(refused(status, &body))
    }

    fn request(
        &self,
        row: &Endpoint,
        target: &str,
        accept: &str,
        body: Option<Vec<u8>>,
    ) -> Result<Request<Full<Bytes>>> {
        let host = match &self.host {
            Host::Unix(_) => "localhost",
            Host::Http(authority) => authority,
        };
        let mut request = Request::builder()
            .method(row.method.as_str())
            .uri(target)
            .header(header::HOST, host)
            .header(header::ACCEPT, accept)
            .header(header::USER_AGENT, concat!("nextdeploy/", env!("CARGO_PKG_VERSION")));
        if let Some(token) = &self.token {
            request = request.header(header::AUTHORIZATION, format!("Bearer {token}"));
        }
        if body.is_some() {
            request = request.header(header::CONTENT_TYPE, "application/json");
        }
        let body = Full::new(Bytes::from(body.unwrap_or_default()));
        request.body(body).map_err(|error| garbled(row, &format!("the request cannot be made: {error}")))
    }
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Client").field("host", &self.host).finish_non_exhaustive()
    }
}

/// The body of requests that say everything with their path.
#[derive(Serialize)]
struct Empty {}

fn refused(status: http::StatusCode, body: &[u8]) -> ClientError {
    let plain = || {
        let text = String::from_utf8_lossy(body);
        let first = text.lines().next().unwrap_or_default().trim();
        let title = if first.is_empty() { status.to_string() } else { format!("{status}: {first}") };
        Problem::new(status.as_u16(), title)
    };
    ClientError::Refused(Box::new(serde_json::from_slice(body).unwrap_or_else(|_| plain())))
}

fn garbled(row: &Endpoint, reason: &str) -> ClientError {
    ClientError::Garbled { doing: format!("{} {}", row.method.as_str(), row.path), reason: reason.to_owned() }
}
