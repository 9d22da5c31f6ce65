//! Making this machine trust a root: the system's store of authorities, through its own tool.

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use tokio::process::Command;

use crate::failure::Failure;

/// How long the tool may take: it reads a few hundred files.
const DEADLINE: Duration = Duration::from_secs(60);

/// What the names of all roots begin with that were put somewhere by us.
const OURS: &str = "nextdeploy-";

/// The endings that the tools look at; others are passed over.
const ENDING: &str = "crt";

/// Where systems keep the administrator's own roots, and what reads them: Debian, Ubuntu and Alpine; Fedora and its relatives;
/// openSUSE; Arch.
const STORES: [(&str, &str); 4] = [
    ("/usr/local/share/ca-certificates", "update-ca-certificates"),
    ("/etc/pki/ca-trust/source/anchors", "update-ca-trust"),
    ("/etc/pki/trust/anchors", "update-ca-certificates"),
    ("/etc/ca-certificates/trust-source/anchors", "update-ca-trust"),
];

/// A store of authorities.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TrustStore {
    /// Where the administrator's own roots lie.
    dir: PathBuf,
    /// What makes them count.
    update: PathBuf,
}

impl TrustStore {
    /// That of this machine, or the one whose roots lie in `dir`.
    pub(crate) fn find(dir: Option<&Path>) -> Result<Self, Failure> {
        let found = match dir {
            Some(dir) => STORES.iter().find_map(|(_, tool)| Some((dir.to_owned(), in_path(tool)?))),
            None => STORES.iter().find_map(|(dir, tool)| {
                let dir = Path::new(dir);
                Some((dir.to_owned(), in_path(tool).filter(|_| dir.is_dir())?))
            }),
        };
        let Some((dir, update)) = found else {
            let title = "this machine has no store of authorities that is known: neither update-ca-certificates nor update-ca-trust";
            return Err(Failure::failed(title)
                .fix("apt-get install ca-certificates")
                .fix("nextdeploy certs trust --output root.crt"));
        };
        Ok(Self { dir, update })
    }

    /// Where a root lies, or would.
    pub(crate) fn place(&self, fingerprint: &str) -> PathBuf {
        let short = fingerprint.get(..16).unwrap_or(fingerprint);
        self.dir.join(format!("{OURS}{short}.{ENDING}"))
    }

    /// What to type to do it by hand with a root that lies in a file.
    pub(crate) fn by_hand(&self, file: &Path, fingerprint: &str) -> String {
        let place = self.place(fingerprint);
        format!("sudo cp {} {} && sudo {}", file.display(), place.display(), self.update.display())
    }

    /// Puts a root into the store. Twice is once.
    pub(crate) async fn trust(&self, fingerprint: &str, root: &str) -> Result<PathBuf, TrustError> {
        let file = self.place(fingerprint);
        put(&file, root).map_err(|error| TrustError::file("put the root into", &file, &error))?;
        self.update(&[]).await?;
        Ok(file)
    }

    /// Takes roots out of the store again, and answers which of them were there.
    pub(crate) async fn distrust(&self, files: &[PathBuf]) -> Result<Vec<PathBuf>, TrustError> {
        let mut gone = Vec::new();
        for file in files {
            match fs::remove_file(file) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(TrustError::file("take the root out of", file, &error)),
                Ok(()) => gone.push(file.clone()),
            }
        }
        if !gone.is_empty() {
            // Debian's leaves links to what is gone otherwise.
            let debians = self.update.ends_with("update-ca-certificates");
            self.update(if debians { &["--fresh"] } else { &[] }).await?;
        }
        Ok(gone)
    }

    /// Every root that was put here by us.
    pub(crate) fn ours(&self) -> Result<Vec<PathBuf>, TrustError> {
        let entries = match fs::read_dir(&self.dir) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries.map_err(|error| TrustError::file("look into", &self.dir, &error))?,
        };
        let is_ours = |path: &PathBuf| {
            let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            name.starts_with(OURS) && path.extension().is_some_and(|ending| ending == ENDING)
        };
        Ok(entries.filter_map(|entry| Some(entry.ok()?.path())).filter(is_ours).collect())
    }

    async fn update(&self, flags: &[&str]) -> Result<(), TrustError> {
        let failed =
            |why: String| TrustError { why: format!("{}: {why}", self.update.display()), denied: false };
        let mut command = Command::new(&self.update);
        command.args(flags).stdin(Stdio::null()).kill_on_drop(true);
        let late = |_| failed(format!("no end within {}", nd_types::format_duration(DEADLINE)));
        let output = tokio::time::timeout(DEADLINE, command.output()).await.map_err(late)?;
        let output = output.map_err(|error| failed(error.to_string()))?;
        if output.status.success() {
            return Ok(());
        }
        let said = String::from_utf8_lossy(&output.stderr);
        Err(failed(format!("{}: {}", output.status, said.trim())))
    }
}

