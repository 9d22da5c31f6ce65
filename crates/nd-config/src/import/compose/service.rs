//! One service.

use super::{Context, app_of, deploy, interpolate, keys, names, ports, scalar, volumes};
use crate::import::draft::{AppDraft, Origin, Out, literal};
use crate::node::{Entry, Node, Value};
use crate::report::{Code, Mistake};
use crate::words;

/// A service on its way to an app.
pub(super) struct Service<'c> {
    pub(super) app: AppDraft,
    pub(super) context: &'c Context<'c>,
}

/// Turns a service, with what it extends, into a draft.
pub(super) fn read(entry: &Entry, context: &Context<'_>) -> Result<AppDraft, Mistake> {
    let origin = Origin::new(format!("services.{}", entry.key), entry.key_span.clone());
    let name = app_of(&entry.key);
    let mut app = AppDraft::new(name, origin.clone());
    if app.name != entry.key {
        app.remarks
            .push(format!("Compose calls it {:?}; names are small letters, digits and hyphens.", entry.key));
    }
    let mut service = Service { app, context };
    let Value::Map(entries) = &entry.value.value else { return Ok(service.app) };
    service.image(entry, &origin)?;
    names::of_service(&mut service, &entry.key, &origin);
    for key in entries {
        let at = origin.below(key);
        if !service.key(key, &at) {
            service.app.lose(&at, keys::reason(&key.key));
        }
    }
    service.without_restart(&entry.key, &origin, &entry.value);
    Ok(service.app)
}

