//! A daemon of one's own: in a directory and on ports of its own, and gone without a trace when dropped.

use std::fs::{self, File};
use std::net::SocketAddr;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::Signal;
use serde_json::Value;

use crate::cli::{Outcome, Typed};
use crate::docker::Docker;
use crate::http::{Answer, Connection, Target, get};
use crate::processes;
use crate::programs::Programs;
use crate::site::Site;
use crate::wait::{until, until_some};
use crate::{Result, WAIT};

/// How long a command may take.
const COMMAND: Duration = Duration::from_secs(90);

/// How a daemon is started.
#[derive(Clone, Debug)]
pub struct Options {
    /// Trust loopback (`--dev`).
    pub dev: bool,
    /// More flags.
    pub flags: Vec<String>,
    /// Variables for the daemon.
    pub variables: Vec<(String, String)>,
    /// How many files it may have open, as `ulimit` takes it: `-Sn 256` is where it starts, `-n 256` is all it gets.
    pub descriptors: Option<&'static str>,
}

impl Default for Options {
    fn default() -> Self {
        Self { dev: true, flags: Vec::new(), variables: Vec::new(), descriptors: None }
    }
}

/// A daemon of one's own.
#[derive(Debug)]
pub struct Daemon {
    programs: Programs,
    site: Site,
    options: Options,
    child: Option<Child>,
}

impl Daemon {
    /// Starts one and waits until it answers.
    ///
    /// # Errors
    /// When it does not answer in time, with what it wrote.
    pub fn start(programs: &Programs, options: Options) -> Result<Self> {
        Self::start_at(Site::new()?, programs, options)
    }

    /// Starts one at a place that was prepared for it.
    ///
    /// # Errors
    /// As [`Daemon::start`].
    pub fn start_at(site: Site, programs: &Programs, options: Options) -> Result<Self> {
        let mut daemon = Self { programs: programs.clone(), site, options, child: None };
        daemon.launch()?;
        Ok(daemon)
    }

    /// Its place.
    #[must_use]
    pub fn site(&self) -> &Site {
        &self.site
    }

    /// How it is started; changes count from its next start on.
    pub fn options(&mut self) -> &mut Options {
        &mut self.options
    }

    /// The id of its process, while it runs.
    #[must_use]
    pub fn pid(&self) -> Option<i32> {
        self.child.as_ref().and_then(|child| i32::try_from(child.id()).ok())
    }

    /// Starts it again at the same place, and waits until it answers.
    ///
    /// # Errors
    /// As [`Daemon::start`].
    pub fn launch(&mut self) -> Result {
        self.spawn()?;
        let target = Target::Unix(self.site.socket());
        let child = &mut self.child;
        let up = until_some("an answer of the daemon", WAIT, || {
            if get(&target, "nextdeployd", "/healthz").is_ok_and(|answer| answer.status == 200) {
                return Some(true);
            }
            match child.as_mut().map(Child::try_wait) {
                Some(Ok(None)) => None,
                _ => Some(false),
            }
        });
        match up {
            Ok(true) => Ok(()),
            Ok(false) => Err(format!("the daemon ended at once; it wrote:\n{}", self.site.log()).into()),
            Err(error) => Err(format!("{error}; it wrote:\n{}", self.site.log()).into()),
        }
    }

