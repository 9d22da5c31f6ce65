//! nginx's program outside of the sandbox that systemd has put this process into.
//!
//! A test of a configuration opens whatever nginx writes, which is more than a sandbox should let through. systemd runs it for us,
//! asked on its own socket: a bus need not be there.

use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::PathBuf;
use std::process::Output;

use super::program::run;

/// Where what it says is written to.
pub(super) struct Outside {
    folder: PathBuf,
}

/// It answers when the program has ended.
const RUN: [&str; 6] = [
    "/usr/bin/systemd-run",
    "--quiet",
    "--collect",
    "--service-type=oneshot",
    "--property=TimeoutStartSec=30",
    "--description=NextDeploy asks nginx",
];

impl Outside {
    pub(super) fn saying_in(folder: PathBuf) -> Self {
        Self { folder }
    }

    /// Runs a program with its arguments.
    pub(super) async fn run(&self, call: Vec<OsString>) -> io::Result<Output> {
        let [said, complained] = ["nginx.out", "nginx.err"].map(|name| self.folder.join(name));
        fs::create_dir_all(&self.folder)?;
        for file in [&said, &complained] {
            // What an earlier one said is not said now.
            fs::write(file, "")?;
        }
        let mut words: Vec<OsString> = RUN.map(OsString::from).to_vec();
        for (stream, file) in [("Output", &said), ("Error", &complained)] {
            let mut word = OsString::from(format!("--property=Standard{stream}=truncate:"));
            word.push(file);
            words.push(word);
        }
        words.push("--".into());
        words.extend(call);
        let asked = run(words).await?;
        let mut stderr = fs::read(complained)?;
        if stderr.is_empty() {
            stderr = asked.stderr;
        }
        Ok(Output { status: asked.status, stdout: fs::read(said)?, stderr })
    }
}