/// Why the store is as it was, or not as it should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TrustError {
    /// What was tried, and what came of it.
    pub(crate) why: String,
    /// Whether another user could.
    pub(crate) denied: bool,
}

impl TrustError {
    fn file(tried: &str, file: &Path, error: &io::Error) -> Self {
        let denied = error.kind() == io::ErrorKind::PermissionDenied;
        Self { why: format!("{tried} {}: {error}", file.display()), denied }
    }
}

/// A program, where it lies in `PATH` or where administrators have theirs.
fn in_path(tool: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::env::split_paths(&path).chain(["/usr/sbin".into(), "/sbin".into()]);
    folders.map(|folder| folder.join(tool)).find(|path| path.is_file())
}

/// Writes a root for everybody to read.
pub(crate) fn put(file: &Path, root: &str) -> io::Result<()> {
    fs::write(file, root)?;
    fs::set_permissions(file, fs::Permissions::from_mode(0o644))
}

#[cfg(test)]
mod tests {
    use super::*;

    const FINGERPRINT: &str = "0123456789abcdef0123";

    /// A store whose tool writes down what it found, and fails where a file says so.
    fn store(place: &Path) -> TrustStore {
        let update = place.join("update");
        let script =
            "#!/bin/sh\ncd \"${0%/*}\"\n[ -e broken ] && { echo no >&2; exit 3; }\nls roots >> told\n";
        fs::write(&update, script).unwrap();
        fs::set_permissions(&update, fs::Permissions::from_mode(0o755)).unwrap();
        fs::create_dir(place.join("roots")).unwrap();
        TrustStore { dir: place.join("roots"), update }
    }

    #[tokio::test]
    async fn a_root_is_put_where_the_tool_finds_it_and_taken_out_again() {
        let place = tempfile::tempdir().unwrap();
        let store = store(place.path());
        fs::write(place.path().join("roots/other.crt"), "somebody's").unwrap();
        let file = store.trust(FINGERPRINT, "root").await.unwrap();
        assert_eq!(file, place.path().join("roots/nextdeploy-0123456789abcdef.crt"));
        assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o644);
        assert_eq!(
            store.ours().unwrap(),
            std::slice::from_ref(&file),
            "what somebody else put there is not ours"
        );
        let files = [file];
        assert_eq!(store.distrust(&files).await.unwrap(), files);
        assert_eq!(store.distrust(&files).await.unwrap(), [] as [PathBuf; 0], "twice is once");
        let told = fs::read_to_string(place.path().join("told")).unwrap();
        assert_eq!(told, "nextdeploy-0123456789abcdef.crt\nother.crt\nother.crt\n");
    }

    #[tokio::test]
    async fn a_tool_that_fails_is_quoted() {
        let place = tempfile::tempdir().unwrap();
        let store = store(place.path());
        fs::write(place.path().join("broken"), "").unwrap();
        let error = store.trust(FINGERPRINT, "root").await.unwrap_err();
        assert!(error.why.ends_with(": no") && !error.denied, "{error:?}");
    }
}
