//! `extends`: a service with what it takes over from another one, of this file or of another.

use super::{Surroundings, scalar};
use crate::node::{Entry, Node, Value};
use crate::report::{Code, Mistake};
use crate::yaml;

/// How many services may extend each other in a row.
const LONGEST: usize = 16;

/// Lists that are added to, where everything else replaces what was there.
const ADDED: [&str; 12] = [
    "cap_add",
    "cap_drop",
    "devices",
    "dns",
    "dns_search",
    "env_file",
    "expose",
    "external_links",
    "ports",
    "security_opt",
    "tmpfs",
    "volumes",
];

/// What is not taken over, because it is about the other service alone.
const OWN: [&str; 2] = ["depends_on", "extends"];

/// The service with everything it extends.
pub(super) fn whole(entry: &Entry, services: &[Entry], around: &Surroundings<'_>) -> Result<Node, Mistake> {
    resolve(&entry.value, services, around, LONGEST).map_err(|mistake| match mistake.span {
        None => mistake.at(entry.key_span.clone()),
        Some(_) => mistake,
    })
}

fn resolve(
    service: &Node,
    services: &[Entry],
    around: &Surroundings<'_>,
    left: usize,
) -> Result<Node, Mistake> {
    let Some(extends) = service.get("extends") else { return Ok(service.clone()) };
    let wrong = |message: String| Mistake::error(Code::BadValue, message).at(extends.key_span.clone());
    let Some(left) = left.checked_sub(1) else {
        return Err(wrong("the services extend each other without an end".to_owned()));
    };
    let name = match &extends.value.value {
        Value::Map(_) => extends.value.get("service").and_then(|entry| scalar(&entry.value)),
        _ => scalar(&extends.value),
    };
    let Some(name) = name else {
        return Err(wrong("extends must name a service".to_owned()).help("write `extends: {service: NAME}`"));
    };
    let file = extends.value.get("file").and_then(|entry| scalar(&entry.value));
    let mut base = match file {
        None => resolve(
            find(name, services).ok_or_else(|| wrong(format!("service `{name}` is not in this file")))?,
            services,
            around,
            left,
        )?,
        Some(file) => {
            let text = (around.read)(file).ok_or_else(|| wrong(format!("{file} cannot be read")))?;
            let mut mistakes = Vec::new();
            let root = yaml::read(&text, &mut mistakes).filter(|_| mistakes.is_empty());
            let root = root.ok_or_else(|| {
                let what = mistakes.first().map(|mistake| mistake.message.clone()).unwrap_or_default();
                wrong(format!("{file}: {what}"))
            })?;
            let others = match root.get("services").map(|entry| &entry.value.value) {
                Some(Value::Map(entries)) => entries.as_slice(),
                _ => &[],
            };
            let found =
                find(name, others).ok_or_else(|| wrong(format!("service `{name}` is not in {file}")))?;
            // Places in another file would be shown in this one.
            let mut found = resolve(found, others, around, left)
                .map_err(|mistake| wrong(format!("{file}: {}", mistake.message)))?;
            forget_places(&mut found);
            found
        }
    };
    if let Value::Map(entries) = &mut base.value {
        entries.retain(|entry| !OWN.contains(&entry.key.as_str()));
    }
    lay_over(&mut base, service, "");
    if let Value::Map(entries) = &mut base.value {
        entries.retain(|entry| entry.key != "extends");
    }
    Ok(base)
}

fn find<'s>(name: &str, services: &'s [Entry]) -> Option<&'s Node> {
    services.iter().find(|entry| entry.key == name).map(|entry| &entry.value)
}

/// Maps are merged, some lists added to, everything else is replaced.
fn lay_over(base: &mut Node, over: &Node, key: &str) {
    if key == "environment" {
        as_map(base);
        let mut over = over.clone();
        as_map(&mut over);
        return merge(base, &over);
    }
    match (&mut base.value, &over.value) {
        (Value::List(items), Value::List(more)) if ADDED.contains(&key) => {
            let new: Vec<Node> = more
                .iter()
                .filter(|item| !items.iter().any(|known| known.value == item.value))
                .cloned()
                .collect();
            items.extend(new);
        }
        _ => merge(base, over),
    }
}

fn merge(base: &mut Node, over: &Node) {
    let (Value::Map(entries), Value::Map(changes)) = (&mut base.value, &over.value) else {
        base.clone_from(over);
        return;
    };
    for change in changes {
        match entries.iter_mut().find(|entry| entry.key == change.key) {
            Some(entry) => {
                lay_over(&mut entry.value, &change.value, &change.key);
                entry.key_span.clone_from(&change.key_span);
            }
            None => entries.push(change.clone()),
        }
    }
}

/// `[A=1, B]` as `{A: 1, B: }`.
fn as_map(node: &mut Node) {
    let Value::List(items) = &node.value else { return };
    let entries = items.iter().filter_map(|item| {
        let text = scalar(item)?;
        let (key, value) = match text.split_once('=') {
            Some((key, value)) => (key, Node::scalar(value, true, item.span.clone())),
            None => (text, Node::new(Value::Null, item.span.clone())),
        };
        Some(Entry { key: key.to_owned(), key_span: item.span.clone(), value })
    });
    node.value = Value::Map(entries.collect());
}

fn forget_places(node: &mut Node) {
    node.span = None;
    match &mut node.value {
        Value::List(items) => items.iter_mut().for_each(forget_places),
        Value::Map(entries) => entries.iter_mut().for_each(|entry| {
            entry.key_span = None;
            forget_places(&mut entry.value);
        }),
        Value::Null | Value::Scalar(_) | Value::Unknown => {}
    }
}
