//! `nextdeploy.yml`.

use std::path::{Path, PathBuf};

use nd_api::Manifest;
use nd_api::manifest::Environment;
use nd_config::{ReadOptions, Report, Workload};

use crate::failure::Failure;

/// The names under which a project's file is found.
const NAMES: [&str; 2] = ["nextdeploy.yml", "nextdeploy.yaml"];

/// A file that was read.
#[derive(Clone, Debug)]
pub(crate) struct FileRead {
    pub(crate) manifest: Manifest,
    /// Warnings and notes.
    pub(crate) notes: Report,
    /// Where its relative paths start.
    pub(crate) dir: PathBuf,
}

/// The file of a project, where it has one: the one that was named, else the one in `dir`.
pub(crate) fn find(named: Option<&Path>, dir: &Path) -> Option<PathBuf> {
    match named {
        Some(path) => Some(path.to_owned()),
        None => NAMES.iter().map(|name| dir.join(name)).find(|path| path.is_file()),
    }
}

/// Reads a project's file, with every mistake named.
pub(crate) fn read(
    path: &Path,
    environment: Option<Environment>,
    workload: Workload,
) -> Result<FileRead, Failure> {
    let text = std::fs::read_to_string(path)
        .map_err(|error| Failure::usage(format!("read {}: {error}", path.display())))?;
    let lookup = |name: &str| std::env::var(name).ok();
    let options = ReadOptions { environment, lookup: &lookup, workload };
    let name = path.display().to_string();
    let checked = nd_config::read_manifest(name.trim_start_matches("./"), &text, &options)?;
    let path = std::path::absolute(path)
        .map_err(|error| Failure::usage(format!("find the directory of {}: {error}", path.display())))?;
    let dir = path.parent().map_or_else(|| PathBuf::from("/"), Path::to_owned);
    Ok(FileRead { manifest: checked.manifest, notes: checked.notes, dir })
}
