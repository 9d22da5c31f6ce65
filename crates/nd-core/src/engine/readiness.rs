//! Waiting until a unit can serve, and finding out why it cannot.

mod misplaced;

use std::net::{IpAddr, SocketAddr};
use std::num::NonZeroU16;
use std::time::Duration;

use nd_types::{ExitStatus, UnitId};
use tokio::time::Instant;

use super::actions::{Context, failed};
use super::diagnose;
use super::question::{self, Judgement};
use super::shared::Shared;
use crate::diagnosis::{Diagnosis, Evidence};
use crate::model::{NotReady, ReadyReport};
use crate::ports::{ProbeFailure, ProbeTarget, Runtime, Scope, Socket, UnitObserved, UnitStatus};
use crate::spec::{AppSpec, HttpProbe, ProbeKind, StatusRange, Statuses};
use misplaced::Misplaced;

/// The first pause between probes; it grows by half up to `LAST_PAUSE`, so that an app waits little beyond its own start.
const FIRST_PAUSE: Duration = Duration::from_millis(2);
const LAST_PAUSE: Duration = Duration::from_secs(1);

/// The pause before the second success of a declared HTTP probe.
const CONFIRM_HTTP: Duration = Duration::from_millis(50);

/// The pause before the second success of a port that speaks no HTTP.
const CONFIRM_TCP: Duration = Duration::from_millis(500);

/// How long a unit that nobody gave a port may run without listening until it counts as a worker without one.
const WORKER_AFTER: Duration = Duration::from_secs(10);

/// How long a port other than the expected one must be listened on until it is believed.
const BELIEVE_OTHER_PORT: Duration = Duration::from_secs(1);

/// How long a unit that has ended may take to be looked at once more.
const LAST_LOOK: Duration = Duration::from_millis(500);

/// Waits until the unit can serve, at most `within`; its end is seen at once.
pub(super) async fn wait_ready(
    shared: &Shared,
    runtime: &dyn Runtime,
    context: &Context,
    unit: &UnitId,
    within: Duration,
) -> Result<ReadyReport, NotReady> {
    let Some(spec) = context.spec.as_deref() else {
        return Err(NotReady {
            exit: None,
            diagnosis: Diagnosis::new("the release is not known any more"),
            unknown: true,
        });
    };
    let mut wait = Wait {
        shared,
        runtime,
        spec,
        unit,
        healthcheck: context.prepared.healthcheck,
        began: Instant::now(),
        last: None,
        sockets: Vec::new(),
        other_since: None,
        misplaced: Misplaced::default(),
    };
    let exit = tokio::select! {
        biased;
        exit = runtime.wait(unit) => Some(exit),
        ready = tokio::time::timeout(within, wait.until_ready()) => match ready {
            Ok(result) => return result,
            Err(_) => None,
        },
    };
    match exit {
        Some(Ok(exit)) if wait.is_job(exit) => Ok(wait.job_report()),
        Some(Ok(exit)) => Err(wait.explain(Some(exit)).await),
        Some(Err(error)) => Err(NotReady { exit: None, diagnosis: failed(&error).diagnosis, unknown: true }),
        None => Err(wait.explain(None).await),
    }
}

struct Wait<'a> {
    shared: &'a Shared,
    runtime: &'a dyn Runtime,
    spec: &'a AppSpec,
    unit: &'a UnitId,
    healthcheck: bool,
    began: Instant,
    /// What the last probe said.
    last: Option<String>,
    /// What the unit listened on when last looked.
    sockets: Vec<Socket>,
    /// Since when another port than the expected one is listened on.
    other_since: Option<(NonZeroU16, Instant)>,
    misplaced: Misplaced,
}

/// Where a unit is to be asked, and where requests go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Target {
    ip: IpAddr,
    port: NonZeroU16,
    /// The app insists on this port although another one was leased to it.
    fixed: bool,
}

