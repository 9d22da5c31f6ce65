//! The program: test and reload.

use std::ffi::OsString;
use std::io;
use std::path::PathBuf;
use std::process::{Output, Stdio};
use std::time::Duration;

use nd_core::ports::{PortError, PortErrorKind, PortResult, within};
use tokio::process::Command;

use super::outside::Outside;

/// How long a call may take: names in a configuration may have to be resolved.
const CALL: Duration = Duration::from_secs(10);

pub(super) struct Program {
    pub(super) path: PathBuf,
    /// Its configuration, where that is not the one it reads by itself.
    pub(super) config: Option<PathBuf>,
    /// Who calls it, where that is not this process.
    pub(super) outside: Option<Outside>,
}

/// What it says of all its configuration.
pub(super) enum Tested {
    /// The whole of it, file by file.
    Good(String),
    /// Why it refuses it.
    Bad(String),
}

impl Program {
    pub(super) async fn test(&self) -> PortResult<Tested> {
        let output = self.call(&["-T", "-q"]).await?;
        if output.status.success() {
            return Ok(Tested::Good(String::from_utf8_lossy(&output.stdout).into_owned()));
        }
        Ok(Tested::Bad(complaint(&output)))
    }

    pub(super) async fn reload(&self) -> PortResult<()> {
        let output = self.call(&["-s", "reload"]).await?;
        if output.status.success() {
            return Ok(());
        }
        let said = complaint(&output);
        if said.contains("invalid PID") || said.contains("No such process") || said.contains("nginx.pid") {
            return Err(self.not_running());
        }
        Err(PortError::new(PortErrorKind::Denied, format!("reload nginx: {said}")))
    }

    pub(super) fn not_running(&self) -> PortError {
        PortError::new(PortErrorKind::Unavailable, "nginx does not run").with_fix(
            "`systemctl start nginx`; where it keeps its process id elsewhere, say so as `pid_file` under [nginx]",
        )
    }

    async fn call(&self, words: &[&str]) -> PortResult<Output> {
        let mut call = vec![self.installed()?.into_os_string()];
        if let Some(config) = &self.config {
            call.extend(["-c".into(), config.into()]);
        }
        call.extend(words.iter().map(OsString::from));
        let what = format!("run `{} {}`", self.path.display(), words.join(" "));
        let run = async {
            let output = match &self.outside {
                Some(outside) => outside.run(call).await,
                None => run(call).await,
            };
            output
                .map_err(|error| PortError::new(PortErrorKind::Unavailable, what.clone()).with_source(error))
        };
        within(&what, CALL, run).await
    }

    /// Where it is: a name without a directory is looked for as a shell does.
    fn installed(&self) -> PortResult<PathBuf> {
        let path = std::env::var_os("PATH").unwrap_or_default();
        let folders = std::env::split_paths(&path);
        let found = match self.path.components().count() {
            1 => folders.map(|folder| folder.join(&self.path)).find(|program| program.is_file()),
            _ => Some(self.path.clone()).filter(|program| program.is_file()),
        };
        found.ok_or_else(|| {
            let context = format!("there is no program `{}`", self.path.display());
            PortError::new(PortErrorKind::Unavailable, context).with_fix(
                "nginx is not installed: `apt-get install nginx`, or name its `program` under [nginx] in \
                 nextdeployd.toml",
            )
        })
    }
}

/// Runs a program with its arguments.
pub(super) async fn run(call: Vec<OsString>) -> io::Result<Output> {
    let Some((program, words)) = call.split_first() else {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "no program is named"));
    };
    Command::new(program).args(words).stdin(Stdio::null()).kill_on_drop(true).output().await
}

/// The line that says what is wrong, without its prefix; warnings stand before it.
fn complaint(output: &Output) -> String {
    let said = String::from_utf8_lossy(&output.stderr);
    let line = said
        .lines()
        .find(|line| line.contains("[emerg]") || line.contains("[error]"))
        .or_else(|| said.lines().last());
    line.unwrap_or("it does not say why").trim_start_matches("nginx: ").to_owned()
}