impl Service<'_> {
    /// A value with what its variables are now; what is wrong with them is told.
    pub(super) fn text(&mut self, node: &Node, at: &Origin) -> Option<String> {
        let text = scalar(node)?;
        let resolved = interpolate::resolve(text, self.context.lookup);
        resolved.map_err(|reason| self.app.lose(at, reason)).ok()
    }

    /// A value with its variables still in it.
    fn kept(&mut self, node: &Node, at: &Origin) -> Option<String> {
        let Some(text) = scalar(node) else {
            self.app.lose(at, format!("it must be a text, found {}", node.describe()));
            return None;
        };
        interpolate::keep(text, self.context.lookup).map_err(|reason| self.app.lose(at, reason)).ok()
    }

    /// Sets a key to the value with what its variables are now.
    pub(super) fn set(&mut self, path: &str, node: &Node, at: &Origin) {
        if let Some(text) = self.text(node, at) {
            self.app.set(path, Out::Text(literal(&text)), at);
        }
    }

    fn image(&mut self, entry: &Entry, origin: &Origin) -> Result<(), Mistake> {
        if let Some(image) = entry.value.get("image") {
            let at = origin.below(image);
            if let Some(text) = self.kept(&image.value, &at) {
                self.app.set("image", Out::Text(text), &at);
            }
            return Ok(());
        }
        let Some(build) = entry.value.get("build") else {
            let message = format!("service `{}` has neither `image` nor `build`", entry.key);
            return Err(Mistake::error(Code::MissingKey, message).at(entry.key_span.clone()));
        };
        // The name that Compose gives to what it builds.
        let image = format!("{}-{}", self.context.project, entry.key.to_lowercase());
        self.app.set("image", Out::Text(image), &origin.below(build));
        Ok(())
    }

    /// Reads one key; `false` where it is not kept.
    fn key(&mut self, entry: &Entry, at: &Origin) -> bool {
        let node = &entry.value;
        match entry.key.as_str() {
            "image" | "profiles" | "scale_from" => {}
            "build" => self.app.lose(at, "build it before it is deployed: docker compose build"),
            "command" => self.command(node, at),
            "entrypoint" => self.entrypoint(node, at),
            "working_dir" => self.set("working_dir", node, at),
            "container_name" => names::container_name(self, node, at),
            "networks" => names::networks(self, node, at),
            "links" => names::linked(self, node, at),
            "environment" => self.environment(node, at),
            "env_file" => self.env_files(node, at),
            "ports" => ports::published(self, node, at),
            "expose" => ports::exposed(self, node, at),
            "volumes" => volumes::read(self, node, at),
            "depends_on" => self.depends_on(node, at),
            "healthcheck" => deploy::healthcheck(self, node, at),
            "restart" => self.restart(node, at),
            "deploy" => deploy::read(self, node, at),
            "labels" => return self.labels(node, at),
            "user" => self.set("user", node, at),
            "stop_signal" => self.set("deployment.stop.signal", node, at),
            "stop_grace_period" => self.set("deployment.stop.grace", node, at),
            "mem_limit" => deploy::memory(self, node, at),
            "cpus" => deploy::cpus(self, node, at),
            "pids_limit" => deploy::pids(self, node, at),
            "scale" => self.set("scale.instances", node, at),
            // Every container has it.
            "init" if scalar(node) == Some("true") => {}
            "privileged" | "tty" | "stdin_open" | "read_only" if scalar(node) == Some("false") => {}
            key => return key.starts_with("x-") || node.value == Value::Null,
        }
        true
    }

    fn command(&mut self, node: &Node, at: &Origin) {
        if let Some(words) = self.words(node, at).filter(|words| !words.is_empty()) {
            self.app.set("command", Out::Words(words), at);
        }
    }

    /// An empty one takes the image's away.
    fn entrypoint(&mut self, node: &Node, at: &Origin) {
        if let Some(words) = self.words(node, at) {
            self.app.set("entrypoint", Out::Words(words), at);
        }
    }

    /// A line is split into words and goes to no shell.
    fn words(&mut self, node: &Node, at: &Origin) -> Option<Vec<String>> {
        match &node.value {
            Value::List(items) => items.iter().map(|item| self.kept(item, at)).collect(),
            Value::Scalar(scalar) => {
                let split = words::split(&scalar.text);
                split.iter().map(|word| self.kept(&Node::scalar(word, true, node.span.clone()), at)).collect()
            }
            Value::Null | Value::Map(_) | Value::Unknown => None,
        }
    }

    fn environment(&mut self, node: &Node, at: &Origin) {
        match &node.value {
            Value::Map(entries) => {
                for entry in entries {
                    let value = (entry.value.value != Value::Null).then_some(&entry.value);
                    self.variable(&entry.key, value, &at.below(entry));
                }
            }
            Value::List(items) => {
                for (index, item) in items.iter().enumerate() {
                    let at = at.item(index, item);
                    let text = scalar(item).unwrap_or_default();
                    match text.split_once('=') {
                        Some((key, value)) => {
                            self.variable(key, Some(&Node::scalar(value, true, item.span.clone())), &at);
                        }
                        None => self.variable(text, None, &at),
                    }
                }
            }
            _ => self.app.lose(at, "it is no map of variables"),
        }
    }

    /// Without a value it is taken from who deploys, where it is set there.
    fn variable(&mut self, key: &str, value: Option<&Node>, at: &Origin) {
        let text = match value {
            Some(value) => self.kept(value, at),
            None => Some(format!("${{{key}:-}}")),
        };
        if let Some(text) = text {
            self.app.set_in("env", key, Out::Text(text), at);
        }
    }

    fn env_files(&mut self, node: &Node, at: &Origin) {
        let items = match &node.value {
            Value::List(items) => items.as_slice(),
            _ => std::slice::from_ref(node),
        };
        for (index, item) in items.iter().enumerate() {
            let at = if items.len() > 1 { at.item(index, item) } else { at.clone() };
            let Value::Map(entries) = &item.value else {
                if let Some(path) = self.text(item, &at) {
                    self.app.push("deployment.container.env_file", Out::Text(literal(&path)), &at);
                }
                continue;
            };
            self.env_file(entries, &at);
        }
    }

    /// One that need not be there is kept where it is there now.
    fn env_file(&mut self, keys: &[Entry], at: &Origin) {
        let key = |name: &str| keys.iter().find(|entry| entry.key == name);
        let optional = key("required").is_some_and(|required| scalar(&required.value) == Some("false"));
        if let Some(entry) = key("path")
            && let Some(path) = self.text(&entry.value, at)
        {
            if optional && (self.context.read)(&path).is_none() {
                self.app.lose(at, format!("{path} is not there, and here a file of variables must be"));
            } else {
                let path = Out::Text(literal(&path));
                self.app.push("deployment.container.env_file", path, &at.below(entry));
            }
        }
        for entry in keys.iter().filter(|entry| !matches!(entry.key.as_str(), "path" | "required")) {
            self.app.lose(&at.below(entry), "files of variables are read as dotenv tools read them");
        }
    }

    fn depends_on(&mut self, node: &Node, at: &Origin) {
        match &node.value {
            Value::List(items) => {
                for (index, item) in items.iter().enumerate() {
                    let at = at.item(index, item);
                    self.dependency(scalar(item).unwrap_or_default(), "started", &at);
                }
            }
            Value::Map(entries) => {
                for entry in entries {
                    let at = at.below(entry);
                    let condition = entry.value.get("condition").and_then(|entry| scalar(&entry.value));
                    let condition = match condition {
                        Some("service_healthy") => "healthy",
                        Some("service_completed_successfully") => "completed",
                        _ => "started",
                    };
                    self.dependency(&entry.key, condition, &at);
                    let Value::Map(more) = &entry.value.value else { continue };
                    for key in more.iter().filter(|key| matches!(key.key.as_str(), "restart" | "required")) {
                        let at = at.below(key);
                        self.app.lose(
                            &at,
                            "an app is not restarted for another one, and what it depends on must be there",
                        );
                    }
                }
            }
            _ => self.app.lose(at, "it is no list of services"),
        }
    }

    pub(super) fn dependency(&mut self, service: &str, condition: &str, at: &Origin) {
        if !self.context.services.iter().any(|known| known == service) {
            return self.app.lose(at, format!("service `{service}` is not imported"));
        }
        self.app.set(&format!("depends_on.{}.condition", app_of(service)), Out::text(condition), at);
    }

    fn restart(&mut self, node: &Node, at: &Origin) {
        let Some(text) = self.text(node, at) else { return };
        let (policy, most) =
            text.split_once(':').map_or((text.as_str(), None), |(policy, most)| (policy, Some(most)));
        let policy = if matches!(policy, "no" | "false") { "never" } else { policy };
        self.app.set("deployment.container.restart", Out::text(policy), at);
        if let Some(most) = most {
            self.app.set("restart.max", Out::text(most), at);
        }
    }

    /// Compose does not restart without being told; NextDeploy does.
    fn without_restart(&mut self, service: &str, origin: &Origin, node: &Node) {
        if self.app.has("deployment.container.restart") {
            return;
        }
        if self.context.jobs.iter().any(|job| job == service) {
            self.app.set("deployment.container.restart", Out::text("on-failure"), origin);
        } else if node.get("restart").is_none() {
            let remark = "Compose would leave it down when it ends; here it is started again, unless \
                          deployment.container.restart says never.";
            self.app.remarks.push(remark.to_owned());
        }
    }

    /// Traefik's labels say where requests come in; the proxy does that here.
    fn labels(&mut self, node: &Node, at: &Origin) -> bool {
        let labels: Vec<(String, String, Origin)> = match &node.value {
            Value::Map(entries) => {
                let text = |entry: &Entry| scalar(&entry.value).unwrap_or_default().to_owned();
                entries.iter().map(|entry| (entry.key.clone(), text(entry), at.below(entry))).collect()
            }
            Value::List(items) => {
                let pairs = items.iter().enumerate().filter_map(|(index, item)| {
                    let (key, value) = scalar(item)?.split_once('=')?;
                    Some((key.to_owned(), value.to_owned(), at.item(index, item)))
                });
                pairs.collect()
            }
            _ => return false,
        };
        for (key, value, at) in labels {
            let value = interpolate::resolve(&value, self.context.lookup).unwrap_or(value);
            if key.starts_with("traefik.http.routers.") && key.ends_with(".rule") {
                self.host(&value, &at);
            } else if key.starts_with("traefik.http.services.") && key.ends_with(".loadbalancer.server.port")
            {
                self.app.set("app.port", Out::Text(literal(&value)), &at);
            } else if key == "traefik.enable" || key.ends_with(".entrypoints") || key.contains(".tls") {
                self.app.lose(&at, "the proxy serves every app");
            } else {
                self.app.lose(&at, keys::reason("labels"));
            }
        }
        true
    }

    /// ``Host(`a.example`)``, and nothing else beside it.
    fn host(&mut self, rule: &str, at: &Origin) {
        let inside = rule.trim().strip_prefix("Host(").and_then(|rule| rule.strip_suffix(')'));
        let hosts: Option<Vec<&str>> =
            inside.map(|inside| inside.split(',').map(|host| host.trim().trim_matches(['`', '"'])).collect());
        let plain = |host: &&str| !host.is_empty() && !host.contains(['`', '(', ' ', '|', '&']);
        let Some(hosts) = hosts.filter(|hosts| hosts.iter().all(plain)) else {
            return self.app.lose(at, "only a rule of one Host() is read; see proxy.routes");
        };
        for (index, host) in hosts.into_iter().enumerate() {
            if index == 0 && !self.app.has("app.domain") {
                self.app.set("app.domain", Out::text(host), at);
            } else {
                self.app.lose(at, format!("a second host: add `{{host: {host}}}` to proxy.routes"));
            }
        }
    }
}
