//! `config`: the project's file as a deployment would take it, and what its keys do.

use std::path::{Path, PathBuf};

use nd_config::Workload;

use super::Outcome;
use crate::args::{ConfigVerb, Global};
use crate::failure::{Exit, Failure};
use crate::keys::{self, Key};
use crate::output::Output;
use crate::project;
use crate::render::table;

pub(super) fn run(verb: &ConfigVerb, global: &Global, output: &Output) -> Outcome {
    match verb {
        ConfigVerb::View { file } => view(file.as_deref(), global, output),
        ConfigVerb::Explain { key } => explain(key.as_deref().unwrap_or_default(), output),
    }
}

fn view(file: Option<&Path>, global: &Global, output: &Output) -> Outcome {
    let path = project_file(file, global).ok_or_else(|| {
        Failure::usage("there is no nextdeploy.yml here").fix("nextdeploy config view FILE")
    })?;
    let read = project::read(&path, global.env, Workload::Required)?;
    if output.talks() && !read.notes.is_empty() {
        output.report(&read.notes);
    }
    if output.json {
        match read.manifests.as_slice() {
            [manifest] => output.object(manifest),
            several => output.list(several),
        }
        return Ok(Exit::Ok);
    }
    for (index, manifest) in read.manifests.iter().enumerate() {
        let text = nd_config::manifest_to_yaml(manifest)
            .map_err(|error| Failure::failed(format!("write {} as YAML: {error}", path.display())))?;
        // Several apps are several documents (YAML 1.2, section 9.2).
        output.result(&format!("{}{}", if index > 0 { "---\n" } else { "" }, text.trim_end()));
    }
    Ok(Exit::Ok)
}

/// The key of this name, else every key that has it in its path.
fn explain(word: &str, output: &Output) -> Outcome {
    let exact: Vec<Key> = keys::all().filter(|row| row.key == word).collect();
    let found =
        if exact.is_empty() { keys::all().filter(|row| row.key.contains(word)).collect() } else { exact };
    if found.is_empty() {
        let title = match keys::not_served(word) {
            Some(becomes) => format!("`{word}` is {becomes}"),
            None => format!("there is no key `{word}` in nextdeploy.yml"),
        };
        return Err(Failure::new(Exit::NotFound, title).fix("nextdeploy config explain"));
    }
    if output.json {
        output.list(&found);
        return Ok(Exit::Ok);
    }
    let width = table::width().min(table::READABLE);
    let blocks = found.iter().map(|Key { key, example, does }| {
        let last = key.rsplit('.').next().unwrap_or(key);
        let does = table::wrapped(does, width.saturating_sub(2)).replace('\n', "\n  ");
        format!("{}\n  {does}\n  {}", output.bold(key), output.dim(&format!("{last}: {example}")))
    });
    output.result(&blocks.collect::<Vec<_>>().join("\n\n"));
    Ok(Exit::Ok)
}

/// The file that was named, by itself, by its directory or with `--config`; else the one in this directory.
pub(super) fn project_file(named: Option<&Path>, global: &Global) -> Option<PathBuf> {
    match named.or(global.config.as_deref()) {
        Some(dir) if dir.is_dir() => project::find(None, dir),
        named => project::find(named, Path::new("")),
    }
}
