//! What a shell offers while a word is typed: apps, deployments and certificates, as the daemon knows them.
//!
//! A daemon that does not answer at once is left alone, and nothing is said about it: whoever presses Tab waits for the
//! next letter, not for a network.

use std::time::Duration;

use clap_complete::CompletionCandidate;
use nd_api::v1::{DomainListQuery, PageQuery};
use nd_client::{Client, ClientError};
use tokio::time::timeout;

use crate::explain;
use crate::keys;
use crate::session;

/// How long the whole question may take.
const PATIENCE: Duration = Duration::from_millis(100);

/// Apps looked through for deployments, and deployments of each of them.
const APPS: usize = 20;
const EACH: u32 = 10;

/// Names of apps, each with its state.
pub(crate) fn apps() -> Vec<CompletionCandidate> {
    asked(async |client: &Client| known_apps(client).await)
}

/// Ids of deployments, each with its app and how it ended.
pub(crate) fn deployments() -> Vec<CompletionCandidate> {
    asked(async |client: &Client| known_deployments(client).await)
}

/// Both, where either may stand.
pub(crate) fn apps_and_deployments() -> Vec<CompletionCandidate> {
    asked(async |client: &Client| {
        let mut both = known_apps(client).await?;
        both.extend(known_deployments(client).await?);
        Ok(both)
    })
}

/// Names of certificates, each with how it stands.
pub(crate) fn certs() -> Vec<CompletionCandidate> {
    asked(async |client: &Client| {
        let certs = client.certs().await?;
        Ok(certs.iter().map(|cert| offered(&cert.name, &cert.state.to_string())).collect())
    })
}

/// Names of apps, and the domains that lead to them.
pub(crate) fn apps_and_domains() -> Vec<CompletionCandidate> {
    asked(async |client: &Client| {
        let mut both = known_apps(client).await?;
        let domains = client.domains(&DomainListQuery::default()).await?;
        both.extend(domains.iter().map(|view| offered(view.domain.as_str(), view.app.as_str())));
        Ok(both)
    })
}

/// Error codes, each with what it stands for.
pub(crate) fn codes() -> Vec<CompletionCandidate> {
    explain::all().map(|(code, meaning)| offered(code, meaning)).collect()
}

/// Keys of `nextdeploy.yml`, each with what it does.
pub(crate) fn keys() -> Vec<CompletionCandidate> {
    keys::all().map(|row| offered(row.key, row.does)).collect()
}

async fn known_apps(client: &Client) -> Result<Vec<CompletionCandidate>, ClientError> {
    let apps = client.apps().await?;
    Ok(apps.iter().map(|app| offered(app.name.as_str(), &app.phase.to_string())).collect())
}

async fn known_deployments(client: &Client) -> Result<Vec<CompletionCandidate>, ClientError> {
    let mut found = Vec::new();
    for app in client.apps().await?.iter().take(APPS) {
        let page = PageQuery { limit: Some(EACH), cursor: None };
        for deployment in client.deployments(&app.name, &page).await?.items {
            let about = format!("{} {}", deployment.app, deployment.status);
            found.push(offered(deployment.id.as_str(), &about));
        }
    }
    Ok(found)
}

fn offered(value: &str, about: &str) -> CompletionCandidate {
    CompletionCandidate::new(value).help(Some(about.to_owned().into()))
}

fn asked(
    question: impl AsyncFnOnce(&Client) -> Result<Vec<CompletionCandidate>, ClientError>,
) -> Vec<CompletionCandidate> {
    let Ok(client) = session::silent() else { return Vec::new() };
    let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_all().build() else {
        return Vec::new();
    };
    match runtime.block_on(async { timeout(PATIENCE, question(&client)).await }) {
        Ok(Ok(candidates)) => candidates,
        // No daemon, no login, or too slow: a shell is no place to say so.
        Ok(Err(_)) | Err(_) => Vec::new(),
    }
}
