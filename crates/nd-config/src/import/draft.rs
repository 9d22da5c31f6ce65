//! What is being imported: apps with the keys of `nextdeploy.yml`, each of which knows where it came from.

use crate::node::{Entry, Node, Span};

/// Where a key came from.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Origin {
    /// The key, as in `services.web.restart`.
    pub(super) key: String,
    /// Its place in the text that was read.
    pub(super) span: Span,
}

impl Origin {
    pub(super) fn new(key: impl Into<String>, span: Span) -> Self {
        Self { key: key.into(), span }
    }

    /// A key below this one.
    pub(super) fn below(&self, entry: &Entry) -> Self {
        Self::new(format!("{}.{}", self.key, entry.key), entry.key_span.clone())
    }

    /// An item of the list that this one is.
    pub(super) fn item(&self, index: usize, node: &Node) -> Self {
        Self::new(format!("{}[{index}]", self.key), node.span.clone())
    }
}

/// A value of `nextdeploy.yml`. Texts are written as that file means them: `$${` is `${` there.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Out {
    /// A text, a number or a word.
    Text(String),
    /// `true` or `false`.
    Flag(bool),
    /// A list that is one value, as a command is.
    Words(Vec<String>),
    /// A list of values that each stand for themselves.
    List(Vec<Twig>),
    /// A map.
    Map(Vec<Twig>),
}

impl Out {
    pub(super) fn text(text: impl Into<String>) -> Self {
        Self::Text(text.into())
    }
}

/// A key with its value; in a list the key is empty.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Twig {
    pub(super) key: String,
    pub(super) value: Out,
    pub(super) origin: Origin,
}

/// A key that is not kept, with its place in bytes.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Dropped {
    pub(super) origin: Origin,
    pub(super) reason: String,
}

/// One app.
#[derive(Clone, Debug)]
pub(super) struct AppDraft {
    pub(super) name: String,
    pub(super) origin: Origin,
    pub(super) keys: Vec<Twig>,
    pub(super) dropped: Vec<Dropped>,
    /// Sentences for whoever reads the file.
    pub(super) remarks: Vec<String>,
}

/// A whole file.
#[derive(Clone, Debug, Default)]
pub(super) struct Draft {
    pub(super) apps: Vec<AppDraft>,
    /// Keys that belong to no app.
    pub(super) dropped: Vec<Dropped>,
    /// Sentences above everything.
    pub(super) remarks: Vec<String>,
}

impl AppDraft {
    pub(super) fn new(name: String, origin: Origin) -> Self {
        Self { name, origin, keys: Vec::new(), dropped: Vec::new(), remarks: Vec::new() }
    }

    /// Sets the key at a dotted path; the last one to say something holds.
    pub(super) fn set(&mut self, path: &str, value: Out, origin: &Origin) {
        let (section, key) = path.rsplit_once('.').unwrap_or(("", path));
        self.set_in(section, key, value, origin);
    }

    /// Sets a variable, whose name may have a dot in it.
    pub(super) fn set_in(&mut self, section: &str, key: &str, value: Out, origin: &Origin) {
        let mut value = Some(value);
        within(&mut self.keys, section, origin, &mut |keys| {
            if let Some(value) = value.take() {
                put(keys, key, value, origin);
            }
        });
    }

    /// Adds an item to the list at a dotted path.
    pub(super) fn push(&mut self, path: &str, value: Out, origin: &Origin) {
        let (section, key) = path.rsplit_once('.').unwrap_or(("", path));
        let item = Twig { key: String::new(), value, origin: origin.clone() };
        within(&mut self.keys, section, origin, &mut |keys| add(keys, key, item.clone()));
    }

    /// Whether it is called so already, as an app or beside that.
    pub(super) fn names(&self, name: &str) -> bool {
        let below = |keys: &[Twig], key: &str| match keys.iter().find(|twig| twig.key == key) {
            Some(Twig { value: Out::Map(below) | Out::List(below), .. }) => below.clone(),
            _ => Vec::new(),
        };
        let aliases = below(&below(&below(&self.keys, "deployment"), "container"), "aliases");
        self.name == name || aliases.iter().any(|twig| twig.value == Out::text(name))
    }

    /// Whether the key at a dotted path is set.
    pub(super) fn has(&self, path: &str) -> bool {
        let mut keys = &self.keys;
        let mut parts = path.split('.').peekable();
        while let Some(part) = parts.next() {
            match keys.iter().find(|twig| twig.key == part).map(|twig| &twig.value) {
                Some(Out::Map(below)) if parts.peek().is_some() => keys = below,
                found => return found.is_some(),
            }
        }
        true
    }

    pub(super) fn lose(&mut self, origin: &Origin, reason: impl Into<String>) {
        self.dropped.push(Dropped { origin: origin.clone(), reason: reason.into() });
    }
}

/// Changes the section at a dotted path, which is made where there is none.
fn within(keys: &mut Vec<Twig>, path: &str, origin: &Origin, change: &mut dyn FnMut(&mut Vec<Twig>)) {
    if path.is_empty() {
        change(keys);
        return;
    }
    let (part, rest) = path.split_once('.').unwrap_or((path, ""));
    if let Some(Out::Map(below)) = keys.iter_mut().find(|twig| twig.key == part).map(|twig| &mut twig.value) {
        return within(below, rest, origin, change);
    }
    let mut below = Vec::new();
    within(&mut below, rest, origin, change);
    put(keys, part, Out::Map(below), origin);
}

fn put(keys: &mut Vec<Twig>, key: &str, value: Out, origin: &Origin) {
    let twig = Twig { key: key.to_owned(), value, origin: origin.clone() };
    match keys.iter_mut().find(|twig| twig.key == key) {
        Some(known) => *known = twig,
        None => keys.push(twig),
    }
}

/// Adds an item to the list of a key.
fn add(keys: &mut Vec<Twig>, key: &str, item: Twig) {
    match keys.iter_mut().find(|twig| twig.key == key).map(|twig| &mut twig.value) {
        Some(Out::List(items)) => items.push(item),
        _ => {
            let origin = item.origin.clone();
            put(keys, key, Out::List(vec![item]), &origin);
        }
    }
}

/// A text that is to stay as it is: `nextdeploy.yml` reads `${` as a variable.
pub(super) fn literal(text: &str) -> String {
    text.replace("${", "$${")
}

/// The name of an app: small letters, digits and hyphens, at most 63.
pub(super) fn app_name(text: &str) -> String {
    let words: String =
        text.chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' }).collect();
    let mut name = String::new();
    for part in words.split('-').filter(|part| !part.is_empty()) {
        if !name.is_empty() {
            name.push('-');
        }
        name.push_str(part);
    }
    name.truncate(nd_types::AppName::MAX_LENGTH);
    name.trim_end_matches('-').to_owned()
}
