//! `config view`: the project's file as a deployment would take it.

use std::path::{Path, PathBuf};

use nd_config::Workload;

use super::Outcome;
use crate::args::{ConfigVerb, Global};
use crate::failure::{Exit, Failure};
use crate::output::Output;
use crate::project;

pub(super) fn run(verb: &ConfigVerb, global: &Global, output: &Output) -> Outcome {
    let ConfigVerb::View { file } = verb;
    let path = project_file(file.as_deref(), global).ok_or_else(|| {
        Failure::usage("there is no nextdeploy.yml here").fix("nextdeploy config view FILE")
    })?;
    let read = project::read(&path, global.env, Workload::Required)?;
    if output.talks() && !read.notes.is_empty() {
        output.report(&read.notes);
    }
    if output.json {
        output.object(&read.manifest);
        return Ok(Exit::Ok);
    }
    let text = nd_config::manifest_to_yaml(&read.manifest)
        .map_err(|error| Failure::failed(format!("write {} as YAML: {error}", path.display())))?;
    output.result(text.trim_end());
    Ok(Exit::Ok)
}

/// The file that was named, by itself, by its directory or with `--config`; else the one in this directory.
pub(super) fn project_file(named: Option<&Path>, global: &Global) -> Option<PathBuf> {
    match named.or(global.config.as_deref()) {
        Some(dir) if dir.is_dir() => project::find(None, dir),
        named => project::find(named, Path::new("")),
    }
}
