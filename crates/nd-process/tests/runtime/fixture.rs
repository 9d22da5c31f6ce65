//! A place for units, and what units do.

use std::collections::BTreeMap;
use std::error::Error;
use std::io::Write;
use std::net::TcpListener;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use futures_util::StreamExt;
use nd_core::ports::{LogCursor, LogPiece, Prepared, Progress, Runtime, UnitIo, UnitSpec};
use nd_core::spec::{AppSpec, CommandSpec, Workload};
use nd_process::{ProcessRuntime, Settings, ShimCommand};
use nd_testkit::contract::runtime::{Doing, RuntimeFixture};
use nd_types::{DaemonId, ExitStatus, UnitId};

/// How long anything may take.
pub(crate) const LIMIT: Duration = Duration::from_secs(30);

/// A directory with units, and the runtime on it.
pub(crate) struct Fixture {
    dir: tempfile::TempDir,
    daemon: DaemonId,
    runtime: Arc<ProcessRuntime>,
}

impl Fixture {
    /// A second runtime on the same directory.
    pub(crate) fn open(&self) -> Result<Arc<ProcessRuntime>, Box<dyn Error>> {
        let exe = std::env::current_exe()?;
        self.open_with(ShimCommand { program: exe, args: vec!["shim".to_owned()], as_unit: false })
    }

    /// As [`Fixture::open`], with a shim that is started in another way.
    pub(crate) fn open_with(&self, shim: ShimCommand) -> Result<Arc<ProcessRuntime>, Box<dyn Error>> {
        let (units, run) = (self.units(), self.dir.path().join("run"));
        Ok(Arc::new(ProcessRuntime::new(&Settings::default(), units, run, shim)?))
    }

    /// Where the units lie.
    pub(crate) fn units(&self) -> PathBuf {
        self.dir.path().join("units")
    }

    /// A directory for what the test itself needs.
    pub(crate) fn scratch(&self) -> &std::path::Path {
        self.dir.path()
    }

    /// Creates the unit `shop` that runs this script.
    pub(crate) async fn created(&self, script: &str) -> Result<UnitId, Box<dyn Error>> {
        self.created_as("shop", spec(&["sh", "-c", script])).await
    }

    /// Creates a unit of this app and release.
    pub(crate) async fn created_as(&self, app: &str, spec: AppSpec) -> Result<UnitId, Box<dyn Error>> {
        self.runtime.prepare(&spec, None, &Progress::default()).await?;
        let id = UnitId::new(&app.parse()?, &"abc123".parse()?, 1);
        let unit = UnitSpec {
            id: id.clone(),
            daemon: self.daemon.clone(),
            spec: Arc::new(spec),
            prepared: Prepared::default(),
        };
        self.runtime.create(&unit).await?;
        Ok(id)
    }

    /// Creates and starts the unit `shop` that runs this script.
    pub(crate) async fn started(&self, script: &str) -> Result<UnitId, Box<dyn Error>> {
        let unit = self.created(script).await?;
        self.runtime.start(&unit).await?;
        Ok(unit)
    }

    /// Runs the script to its end: how it ended and the lines it wrote.
    pub(crate) async fn run(&self, script: &str) -> Result<(ExitStatus, Vec<String>), Box<dyn Error>> {
        let unit = self.started(script).await?;
        let exit = tokio::time::timeout(LIMIT, self.runtime.wait(&unit)).await??;
        let logs = self.runtime.logs(&unit, LogCursor::Start).await?;
        self.runtime.remove(&unit).await?;
        let pieces = logs.filter_map(|piece| std::future::ready(piece.ok())).collect();
        let pieces: Vec<LogPiece> = tokio::time::timeout(LIMIT, pieces).await?;
        Ok((exit, pieces.iter().map(|piece| String::from_utf8_lossy(&piece.line).into_owned()).collect()))
    }

    /// The first line that the unit writes which begins so, without the beginning.
    pub(crate) async fn line(&self, unit: &UnitId, begin: &str) -> Result<String, Box<dyn Error>> {
        self.line_after(unit, begin, 0).await
    }

    /// How many processes bear the unit's mark.
    pub(crate) fn processes_of(&self, unit: &UnitId) -> std::io::Result<usize> {
        let marks = [format!("NEXTDEPLOY_UNIT={unit}"), format!("NEXTDEPLOY_DAEMON={}", self.daemon)];
        let mut found = nd_proc::bearing(&marks)?;
        found.retain(|process| !process.zombie);
        Ok(found.len())
    }

