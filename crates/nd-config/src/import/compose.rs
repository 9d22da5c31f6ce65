//! Compose files (the Compose Specification, with what older versions of the format had).

mod deploy;
mod extends;
mod interpolate;
mod keys;
mod names;
mod ports;
mod service;
mod volumes;

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::fmt;

use super::Imported;
use super::draft::{Draft, Dropped, Origin, app_name};
use super::settle::{Source, settle};
use crate::node::{Entry, Node, Value};
use crate::report::{Code, Mistake, Report};
use crate::{parse_dotenv, yaml};

/// What an import takes from around the file.
#[derive(Clone, Copy)]
pub struct Surroundings<'s> {
    /// The name of the project where the file has none: that of its directory.
    pub project: &'s str,
    /// Variables of the environment.
    pub lookup: &'s dyn Fn(&str) -> Option<String>,
    /// The content of a file, by its path from the directory of the Compose file: `.env`, and files that are extended.
    pub read: &'s dyn Fn(&str) -> Option<String>,
    /// The profiles that are on.
    pub profiles: &'s [String],
}

impl fmt::Debug for Surroundings<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Surroundings")
            .field("project", &self.project)
            .field("profiles", &self.profiles)
            .finish_non_exhaustive()
    }
}

/// What every service is read against.
struct Context<'c> {
    /// The project's name, as Compose writes it before names of volumes and images.
    project: String,
    lookup: &'c dyn Fn(&str) -> Option<String>,
    /// The top-level `volumes:`.
    volumes: Option<Entry>,
    /// The services that become apps.
    services: Vec<String>,
    /// The services that others wait for until they have ended.
    jobs: Vec<String>,
    /// The names that services give to others.
    links: Vec<names::Link>,
    /// The names beside those of apps that lead to one already.
    named: RefCell<BTreeSet<String>>,
    /// The content of a file beside the Compose file.
    read: &'c dyn Fn(&str) -> Option<String>,
}

/// Reads a Compose file. Each service becomes an app; those of profiles that are off are left out.
///
/// # Errors
/// A [`Report`] with line and column of what is no Compose file, or of a service that cannot be said.
pub fn compose(text: &str, name: &str, around: &Surroundings<'_>) -> Result<Imported, Report> {
    let source = Source { name, text };
    let mut mistakes = Vec::new();
    let root = yaml::read(text, &mut mistakes);
    let Some(root) = root.filter(|_| mistakes.is_empty()) else { return Err(source.refuse(mistakes)) };
    let services = services(&root).map_err(|mistake| source.refuse(vec![mistake]))?;
    let dotenv = (around.read)(".env").and_then(|text| parse_dotenv(".env", &text).ok()).unwrap_or_default();
    let lookup = |name: &str| (around.lookup)(name).or_else(|| dotenv.get(name).map(str::to_owned));
    let mut draft =
        Draft { remarks: vec![format!("Imported from {name}, a Compose file.")], ..Draft::default() };
    if !dotenv.is_empty() {
        draft.remarks.push(
            "Compose reads .env by itself. nextdeploy takes variables from the environment: set -a; . ./.env; set +a"
                .to_owned(),
        );
    }
    let mut whole = Vec::new();
    for entry in services {
        match extends::whole(entry, services, around) {
            Ok(node) => whole.push(Entry { value: node, ..entry.clone() }),
            Err(mistake) => mistakes.push(mistake),
        }
    }
    if !mistakes.is_empty() {
        return Err(source.refuse(mistakes));
    }
    let (on, off): (Vec<Entry>, Vec<Entry>) =
        whole.into_iter().partition(|entry| is_on(&entry.value, around.profiles));
    for entry in &off {
        let origin = Origin::new(format!("services.{}", entry.key), entry.key_span.clone());
        let profiles = texts(entry.value.get("profiles").map(|entry| &entry.value)).join(", ");
        let reason = format!("its profile is off; import with --profile {profiles} to have it");
        draft.dropped.push(Dropped { origin, reason });
    }
    let context = Context {
        project: project(&root, around.project),
        lookup: &lookup,
        volumes: root.get("volumes").cloned(),
        services: on.iter().map(|entry| entry.key.clone()).collect(),
        jobs: jobs(&on),
        links: names::links(&on),
        named: RefCell::default(),
        read: around.read,
    };
    draft.dropped.extend(beside(&root));
    for entry in &on {
        match service::read(entry, &context) {
            Ok(app) => draft.apps.push(app),
            Err(mistake) => mistakes.push(mistake),
        }
    }
    if draft.apps.is_empty() && mistakes.is_empty() {
        let mistake =
            Mistake::error(Code::MissingKey, "every service of the file belongs to a profile that is off");
        mistakes.push(
            mistake.at(root.get("services").and_then(|entry| entry.key_span.clone())).help("--profile NAME"),
        );
    }
    if mistakes.is_empty() { settle(draft, &source) } else { Err(source.refuse(mistakes)) }
}

