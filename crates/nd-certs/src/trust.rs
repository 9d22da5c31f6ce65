//! Making this machine trust a root: the system's store of authorities, through its own tool.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use nd_core::ports::{PortError, PortErrorKind, PortResult};
use tokio::process::Command;

use crate::files;

/// How long the tool may take: it reads a few hundred files.
const DEADLINE: Duration = Duration::from_secs(60);

/// A store of authorities: where roots are put, and what makes them count.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrustStore {
    /// Where the administrator's own roots lie.
    pub dir: PathBuf,
    /// What reads them.
    pub update: PathBuf,
}

impl TrustStore {
    /// That of Debian, Ubuntu and Alpine, else that of Fedora and its relatives; nothing where there is neither.
    #[must_use]
    pub fn of_this_machine() -> Option<Self> {
        let stores = [
            ("/usr/local/share/ca-certificates", "update-ca-certificates"),
            ("/etc/pki/ca-trust/source/anchors", "update-ca-trust"),
        ];
        let path = std::env::var_os("PATH").unwrap_or_default();
        let folders: Vec<PathBuf> =
            std::env::split_paths(&path).chain(["/usr/sbin".into(), "/sbin".into()]).collect();
        stores.into_iter().find_map(|(dir, tool)| {
            let update = folders.iter().map(|folder| folder.join(tool)).find(|path| path.is_file())?;
            Some(Self { dir: dir.into(), update })
        })
    }

    /// Puts a root into the store under that name, and answers where it lies. Twice is once.
    ///
    /// # Errors
    /// Without the right to write there (root has it), and when the tool fails.
    pub async fn trust(&self, name: &str, root: &str) -> PortResult<PathBuf> {
        // Other endings are not looked at.
        let file = self.dir.join(format!("{name}.crt"));
        place(&file, root).map_err(|error| files::at_port("put the root into", &file, error))?;
        self.update().await?;
        Ok(file)
    }

    /// Takes the root of that name out of the store again. None is no error.
    ///
    /// # Errors
    /// As [`trust`](Self::trust).
    pub async fn distrust(&self, name: &str) -> PortResult<()> {
        let file = self.dir.join(format!("{name}.crt"));
        match fs::remove_file(&file) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(files::at_port("take the root out of", &file, error)),
            Ok(()) => {}
        }
        self.update().await
    }

    async fn update(&self) -> PortResult<()> {
        let tried = || format!("run {}", self.update.display());
        let mut command = Command::new(&self.update);
        command.stdin(Stdio::null()).kill_on_drop(true);
        let output = tokio::time::timeout(DEADLINE, command.output()).await.map_err(|_| {
            PortError::new(PortErrorKind::Timeout, format!("{}: no end within {DEADLINE:?}", tried()))
        })?;
        let output = output.map_err(|error| files::at_port("run", &self.update, error))?;
        if output.status.success() {
            return Ok(());
        }
        let said = String::from_utf8_lossy(&output.stderr);
        let context = format!("{}: {}: {}", tried(), output.status, said.trim());
        Err(PortError::new(PortErrorKind::Denied, context).with_fix("do the same as root"))
    }
}

fn place(file: &Path, root: &str) -> std::io::Result<()> {
    if let Some(dir) = file.parent() {
        fs::create_dir_all(dir)?;
    }
    fs::write(file, root)?;
    fs::set_permissions(file, fs::Permissions::from_mode(0o644))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A store whose tool writes down that it was called, and fails where a file says so.
    fn store(place: &Path) -> TrustStore {
        let update = place.join("update");
        fs::write(
            &update,
            "#!/bin/sh\ncd \"${0%/*}\"\n[ -e broken ] && { echo no >&2; exit 3; }\nls roots >> told\n",
        )
        .unwrap();
        fs::set_permissions(&update, fs::Permissions::from_mode(0o755)).unwrap();
        TrustStore { dir: place.join("roots"), update }
    }

    #[tokio::test]
    async fn a_root_is_put_where_the_tool_finds_it_and_taken_out_again() {
        let place = tempfile::tempdir().unwrap();
        let store = store(place.path());
        let file = store.trust("nextdeploy", "root").await.unwrap();
        assert_eq!(file, place.path().join("roots/nextdeploy.crt"));
        assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o644);
        store.distrust("nextdeploy").await.unwrap();
        store.distrust("nextdeploy").await.unwrap();
        assert_eq!(fs::read_to_string(place.path().join("told")).unwrap(), "nextdeploy.crt\n");
    }

    #[tokio::test]
    async fn a_tool_that_fails_is_quoted() {
        let place = tempfile::tempdir().unwrap();
        let store = store(place.path());
        fs::write(place.path().join("broken"), "").unwrap();
        let error = store.trust("nextdeploy", "root").await.unwrap_err();
        assert!(error.to_string().ends_with(": no") && error.fix.is_some(), "{error}");
    }
}
