//! PM2's ecosystem files: JSON or YAML, or what `node` makes of the JavaScript.

mod app;
mod keys;

use super::draft::{Draft, Dropped, Origin};
use super::settle::{Source, settle};
use super::{Imported, draft};
use crate::node::{Entry, Node, Value};
use crate::report::{Code, Mistake, Report};
use crate::yaml;

/// Reads an ecosystem file (`ecosystem.config.json`, `pm2.yml`); JavaScript is evaluated by who calls, and its result
/// comes as JSON.
///
/// # Errors
/// A [`Report`] with line and column of what is no ecosystem file, or of an app that cannot be said.
pub fn pm2(text: &str, name: &str) -> Result<Imported, Report> {
    let source = Source { name, text };
    let mut mistakes = Vec::new();
    // JSON allows tabs where YAML does not; as spaces they leave every place where it was.
    let is_json = text.trim_start().starts_with(['{', '[']);
    let spaced = if is_json { text.replace('\t', " ") } else { text.to_owned() };
    let root = yaml::read(&spaced, &mut mistakes);
    let Some(root) = root.filter(|_| mistakes.is_empty()) else { return Err(source.refuse(mistakes)) };
    let mut draft =
        Draft { remarks: vec![format!("Imported from {name}, PM2's ecosystem file.")], ..Draft::default() };
    for (origin, node) in apps(&root, &mut draft).map_err(|mistake| source.refuse(vec![mistake]))? {
        match app::read(&node, &origin) {
            Ok(app) => draft.apps.push(app),
            Err(mistake) => mistakes.push(mistake),
        }
    }
    if !mistakes.is_empty() {
        return Err(source.refuse(mistakes));
    }
    settle(draft, &source)
}

/// The apps: under `apps`, as the list that the file is, or the one that it is.
fn apps(root: &Node, draft: &mut Draft) -> Result<Vec<(Origin, Node)>, Mistake> {
    let (list, key) = match &root.value {
        Value::Map(entries) => match root.get("apps") {
            Some(entry) => {
                for other in entries.iter().filter(|other| other.key != "apps") {
                    draft.dropped.push(beside(other));
                }
                (&entry.value, "apps")
            }
            None if root.get("script").is_some() => {
                return Ok(vec![(Origin::new("app", root.span.clone()), root.clone())]);
            }
            None => {
                let mistake =
                    Mistake::error(Code::MissingKey, "the file has no `apps`").at(root.span.clone());
                return Err(mistake.help("an ecosystem file is `{\"apps\": [{\"name\": …, \"script\": …}]}`"));
            }
        },
        _ => (root, ""),
    };
    match &list.value {
        Value::List(items) if !items.is_empty() => {
            let whole = Origin::new(key, list.span.clone());
            Ok(items
                .iter()
                .enumerate()
                .map(|(index, node)| (whole.item(index, node), node.clone()))
                .collect())
        }
        Value::Map(_) => Ok(vec![(Origin::new(key, list.span.clone()), list.clone())]),
        _ => {
            let message = format!("an ecosystem file lists apps, found {}", list.describe());
            Err(Mistake::error(Code::WrongType, message).at(list.span.clone()))
        }
    }
}

fn beside(entry: &Entry) -> Dropped {
    let reason = match entry.key.as_str() {
        "deploy" => {
            "PM2 fetches code by git and ssh with it; `nextdeploy deploy` sends what is to run from here"
        }
        _ => "only `apps` is read",
    };
    let origin = draft::Origin::new(entry.key.clone(), entry.key_span.clone());
    Dropped { origin, reason: reason.to_owned() }
}