    /// As [`Fixture::line`], after so many others that begin so.
    pub(crate) async fn line_after(
        &self,
        unit: &UnitId,
        begin: &str,
        mut others: usize,
    ) -> Result<String, Box<dyn Error>> {
        let mut logs = self.runtime.logs(unit, LogCursor::Start).await?;
        let found = async {
            while let Some(piece) = logs.next().await {
                let line = String::from_utf8_lossy(&piece?.line).into_owned();
                if let Some(rest) = line.strip_prefix(begin) {
                    if others == 0 {
                        return Ok(rest.trim().to_owned());
                    }
                    others -= 1;
                }
            }
            Err::<_, Box<dyn Error>>("the output has ended".into())
        };
        tokio::time::timeout(LIMIT, found).await?
    }
}

/// A release of this command, as the daemon's own user.
pub(crate) fn spec(argv: &[&str]) -> AppSpec {
    AppSpec::new(Workload::Command(CommandSpec {
        argv: argv.iter().map(|&word| word.to_owned()).collect(),
        cwd: "/".into(),
        user: None,
        path: Some("/usr/local/bin:/usr/bin:/bin".to_owned()),
    }))
}

#[async_trait]
impl RuntimeFixture for Fixture {
    async fn new() -> Result<Self, Box<dyn Error>> {
        let dir = tempfile::tempdir()?;
        let shim =
            ShimCommand { program: std::env::current_exe()?, args: vec!["shim".to_owned()], as_unit: false };
        let (units, run) = (dir.path().join("units"), dir.path().join("run"));
        let runtime = Arc::new(ProcessRuntime::new(&Settings::default(), units, run, shim)?);
        Ok(Self { dir, daemon: DaemonId::random()?, runtime })
    }

    fn runtime(&self) -> Arc<dyn Runtime> {
        Arc::clone(&self.runtime) as Arc<dyn Runtime>
    }

    async fn reopened(&self) -> Result<Arc<dyn Runtime>, Box<dyn Error>> {
        Ok(self.open()?)
    }

    fn daemon(&self) -> DaemonId {
        self.daemon.clone()
    }

    fn spec(&self, doing: Doing) -> AppSpec {
        match (doing.script(), std::env::current_exe()) {
            (None, Ok(exe)) => spec(&[&exe.to_string_lossy(), "serve"]),
            (script, _) => spec(&["sh", "-c", &script.unwrap_or_default()]),
        }
    }

    fn missing(&self) -> AppSpec {
        spec(&["no-such-program-here"])
    }

    fn command_that_exits(&self, code: u8) -> Vec<String> {
        ["sh", "-c", &format!("exit {code}")].map(str::to_owned).into()
    }

    fn command_that_hangs(&self) -> Vec<String> {
        ["sleep", "3600"].map(str::to_owned).into()
    }

    async fn close(self) {}
}

/// A test that fails must not leave processes behind.
impl Drop for Fixture {
    fn drop(&mut self) {
        for unit in std::fs::read_dir(self.units()).into_iter().flatten().flatten() {
            if let Ok(mut shim) = UnixStream::connect(unit.path().join("sock")) {
                shim.write_all(b"\"quit\"\n").ok();
                // Until it closes the connection.
                std::io::copy(&mut shim, &mut std::io::sink()).ok();
            }
        }
        // What a test has left alone by killing its shim.
        let left = nd_proc::marked(&[format!("NEXTDEPLOY_DAEMON={}", self.daemon)]).unwrap_or_default();
        nd_proc::kill_and_wait(&left, Instant::now() + LIMIT).ok();
    }
}

/// The server: listens on `PORT` until it is killed.
#[allow(clippy::print_stdout, reason = "its output is what the test waits for")]
pub(crate) fn serve() -> ExitCode {
    let variables: BTreeMap<String, String> = std::env::vars().collect();
    let port = variables.get("PORT").and_then(|port| port.parse().ok()).unwrap_or(0);
    let Ok(listener) = TcpListener::bind(("127.0.0.1", port)) else { return ExitCode::FAILURE };
    println!("ready");
    for connection in listener.incoming() {
        drop(connection);
    }
    ExitCode::SUCCESS
}
