//! The promises of a runtime, as far as they can be kept where nothing runs here.

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use nd_core::ports::{
    LogCursor, PortErrorKind, Prepared, Progress, Runtime, Scope, Signal, UnitIo, UnitSpec, UnitStatus,
};
use nd_core::spec::{AppSpec, CommandSpec, Workload};
use nd_external::ExternalRuntime;
use nd_types::{DaemonId, ExitStatus, UnitId};
use tempfile::TempDir;
use tokio::net::TcpListener;

type Result<T = ()> = std::result::Result<T, Box<dyn Error>>;

struct Place {
    dir: TempDir,
    runtime: ExternalRuntime,
    daemon: DaemonId,
}

impl Place {
    fn new() -> Result<Self> {
        let dir = tempfile::tempdir()?;
        let runtime = ExternalRuntime::open(dir.path().join("external"))?;
        Ok(Self { dir, runtime, daemon: DaemonId::random()? })
    }

    /// As a daemon that was killed finds it.
    fn reopened(&self) -> Result<ExternalRuntime> {
        Ok(ExternalRuntime::open(self.dir.path().join("external"))?)
    }

    fn unit(&self, id: &str, upstream: &str) -> Result<UnitSpec> {
        let spec = Arc::new(AppSpec::new(Workload::External(upstream.parse()?)));
        Ok(UnitSpec { id: id.parse()?, daemon: self.daemon.clone(), spec, prepared: Prepared::default() })
    }

    async fn started(&self, id: &str, upstream: &str) -> Result<UnitId> {
        let unit = self.unit(id, upstream)?;
        self.runtime.create(&unit).await?;
        self.runtime.start(&unit.id).await?;
        Ok(unit.id)
    }

    async fn statuses(&self, runtime: &ExternalRuntime) -> Result<Vec<(String, UnitStatus)>> {
        let units = runtime.observe(&Scope::All(self.daemon.clone())).await?;
        Ok(units.into_iter().map(|unit| (unit.name, unit.status)).collect())
    }
}

#[tokio::test]
async fn a_unit_leads_to_its_upstream_from_its_start_to_its_end() -> Result {
    let place = Place::new()?;
    let unit = place.unit("shop-aaaaaa-1", "127.0.0.1:4000")?;
    let created = place.runtime.create(&unit).await?;
    assert_eq!(
        (created.status, created.ip, created.runs.as_str()),
        (UnitStatus::Created, None, "127.0.0.1:4000")
    );
    let started = place.runtime.start(&unit.id).await?;
    assert!(started.status.is_running(), "{started:?}");
    assert_eq!(started.ip, Some([127, 0, 0, 1].into()));
    let again = place.runtime.start(&unit.id).await?;
    assert_eq!(again, started);
    place.runtime.signal(&unit.id, Signal::Stop(None)).await?;
    assert_eq!(place.runtime.wait(&unit.id).await?, ExitStatus::Code(0));
    assert!(matches!(place.statuses(&place.runtime).await?.as_slice(), [(_, UnitStatus::Exited { .. })]));
    place.runtime.remove(&unit.id).await?;
    place.runtime.remove(&unit.id).await?;
    assert_eq!(place.statuses(&place.runtime).await?, []);
    Ok(())
}

#[tokio::test]
async fn whoever_waits_for_the_end_is_told_of_it() -> Result {
    let place = Place::new()?;
    let unit = place.started("shop-aaaaaa-1", "127.0.0.1:4000").await?;
    let mut end = std::pin::pin!(place.runtime.wait(&unit));
    assert!(futures_util::poll!(&mut end).is_pending());
    place.runtime.signal(&unit, Signal::Kill).await?;
    assert_eq!(tokio::time::timeout(Duration::from_secs(5), end).await??, ExitStatus::Code(0));
    Ok(())
}

#[tokio::test]
async fn its_output_is_empty_and_ends_with_the_unit() -> Result {
    let place = Place::new()?;
    let unit = place.started("shop-aaaaaa-1", "127.0.0.1:4000").await?;
    let mut lines = place.runtime.logs(&unit, LogCursor::Start).await?;
    assert!(futures_util::poll!(lines.next()).is_pending());
    place.runtime.remove(&unit).await?;
    assert!(tokio::time::timeout(Duration::from_secs(5), lines.next()).await?.is_none());
    Ok(())
}

#[tokio::test]
async fn a_daemon_that_was_killed_finds_every_unit_as_it_was() -> Result {
    let place = Place::new()?;
    place.started("shop-aaaaaa-1", "127.0.0.1:4000").await?;
    let stopped = place.started("blog-bbbbbb-1", "[::1]:4000").await?;
    place.runtime.signal(&stopped, Signal::Stop(None)).await?;
    place.runtime.create(&place.unit("wiki-cccccc-1", "127.0.0.1:4001")?).await?;
    let before = place.statuses(&place.runtime).await?;
    assert_eq!(before.len(), 3);
    assert_eq!(place.statuses(&place.reopened()?).await?, before);
    Ok(())
}

