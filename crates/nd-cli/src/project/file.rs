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
    /// Its apps, each behind those of the file that it depends on.
    pub(crate) manifests: Vec<Manifest>,
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
    parse(path, &text_of(path)?, environment, workload)
}

/// Reads the text of a project's file, which lies at `path` or might.
pub(super) fn parse(
    path: &Path,
    text: &str,
    environment: Option<Environment>,
    workload: Workload,
) -> Result<FileRead, Failure> {
    let lookup = |name: &str| std::env::var(name).ok();
    let options = ReadOptions { environment, lookup: &lookup, workload };
    let name = path.display().to_string();
    let checked = nd_config::read_manifests(name.trim_start_matches("./"), text, &options)?;
    Ok(FileRead { manifests: checked.manifests, notes: checked.notes, dir: directory(path)? })
}

/// What a file says.
pub(crate) fn text_of(path: &Path) -> Result<String, Failure> {
    std::fs::read_to_string(path).map_err(|error| Failure::usage(format!("read {}: {error}", path.display())))
}

/// The directory of a file, as an absolute path.
pub(super) fn directory(path: &Path) -> Result<PathBuf, Failure> {
    let path = std::path::absolute(path)
        .map_err(|error| Failure::usage(format!("find the directory of {}: {error}", path.display())))?;
    Ok(path.parent().map_or_else(|| PathBuf::from("/"), Path::to_owned))
}
