//! Which app a command means: a name, a flag, `all`, or the project in this directory.

use std::path::Path;

use nd_client::Client;
use nd_config::Workload;
use nd_types::AppName;

use crate::args::Global;
use crate::failure::Failure;
use crate::project;

/// The one app: the word, else the flag, else the project's.
pub(crate) fn one(word: Option<&str>, flag: Option<&str>, global: &Global) -> Result<AppName, Failure> {
    match word.or(flag) {
        Some(name) => parse(name),
        None => of_project(global)?.ok_or_else(|| Failure::usage("say which app").fix("nextdeploy ls")),
    }
}

/// All apps that were named; `all` is every app there is.
pub(crate) async fn several(
    words: &[String],
    flags: &[String],
    global: &Global,
    client: &Client,
) -> Result<Vec<AppName>, Failure> {
    let mut apps = Vec::new();
    for name in words.iter().chain(flags) {
        if name == "all" {
            apps.extend(client.apps().await?.into_iter().map(|app| app.name));
        } else {
            apps.push(parse(name)?);
        }
    }
    if words.is_empty() && flags.is_empty() {
        apps.push(one(None, None, global)?);
    }
    let mut seen = std::collections::BTreeSet::new();
    apps.retain(|app| seen.insert(app.clone()));
    Ok(apps)
}

/// The app of the project's file, where there is one.
pub(crate) fn of_project(global: &Global) -> Result<Option<AppName>, Failure> {
    let Some(path) = project::find(global.config.as_deref(), Path::new("")) else { return Ok(None) };
    let read = project::read(&path, global.env, Workload::Optional)?;
    Ok(Some(read.manifest.app.name))
}

pub(crate) fn parse(name: &str) -> Result<AppName, Failure> {
    name.parse().map_err(|error: nd_types::InvalidName| Failure::usage(error.to_string()))
}
