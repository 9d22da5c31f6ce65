//! `apps:` – several apps in one file – and the order in which they come up.

use nd_api::Manifest;
use nd_api::manifest::{Condition, Dependencies};
use nd_types::AppName;

use crate::decode::{Decoder, Field};
use crate::node::{Entry, Node, Path, Span, Value};
use crate::report::{Code, Mistake};

/// What may stand beside `apps:`; everything else belongs to one app.
const BESIDE: [&str; 3] = ["version", "target_type", "apps"];

/// One app of a file, as the tree that a file of its own would be.
pub(super) struct Part {
    pub(super) root: Node,
    pub(super) path: Path,
    pub(super) key_span: Span,
}

/// The apps of a file, each as a tree of its own; a file without `apps:` is one of them as it stands.
pub(super) fn split(root: Node, mistakes: &mut Vec<Mistake>) -> Vec<Part> {
    let Some(apps) = root.get("apps").cloned() else {
        let key_span = root.span.clone();
        return vec![Part { root, path: Path::default(), key_span }];
    };
    let Value::Map(entries) = root.value else { return Vec::new() };
    let mut shared = Vec::new();
    for entry in entries {
        match entry.key.as_str() {
            "apps" => {}
            "version" | "target_type" => shared.push(entry),
            key if key.starts_with("x-") => {}
            key => mistakes.push(beside(key, entry.key_span)),
        }
    }
    let path = Path::default().key("apps");
    match apps.value.value {
        Value::Map(entries) if !entries.is_empty() => {
            let parts = entries.into_iter().map(|entry| part(entry, &path, &shared, mistakes));
            parts.collect()
        }
        Value::Unknown => Vec::new(),
        Value::Map(_) | Value::Null | Value::Scalar(_) | Value::List(_) => {
            let message = format!("apps must be a map of at least one app, found {}", apps.value.describe());
            let mistake = Mistake::error(Code::WrongType, message).on(&path).at(apps.key_span);
            mistakes.push(mistake.help("write `apps: {web: {image: REF}, db: {image: REF}}`"));
            Vec::new()
        }
    }
}

fn beside(key: &str, span: Span) -> Mistake {
    let mistake =
        Mistake::error(Code::MisplacedKey, format!("`{key}` belongs to one app, not beside `apps`"));
    let place = format!("move it to `apps.NAME.{key}`; beside `apps` stand {}", BESIDE.join(", "));
    mistake.on(&Path::default().key(key)).at(span).help(place)
}

/// Gives the tree of one app its name and what the file says for all.
fn part(entry: Entry, apps: &Path, shared: &[Entry], mistakes: &mut Vec<Mistake>) -> Part {
    // Keys inside are told by their own names, as in a file of one app; only the pointer says which app it is.
    let whole = apps.key(&entry.key);
    let path = Path { pointer: whole.pointer, dotted: String::new(), last: entry.key.clone() };
    let mut root = entry.value;
    if let Value::Map(entries) = &mut root.value {
        for one in shared {
            if !entries.iter().any(|known| known.key == one.key) {
                entries.push(one.clone());
            }
        }
        name(entries, &entry.key, &entry.key_span, &path, mistakes);
    }
    Part { root, path, key_span: entry.key_span }
}

/// The key is the app's name, so that `app.name` may be left out; where it is written it must be the same.
fn name(entries: &mut Vec<Entry>, key: &str, span: &Span, path: &Path, mistakes: &mut Vec<Mistake>) {
    let own = Entry {
        key: "name".to_owned(),
        key_span: span.clone(),
        value: Node::scalar(key, true, span.clone()),
    };
    let Some(app) = entries.iter_mut().find(|entry| entry.key == "app") else {
        let value = Node::new(Value::Map(vec![own]), span.clone());
        entries.insert(0, Entry { key: "app".to_owned(), key_span: span.clone(), value });
        return;
    };
    match &mut app.value.value {
        Value::Map(keys) => match keys.iter().find(|entry| entry.key == "name") {
            None => keys.insert(0, own),
            Some(written) => {
                if !matches!(&written.value.value, Value::Scalar(scalar) if scalar.text == key) {
                    let message =
                        format!("app.name is {}, but the app stands under `{key}`", written.value.describe());
                    let mistake = Mistake::error(Code::Conflict, message).on(&path.key("app").key("name"));
                    mistakes.push(mistake.at(written.value.span.clone()).help("leave it out"));
                }
            }
        },
        Value::Null => app.value.value = Value::Map(vec![own]),
        Value::Scalar(_) | Value::List(_) | Value::Unknown => {}
    }
}

