//! The state that serves, in a file: a daemon that starts anew goes on with it.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use nd_core::ports::{PortError, PortErrorKind, PortResult};
use nd_types::EdgeState;

/// The file.
pub(super) struct Kept {
    folder: PathBuf,
}

/// Its name.
const NAME: &str = "edge.json";

impl Kept {
    pub(super) fn in_folder(folder: PathBuf) -> Self {
        Self { folder }
    }

    /// What was served last; the empty state where nothing ever was, or the file cannot be read.
    pub(super) fn read(&self) -> EdgeState {
        let read = fs::read(self.folder.join(NAME));
        let state = read.and_then(|bytes| serde_json::from_slice(&bytes).map_err(io::Error::other));
        match state {
            Ok(state) => state,
            Err(error) if error.kind() == io::ErrorKind::NotFound => EdgeState::default(),
            Err(error) => {
                tracing::warn!(%error, folder = %self.folder.display(), "read what was served last; beginning anew");
                EdgeState::default()
            }
        }
    }

    /// Replaces what is kept, whole or not at all. Keys are not: whoever starts anew is given them again.
    pub(super) async fn write(&self, state: &EdgeState) -> PortResult<()> {
        let failed = |error: io::Error| {
            let context = format!("keep what is served in {}", self.folder.display());
            PortError::new(PortErrorKind::Transient, context).with_source(error)
        };
        let state = EdgeState { tls: Arc::default(), ..state.clone() };
        let bytes = serde_json::to_vec(&state).map_err(|error| failed(io::Error::other(error)))?;
        let folder = self.folder.clone();
        let written =
            nd_supervise::blocking("keep what is served", move || replace(&folder, NAME, &bytes)).await;
        written.map_err(|failure| failed(io::Error::other(failure.to_string())))?.map_err(failed)
    }
}

/// Puts a file into its place, whole or not at all.
pub(crate) fn replace(folder: &Path, name: &str, bytes: &[u8]) -> io::Result<()> {
    fs::create_dir_all(folder)?;
    let (temporary, place) = (folder.join(format!(".{name}.new")), folder.join(name));
    let mut file = File::create(&temporary)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    drop(file);
    fs::rename(&temporary, &place)
}