#[tokio::test]
async fn a_file_that_is_damaged_is_no_unit_and_is_written_anew() -> Result {
    let place = Place::new()?;
    let unit = place.started("shop-aaaaaa-1", "127.0.0.1:4000").await?;
    std::fs::write(place.dir.path().join("external").join(unit.as_str()), "{")?;
    let reopened = place.reopened()?;
    assert_eq!(place.statuses(&reopened).await?, []);
    reopened.create(&place.unit("shop-aaaaaa-1", "127.0.0.1:4000")?).await?;
    assert_eq!(place.statuses(&place.reopened()?).await?, [(unit.to_string(), UnitStatus::Created)]);
    Ok(())
}

#[tokio::test]
async fn a_unit_whose_file_somebody_took_away_can_be_removed() -> Result {
    let place = Place::new()?;
    let unit = place.started("shop-aaaaaa-1", "127.0.0.1:4000").await?;
    std::fs::remove_file(place.dir.path().join("external").join(unit.as_str()))?;
    place.runtime.remove(&unit).await?;
    assert_eq!(place.statuses(&place.runtime).await?, []);
    Ok(())
}

#[tokio::test]
async fn a_name_that_is_lost_for_a_moment_is_looked_up_again() -> Result {
    let place = Place::new()?;
    let unit = place.unit("shop-aaaaaa-1", "nowhere.invalid:4000")?;
    place.runtime.create(&unit).await?;
    assert!(place.runtime.start(&unit.id).await.unwrap_err().kind.may_pass());
    Ok(())
}

#[tokio::test]
async fn a_name_is_looked_up_at_each_start() -> Result {
    let place = Place::new()?;
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let upstream = format!("localhost:{}", listener.local_addr()?.port());
    let unit = place.unit("shop-aaaaaa-1", &upstream)?;
    place.runtime.prepare(&unit.spec, None, &Progress::default()).await?;
    place.runtime.create(&unit).await?;
    let started = place.runtime.start(&unit.id).await?;
    assert_eq!(started.ip, Some([127, 0, 0, 1].into()), "where somebody listens");
    Ok(())
}

#[tokio::test]
async fn a_name_without_an_address_is_refused_before_anything_happens() -> Result {
    let place = Place::new()?;
    let unit = place.unit("shop-aaaaaa-1", "nowhere.invalid:4000")?;
    let error = place.runtime.prepare(&unit.spec, None, &Progress::default()).await.unwrap_err();
    assert_eq!(error.kind, PortErrorKind::NotFound);
    assert!(error.to_string().contains("nowhere.invalid") && error.fix.is_some(), "{error}");
    Ok(())
}

#[tokio::test]
async fn what_only_its_own_manager_can_do_is_refused() -> Result {
    let place = Place::new()?;
    let unit = place.started("shop-aaaaaa-1", "127.0.0.1:4000").await?;
    let run = place.runtime.exec(&unit, &["true".to_owned()], Duration::from_secs(1)).await.unwrap_err();
    assert_eq!(run.to_string(), "run a command inside shop-aaaaaa-1: its server is run by something else");
    assert!(place.runtime.stats(&unit).await.is_err());
    let nobody: UnitId = "shop-aaaaaa-2".parse()?;
    let absent = place.runtime.start(&nobody).await.unwrap_err();
    assert_eq!(absent.kind, PortErrorKind::NotFound);
    let command = CommandSpec { argv: vec!["true".into()], cwd: "/".into(), user: None, path: None };
    let spec = Arc::new(AppSpec::new(Workload::Command(command)));
    let other = UnitSpec { id: nobody, daemon: place.daemon.clone(), spec, prepared: Prepared::default() };
    assert_eq!(place.runtime.create(&other).await.unwrap_err().kind, PortErrorKind::Invalid);
    Ok(())
}

#[tokio::test]
async fn its_files_are_private() -> Result {
    use std::os::unix::fs::PermissionsExt;
    let place = Place::new()?;
    let unit = place.started("shop-aaaaaa-1", "127.0.0.1:4000").await?;
    let dir = place.dir.path().join("external");
    let mode = |path| Ok::<_, std::io::Error>(std::fs::metadata(path)?.permissions().mode() & 0o777);
    assert_eq!((mode(dir.clone())?, mode(dir.join(unit.as_str()))?), (0o700, 0o600));
    Ok(())
}
