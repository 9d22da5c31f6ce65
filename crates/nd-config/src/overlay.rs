//! `environments:` – what one environment changes about the file.

use nd_api::manifest::Environment;

use crate::node::{Entry, Node, Path, Value};
use crate::report::{Code, Mistake, Severity};
use crate::suggest::closest;

/// The sections under `environments:`, each with its environment; unknown ones are reported.
pub(crate) fn take(root: &mut Node, at: &Path, mistakes: &mut Vec<Mistake>) -> Vec<(Environment, Node)> {
    let Value::Map(entries) = &mut root.value else { return Vec::new() };
    let Some(index) = entries.iter().position(|entry| entry.key == "environments") else { return Vec::new() };
    let section = entries.remove(index);
    let path = at.key("environments");
    match section.value.value {
        Value::Map(overlays) => {
            let mut found = Vec::new();
            for overlay in overlays {
                let place = path.key(&overlay.key);
                match overlay.key.parse::<Environment>() {
                    Ok(environment) => found.push((environment, own_keys(overlay, &place, mistakes))),
                    Err(error) => mistakes.push(unknown(&overlay, error.known).on(&place)),
                }
            }
            found
        }
        Value::Null | Value::Unknown => Vec::new(),
        Value::Scalar(_) | Value::List(_) => {
            let message = format!("environments must be a map, found {}", section.value.describe());
            mistakes.push(Mistake::error(Code::WrongType, message).on(&path).at(section.key_span));
            Vec::new()
        }
    }
}

/// Lays an overlay over a tree: maps are merged, `null` removes a key, everything else replaces what was there.
pub(crate) fn merge(base: &mut Node, over: &Node) {
    match (&mut base.value, &over.value) {
        (Value::Map(entries), Value::Map(changes)) => {
            for change in changes {
                match entries.iter().position(|entry| entry.key == change.key) {
                    Some(index) if change.value.value == Value::Null => {
                        entries.remove(index);
                    }
                    Some(index) => {
                        if let Some(entry) = entries.get_mut(index) {
                            merge(&mut entry.value, &change.value);
                            entry.key_span.clone_from(&change.key_span);
                        }
                    }
                    None => entries.push(change.clone()),
                }
            }
        }
        _ => base.clone_from(over),
    }
}

/// Takes out the keys that only an environment has, and says what becomes of them.
fn own_keys(overlay: Entry, path: &Path, mistakes: &mut Vec<Mistake>) -> Node {
    let mut node = overlay.value;
    match &mut node.value {
        Value::Map(entries) => entries.retain(|entry| {
            let mistake = match entry.key.as_str() {
                "protected" => Mistake::new(
                    Severity::Warning,
                    Code::NotYet,
                    "`protected` is not supported yet by this version and has no effect",
                ),
                "sleep_after" => {
                    Mistake::error(Code::NotYet, "`sleep_after` is not supported yet by this version")
                }
                _ => return true,
            };
            mistakes.push(mistake.on(&path.key(&entry.key)).at(entry.key_span.clone()));
            false
        }),
        Value::Null => node.value = Value::Map(Vec::new()),
        Value::Scalar(_) | Value::List(_) => {
            let message = format!("{} must be a map, found {}", path.last, node.describe());
            mistakes.push(Mistake::error(Code::WrongType, message).on(path).at(overlay.key_span));
            node.value = Value::Map(Vec::new());
        }
        Value::Unknown => {}
    }
    node
}

fn unknown(overlay: &Entry, known: &'static [&'static str]) -> Mistake {
    let message = format!("unknown environment `{}`; known: {}", overlay.key, known.join(", "));
    let mistake = Mistake::error(Code::UnknownEnvironment, message).at(overlay.key_span.clone());
    match closest(&overlay.key, ["dev", "development", "staging", "stage", "prod", "production"]) {
        Some(word) => mistake.help(format!("`{word}`")),
        None => mistake,
    }
}
