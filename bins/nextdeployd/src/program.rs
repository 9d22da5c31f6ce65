//! The file of this program, and what it says of itself.

use std::io;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use tokio::process::Command;

/// How long a program may take to say its version.
const ANSWER: Duration = Duration::from_secs(10);

/// What the kernel adds to the path of a file that was replaced.
const REPLACED: &str = " (deleted)";

/// Where this program lies; after another version was put there, that one.
pub(crate) fn path() -> io::Result<PathBuf> {
    let path = std::env::current_exe()?;
    let original = path.to_str().and_then(|text| text.strip_suffix(REPLACED)).map(PathBuf::from);
    Ok(original.filter(|_| !path.exists()).unwrap_or(path))
}

/// The version that `program` says it is: that it runs at all, and is a daemon, is known then too.
pub(crate) async fn version(program: &Path) -> Result<String, String> {
    let name = program.display();
    let mut command = Command::new(program);
    command.arg("--version").stdin(Stdio::null()).kill_on_drop(true);
    let output = match tokio::time::timeout(ANSWER, command.output()).await {
        Ok(Ok(output)) => output,
        Ok(Err(error)) => return Err(format!("{name} does not run: {error}")),
        Err(_) => return Err(format!("{name} does not say its version within {}s", ANSWER.as_secs())),
    };
    let said = String::from_utf8_lossy(&output.stdout);
    let said = said.lines().next().unwrap_or_default().trim();
    match said.strip_prefix("nextdeployd ") {
        Some(version) if output.status.success() => Ok(version.to_owned()),
        _ => Err(format!(
            "{name} is not nextdeployd: asked for its version it said `{said}`, {}",
            output.status
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_program_that_is_not_the_daemon_is_not_taken_for_it() {
        assert!(version(Path::new("/bin/true")).await.unwrap_err().contains("is not nextdeployd"));
        assert!(version(Path::new("/nonexistent")).await.unwrap_err().contains("does not run"));
    }
}
