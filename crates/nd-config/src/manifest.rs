//! `nextdeploy.yml` and the body of a deploy request → [`Manifest`].

mod across;
mod app;
mod apps;
mod container;
mod health;
mod mirror;
mod proxy;
mod rollout;
mod sections;
mod ssl;
mod ssl_config;
mod upstream;
mod whole;

use std::fmt;

use nd_api::Manifest;
use nd_api::manifest::Environment;

use self::apps::Part;
use crate::decode::{Decoder, Field};
use crate::node::{Node, Span, Value};
use crate::report::{Code, Mistake, Report, Severity};
use crate::schema::MANIFEST;
use crate::substitute::{Lookup, substitute};
use crate::{json, overlay, yaml};

/// A manifest without mistakes, and what there is to say about it all the same.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checked {
    /// The manifest.
    pub manifest: Manifest,
    /// Warnings and notes.
    pub notes: Report,
}

/// Whether a manifest must say what runs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Workload {
    /// It must have `image` or `command`.
    #[default]
    Required,
    /// It may have neither: a flag or the app's current release has it.
    Optional,
}

/// How `nextdeploy.yml` is read.
#[derive(Clone, Copy)]
pub struct ReadOptions<'o> {
    /// The environment to lay over the file (`--env`); `app.environment` of the file where it is left out.
    pub environment: Option<Environment>,
    /// Where `${VAR}` comes from.
    pub lookup: &'o dyn Fn(&str) -> Option<String>,
    /// Whether the file must say what runs.
    pub workload: Workload,
}

impl fmt::Debug for ReadOptions<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReadOptions")
            .field("environment", &self.environment)
            .field("workload", &self.workload)
            .finish_non_exhaustive()
    }
}

/// The apps of a file without mistakes, and what there is to say about it all the same.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CheckedApps {
    /// The apps, in the order in which they start: each stands behind those of the file it depends on.
    pub manifests: Vec<Manifest>,
    /// Warnings and notes.
    pub notes: Report,
}

/// Reads a `nextdeploy.yml` of one app: the file with its environment laid over it and its variables replaced.
///
/// The environments that were not asked for are checked too; only their variables need not be set.
///
/// # Errors
/// A [`Report`] of everything that is wrong, warnings and notes included; a file of several apps is one of them.
pub fn read_manifest(name: &str, text: &str, options: &ReadOptions<'_>) -> Result<Checked, Report> {
    let mut read = read_apps(text, options);
    if read.apps.len() > 1 {
        let names: Vec<&str> = read.apps.iter().map(|(manifest, _)| manifest.app.name.as_str()).collect();
        let message = format!("the file has several apps: {}", names.join(", "));
        let place = read.apps.first().and_then(|(_, span)| span.clone());
        read.mistakes.push(Mistake::error(Code::Conflict, message).at(place).help("name one of them"));
    }
    let manifest = read.apps.pop().map(|(manifest, _)| manifest);
    conclude(manifest, Report::new(name, text, read.mistakes))
}

/// Reads a `nextdeploy.yml` of one app or of several (`apps:`), each as [`read_manifest`] does.
///
/// # Errors
/// A [`Report`] of everything that is wrong with any of them, warnings and notes included.
pub fn read_manifests(name: &str, text: &str, options: &ReadOptions<'_>) -> Result<CheckedApps, Report> {
    let mut read = read_apps(text, options);
    let manifests = apps::in_order(read.apps, &mut read.mistakes);
    let report = Report::new(name, text, read.mistakes);
    if manifests.is_empty() || report.has_errors() {
        return Err(report);
    }
    Ok(CheckedApps { manifests, notes: report })
}

/// What was read: the apps, each with the place of its key, and what is wrong.
struct Read {
    apps: Vec<(Manifest, Span)>,
    mistakes: Vec<Mistake>,
}

fn read_apps(text: &str, options: &ReadOptions<'_>) -> Read {
    let mut mistakes = Vec::new();
    let Some(root) = yaml::read(text, &mut mistakes) else { return Read { apps: Vec::new(), mistakes } };
    let parts = apps::split(root, &mut mistakes);
    let read = parts.into_iter().filter_map(|part| {
        let span = part.key_span.clone();
        read_one(part, options, &mut mistakes).map(|manifest| (manifest, span))
    });
    Read { apps: read.collect(), mistakes }
}

fn read_one(part: Part, options: &ReadOptions<'_>, mistakes: &mut Vec<Mistake>) -> Option<Manifest> {
    let Part { mut root, path, key_span } = part;
    let overlays = overlay::take(&mut root, &path, mistakes);
    let asked = options.environment.or_else(|| written_environment(&root, options.lookup));
    for (environment, over) in &overlays {
        if Some(*environment) != asked {
            let mut merged = root.clone();
            overlay::merge(&mut merged, over);
            substitute(&mut merged, options.lookup, &mut Vec::new());
            let found = decode(
                &Field { node: &merged, key_span: key_span.clone(), path: path.clone() },
                Workload::Optional,
            )
            .1;
            // Notes tell what the file asked for will do; these environments will do nothing.
            mistakes.extend(found.into_iter().filter(|mistake| mistake.severity == Severity::Error));
        }
    }
    for (_, over) in overlays.iter().filter(|(environment, _)| Some(*environment) == asked) {
        overlay::merge(&mut root, over);
    }
    substitute(&mut root, options.lookup, mistakes);
    let (manifest, more) = decode(&Field { node: &root, key_span, path }, options.workload);
    mistakes.extend(more);
    manifest.map(|mut manifest| {
        manifest.app.environment = asked.or(manifest.app.environment);
        manifest
    })
}

/// Reads the manifest in the body of a request; mistakes have JSON pointers instead of lines.
///
/// # Errors
/// A [`Report`] of everything that is wrong, warnings and notes included.
pub fn manifest_from_json(value: &serde_json::Value, workload: Workload) -> Result<Checked, Report> {
    let root = json::to_node(value);
    let mut d = Decoder::new(MANIFEST);
    let root = Field::root(&root);
    let manifest = whole::decode(&root, workload, &mut d);
    across::request(&root, &mut d);
    conclude(manifest, Report::new("manifest", "", d.mistakes))
}

/// Writes a manifest as `nextdeploy.yml`, so that it reads back as the same one: a `${` in a value becomes `$${`.
///
/// # Errors
/// Never for a manifest; the error is the YAML library's.
pub fn manifest_to_yaml(manifest: &Manifest) -> Result<String, yaml::WriteError> {
    Ok(yaml::write(manifest)?.replace("${", "$${"))
}

fn conclude(manifest: Option<Manifest>, report: Report) -> Result<Checked, Report> {
    match manifest {
        Some(manifest) if !report.has_errors() => Ok(Checked { manifest, notes: report }),
        _ => Err(report),
    }
}

fn decode(root: &Field<'_>, workload: Workload) -> (Option<Manifest>, Vec<Mistake>) {
    let mut d = Decoder::new(MANIFEST);
    let manifest = whole::decode(root, workload, &mut d);
    (manifest, d.mistakes)
}

/// `app.environment` as far as it can be read before the file is checked.
fn written_environment(root: &Node, lookup: Lookup<'_>) -> Option<Environment> {
    let mut written = root.get("app")?.value.get("environment")?.value.clone();
    substitute(&mut written, lookup, &mut Vec::new());
    match written.value {
        Value::Scalar(scalar) => scalar.text.parse().ok(),
        Value::Null | Value::List(_) | Value::Map(_) | Value::Unknown => None,
    }
}
