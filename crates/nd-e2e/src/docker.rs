//! The Docker engine, by its own API and without the product: makes images from a file, looks, and cleans up.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::{Value, json};

use crate::Result;
use crate::http::{Answer, Connection, Target};

/// The network that containers of the daemon are on.
pub const NETWORK: &str = "nextdeploy";

const PATIENCE: Duration = Duration::from_secs(60);

/// An engine that answers.
#[derive(Clone, Debug)]
pub struct Docker {
    target: Target,
}

impl Docker {
    /// The engine that answers where `DOCKER_HOST`, else the default, says.
    #[must_use]
    pub fn find() -> Option<Self> {
        let host = std::env::var("DOCKER_HOST").unwrap_or_else(|_| "unix:///var/run/docker.sock".to_owned());
        let target = match host.split_once("://")? {
            ("unix", path) => Target::Unix(PathBuf::from(path)),
            ("tcp", address) => Target::Tcp(address.parse().ok()?),
            _ => return None,
        };
        Self::answering(target)
    }

    /// The engine that answers at a unix socket.
    #[must_use]
    pub fn at(socket: &Path) -> Option<Self> {
        Self::answering(Target::Unix(socket.to_owned()))
    }

    fn answering(target: Target) -> Option<Self> {
        let docker = Self { target };
        docker.call("GET", "/_ping", None).ok().map(|_| docker)
    }

    /// Its unix socket, where it has one.
    #[must_use]
    pub fn socket(&self) -> Option<&Path> {
        match &self.target {
            Target::Unix(path) => Some(path),
            Target::Tcp(_) => None,
        }
    }

    /// Makes an image `name:tag` whose only file is `program`, which it runs with these variables.
    ///
    /// # Errors
    /// What the engine says.
    pub fn import(&self, name: &str, tag: &str, program: &Path, variables: &[(&str, &str)]) -> Result {
        let mut archive = tar::Builder::new(Vec::new());
        archive.append_path_with_name(program, "app")?;
        let archive = archive.into_inner()?;
        let mut path = format!("/images/create?fromSrc=-&repo={name}&tag={tag}");
        let mut changes = vec![r#"ENTRYPOINT ["/app"]"#.to_owned(), "LABEL nextdeploy.e2e=true".to_owned()];
        changes.extend(variables.iter().map(|(key, value)| format!("ENV {key}={value}")));
        for change in changes {
            write!(path, "&changes={}", encoded(&change))?;
        }
        let mut connection = self.connection()?;
        let answer = connection.request("POST", &path, &[("content-type", "application/x-tar")], &archive)?;
        match answer.status == 200 && !answer.text().contains("\"error\"") {
            true => Ok(()),
            false => Err(format!("import {name}:{tag}: {}: {}", answer.status, answer.text()).into()),
        }
    }

    /// Gives an image a second name.
    ///
    /// # Errors
    /// What the engine says.
    pub fn tag(&self, image: &str, name: &str, tag: &str) -> Result {
        self.call("POST", &format!("/images/{image}/tag?repo={name}&tag={tag}"), None).map(drop)
    }

    /// Whether an image of this name is there that was not made by [`Docker::import`].
    #[must_use]
    pub fn has_foreign_image(&self, reference: &str) -> bool {
        let found =
            self.call("GET", &format!("/images/{reference}/json"), None).and_then(|answer| answer.json());
        found.is_ok_and(|image| image.pointer("/Config/Labels/nextdeploy.e2e").is_none())
    }

    /// Removes an image; one that is gone needs none.
    pub fn remove_image(&self, reference: &str) {
        self.call("DELETE", &format!("/images/{reference}?force=true"), None).ok();
    }

    /// Containers, running or not, with all of these labels (`key` or `key=value`).
    ///
    /// # Errors
    /// What the engine says.
    pub fn containers(&self, labels: &[&str]) -> Result<Vec<Value>> {
        let filters = json!({ "label": labels }).to_string();
        let list =
            self.call("GET", &format!("/containers/json?all=true&filters={}", encoded(&filters)), None)?;
        Ok(list.json()?.as_array().cloned().unwrap_or_default())
    }

    /// All about a container.
    ///
    /// # Errors
    /// What the engine says.
    pub fn inspect(&self, container: &str) -> Result<Value> {
        self.call("GET", &format!("/containers/{container}/json"), None)?.json()
    }

    /// The main process of a container, as this machine numbers it.
    ///
    /// # Errors
    /// When it does not run.
    pub fn pid(&self, container: &str) -> Result<i32> {
        let pid = self.inspect(container)?.pointer("/State/Pid").and_then(Value::as_i64);
        let pid = pid.and_then(|pid| i32::try_from(pid).ok()).filter(|pid| *pid > 0);
        pid.ok_or_else(|| format!("container {container} does not run").into())
    }

    /// Makes a container and starts it; gives its id. `body` is the engine's `ContainerCreate`.
    ///
    /// # Errors
    /// What the engine says.
    pub fn run(&self, body: &Value) -> Result<String> {
        let made = self.call("POST", "/containers/create", Some(body))?.json()?;
        let id = made.get("Id").and_then(Value::as_str).ok_or("the engine gave no id")?.to_owned();
        match self.call("POST", &format!("/containers/{id}/start"), None) {
            Ok(_) => Ok(id),
            Err(error) => {
                // One that does not start is nobody's to remove.
                self.remove(&id)?;
                Err(error)
            }
        }
    }

    /// Sends SIGKILL to a container's main process.
    ///
    /// # Errors
    /// What the engine says.
    pub fn kill(&self, container: &str) -> Result {
        self.call("POST", &format!("/containers/{container}/kill?signal=KILL"), None).map(drop)
    }

    /// Removes a container whatever it does.
    ///
    /// # Errors
    /// What the engine says; nothing for one that is gone.
    pub fn remove(&self, container: &str) -> Result {
        let answer = self.connection()?.request(
            "DELETE",
            &format!("/containers/{container}?force=true&v=true"),
            &[],
            b"",
        )?;
        match answer.status {
            204 | 404 | 409 => Ok(()),
            _ => Err(format!("remove {container}: {}", answer.text()).into()),
        }
    }

    /// Whether there is a network of that name.
    #[must_use]
    pub fn has_network(&self, name: &str) -> bool {
        self.call("GET", &format!("/networks/{name}"), None).is_ok()
    }

    /// Removes a network; one in use stays.
    pub fn remove_network(&self, name: &str) {
        self.call("DELETE", &format!("/networks/{name}"), None).ok();
    }

    fn connection(&self) -> Result<Connection> {
        Ok(Connection::open(&self.target, "docker", PATIENCE)?)
    }

    fn call(&self, method: &str, path: &str, body: Option<&Value>) -> Result<Answer> {
        let bytes = body.map(Value::to_string).unwrap_or_default();
        let headers = [("content-type", "application/json")];
        let answer = self.connection()?.request(method, path, &headers, bytes.as_bytes())?;
        match answer.status {
            200..=304 => Ok(answer),
            status => {
                Err(format!("Docker engine, {method} {path}: {status}: {}", answer.text().trim()).into())
            }
        }
    }
}

/// Percent-encoded for a query (RFC 3986, section 2.1).
fn encoded(text: &str) -> String {
    let mut encoded = String::new();
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
            encoded.push(char::from(byte));
        } else {
            encoded.push_str(&format!("%{byte:02X}"));
        }
    }
    encoded
}
