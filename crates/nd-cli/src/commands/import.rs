//! `import`: a `nextdeploy.yml` of PM2's and Compose's files, with what each key became and what was not kept.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};

use nd_config::import::{self, Imported, Surroundings};
use serde::Serialize;

use super::Outcome;
use crate::args::{ImportArgs, ImportVerb};
use crate::failure::{Exit, Failure};
use crate::output::Output;
use crate::project;

/// What `--json` prints.
#[derive(Serialize)]
struct ImportView<'i> {
    /// The file that was written; null on standard output, where the text is in `yaml`.
    file: Option<String>,
    apps: Vec<&'i str>,
    became: Vec<BecameView<'i>>,
    lost: Vec<LostView<'i>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    yaml: Option<&'i str>,
}

#[derive(Serialize)]
struct BecameView<'i> {
    line: Option<u32>,
    from: &'i str,
    to: &'i str,
    value: &'i str,
}

#[derive(Serialize)]
struct LostView<'i> {
    line: Option<u32>,
    column: Option<u32>,
    key: &'i str,
    reason: &'i str,
}

pub(super) async fn run(verb: &ImportVerb, output: &Output) -> Outcome {
    match verb {
        ImportVerb::Pm2(args) => pm2(&args.file, args.output.as_deref(), args.force, output).await,
        ImportVerb::Compose { args, profile } => compose(args, profile, output),
    }
}

/// Imports an ecosystem file of PM2.
pub(super) async fn pm2(file: &Path, to: Option<&Path>, force: bool, output: &Output) -> Outcome {
    let text = project::ecosystem_text(file, output).await?;
    told(&import::pm2(&text, &name(file))?, file, to, force, output)
}

fn compose(args: &ImportArgs, profiles: &[String], output: &Output) -> Outcome {
    let text = project::text_of(&args.file)?;
    let whole = std::path::absolute(&args.file)
        .map_err(|error| Failure::usage(format!("find {}: {error}", args.file.display())))?;
    let dir = whole.parent().unwrap_or(Path::new("/"));
    let project = dir.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let from_env = std::env::var("COMPOSE_PROFILES").unwrap_or_default();
    let from_env = from_env.split(',').filter(|name| !name.is_empty()).map(str::to_owned);
    let profiles: Vec<String> = profiles.iter().cloned().chain(from_env).collect();
    let around = Surroundings {
        project: &project,
        lookup: &|name| std::env::var(name).ok(),
        read: &|path| std::fs::read_to_string(dir.join(path)).ok(),
        profiles: &profiles,
    };
    told(
        &import::compose(&text, &name(&args.file), &around)?,
        &args.file,
        args.output.as_deref(),
        args.force,
        output,
    )
}

/// Writes the file and says what became of each key.
fn told(imported: &Imported, from: &Path, to: Option<&Path>, force: bool, output: &Output) -> Outcome {
    let to = match to {
        Some(to) if to == Path::new("-") => None,
        Some(to) => Some(to.to_owned()),
        None => Some(from.with_file_name("nextdeploy.yml")),
    };
    if let Some(to) = &to {
        write(to, &imported.yaml, force)?;
    }
    if output.json {
        output.object(&view(imported, to.as_deref()));
        return Ok(Exit::Ok);
    }
    match &to {
        Some(_) => lines(imported, from).iter().for_each(|line| output.result(line)),
        None => {
            output.result(imported.yaml.trim_end());
            lines(imported, from).iter().for_each(|line| output.note(line));
        }
    }
    let Some(to) = to else { return Ok(Exit::Ok) };
    let apps: Vec<_> = imported.apps.iter().map(nd_types::AppName::as_str).collect();
    output.result(&format!("{} written: {}", to.display(), apps.join(", ")));
    let elsewhere = to.parent() != from.parent();
    if elsewhere {
        output.warning("relative paths in it start where it lies, and were written beside the other file");
    }
    output.note(&next(&to));
    Ok(Exit::Ok)
}

/// What to type next.
fn next(to: &Path) -> String {
    let found = to == Path::new("nextdeploy.yml");
    let file = if found { String::new() } else { format!(" --config {}", to.display()) };
    format!("look at it, then: nextdeploy plan{file}, nextdeploy deploy{file}")
}

/// A line for each key: what it became, then what was not kept.
fn lines(imported: &Imported, from: &Path) -> Vec<String> {
    let widest = imported.became.iter().map(|one| one.from.chars().count()).max().unwrap_or(0);
    let became = imported.became.iter().map(|one| {
        let value = if one.value.is_empty() { String::new() } else { format!(": {}", one.value) };
        format!("  {:widest$} → {}{value}", one.from, one.to)
    });
    let file = name(from);
    let lost = imported.lost.iter().map(|one| {
        let line = one.line.map(|line| format!(":{line}")).unwrap_or_default();
        format!("  not kept: {} ({file}{line}): {}", one.key, one.reason)
    });
    became.chain(lost).collect()
}

fn view<'i>(imported: &'i Imported, to: Option<&Path>) -> ImportView<'i> {
    ImportView {
        file: to.map(|to| to.display().to_string()),
        apps: imported.apps.iter().map(nd_types::AppName::as_str).collect(),
        became: imported
            .became
            .iter()
            .map(|one| BecameView { line: one.line, from: &one.from, to: &one.to, value: &one.value })
            .collect(),
        lost: imported
            .lost
            .iter()
            .map(|one| LostView { line: one.line, column: one.column, key: &one.key, reason: &one.reason })
            .collect(),
        yaml: to.is_none().then_some(imported.yaml.as_str()),
    }
}

/// Writes a file that is not there, or over one where that was said.
fn write(to: &PathBuf, text: &str, force: bool) -> Result<(), Failure> {
    let failed = |error: std::io::Error| Failure::failed(format!("write {}: {error}", to.display()));
    if force {
        return std::fs::write(to, text).map_err(failed);
    }
    match File::create_new(to) {
        Ok(mut file) => file.write_all(text.as_bytes()).map_err(failed),
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {
            let title = format!("{} is there already; nothing was written", to.display());
            Err(Failure::new(Exit::Conflict, title).fix("--force writes over it").fix("--output OTHER.yml"))
        }
        Err(error) => Err(failed(error)),
    }
}

fn name(file: &Path) -> String {
    file.display().to_string().trim_start_matches("./").to_owned()
}
