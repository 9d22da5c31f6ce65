//! Commands of other managers, asked with a deadline.

use std::io;
use std::process::Stdio;
use std::time::Duration;

use nd_types::format_duration;
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::process::{Child, Command};
use tokio::time::timeout;

/// How long a look may take. `docker stats` alone takes two seconds.
pub(crate) const LOOK: Duration = Duration::from_secs(20);

/// How long a restart may take: the stop of a container waits 10 s, that of a unit up to 90 s.
pub(crate) const RESTART: Duration = Duration::from_secs(120);

/// More than any answer has, so that a manager gone wild does not fill the memory.
const LARGEST: u64 = 16 * 1024 * 1024;

/// Why a manager gave no answer.
#[derive(Debug, thiserror::Error)]
pub enum CommandError {
    /// It is not installed.
    #[error("`{program}` is not installed here, or not in PATH")]
    Absent {
        /// Its command.
        program: String,
    },
    /// It cannot be started.
    #[error("start `{line}`: {source}")]
    Start {
        /// What was typed.
        line: String,
        /// What the system says.
        source: io::Error,
    },
    /// It said no.
    #[error("`{line}`: {reason}")]
    Failed {
        /// What was typed.
        line: String,
        /// What it said.
        reason: String,
    },
    /// It did not answer.
    #[error("`{line}` did not answer within {}", format_duration(*.within))]
    Late {
        /// What was typed.
        line: String,
        /// How long was waited.
        within: Duration,
    },
    /// Its answer is none that this version reads.
    #[error("`{line}` answered something else than expected: {reason}")]
    Unexpected {
        /// What was typed.
        line: String,
        /// What is wrong with it.
        reason: String,
    },
}

/// Types a command and gives what it prints on standard output.
pub(crate) async fn ask(program: &str, words: &[&str], within: Duration) -> Result<String, CommandError> {
    let line = || typed(program, words);
    let mut command = Command::new(program);
    command.args(words).env("LC_ALL", "C").env("NO_COLOR", "1").kill_on_drop(true);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let child = command.spawn().map_err(|source| match source.kind() {
        io::ErrorKind::NotFound => CommandError::Absent { program: program.to_owned() },
        _ => CommandError::Start { line: line(), source },
    })?;
    match timeout(within, ended(child)).await {
        Err(_) => Err(CommandError::Late { line: line(), within }),
        Ok(Err(source)) => Err(CommandError::Start { line: line(), source }),
        Ok(Ok((true, out, _))) => Ok(out),
        Ok(Ok((false, out, err))) => {
            let said = first_lines(&err).or_else(|| first_lines(&out));
            let reason = said.unwrap_or_else(|| "it failed and said nothing".to_owned());
            Err(CommandError::Failed { line: line(), reason })
        }
    }
}

impl CommandError {
    /// Whether it said no in these words.
    pub(crate) fn says(&self, words: &[&str]) -> bool {
        let Self::Failed { reason, .. } = self else { return false };
        let reason = reason.to_lowercase();
        words.iter().any(|word| reason.contains(word))
    }

    /// For an answer that cannot be read.
    pub(crate) fn unexpected(line: impl Into<String>, reason: &impl ToString) -> Self {
        Self::Unexpected { line: line.into(), reason: reason.to_string() }
    }
}

/// The command as it is quoted: without long flags, which say how it is to answer and not what was asked.
fn typed(program: &str, words: &[&str]) -> String {
    let words = words.iter().filter(|word| !word.starts_with("--"));
    words.fold(program.to_owned(), |line, word| line + " " + word)
}

/// Waits for the end of a command: whether it went well, and what it wrote.
async fn ended(mut child: Child) -> io::Result<(bool, String, String)> {
    let (out, err) = (child.stdout.take(), child.stderr.take());
    let (out, err, status) = tokio::join!(text(out), text(err), child.wait());
    Ok((status?.success(), out?, err?))
}

async fn text(from: Option<impl AsyncRead + Unpin>) -> io::Result<String> {
    let mut bytes = Vec::new();
    if let Some(from) = from {
        from.take(LARGEST).read_to_end(&mut bytes).await?;
    }
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// What a command says when it fails; help that follows it is left out.
fn first_lines(text: &str) -> Option<String> {
    let lines: Vec<&str> = text.lines().map(str::trim).filter(|line| !line.is_empty()).take(2).collect();
    (!lines.is_empty()).then(|| lines.join("; "))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(program: &str, words: &[&str], within: Duration) -> Result<String, CommandError> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(ask(program, words, within))
    }

    #[test]
    fn a_command_that_is_not_there_is_named() {
        let error = asked("nd-no-such-command", &[], LOOK).unwrap_err();
        assert_eq!(error.to_string(), "`nd-no-such-command` is not installed here, or not in PATH");
    }

    #[test]
    fn a_command_that_fails_is_quoted() {
        let error = asked("sh", &["-c", "echo out; echo it is broken >&2; exit 3"], LOOK).unwrap_err();
        assert!(error.to_string().ends_with(": it is broken"), "{error}");
    }

    #[test]
    fn a_command_that_hangs_ends_at_its_deadline() {
        let error = asked("sleep", &["60"], Duration::from_millis(50)).unwrap_err();
        assert_eq!(error.to_string(), "`sleep 60` did not answer within 50ms");
    }
}
