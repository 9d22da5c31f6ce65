//! The login for an image's registry, from the user's own Docker configuration.
//!
//! `auths` and credential helpers are read as Docker's command line reads them. What is found travels with one deploy
//! request and is kept nowhere.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use nd_api::v1::RegistryAuth;
use serde::Deserialize;
use tokio::io::AsyncWriteExt;
use tokio::process::Command;
use tokio::time::timeout;

/// The name under which Docker's own registry stands in the configuration.
const HUB: &str = "https://index.docker.io/v1/";

/// How long a credential helper may take; some ask a service.
const HELPER: Duration = Duration::from_secs(15);

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct DockerConfig {
    auths: BTreeMap<String, Auth>,
    cred_helpers: BTreeMap<String, String>,
    creds_store: Option<String>,
}

#[derive(Clone, Default, Deserialize)]
#[serde(default)]
struct Auth {
    auth: String,
    username: String,
    password: String,
    identitytoken: String,
}

impl std::fmt::Debug for Auth {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Auth(…)")
    }
}

/// What a credential helper answers (docker/docker-credential-helpers, `get`).
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Credentials {
    username: String,
    secret: String,
}

/// The login for the registry an image comes from; nothing where the user has none. A helper that fails is named in
/// `notes`: the image may be public, or there already.
pub(super) async fn login(image: &str, notes: &mut Vec<String>) -> Option<RegistryAuth> {
    let config = read_config(notes)?;
    let server = server_of(image);
    let key = if server == "docker.io" { HUB } else { server };
    let helper = config
        .cred_helpers
        .get(server)
        .or_else(|| config.cred_helpers.get(key))
        .or(config.creds_store.as_ref());
    if let Some(helper) = helper {
        match ask(helper, key).await {
            Ok(Some(credentials)) => return Some(from_helper(server, credentials)),
            Ok(None) => {}
            Err(reason) => {
                notes.push(format!("docker-credential-{helper} gave no login for {server}: {reason}"));
            }
        }
    }
    let names = [
        key.to_owned(),
        format!("https://{server}"),
        format!("https://{server}/v1/"),
        format!("https://{server}/v2/"),
    ];
    let auth = names.iter().find_map(|name| config.auths.get(name))?;
    from_file(server, auth)
}

fn read_config(notes: &mut Vec<String>) -> Option<DockerConfig> {
    let dir = std::env::var_os("DOCKER_CONFIG").map(PathBuf::from);
    let home = || std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".docker"));
    let path = dir.or_else(home)?.join("config.json");
    let text = std::fs::read_to_string(&path).ok()?;
    match serde_json::from_str(&text) {
        Ok(config) => Some(config),
        Err(error) => {
            notes.push(format!("logins of {} could not be read: {error}", path.display()));
            None
        }
    }
}

/// The registry of a reference, by the rule of Docker's own client: the first part names one when it has a dot or a
/// port, or is `localhost`.
fn server_of(image: &str) -> &str {
    match image.split_once('/') {
        Some((host, _)) if host.contains(['.', ':']) || host == "localhost" => match host {
            "index.docker.io" | "registry-1.docker.io" => "docker.io",
            host => host,
        },
        _ => "docker.io",
    }
}

fn from_helper(server: &str, credentials: Credentials) -> RegistryAuth {
    let server = server.to_owned();
    if credentials.username == "<token>" {
        return RegistryAuth { server, identity_token: Some(credentials.secret), ..RegistryAuth::default() };
    }
    let Credentials { username, secret } = credentials;
    RegistryAuth { server, username, password: secret, identity_token: None }
}

fn from_file(server: &str, auth: &Auth) -> Option<RegistryAuth> {
    let server = server.to_owned();
    if !auth.identitytoken.is_empty() {
        let identity_token = Some(auth.identitytoken.clone());
        return Some(RegistryAuth { server, identity_token, ..RegistryAuth::default() });
    }
    if !auth.username.is_empty() {
        let (username, password) = (auth.username.clone(), auth.password.clone());
        return Some(RegistryAuth { server, username, password, identity_token: None });
    }
    let decoded = String::from_utf8(STANDARD.decode(auth.auth.trim()).ok()?).ok()?;
    let (username, password) = decoded.split_once(':')?;
    let password = password.trim_end_matches('\0').to_owned();
    Some(RegistryAuth { server, username: username.to_owned(), password, identity_token: None })
}

/// Asks a credential helper; nothing where it knows no login.
async fn ask(helper: &str, server: &str) -> Result<Option<Credentials>, String> {
    let asking = async {
        let mut child = Command::new(format!("docker-credential-{helper}"))
            .arg("get")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()?;
        if let Some(mut stdin) = child.stdin.take() {
            stdin.write_all(server.as_bytes()).await?;
        }
        child.wait_with_output().await
    };
    let output = match timeout(HELPER, asking).await {
        Ok(Ok(output)) => output,
        Ok(Err(error)) => return Err(error.to_string()),
        Err(_) => return Err("it did not answer within 15s".to_owned()),
    };
    if !output.status.success() {
        // Helpers say on standard output that they know nothing, and fail.
        let said = String::from_utf8_lossy(&output.stdout).trim().to_owned();
        return if said.contains("not found") { Ok(None) } else { Err(said) };
    }
    let credentials: Credentials =
        serde_json::from_slice(&output.stdout).map_err(|error| error.to_string())?;
    Ok(Some(credentials).filter(|credentials| !credentials.secret.is_empty()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_registry_is_found_in_a_reference() {
        for (image, server) in [
            ("node:22", "docker.io"),
            ("team/shop", "docker.io"),
            ("ghcr.io/team/shop:1", "ghcr.io"),
            ("localhost:5000/shop", "localhost:5000"),
            ("localhost/shop", "localhost"),
        ] {
            assert_eq!(server_of(image), server, "{image}");
        }
    }

    #[test]
    fn a_login_is_read_in_each_of_its_forms() {
        let config: DockerConfig = serde_json::from_str(
            r#"{"auths":{"ghcr.io":{"auth":"YW5hOnM6M2NyZXQ="},"r.example":{"identitytoken":"t"},"e.example":{}},"credsStore":"pass"}"#,
        )
        .unwrap();
        let of = |server: &str| config.auths.get(server).and_then(|auth| from_file(server, auth));
        let basic = of("ghcr.io").unwrap();
        assert_eq!((basic.username.as_str(), basic.password.as_str()), ("ana", "s:3cret"));
        assert_eq!(of("r.example").unwrap().identity_token.as_deref(), Some("t"));
        assert_eq!(of("e.example"), None);
        assert_eq!(config.creds_store.as_deref(), Some("pass"));
    }
}
