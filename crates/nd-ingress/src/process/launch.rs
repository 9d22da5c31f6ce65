//! Starting the data plane: the command line of the holder, and its first word.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::UnixStream;
use tokio::process::Command;

/// How long the holder may take until its sockets are open.
const START: Duration = Duration::from_secs(10);
/// Between two looks at a socket.
const AGAIN: Duration = Duration::from_millis(10);

/// How the data plane is started.
#[derive(Clone, Debug)]
pub struct Launch {
    /// The program, whose `proxy` mode calls [`proxy_main`](crate::proxy_main).
    pub program: PathBuf,
    /// What stands before the program, so that it outlives this process (`systemd-run --scope …`); may be empty.
    pub before: Vec<String>,
    /// Where its socket is; for nobody else to read.
    pub run_dir: PathBuf,
    /// [`nd_proxy::Settings`] as JSON, without `http`.
    pub settings: Value,
    /// Where to serve plain HTTP: the first of these that can be had.
    pub http: Vec<SocketAddr>,
}

/// Why there is no data plane.
#[derive(Debug, thiserror::Error)]
pub enum LaunchError {
    /// The program could not be started.
    #[error("start {program} as the proxy: {source}")]
    Start {
        /// The program.
        program: String,
        /// What the system said.
        source: io::Error,
    },
    /// It said why it does not serve.
    #[error("{0}")]
    Refused(String),
    /// It does not answer.
    #[error("the proxy does not answer; end the process that holds its socket and try again")]
    Silent,
    /// Its socket cannot be reached.
    #[error("connect to the proxy: {0}")]
    Connect(io::Error),
}

impl LaunchError {
    pub(super) fn connect(error: io::Error) -> Self {
        Self::Connect(error)
    }
}

impl Launch {
    /// The socket that the daemon and the worker speak over.
    #[must_use]
    pub fn socket(&self) -> PathBuf {
        self.run_dir.join("proxy.sock")
    }

    /// Waits until nobody has the socket any more.
    pub(super) async fn gone(&self) {
        while UnixStream::connect(self.socket()).await.is_ok() {
            tokio::time::sleep(AGAIN).await;
        }
    }
}

/// What the holder is started with, on its standard input.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Spec {
    pub(super) socket: PathBuf,
    pub(super) settings: Value,
    pub(super) http: SocketAddr,
}

/// What it says, in one line on its standard output.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum FirstWord {
    Listening,
    Failed(String),
}

/// Starts a holder on the first address that can be had and connects to its worker; says why on none before it.
pub(super) async fn start(launch: &Launch) -> Result<(UnixStream, Vec<String>), LaunchError> {
    let mut notes = Vec::new();
    let mut last = LaunchError::Silent;
    for http in &launch.http {
        match start_on(launch, *http).await {
            Ok(stream) => return Ok((stream, notes)),
            Err(LaunchError::Refused(why)) => {
                notes.push(format!("the proxy does not listen on {http}: {why}"));
                last = LaunchError::Refused(why);
            }
            Err(error) => return Err(error),
        }
    }
    Err(last)
}

async fn start_on(launch: &Launch, http: SocketAddr) -> Result<UnixStream, LaunchError> {
    let failed = |source| LaunchError::Start { program: launch.program.display().to_string(), source };
    let mut words = launch.before.iter().map(String::as_str).map(std::ffi::OsStr::new).collect::<Vec<_>>();
    let socket = launch.socket();
    words.extend([launch.program.as_os_str(), "proxy".as_ref(), "--hold".as_ref(), socket.as_os_str()]);
    let (first, rest) = words.split_first().ok_or(LaunchError::Silent)?;
    let mut child = Command::new(first)
        .args(rest)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .kill_on_drop(false)
        .spawn()
        .map_err(failed)?;
    let spec = Spec { socket: launch.socket(), settings: launch.settings.clone(), http };
    let spec = serde_json::to_vec(&spec).map_err(|error| failed(error.into()))?;
    let (Some(mut input), Some(output)) = (child.stdin.take(), child.stdout.take()) else {
        return Err(LaunchError::Silent);
    };
    let said = async {
        input.write_all(&spec).await?;
        drop(input);
        BufReader::new(output).lines().next_line().await
    };
    let said = tokio::time::timeout(START, said).await.map_err(|_| LaunchError::Silent)?.map_err(failed)?;
    match said.as_deref().map(serde_json::from_str::<FirstWord>) {
        Some(Ok(FirstWord::Listening)) => {
            UnixStream::connect(launch.socket()).await.map_err(LaunchError::Connect)
        }
        Some(Ok(FirstWord::Failed(why))) => Err(LaunchError::Refused(why)),
        Some(Err(_)) | None => Err(LaunchError::Silent),
    }
}
