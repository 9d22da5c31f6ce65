//! `volumes:` of a service, with the names that the engine knows them by.

use super::scalar;
use super::service::Service;
use crate::import::draft::{Origin, Out, literal};
use crate::node::{Node, Value};

pub(super) fn read(service: &mut Service<'_>, node: &Node, at: &Origin) {
    let Value::List(items) = &node.value else { return service.app.lose(at, "it is no list of volumes") };
    for (index, item) in items.iter().enumerate() {
        let at = at.item(index, item);
        if matches!(item.value, Value::Map(_)) {
            long(service, item, &at);
        } else if let Some(text) = service.text(item, &at) {
            short(service, &text, &at);
        }
    }
}

/// `[SOURCE:]TARGET[:MODE]`
fn short(service: &mut Service<'_>, text: &str, at: &Origin) {
    let parts: Vec<&str> = text.split(':').collect();
    let (source, target, mode) = match parts.as_slice() {
        [source, target] => (*source, *target, ""),
        [source, target, mode] => (*source, *target, *mode),
        _ => return service.app.lose(at, "a volume without a name ends with its container; give it one"),
    };
    let read_only = mode.split(',').any(|word| word == "ro");
    mount(service, source, target, read_only, at);
}

fn long(service: &mut Service<'_>, node: &Node, at: &Origin) {
    let Value::Map(entries) = &node.value else { return };
    let (mut kind, mut source, mut target, mut read_only) = (String::new(), None, None, false);
    for entry in entries {
        let below = at.below(entry);
        match entry.key.as_str() {
            "type" => kind = service.text(&entry.value, &below).unwrap_or_default(),
            "source" => source = service.text(&entry.value, &below),
            "target" => target = service.text(&entry.value, &below),
            "read_only" => read_only = scalar(&entry.value) == Some("true"),
            _ => service.app.lose(&below, "how a volume is mounted cannot be changed"),
        }
    }
    match (kind.as_str(), source, target) {
        ("volume" | "bind" | "", Some(source), Some(target)) => {
            mount(service, &source, &target, read_only, at);
        }
        ("volume" | "", None, _) => {
            service.app.lose(at, "a volume without a name ends with its container; give it one");
        }
        (kind, ..) => service.app.lose(at, format!("a mount of type `{kind}` cannot be made")),
    }
}

fn mount(service: &mut Service<'_>, source: &str, target: &str, read_only: bool, at: &Origin) {
    let is_path = source.starts_with(['/', '.', '~']);
    let source = match source.strip_prefix("~/") {
        Some(rest) => match (service.context.lookup)("HOME") {
            Some(home) => format!("{home}/{rest}"),
            None => return service.app.lose(at, "`~` is nobody's home here; write the path"),
        },
        None if is_path => source.to_owned(),
        None => engine_name(service, source),
    };
    let mode = if read_only { ":ro" } else { "" };
    service.app.push(
        "deployment.container.volumes",
        Out::Text(literal(&format!("{source}:{target}{mode}"))),
        at,
    );
}

/// What Compose calls the volume at the engine, so that the data that is there is found again.
fn engine_name(service: &mut Service<'_>, volume: &str) -> String {
    let declared = service.context.volumes.as_ref().and_then(|volumes| volumes.value.get(volume));
    let named = declared.and_then(|entry| entry.value.get("name")).and_then(|entry| scalar(&entry.value));
    let named = named.and_then(|name| super::interpolate::resolve(name, service.context.lookup).ok());
    let external = declared.and_then(|entry| entry.value.get("external")).is_some_and(|entry| {
        match &entry.value.value {
            Value::Scalar(scalar) => scalar.text == "true",
            _ => true,
        }
    });
    if let Some(entry) = declared {
        let at = Origin::new("volumes", None).below(entry);
        let Value::Map(keys) = &entry.value.value else {
            return format!("{}_{volume}", service.context.project);
        };
        for key in keys.iter().filter(|key| !matches!(key.key.as_str(), "name" | "external" | "labels")) {
            let below = at.below(key);
            service.app.lose(&below, "a volume that is not there is made with the engine's own driver");
        }
    }
    match named {
        Some(name) => name,
        None if external => volume.to_owned(),
        None => format!("{}_{volume}", service.context.project),
    }
}
