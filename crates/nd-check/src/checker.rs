//! Rounds: look at everything, restart what failed, look again.

use std::time::{Duration, Instant};

use futures_util::StreamExt;
use futures_util::stream;
use nd_client::{Client, ClientError};
use nd_types::Timestamp;
use tokio::time::sleep;

use crate::app;
use crate::command::CommandError;
use crate::compose::Compose;
use crate::docker;
use crate::finding::{Finding, Health, Kind, Report, Restarted};
use crate::host::HostFigures;
use crate::pm2;
use crate::systemd;
use crate::target::Target;
use crate::url::CheckedUrl;

/// Targets that are looked at side by side.
const AT_ONCE: usize = 8;

/// How long a URL may take to answer after the restart of its target.
const COMES_UP: Duration = Duration::from_secs(30);

/// The pause between two questions meanwhile.
const PACE: Duration = Duration::from_millis(250);

/// What is looked at, and what is done about it.
#[derive(Debug)]
pub struct Checker {
    client: Client,
    /// Without any, all apps of the daemon.
    targets: Vec<Target>,
    url: Option<CheckedUrl>,
    restarts: bool,
    compose: Compose,
}

/// What one round found.
#[derive(Debug)]
pub struct Round {
    /// All that was found.
    pub report: Report,
    /// Why apps could not be looked at, where they were asked for.
    pub daemon: Option<ClientError>,
}

/// Why a target could not be looked at or restarted.
enum Trouble {
    Manager(CommandError),
    Daemon(ClientError),
}

impl Checker {
    /// For these targets, or all apps of the daemon where there are none. A URL stands for the health of the target
    /// where there is exactly one, and for itself otherwise. `restarts`: what failed is restarted by its own manager.
    #[must_use]
    pub fn new(client: Client, targets: Vec<Target>, url: Option<CheckedUrl>, restarts: bool) -> Self {
        Self { client, targets, url, restarts, compose: Compose::default() }
    }

    /// Looks at everything once.
    ///
    /// Cancellation safe: commands of managers end with it, and what they have begun goes on.
    pub async fn round(&self) -> Round {
        let (targets, mut daemon) = self.meant().await;
        let looks = stream::iter(&targets).map(|target| self.checked(target)).buffered(AT_ONCE);
        let mut found = Vec::new();
        for (finding, trouble) in looks.collect::<Vec<_>>().await {
            found.push(finding);
            daemon = daemon.or(trouble);
        }
        if let Some(url) = self.url.as_ref().filter(|_| self.own_url().is_none()) {
            found.push(url.look().await);
        }
        let asks_daemon = self.targets.is_empty() || self.targets.iter().any(is_app);
        let workers = match asks_daemon && daemon.is_none() {
            false => Vec::new(),
            true => app::workers(&self.client).await.unwrap_or_else(|error| {
                daemon = Some(error);
                Vec::new()
            }),
        };
        let problems = found.iter().chain(&workers).filter(|finding| finding.is_problem()).count();
        let host = HostFigures::read();
        Round { report: Report { at: Timestamp::now(), problems, targets: found, workers, host }, daemon }
    }

    /// The targets, and why there are none.
    async fn meant(&self) -> (Vec<Target>, Option<ClientError>) {
        if !self.targets.is_empty() {
            return (self.targets.clone(), None);
        }
        match self.client.apps().await {
            Ok(apps) => (apps.into_iter().map(|app| Target::App(app.name)).collect(), None),
            Err(error) => (Vec::new(), Some(error)),
        }
    }

    /// The URL that says whether the one target is well.
    fn own_url(&self) -> Option<&CheckedUrl> {
        self.url.as_ref().filter(|_| self.targets.len() == 1)
    }

    /// Looks at one target, has it restarted where it failed, and measures it.
    async fn checked(&self, target: &Target) -> (Finding, Option<ClientError>) {
        let mut trouble = None;
        let mut finding = match self.look(target).await {
            Ok(finding) => finding,
            Err(error) => {
                let finding = unasked(target, &error);
                if let Trouble::Daemon(error) = error {
                    trouble = Some(error);
                }
                finding
            }
        };
        if finding.health == Health::Failed && self.restarts {
            finding = self.restarted(target, finding).await;
        }
        if let (Target::Docker(name), Some(_)) = (target, finding.pid) {
            docker::measure(name, &mut finding).await;
        }
        (finding, trouble)
    }

