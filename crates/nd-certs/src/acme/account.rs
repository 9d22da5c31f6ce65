//! The account at an authority: opened once, kept in a file, given another key when asked.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::prelude::{BASE64_STANDARD_NO_PAD, BASE64_URL_SAFE_NO_PAD};
use instant_acme::{Account, AccountCredentials, ExternalAccountKey, NewAccount};
use nd_core::ports::{PortError, PortErrorKind, PortResult};
use nd_supervise::blocking;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::directory::Directory;
use super::http::Session;
use super::{Acme, problem};
use crate::{AcmeSettings, Eab, files, x509};

/// What is kept of it.
#[derive(Deserialize, Serialize)]
struct Kept {
    version: u32,
    /// Where the authority writes to.
    email: Option<String>,
    credentials: AccountCredentials,
}

/// Where the account of these settings is kept: one for each directory and each account at other services.
pub(super) fn place(certs_dir: &Path, settings: &AcmeSettings) -> PathBuf {
    let host = settings.directory.parse::<http::Uri>().ok().and_then(|uri| uri.host().map(ToOwned::to_owned));
    let kid = settings.eab.as_ref().map(|eab| &*eab.kid).unwrap_or_default();
    let digest = Sha256::digest(format!("{}\n{kid}", settings.directory));
    let digest = x509::hex(digest.get(..4).unwrap_or_default());
    let folder = format!("{}-{digest}", host.unwrap_or_default());
    certs_dir.join("accounts").join(folder).join("account.json")
}

/// The kept account, else a new one.
pub(super) async fn open(acme: &Acme, http: &Session, directory: &Directory) -> PortResult<Account> {
    let _one_at_a_time = acme.opening.lock().await;
    let tried = format!("open an account at {}", acme.settings.directory);
    let failed = |error| problem::at_port(&tried, error, http);
    match read(acme).await? {
        Some(kept) => {
            let builder = Account::builder_with_http(Box::new(http.clone()));
            let account = builder.from_credentials(kept.credentials).await.map_err(failed)?;
            if kept.email != acme.settings.email {
                let contact: Vec<String> = contact(&acme.settings);
                let contact: Vec<&str> = contact.iter().map(String::as_str).collect();
                account.update_contacts(&contact).await.map_err(failed)?;
                let credentials = read(acme).await?.map(|kept| kept.credentials);
                if let Some(credentials) = credentials {
                    keep(acme, credentials).await?;
                }
            }
            Ok(account)
        }
        None => {
            let external = acme.settings.eab.as_ref().map(external).transpose()?;
            if directory.meta.external_account_required && external.is_none() {
                let context = format!("{tried}: it wants an account at its other services as well");
                return Err(PortError::new(PortErrorKind::Invalid, context)
                    .with_fix("take a key from its dashboard: `eab = { kid = \"…\", hmac_key = \"…\" }`"));
            }
            let contact = contact(&acme.settings);
            let contact: Vec<&str> = contact.iter().map(String::as_str).collect();
            let wanted =
                NewAccount { contact: &contact, terms_of_service_agreed: true, only_return_existing: false };
            let builder = Account::builder_with_http(Box::new(http.clone()));
            let opened = builder.create(&wanted, acme.settings.directory.clone(), external.as_ref()).await;
            let (account, credentials) = opened.map_err(|error| problem::of_account(&tried, error, http))?;
            keep(acme, credentials).await?;
            Ok(account)
        }
    }
}

/// Gives it another key, and keeps that.
pub(super) async fn roll_over(acme: &Acme, session: &mut super::Session) -> PortResult<()> {
    match session.account.update_key().await {
        Ok(credentials) => keep(acme, credentials).await,
        Err(error) => Err(session.failed("give the account another key", error)),
    }
}

/// Puts the kept account away: the authority does not know it.
pub(super) async fn set_aside(acme: &Acme) -> PortResult<()> {
    let file = acme.account_file.clone();
    tracing::warn!(issuer = %acme.name, file = %file.display(), "the authority does not know our account: opening another");
    on_disk(move || match fs::rename(&file, file.with_extension("lost.json")) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(files::at_port("set aside", &file, error))
        }
        _ => Ok(()),
    })
    .await
}

/// The key that binds it to an account at other services.
pub(super) fn external(eab: &Eab) -> PortResult<ExternalAccountKey> {
    let text = eab.hmac_key.trim().trim_end_matches('=');
    let key = BASE64_URL_SAFE_NO_PAD.decode(text).or_else(|_| BASE64_STANDARD_NO_PAD.decode(text));
    match key {
        Ok(key) if !key.is_empty() => Ok(ExternalAccountKey::new(eab.kid.clone(), &key)),
        _ => Err(PortError::new(PortErrorKind::Invalid, "`hmac_key` of `eab` is not base64url")
            .with_fix("copy the HMAC key as the authority shows it")),
    }
}

async fn read(acme: &Acme) -> PortResult<Option<Kept>> {
    let file = acme.account_file.clone();
    on_disk(move || {
        let text = match fs::read(&file) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            text => text.map_err(|error| files::at_port("read", &file, error))?,
        };
        serde_json::from_slice(&text).map(Some).map_err(|error| {
            let context = format!("read the ACME account in {}", file.display());
            PortError::new(PortErrorKind::Invalid, context)
                .with_fix("bring it back from a backup, or remove it: a new account is opened")
                .with_source(error)
        })
    })
    .await
}

async fn keep(acme: &Acme, credentials: AccountCredentials) -> PortResult<()> {
    let kept = Kept { version: 1, email: acme.settings.email.clone(), credentials };
    let text = serde_json::to_string_pretty(&kept);
    let text =
        text.map_err(|error| PortError::new(PortErrorKind::Internal, "keep the account").with_source(error))?;
    let file = acme.account_file.clone();
    on_disk(move || {
        files::write(&file, &text).map_err(|error| files::at_port("keep the ACME account in", &file, error))
    })
    .await
}

fn contact(settings: &AcmeSettings) -> Vec<String> {
    settings.email.iter().map(|email| format!("mailto:{email}")).collect()
}

async fn on_disk<T: Send + 'static>(f: impl FnOnce() -> PortResult<T> + Send + 'static) -> PortResult<T> {
    let failed = |error| PortError::new(PortErrorKind::Internal, "open the ACME account").with_source(error);
    blocking("ACME account", f).await.map_err(failed)?
}
