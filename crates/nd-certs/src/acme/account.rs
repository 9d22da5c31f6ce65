//! The accounts at an authority: opened once, kept in files, given another key when asked.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::prelude::{BASE64_STANDARD_NO_PAD, BASE64_URL_SAFE_NO_PAD};
use instant_acme::{Account, AccountCredentials, ExternalAccountKey, NewAccount};
use nd_core::ports::{CertOrder, PortError, PortErrorKind, PortResult};
use nd_supervise::blocking;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::directory::Directory;
use super::http::Session;
use super::{Acme, problem};
use crate::{AcmeSettings, Eab, files, x509};

/// The file of the account of the settings, and how those of others begin and those end that were lost.
const USUAL: &str = "account.json";
const OTHERS: &str = "account-";
const LOST: &str = ".lost.json";

/// What is kept of it.
#[derive(Deserialize, Serialize)]
struct Kept {
    version: u32,
    /// Where the authority writes to.
    email: Option<String>,
    credentials: AccountCredentials,
}

/// Whose account it is: the one of the settings, or of somebody whom the authority writes to instead.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Holder {
    email: Option<String>,
    /// Where it is kept.
    file: PathBuf,
}

impl Holder {
    fn usual(acme: &Acme) -> Self {
        Self { email: acme.settings.email.clone(), file: acme.accounts.join(USUAL) }
    }

    /// Whoever an order names.
    pub(super) fn of(acme: &Acme, order: &CertOrder) -> Self {
        let usual = Self::usual(acme);
        let Some(email) = order.email.as_ref().filter(|email| usual.email.as_ref() != Some(email)) else {
            return usual;
        };
        if acme.settings.eab.is_some() {
            tracing::warn!(
                issuer = %acme.name, email,
                "`ssl.email` has no effect: the account is the one that `eab` of this issuer belongs to"
            );
            return usual;
        }
        let digest = Sha256::digest(email);
        let file = format!("{OTHERS}{}.json", x509::hex(digest.get(..4).unwrap_or_default()));
        Self { email: Some(email.clone()), file: acme.accounts.join(file) }
    }
}

/// Where the accounts of these settings are kept: a folder for each directory and each account at other services.
pub(super) fn place(certs_dir: &Path, settings: &AcmeSettings) -> PathBuf {
    let host = settings.directory.parse::<http::Uri>().ok().and_then(|uri| uri.host().map(ToOwned::to_owned));
    let kid = settings.eab.as_ref().map(|eab| &*eab.kid).unwrap_or_default();
    let digest = Sha256::digest(format!("{}\n{kid}", settings.directory));
    let digest = x509::hex(digest.get(..4).unwrap_or_default());
    let folder = format!("{}-{digest}", host.unwrap_or_default());
    certs_dir.join("accounts").join(folder)
}

/// Whoever has an account, that of the settings first; that one alone where nobody has.
pub(super) async fn kept(acme: &Acme) -> PortResult<Vec<Holder>> {
    let (folder, usual) = (acme.accounts.clone(), Holder::usual(acme));
    on_disk(move || {
        let mut holders = Vec::new();
        for entry in fs::read_dir(&folder).into_iter().flatten().flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            if !name.starts_with(OTHERS) || name.ends_with(LOST) {
                continue;
            }
            if let Some(kept) = read_file(&entry.path())? {
                holders.push(Holder { email: kept.email, file: entry.path() });
            }
        }
        if holders.is_empty() || usual.file.exists() {
            holders.insert(0, usual);
        }
        Ok(holders)
    })
    .await
}

/// The kept account, else a new one.
pub(super) async fn open(
    acme: &Acme,
    holder: &Holder,
    http: &Session,
    directory: &Directory,
) -> PortResult<Account> {
    let _one_at_a_time = acme.opening.lock().await;
    let tried = format!("open an account at {}", acme.settings.directory);
    let failed = |error| problem::at_port(&tried, error, http);
    match read(holder).await? {
        Some(kept) => {
            let builder = Account::builder_with_http(Box::new(http.clone()));
            let account = builder.from_credentials(kept.credentials).await.map_err(failed)?;
            if kept.email != holder.email {
                let contact = contact(holder);
                let contact: Vec<&str> = contact.iter().map(String::as_str).collect();
                account.update_contacts(&contact).await.map_err(failed)?;
                let credentials = read(holder).await?.map(|kept| kept.credentials);
                if let Some(credentials) = credentials {
                    keep(holder, credentials).await?;
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
            let contact = contact(holder);
            let contact: Vec<&str> = contact.iter().map(String::as_str).collect();
            let wanted =
                NewAccount { contact: &contact, terms_of_service_agreed: true, only_return_existing: false };
            let builder = Account::builder_with_http(Box::new(http.clone()));
            let opened = builder.create(&wanted, acme.settings.directory.clone(), external.as_ref()).await;
            let (account, credentials) = opened.map_err(|error| problem::of_account(&tried, error, http))?;
            keep(holder, credentials).await?;
            Ok(account)
        }
    }
}

/// Gives it another key, and keeps that.
pub(super) async fn roll_over(holder: &Holder, session: &mut super::Session) -> PortResult<()> {
    match session.account.update_key().await {
        Ok(credentials) => keep(holder, credentials).await,
        Err(error) => Err(session.failed("give the account another key", error)),
    }
}

/// Puts the kept account away: the authority does not know it.
pub(super) async fn set_aside(acme: &Acme, holder: &Holder) -> PortResult<()> {
    let file = holder.file.clone();
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

async fn read(holder: &Holder) -> PortResult<Option<Kept>> {
    let file = holder.file.clone();
    on_disk(move || read_file(&file)).await
}

fn read_file(file: &Path) -> PortResult<Option<Kept>> {
    let text = match fs::read(file) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        text => text.map_err(|error| files::at_port("read", file, error))?,
    };
    serde_json::from_slice(&text).map(Some).map_err(|error| {
        let context = format!("read the ACME account in {}", file.display());
        PortError::new(PortErrorKind::Invalid, context)
            .with_fix("bring it back from a backup, or remove it: a new account is opened")
            .with_source(error)
    })
}

async fn keep(holder: &Holder, credentials: AccountCredentials) -> PortResult<()> {
    let kept = Kept { version: 1, email: holder.email.clone(), credentials };
    let text = serde_json::to_string_pretty(&kept);
    let text =
        text.map_err(|error| PortError::new(PortErrorKind::Internal, "keep the account").with_source(error))?;
    let file = holder.file.clone();
    on_disk(move || {
        files::write(&file, &text).map_err(|error| files::at_port("keep the ACME account in", &file, error))
    })
    .await
}

fn contact(holder: &Holder) -> Vec<String> {
    holder.email.iter().map(|email| format!("mailto:{email}")).collect()
}

async fn on_disk<T: Send + 'static>(f: impl FnOnce() -> PortResult<T> + Send + 'static) -> PortResult<T> {
    let failed = |error| PortError::new(PortErrorKind::Internal, "open the ACME account").with_source(error);
    blocking("ACME account", f).await.map_err(failed)?
}