impl Wait<'_> {
    async fn until_ready(&mut self) -> Result<ReadyReport, NotReady> {
        let mut pause = FIRST_PAUSE;
        loop {
            let seen = self.look().await?;
            let health = match &seen.status {
                UnitStatus::Running { healthy, .. } => *healthy,
                UnitStatus::Created | UnitStatus::Exited { .. } => None,
            };
            if let Some(report) = self.ask(&seen, health).await {
                return Ok(report);
            }
            // Nothing settles while the pauses are short.
            if pause == LAST_PAUSE && self.has_settled_elsewhere().await {
                return Err(self.explain(None).await);
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 3 / 2).min(LAST_PAUSE);
        }
    }

    /// Whether the unit has its own address, and has settled down to listen where nobody asks.
    async fn has_settled_elsewhere(&mut self) -> bool {
        let asked_there = match self.spec.readiness.kind {
            ProbeKind::Auto => !self.healthcheck,
            ProbeKind::Http(_) | ProbeKind::Tcp => self.spec.readiness.port.is_none(),
            ProbeKind::Command(_) => false,
        };
        let boots = self.began.elapsed() < self.spec.readiness.start_period;
        if !asked_there || boots || !self.runtime.caps().own_address {
            return false;
        }
        // Where this cannot be found out, the deadline decides.
        let (Ok(sockets), Ok(stats)) =
            (self.runtime.listening(self.unit).await, self.runtime.stats(self.unit).await)
        else {
            return false;
        };
        self.misplaced.settled(&sockets, self.spec.port, stats.cpu, Instant::now())
    }

    async fn look(&self) -> Result<UnitObserved, NotReady> {
        let scope = Scope::Unit(self.shared.daemon.clone(), self.unit.clone());
        let unknown = |diagnosis| NotReady { exit: None, diagnosis, unknown: true };
        let seen = self.runtime.observe(&scope).await.map_err(|error| unknown(failed(&error).diagnosis))?;
        let ours = seen.into_iter().find(|seen| seen.id.as_ref() == Some(self.unit));
        ours.ok_or_else(|| unknown(Diagnosis::new(format!("{} is gone", self.unit))))
    }

    /// Asks once; answers when the unit can serve.
    async fn ask(&mut self, seen: &UnitObserved, health: Option<bool>) -> Option<ReadyReport> {
        let message = self.spec.readiness.message;
        if message && health != Some(true) {
            self.last = Some("it did not say that it is ready (`wait_ready`)".to_owned());
            return None;
        }
        let target = self.target(seen).await;
        match &self.spec.readiness.kind {
            ProbeKind::Auto if self.healthcheck => {
                self.last = Some(format!(
                    "HEALTHCHECK {}",
                    if health == Some(false) { "unhealthy" } else { "starting" }
                ));
                let healthy = health == Some(true);
                healthy.then(|| self.report(target, "HEALTHCHECK healthy".to_owned()))
            }
            ProbeKind::Auto => match target {
                Some(target) => self.ask_port(target).await,
                None if message && !self.expects_port() => {
                    Some(self.report(None, "it said that it is ready".to_owned()))
                }
                None => self.is_worker().then(|| self.worker_report()),
            },
            ProbeKind::Http(http) => {
                let question = ProbeTarget::Http(http.clone());
                self.confirmed(target?, question, CONFIRM_HTTP).await
            }
            ProbeKind::Tcp => {
                let target = target?;
                let evidence = self.probe(target, ProbeTarget::Tcp).await.ok()?;
                Some(self.report(Some(target), evidence))
            }
            ProbeKind::Command(_) if target.is_none() && self.expects_port() => {
                self.last = Some("it listens on no port".to_owned());
                None
            }
            ProbeKind::Command(argv) => self.ask_command(argv, target).await,
        }
    }

    /// Without a declared probe: `GET /` below 500, or a port that accepts twice.
    async fn ask_port(&mut self, target: Target) -> Option<ReadyReport> {
        let accept = Statuses::new(vec![StatusRange { first: 100, last: 499 }]);
        let root = ProbeTarget::Http(HttpProbe { accept, ..HttpProbe::new("/") });
        match self.probe(target, root).await {
            Ok(evidence) => Some(self.report(Some(target), evidence)),
            Err(ProbeFailure::NotHttp | ProbeFailure::Closed) => {
                self.confirmed(target, ProbeTarget::Tcp, CONFIRM_TCP).await
            }
            Err(_) => None,
        }
    }

    /// Two successes in a row.
    async fn confirmed(
        &mut self,
        target: Target,
        question: ProbeTarget,
        pause: Duration,
    ) -> Option<ReadyReport> {
        self.probe(target, question.clone()).await.ok()?;
        tokio::time::sleep(pause).await;
        let evidence = self.probe(target, question).await.ok()?;
        Some(self.report(Some(target), evidence))
    }

    async fn ask_command(&mut self, argv: &[String], target: Option<Target>) -> Option<ReadyReport> {
        let judgement = question::by_command(self.runtime, self.spec, self.unit, argv).await;
        let judgement =
            judgement.unwrap_or_else(|error| Err(format!("`{}` could not be run: {error}", argv.join(" "))));
        match judgement {
            Ok(evidence) => Some(self.report(target, evidence)),
            Err(words) => {
                self.last = Some(words);
                None
            }
        }
    }

    /// Asks at an address, and remembers what is wrong there.
    async fn probe(&mut self, target: Target, question: ProbeTarget) -> Judgement<ProbeFailure> {
        let address = SocketAddr::new(target.ip, target.port.get());
        question::at_address(self.shared, self.spec, address, question).await.map_err(|unwell| {
            self.last = Some(unwell.words);
            unwell.failure
        })
    }

    /// Where requests go: the port that was declared, leased or found.
    async fn target(&mut self, seen: &UnitObserved) -> Option<Target> {
        let ip = seen.ip?;
        let own_address = self.runtime.caps().own_address;
        if let (true, Some(port)) = (own_address, self.spec.port) {
            return Some(Target { ip, port, fixed: false });
        }
        self.sockets = self.runtime.listening(self.unit).await.unwrap_or_default();
        if own_address {
            return self.container_port(seen).map(|port| Target { ip, port, fixed: false });
        }
        let leased = seen.port?;
        let listens = |port: NonZeroU16| self.sockets.iter().any(|socket| socket.port == port);
        if self.sockets.is_empty() || listens(leased) {
            return listens(leased).then_some(Target { ip, port: leased, fixed: false });
        }
        if let Some(port) = self.spec.port.filter(|port| listens(*port)) {
            return Some(Target { ip, port, fixed: true });
        }
        self.other_port().map(|port| Target { ip, port, fixed: true })
    }

    fn container_port(&self, seen: &UnitObserved) -> Option<NonZeroU16> {
        let reachable =
            || self.sockets.iter().filter(|socket| !socket.ip.is_loopback()).map(|socket| socket.port);
        let exposed = seen.exposed.iter().copied().find(|port| reachable().any(|open| open == *port));
        exposed.or_else(|| reachable().min()).or_else(|| seen.exposed.first().copied())
    }

    /// A port that the unit listens on although nobody told it to, once that has lasted.
    fn other_port(&mut self) -> Option<NonZeroU16> {
        let port = self.sockets.iter().map(|socket| socket.port).min()?;
        match self.other_since {
            Some((known, since)) if known == port => (since.elapsed() >= BELIEVE_OTHER_PORT).then_some(port),
            _ => {
                self.other_since = Some((port, Instant::now()));
                None
            }
        }
    }

    /// Whether nobody expects a port of this unit, and it has run for a while without one.
    fn is_worker(&self) -> bool {
        !self.expects_port() && self.began.elapsed() >= WORKER_AFTER
    }

    fn expects_port(&self) -> bool {
        self.spec.port.is_some() || !self.spec.routes.is_empty() || !self.spec.host_ports.is_empty()
    }

    /// Whether the unit has done what it was for: it ended well, nobody expects a port of it, and its policy leaves it
    /// at that.
    fn is_job(&self, exit: ExitStatus) -> bool {
        exit.is_success() && !self.spec.restart.policy.restarts_after(exit) && !self.expects_port()
    }

    fn job_report(&self) -> ReadyReport {
        ReadyReport {
            address: None,
            evidence: "ended with success".to_owned(),
            took: self.began.elapsed(),
            fixed_port: None,
            notes: Vec::new(),
        }
    }

    fn worker_report(&self) -> ReadyReport {
        let note = "it listens on no port, so it counts as a worker and gets no route; declare `app.port` if that is wrong";
        ReadyReport {
            address: None,
            evidence: format!(
                "ran for {} without listening on a port",
                nd_types::format_duration(WORKER_AFTER)
            ),
            took: self.began.elapsed(),
            fixed_port: None,
            notes: vec![note.to_owned()],
        }
    }

    fn report(&self, target: Option<Target>, evidence: String) -> ReadyReport {
        let fixed = target.filter(|target| target.fixed).map(|target| target.port);
        let notes = fixed.map(|port| {
            format!("the app listens on port {port} and ignores PORT, so it can have one instance, and two versions cannot run side by side")
        });
        ReadyReport {
            address: target.map(|target| SocketAddr::new(target.ip, target.port.get())),
            evidence,
            took: self.began.elapsed(),
            fixed_port: fixed,
            notes: notes.into_iter().collect(),
        }
    }

    async fn explain(&mut self, exit: Option<ExitStatus>) -> NotReady {
        let waited = self.began.elapsed();
        let ran_for = match exit {
            Some(_) => self.lifetime().await.unwrap_or(waited),
            None => {
                self.sockets = self.runtime.listening(self.unit).await.unwrap_or_default();
                waited
            }
        };
        let evidence = Evidence {
            unit: self.unit.to_string(),
            runtime: self.spec.runtime(),
            exit,
            ran_for,
            probe: self.last.clone(),
            sockets: self.sockets.clone(),
            port: self.spec.port,
            memory: self.spec.resources.memory,
            logs: diagnose::last_lines(self.runtime, self.unit).await,
        };
        NotReady { exit, diagnosis: evidence.explain(), unknown: false }
    }

    /// How long the unit ran, which began before this wait did.
    async fn lifetime(&self) -> Option<Duration> {
        let seen = tokio::time::timeout(LAST_LOOK, self.look()).await.ok()?.ok()?;
        match seen.status {
            UnitStatus::Exited { started: Some(started), finished: Some(finished), .. } => {
                Duration::try_from(finished.duration_since(started)).ok()
            }
            _ => None,
        }
    }
}