    /// Starts it and does not wait for anything.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn spawn(&mut self) -> Result {
        let log = File::options().create(true).append(true).open(self.site.folder().join("daemon.log"))?;
        let mut command = match self.options.descriptors {
            None => Command::new(&self.programs.daemon),
            Some(limit) => {
                let mut shell = Command::new("/bin/sh");
                shell.args(["-c", &format!("ulimit {limit} && exec \"$0\" \"$@\"")]);
                shell.arg(&self.programs.daemon);
                shell
            }
        };
        command.arg("run").arg("--data-dir").arg(self.site.data());
        command.arg("--config").arg(self.site.settings());
        command.args(["--listen", &self.site.api.to_string(), "--http", &self.site.http.to_string()]);
        command.args(self.options.dev.then_some("--dev")).args(&self.options.flags);
        command.envs(self.options.variables.iter().map(|(key, value)| (key, value)));
        command.env_remove("NOTIFY_SOCKET").current_dir(self.site.folder());
        command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        // Ctrl-C is for whoever started this; the daemon is ended in order.
        command.process_group(0);
        let child =
            command.spawn().map_err(|error| format!("start {}: {error}", self.programs.daemon.display()))?;
        self.child = Some(child);
        Ok(())
    }

    /// Kills it with SIGKILL and waits until it is gone.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().ok();
            child.wait().ok();
        }
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: Signal) {
        if let Some(pid) = self.pid() {
            processes::kill(pid, signal);
        }
    }

    /// Waits until it has ended by itself.
    ///
    /// # Errors
    /// When it goes on longer than `within`.
    pub fn wait_end(&mut self, within: Duration) -> Result<ExitStatus> {
        let child = self.child.as_mut().ok_or("the daemon does not run")?;
        let status = until_some("the end of the daemon", within, || child.try_wait().ok().flatten())?;
        self.child = None;
        Ok(status)
    }

    /// Types `nextdeploy …` and waits for its end; a word is what blanks separate.
    ///
    /// # Errors
    /// When it does not end in time.
    pub fn cli(&self, line: &str) -> Result<Outcome> {
        let words: Vec<&str> = line.split_whitespace().collect();
        self.cli_words(&words)
    }

    /// The same, for words with blanks in them.
    ///
    /// # Errors
    /// When it does not end in time.
    pub fn cli_words(&self, words: &[&str]) -> Result<Outcome> {
        self.type_in(self.site.folder(), words)?.wait(COMMAND)
    }

    /// The same in a folder, without waiting.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn type_in(&self, folder: &Path, words: &[&str]) -> Result<Typed> {
        self.type_with(&self.programs.cli, folder, words)
    }

    /// Types `nextdeployd …`, for the verbs that it shares.
    ///
    /// # Errors
    /// When it does not end in time.
    pub fn cli_of_daemon(&self, line: &str) -> Result<Outcome> {
        let words: Vec<&str> = line.split_whitespace().collect();
        self.type_with(&self.programs.daemon, self.site.folder(), &words)?.wait(COMMAND)
    }

    fn type_with(&self, program: &Path, folder: &Path, words: &[&str]) -> Result<Typed> {
        let host = format!("unix://{}", self.site.socket().display());
        let variables = [("NEXTDEPLOY_HOST", host.as_str()), ("NO_COLOR", "1")];
        Typed::start(program, words, folder, &variables)
    }

    /// Deploys the test application as a plain process, answering as `release`; gives the URL. `flags` stand before
    /// the command.
    ///
    /// # Errors
    /// When the deployment fails.
    pub fn deploy(&self, app: &str, release: &str, flags: &[&str]) -> Result<String> {
        let variable = format!("TESTAPP_RELEASE={release}");
        let program = self.programs.testapp.display().to_string();
        let user: &[&str] = if runs_as_root() { &["--user", "root"] } else { &[] };
        let words = [&["deploy", "--name", app, "-e", &variable], user, flags, &["--", &program]].concat();
        Ok(self.cli_words(&words)?.ok()?.stdout.trim().to_owned())
    }

    /// The programs that it and its commands are.
    #[must_use]
    pub fn programs(&self) -> &Programs {
        &self.programs
    }

    /// A connection to its API over the control socket.
    ///
    /// # Errors
    /// When it does not listen.
    pub fn control(&self) -> Result<Connection> {
        Ok(Connection::open(&Target::Unix(self.site.socket()), "nextdeployd", WAIT)?)
    }

    /// `GET path` from its API.
    ///
    /// # Errors
    /// When it gives no answer of JSON.
    pub fn api_get(&self, path: &str) -> Result<Value> {
        self.control()?.request("GET", path, &[], b"")?.json()
    }

    /// `POST path` to its API, as curl sends it.
    ///
    /// # Errors
    /// The error of the connection.
    pub fn api_post(&self, path: &str, body: &str) -> Result<Answer> {
        let headers = [("content-type", "application/json"), ("accept", "*/*")];
        Ok(self.control()?.request("POST", path, &headers, body.as_bytes())?)
    }

    /// An app as `/api/v1` shows it.
    ///
    /// # Errors
    /// When it gives no answer of JSON.
    pub fn app(&self, name: &str) -> Result<Value> {
        self.api_get(&format!("/api/v1/apps/{name}"))
    }

    /// Waits until an app is in a phase, as in `running`.
    ///
    /// # Errors
    /// When it is not within [`WAIT`], with how it is then.
    pub fn wait_phase(&self, name: &str, phase: &str) -> Result<Value> {
        let mut last = None;
        let found = until_some(&format!("{name} {phase}"), WAIT, || {
            last = self.app(name).ok();
            last.clone().filter(|app| app.get("phase").and_then(Value::as_str) == Some(phase))
        });
        found.map_err(|error| format!("{error}; it is {}", last.unwrap_or_default()).into())
    }

    /// `GET` from an app through the proxy; `url` is what `deploy` printed, or that with a path.
    ///
    /// # Errors
    /// The error of the connection.
    pub fn get(&self, url: &str) -> Result<Answer> {
        let (target, host, path) = self.route(url)?;
        Ok(get(&target, &host, &path)?)
    }

    /// Where a URL leads: the address to connect to, its host, and its path. Names under `localhost` are this machine
    /// (RFC 6761, section 6.3); every other name is served by this daemon's proxy too.
    ///
    /// # Errors
    /// When it is no `http://` URL.
    pub fn route(&self, url: &str) -> Result<(Target, String, String)> {
        let rest = url.trim().strip_prefix("http://").ok_or_else(|| format!("no http URL: {url:?}"))?;
        let (host, path) = rest.find('/').map_or((rest, "/"), |place| rest.split_at(place));
        let address = host.parse::<SocketAddr>().unwrap_or(self.site.http);
        Ok((Target::Tcp(address), host.to_owned(), path.to_owned()))
    }

    /// The words that lead to this daemon, for a person to type.
    #[must_use]
    pub fn host_flag(&self) -> String {
        format!("--host unix://{}", self.site.socket().display())
    }

    /// The shims of this daemon.
    #[must_use]
    pub fn shims(&self) -> Vec<i32> {
        processes::holding(&self.site.data()).into_iter().filter(|pid| Some(*pid) != self.pid()).collect()
    }

    /// The processes that shims of this daemon stand over, shims included.
    #[must_use]
    pub fn unit_processes(&self) -> Vec<i32> {
        let shims = self.shims().into_iter();
        shims.flat_map(|shim| [vec![shim], processes::descendants(shim)].concat()).collect()
    }

    /// The processes of its data plane, where that has its own: those of `mode`, such as `--worker`.
    #[must_use]
    pub fn proxies(&self, mode: &str) -> Vec<i32> {
        let socket = self.site.data().join("run/proxy.sock");
        processes::with_words(&[socket.as_os_str(), mode.as_ref()])
    }

    /// The containers of this daemon, running or not.
    ///
    /// # Errors
    /// What the engine says.
    pub fn containers(&self, docker: &Docker) -> Result<Vec<Value>> {
        // The daemon's id is what its state and its containers share.
        let state: Vec<u8> = ["state.db", "state.db-wal"]
            .iter()
            .flat_map(|name| fs::read(self.site.data().join(name)).unwrap_or_default())
            .collect();
        let ours = |container: &Value| {
            let daemon = container.pointer("/Labels/nextdeploy.daemon").and_then(Value::as_str);
            daemon.is_some_and(|id| !id.is_empty() && contains(&state, id.as_bytes()))
        };
        Ok(docker.containers(&["nextdeploy.managed=true"])?.into_iter().filter(ours).collect())
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        self.kill();
        // Again and again: of holder and worker, each starts the other one anew.
        until("the end of the proxy", WAIT, || {
            let left = self.proxies("proxy");
            left.iter().for_each(|pid| processes::kill(*pid, Signal::KILL));
            left.is_empty()
        })
        .ok();
        for pid in self.unit_processes() {
            processes::kill(pid, Signal::KILL);
        }
        let left = Docker::find().and_then(|docker| Some((self.containers(&docker).ok()?, docker)));
        for (container, docker) in
            left.iter().flat_map(|(list, docker)| list.iter().map(move |one| (one, docker)))
        {
            if let Some(id) = container.get("Id").and_then(Value::as_str) {
                docker.remove(id).ok();
            }
        }
        if std::thread::panicking() {
            eprintln_tail(&self.site.log());
        }
        until("the end of all units", WAIT, || self.unit_processes().is_empty()).ok();
    }
}

/// Whether this is root, whose plain processes must be told that they may be root too.
#[must_use]
pub fn runs_as_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// Shows what the daemon wrote beside the failure of a test.
#[allow(clippy::print_stderr, reason = "the output of a failed test")]
fn eprintln_tail(log: &str) {
    let lines: Vec<&str> = log.lines().collect();
    let tail = lines.get(lines.len().saturating_sub(40)..).unwrap_or_default();
    eprintln!("--- the daemon's last lines\n{}", tail.join("\n"));
}

fn contains(all: &[u8], part: &[u8]) -> bool {
    all.windows(part.len()).any(|window| window == part)
}