fn services(root: &Node) -> Result<&[Entry], Mistake> {
    let Some(entry) = root.get("services") else {
        let mistake = Mistake::error(Code::MissingKey, "the file has no `services`").at(root.span.clone());
        return Err(mistake.help("a Compose file is `services: {web: {image: …}}`"));
    };
    match &entry.value.value {
        Value::Map(entries) if !entries.is_empty() => {
            let wrong = entries.iter().find(|entry| !matches!(entry.value.value, Value::Map(_)));
            match wrong {
                None => Ok(entries),
                Some(entry) => {
                    let message =
                        format!("service `{}` must be a map, found {}", entry.key, entry.value.describe());
                    Err(Mistake::error(Code::WrongType, message).at(entry.key_span.clone()))
                }
            }
        }
        _ => {
            let message =
                format!("services must be a map of at least one service, found {}", entry.value.describe());
            Err(Mistake::error(Code::WrongType, message).at(entry.key_span.clone()))
        }
    }
}

fn is_on(service: &Node, profiles: &[String]) -> bool {
    let own = texts(service.get("profiles").map(|entry| &entry.value));
    own.is_empty() || own.iter().any(|own| profiles.iter().any(|on| on == own || on == "*"))
}

/// Compose writes the name in small letters and leaves out what an engine would not take.
fn project(root: &Node, dir: &str) -> String {
    let written = root.get("name").and_then(|entry| scalar(&entry.value)).filter(|name| !name.contains('$'));
    let kept = written.unwrap_or(dir).to_ascii_lowercase();
    let kept: String = kept.chars().filter(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_')).collect();
    kept.trim_start_matches(['-', '_']).to_owned()
}

/// The services that others wait for until they have ended.
fn jobs(services: &[Entry]) -> Vec<String> {
    let dependencies = services.iter().filter_map(|entry| entry.value.get("depends_on"));
    let awaited = dependencies.filter_map(|entry| match &entry.value.value {
        Value::Map(entries) => Some(entries),
        _ => None,
    });
    let ended = awaited.flatten().filter(|entry| {
        let condition = entry.value.get("condition").and_then(|condition| scalar(&condition.value));
        condition == Some("service_completed_successfully")
    });
    ended.map(|entry| entry.key.clone()).collect()
}

/// The keys beside `services:`. Volumes are read with the services that mount them.
fn beside(root: &Node) -> Vec<Dropped> {
    let Value::Map(entries) = &root.value else { return Vec::new() };
    let reason = |key: &str| match key {
        "services" | "version" | "name" | "volumes" => None,
        key if key.starts_with("x-") => None,
        "networks" => Some("all apps are on one network of NextDeploy"),
        "secrets" | "configs" => Some("mount the file as a volume, or give its content as a variable"),
        "include" => Some("import each of the files"),
        _ => Some("it is no key of a Compose file that NextDeploy knows"),
    };
    let lost = entries.iter().filter_map(|entry| {
        let origin = Origin::new(entry.key.clone(), entry.key_span.clone());
        reason(&entry.key).map(|reason| Dropped { origin, reason: reason.to_owned() })
    });
    lost.collect()
}

/// The name of the app that a service becomes.
fn app_of(service: &str) -> String {
    app_name(service)
}

fn scalar(node: &Node) -> Option<&str> {
    match &node.value {
        Value::Scalar(scalar) => Some(&scalar.text),
        Value::Null | Value::List(_) | Value::Map(_) | Value::Unknown => None,
    }
}

/// The texts of a list, or the one that stands for it.
fn texts(node: Option<&Node>) -> Vec<String> {
    match node.map(|node| (&node.value, node)) {
        Some((Value::List(items), _)) => items.iter().filter_map(scalar).map(str::to_owned).collect(),
        Some((Value::Scalar(_), node)) => scalar(node).map(str::to_owned).into_iter().collect(),
        _ => Vec::new(),
    }
}
