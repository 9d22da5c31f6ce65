//! Command lines, typed and waited for.

use std::io::Read;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use crate::wait::until_some;
use crate::{Error, Result};

/// What came of a command.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// The line that was typed.
    pub line: String,
    /// The exit code; `None` after a signal.
    pub code: Option<i32>,
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
    /// How long it took.
    pub took: Duration,
}

impl Outcome {
    /// Insists on an exit code.
    ///
    /// # Errors
    /// Another code, with all that the command wrote.
    pub fn expect_code(self, code: i32) -> Result<Self> {
        if self.code == Some(code) {
            return Ok(self);
        }
        Err(format!(
            "`{}` ended with {:?}, not with {code}\n--- stdout\n{}--- stderr\n{}",
            self.line, self.code, self.stdout, self.stderr
        )
        .into())
    }

    /// Insists on success.
    ///
    /// # Errors
    /// As [`Outcome::expect_code`].
    pub fn ok(self) -> Result<Self> {
        self.expect_code(0)
    }

    /// The one JSON value on standard output.
    ///
    /// # Errors
    /// When it is none.
    pub fn json(&self) -> Result<serde_json::Value> {
        serde_json::from_str(&self.stdout)
            .map_err(|error| format!("`{}`: stdout is no JSON: {error}\n{}", self.line, self.stdout).into())
    }

    /// The JSON values on standard output, one a line.
    ///
    /// # Errors
    /// When a line is none.
    pub fn ndjson(&self) -> Result<Vec<serde_json::Value>> {
        let parse = |line: &str| {
            serde_json::from_str(line).map_err(|error| format!("`{}`: {line}: {error}", self.line).into())
        };
        self.stdout.lines().map(parse).collect()
    }
}

/// A command that runs.
#[derive(Debug)]
pub struct Typed {
    line: String,
    started: Instant,
    child: Child,
    readers: Option<[Reader; 2]>,
}

/// Reads one of its outputs to the end.
#[derive(Debug)]
struct Reader {
    read: Arc<Mutex<Vec<u8>>>,
    thread: thread::JoinHandle<()>,
}

impl Typed {
    /// Starts `program` with the words of a line, without a terminal.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn start(program: &Path, words: &[&str], folder: &Path, variables: &[(&str, &str)]) -> Result<Self> {
        let name = program.file_name().unwrap_or_default().to_string_lossy();
        let line = format!("{name} {}", words.join(" "));
        let mut command = Command::new(program);
        command.args(words).current_dir(folder).envs(variables.iter().copied());
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().map_err(|error| format!("start `{line}`: {error}"))?;
        let readers = match (child.stdout.take(), child.stderr.take()) {
            (Some(out), Some(err)) => Some([Reader::of("stdout", out)?, Reader::of("stderr", err)?]),
            _ => None,
        };
        Ok(Self { line, started: Instant::now(), child, readers })
    }

    /// The id of its process.
    #[must_use]
    pub fn pid(&self) -> i32 {
        i32::try_from(self.child.id()).unwrap_or_default()
    }

    /// Whether it still runs.
    pub fn runs(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// What it has written to standard output so far.
    #[must_use]
    pub fn said(&self) -> String {
        self.readers.as_ref().map(|[stdout, _]| stdout.text()).unwrap_or_default()
    }

    /// Waits for its end.
    ///
    /// # Errors
    /// When it goes on longer than `within`; it is killed then.
    pub fn wait(mut self, within: Duration) -> Result<Outcome> {
        let ended = until_some(&format!("the end of `{}`", self.line), within, || {
            self.child.try_wait().ok().flatten()
        });
        if ended.is_err() {
            self.child.kill().ok();
        }
        let took = self.started.elapsed();
        let [stdout, stderr] = match self.readers.take() {
            Some(readers) => readers.map(Reader::whole),
            None => [String::new(), String::new()],
        };
        match ended {
            Ok(status) => Ok(Outcome { line: self.line.clone(), code: status.code(), stdout, stderr, took }),
            Err(error) => Err(format!("{error}\n--- stdout\n{stdout}--- stderr\n{stderr}").into()),
        }
    }
}

impl Drop for Typed {
    fn drop(&mut self) {
        if self.runs() {
            self.child.kill().ok();
            self.child.wait().ok();
        }
    }
}

impl Reader {
    fn of(name: &str, mut from: impl Read + Send + 'static) -> Result<Self> {
        let read = Arc::new(Mutex::new(Vec::new()));
        let all = Arc::clone(&read);
        let read_on = move || {
            let mut piece = [0; 4096];
            // What was read until an error is still worth showing.
            while let Ok(count @ 1..) = from.read(&mut piece) {
                let mut all = all.lock().unwrap_or_else(PoisonError::into_inner);
                all.extend_from_slice(piece.get(..count).unwrap_or_default());
            }
        };
        let thread = thread::Builder::new().name(name.to_owned()).spawn(read_on).map_err(Error::from)?;
        Ok(Self { read, thread })
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&self.read.lock().unwrap_or_else(PoisonError::into_inner)).into_owned()
    }

    fn whole(self) -> String {
        let Self { read, thread } = self;
        thread.join().ok();
        String::from_utf8_lossy(&read.lock().unwrap_or_else(PoisonError::into_inner)).into_owned()
    }
}
