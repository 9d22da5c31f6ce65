//! Which app a command means: a name, a flag, `all`, or the project in this directory.

use std::path::Path;

use nd_api::v1::PageQuery;
use nd_client::Client;
use nd_config::Workload;
use nd_types::{AppName, DeploymentId};

use crate::args::Global;
use crate::failure::{Exit, Failure};
use crate::project;

/// What every id of a deployment begins with.
pub(crate) const DEPLOYMENT: &str = "dpl_";

/// Characters of a whole id.
const WHOLE: usize = DEPLOYMENT.len() + 7;

/// Deployments of one app among which the beginning of an id is looked for.
const KNOWN: u32 = 100;

/// The one app: the word, else the flag, else the project's.
pub(crate) fn one(word: Option<&str>, flag: Option<&str>, global: &Global) -> Result<AppName, Failure> {
    match word.or(flag) {
        Some(name) => parse(name),
        None => match of_project(global)?.as_slice() {
            [] => Err(Failure::usage("say which app").fix("nextdeploy ls")),
            [app] => Ok(app.clone()),
            several => Err(which(several)),
        },
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
        apps = of_project(global)?;
        if apps.is_empty() {
            return Err(Failure::usage("say which app").fix("nextdeploy ls"));
        }
    }
    let mut seen = std::collections::BTreeSet::new();
    apps.retain(|app| seen.insert(app.clone()));
    Ok(apps)
}

/// The apps that were named, else the project's; none where there is neither, which means all of them.
pub(crate) async fn narrowed(
    words: &[String],
    flags: &[String],
    global: &Global,
    client: &Client,
) -> Result<Vec<AppName>, Failure> {
    if words.is_empty() && flags.is_empty() {
        return of_project(global);
    }
    several(words, flags, global, client).await
}

/// The deployment of this id, or the one whose id begins so, with or without its `dpl_`.
pub(crate) async fn deployment(word: &str, client: &Client) -> Result<DeploymentId, Failure> {
    if let Some(id) = word.parse().ok().filter(|_| word.len() >= WHOLE) {
        return Ok(id);
    }
    let begins = |id: &DeploymentId| {
        let text = id.as_str();
        text.starts_with(word) || text.trim_start_matches(DEPLOYMENT).starts_with(word)
    };
    let mut found = Vec::new();
    for app in client.apps().await? {
        let page = client.deployments(&app.name, &PageQuery { limit: Some(KNOWN), cursor: None }).await?;
        found.extend(page.items.into_iter().map(|deployment| deployment.id).filter(begins));
    }
    match found.as_slice() {
        [id] => Ok(id.clone()),
        [] => Err(Failure::new(Exit::NotFound, format!("no deployment begins with `{word}`"))
            .fix("nextdeploy deployments APP")),
        several => {
            let ids: Vec<_> = several.iter().map(DeploymentId::as_str).collect();
            Err(Failure::usage(format!("`{word}` may be any of {}; type more of it", ids.join(", "))))
        }
    }
}

/// The apps of the project's file, where there is one, in the order in which they start.
pub(crate) fn of_project(global: &Global) -> Result<Vec<AppName>, Failure> {
    let Some(path) = project::find(global.config.as_deref(), Path::new("")) else { return Ok(Vec::new()) };
    let read = project::read(&path, global.env, Workload::Optional)?;
    Ok(read.manifests.into_iter().map(|manifest| manifest.app.name).collect())
}

/// Several apps where one is meant.
pub(crate) fn which(apps: &[AppName]) -> Failure {
    let names: Vec<_> = apps.iter().map(AppName::as_str).collect();
    Failure::usage(format!("the project has several apps, so say which: {}", names.join(", ")))
}

pub(crate) fn parse(name: &str) -> Result<AppName, Failure> {
    name.parse().map_err(|error: nd_types::InvalidName| Failure::usage(error.to_string()))
}
