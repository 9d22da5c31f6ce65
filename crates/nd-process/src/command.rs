//! From a command as it was written to a file that can be executed.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use crate::error::{NO_RIGHT, ProcessError};

/// Where programs are looked for when neither release nor daemon have a `PATH`: as in login(1), root's directories
/// included, since a daemon finds more than a user types.
pub(crate) const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Finds the file that `program` means: in `path` where it is a bare name, else from `cwd`. As execvp(3), entries of
/// `path` that are relative or empty count from `cwd`, and a file that may not be executed is passed over for a later
/// one.
///
/// # Errors
/// Says what was searched, or what is wrong with what was found.
pub(crate) fn resolve(program: &str, cwd: &Path, path: &str) -> Result<PathBuf, ProcessError> {
    if program.is_empty() {
        return Err(ProcessError::EmptyCommand);
    }
    if program.contains('/') {
        let file = cwd.join(program);
        return match unfit(&file) {
            None => Ok(file),
            Some(Unfit::Missing) => Err(ProcessError::NoProgram { program: program.to_owned(), path: file }),
            Some(Unfit::Because(reason)) => {
                Err(ProcessError::NotExecutable { program: program.to_owned(), path: file, reason })
            }
        };
    }
    let mut passed_over = None;
    for entry in path.split(':') {
        let file = cwd.join(entry).join(program);
        match unfit(&file) {
            None => return Ok(file),
            Some(Unfit::Because(reason)) => {
                passed_over.get_or_insert((file, reason));
            }
            Some(Unfit::Missing) => {}
        }
    }
    Err(match passed_over {
        Some((path, reason)) => ProcessError::NotExecutable { program: program.to_owned(), path, reason },
        None => ProcessError::NotInPath { program: program.to_owned(), searched: path.replace(':', ", ") },
    })
}

/// Checks that `cwd` is a directory.
///
/// # Errors
/// Says that it is missing or something else.
pub(crate) fn check_directory(cwd: &Path) -> Result<(), ProcessError> {
    let reason = match fs::metadata(cwd) {
        Ok(found) if found.is_dir() => return Ok(()),
        Ok(_) => "is not a directory",
        Err(_) => "does not exist",
    };
    Err(ProcessError::Directory { path: cwd.to_owned(), reason })
}

/// A command line for people: words that a shell would read differently are quoted.
pub(crate) fn display(argv: &[String]) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "_-./:=,+@%".contains(c);
    let word = |word: &String| match !word.is_empty() && word.chars().all(plain) {
        true => word.clone(),
        false => format!("'{}'", word.replace('\'', r"'\''")),
    };
    argv.iter().map(word).collect::<Vec<_>>().join(" ")
}

enum Unfit {
    Missing,
    Because(&'static str),
}

fn unfit(file: &Path) -> Option<Unfit> {
    match fs::metadata(file) {
        Err(_) => Some(Unfit::Missing),
        Ok(found) if found.is_dir() => Some(Unfit::Because("is a directory")),
        Ok(found) if found.permissions().mode() & 0o111 == 0 => Some(Unfit::Because(NO_RIGHT)),
        Ok(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use nd_core::ports::{PortError, PortErrorKind};

    use super::*;

    fn file(dir: &Path, name: &str, mode: u32) -> PathBuf {
        let path = dir.join(name);
        fs::write(&path, "#!/bin/sh\n").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        path
    }

    #[test]
    fn a_bare_name_is_found_in_the_first_directory_that_can_execute_it() {
        let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        file(one.path(), "tool", 0o644);
        let tool = file(two.path(), "tool", 0o755);
        let path = format!("{}:{}", one.path().display(), two.path().display());
        assert_eq!(resolve("tool", Path::new("/"), &path).unwrap(), tool);
        let error: PortError =
            resolve("tool", Path::new("/"), one.path().to_str().unwrap()).unwrap_err().into();
        assert_eq!(error.kind, PortErrorKind::Denied);
        assert!(error.fix.unwrap().starts_with("chmod +x /"));
    }

    #[test]
    fn a_path_counts_from_the_working_directory() {
        let dir = tempfile::tempdir().unwrap();
        let tool = file(dir.path(), "tool", 0o755);
        assert_eq!(resolve("./tool", dir.path(), "/nowhere").unwrap(), dir.path().join("./tool"));
        assert_eq!(resolve(tool.to_str().unwrap(), Path::new("/"), "").unwrap(), tool);
        assert_eq!(resolve("tool", dir.path(), "/nowhere:").unwrap(), dir.path().join("tool"));
    }

    #[test]
    fn what_is_missing_is_named_with_where_it_was_searched() {
        let error: PortError = resolve("fooo", Path::new("/"), "/a:/b").unwrap_err().into();
        assert_eq!(error.kind, PortErrorKind::NotFound);
        assert_eq!(error.context, "command `fooo` was not found in PATH (searched /a, /b)");
        let error: PortError = resolve("./fooo", Path::new("/tmp"), "/a").unwrap_err().into();
        assert_eq!(error.context, "command `./fooo` was not found: there is no file /tmp/./fooo");
        assert!(matches!(check_directory(Path::new("/dev/null")), Err(ProcessError::Directory { .. })));
    }

    #[test]
    fn a_command_line_can_be_pasted_into_a_shell() {
        let argv = ["node", "a b.js", "--x=1", "", "it's"].map(str::to_owned);
        assert_eq!(display(&argv), r"node 'a b.js' --x=1 '' 'it'\''s'");
    }
}