/// `depends_on:` – a list of names, or a map of names with their conditions.
pub(super) fn depends_on(field: &Field<'_>, d: &mut Decoder) -> Dependencies {
    let mut dependencies = Dependencies::default();
    if !matches!(field.node.value, Value::Map(_)) {
        for item in field.one_or_more(d) {
            if let Some(app) = item.parsed::<AppName>(d) {
                dependencies.insert(app, Condition::Started);
            }
        }
        return dependencies;
    }
    for (entry, value) in field.entries(d) {
        let app = match entry.key.parse::<AppName>() {
            Ok(app) => app,
            Err(error) => {
                d.say(value.mistake(Code::BadValue, error.to_string()).at(entry.key_span.clone()));
                continue;
            }
        };
        if let Some(condition) = condition(&value, d) {
            dependencies.insert(app, condition);
        }
    }
    dependencies
}

/// `{condition: healthy}`, or nothing for `started`.
fn condition(field: &Field<'_>, d: &mut Decoder) -> Option<Condition> {
    if field.is_null() {
        return Some(Condition::Started);
    }
    // The names of apps are free, so that the table of keys has no place for what stands below them.
    let mut found = Some(Condition::Started);
    for (entry, value) in field.entries(d) {
        if entry.key == "condition" {
            found = value.word(d);
        } else {
            let message = format!("unknown key `{}` in depends_on", entry.key);
            d.say(
                value
                    .mistake(Code::UnknownKey, message)
                    .at(entry.key_span.clone())
                    .help("known keys: condition"),
            );
        }
    }
    found
}

/// The apps with those first that others depend on; else they stay as they are written.
///
/// What an app depends on may also be an app that is not in the file; the daemon knows whether it is there.
pub(super) fn in_order(apps: Vec<(Manifest, Span)>, mistakes: &mut Vec<Mistake>) -> Vec<Manifest> {
    let mut waiting = apps;
    let mut ordered: Vec<Manifest> = Vec::with_capacity(waiting.len());
    while !waiting.is_empty() {
        let free = waiting.iter().position(|(app, _)| {
            !app.depends_on.iter().any(|(other, _)| waiting.iter().any(|(waits, _)| waits.app.name == *other))
        });
        let Some(free) = free else {
            let (message, span) = circle(&waiting);
            mistakes
                .push(Mistake::error(Code::Conflict, message).at(span).help("one of them must start first"));
            ordered.extend(waiting.into_iter().map(|(app, _)| app));
            break;
        };
        ordered.push(waiting.remove(free).0);
    }
    ordered
}

/// Follows the first app's dependencies until one comes again.
fn circle(waiting: &[(Manifest, Span)]) -> (String, Span) {
    let mut way: Vec<&(Manifest, Span)> = waiting.iter().take(1).collect();
    while let Some((app, _)) = way.last() {
        let next = waiting.iter().find(|(other, _)| app.depends_on.get(other.app.name.as_str()).is_some());
        let Some(next) = next else { break };
        let seen = way.iter().position(|(app, _)| app.app.name == next.0.app.name);
        way.push(next);
        if let Some(seen) = seen {
            way.drain(..seen);
            break;
        }
    }
    let names: Vec<String> = way.iter().map(|(app, _)| format!("`{}`", app.app.name)).collect();
    let span = way.first().and_then(|(_, span)| span.clone());
    match names.as_slice() {
        [name, same] if name == same => (format!("{name} depends on itself"), span),
        _ => (format!("the apps wait for each other: {}", names.join(" → ")), span),
    }
}