    async fn look(&self, target: &Target) -> Result<Finding, Trouble> {
        let found = match target {
            Target::App(name) => app::look(&self.client, name).await.map_err(Trouble::Daemon)?,
            Target::Docker(name) => docker::look(name).await?,
            Target::Systemd(unit) => systemd::look(unit).await?,
            Target::Pm2(name) => pm2::look(name).await?,
            Target::Compose(file) => self.compose.look(file).await?,
        };
        let Some(mut finding) = found else { return Ok(unknown(target)) };
        if let (Some(url), Health::Well) = (self.own_url(), finding.health) {
            let answer = url.look().await;
            if answer.health != Health::Well {
                finding.health = Health::Failed;
                finding.reason.clone_from(&answer.reason);
            }
            finding.parts.push(answer);
        }
        Ok(finding)
    }

    async fn restarted(&self, target: &Target, before: Finding) -> Finding {
        let reason = before.reason.as_ref().map(|reason| format!(" ({reason})")).unwrap_or_default();
        let was = format!("{}{reason}", before.state);
        if let Err(error) = self.restart(target, &before).await {
            let error = Some(error.to_string());
            return Finding { restarted: Some(Restarted { ok: false, before: was, error }), ..before };
        }
        let after = self.come_up(target).await.unwrap_or(before);
        let ok = !after.health.is_problem();
        Finding { restarted: Some(Restarted { ok, before: was, error: None }), ..after }
    }

    /// Looks again after a restart. An answer of a URL is given time: the manager was done when the process was started.
    async fn come_up(&self, target: &Target) -> Option<Finding> {
        let deadline = Instant::now() + COMES_UP;
        loop {
            let found = self.look(target).await.ok()?;
            let is_over = found.health != Health::Failed || Instant::now() >= deadline;
            if is_over || self.own_url().is_none() {
                return Some(found);
            }
            sleep(PACE).await;
        }
    }

    async fn restart(&self, target: &Target, found: &Finding) -> Result<(), Trouble> {
        match target {
            Target::App(name) => app::restart(&self.client, name).await.map_err(Trouble::Daemon)?,
            Target::Docker(name) => docker::restart(name).await?,
            Target::Systemd(unit) => systemd::restart(unit, found).await?,
            Target::Pm2(name) => pm2::restart(name).await?,
            Target::Compose(file) => self.compose.restart(file, found).await?,
        }
        Ok(())
    }
}

impl Report {
    /// Targets that nobody knows.
    pub fn unknown(&self) -> impl Iterator<Item = &Finding> {
        self.targets.iter().filter(|finding| finding.health == Health::Unknown)
    }
}

impl From<CommandError> for Trouble {
    fn from(error: CommandError) -> Self {
        Self::Manager(error)
    }
}

impl std::fmt::Display for Trouble {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Manager(error) => error.fmt(f),
            Self::Daemon(error) => error.fmt(f),
        }
    }
}

fn is_app(target: &Target) -> bool {
    matches!(target, Target::App(_))
}

fn kind(target: &Target) -> Kind {
    match target {
        Target::App(_) => Kind::App,
        Target::Docker(_) => Kind::Docker,
        Target::Systemd(_) => Kind::Systemd,
        Target::Pm2(_) => Kind::Pm2,
        Target::Compose(_) => Kind::Compose,
    }
}

fn unasked(target: &Target, error: &Trouble) -> Finding {
    Finding::new(kind(target), target.to_string(), Health::Unasked, "not asked").because(error.to_string())
}

fn unknown(target: &Target) -> Finding {
    let reason = match target {
        Target::App(name) => format!("Application {name} not found in monitoring"),
        Target::Docker(name) => format!("the Docker engine has no container `{name}`"),
        Target::Systemd(unit) => format!("systemd has no unit `{unit}`"),
        Target::Pm2(name) => format!("PM2 has no process `{name}`"),
        Target::Compose(file) => format!("there is no file {}", file.display()),
    };
    Finding::new(kind(target), target.to_string(), Health::Unknown, "unknown").because(reason)
}
