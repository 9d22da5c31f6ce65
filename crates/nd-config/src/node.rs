//! The tree that every text is turned into first: values that know where they stand.

use std::ops::Range;

/// Bytes of the source text, or nothing for a tree that came from no text.
pub(crate) type Span = Option<Range<usize>>;

/// One value of the text.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Node {
    pub(crate) span: Span,
    pub(crate) value: Value,
}

/// What a node holds. Scalars keep their text as it was written: `1.10` stays `1.10`.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Value {
    /// Nothing, `null` or `~`.
    Null,
    /// A scalar.
    Scalar(Scalar),
    /// A list.
    List(Vec<Node>),
    /// A map, in the order it was written; no key stands twice.
    Map(Vec<Entry>),
    /// Something that could not be read and was already reported; no further mistake is made of it.
    Unknown,
}

/// A scalar as it was written.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Scalar {
    pub(crate) text: String,
    /// Whether quotes (or the syntax) made it a text; else it may be a number or a truth value.
    pub(crate) quoted: bool,
}

/// One key of a map with its value.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Entry {
    pub(crate) key: String,
    pub(crate) key_span: Span,
    pub(crate) value: Node,
}

impl Node {
    pub(crate) fn new(value: Value, span: Span) -> Self {
        Self { span, value }
    }

    pub(crate) fn scalar(text: impl Into<String>, quoted: bool, span: Span) -> Self {
        Self::new(Value::Scalar(Scalar { text: text.into(), quoted }), span)
    }

    /// What the node is, in words for a message.
    pub(crate) fn describe(&self) -> String {
        match &self.value {
            Value::Null => "nothing".to_owned(),
            Value::Scalar(scalar) if scalar.quoted => format!("{:?}", scalar.text),
            Value::Scalar(scalar) => scalar.text.clone(),
            Value::List(_) => "a list".to_owned(),
            Value::Map(_) => "a map".to_owned(),
            Value::Unknown => "something unreadable".to_owned(),
        }
    }

    /// How many nodes hang here, itself included, and how deep.
    pub(crate) fn measure(&self) -> (usize, usize) {
        let children: Box<dyn Iterator<Item = &Self>> = match &self.value {
            Value::List(items) => Box::new(items.iter()),
            Value::Map(entries) => Box::new(entries.iter().map(|entry| &entry.value)),
            Value::Null | Value::Scalar(_) | Value::Unknown => Box::new(std::iter::empty()),
        };
        children.map(Self::measure).fold((1, 1), |(size, depth), (child_size, child_depth)| {
            (size + child_size, depth.max(child_depth + 1))
        })
    }

    /// The value of a key, where this is a map that has it.
    pub(crate) fn get(&self, key: &str) -> Option<&Entry> {
        match &self.value {
            Value::Map(entries) => entries.iter().find(|entry| entry.key == key),
            Value::Null | Value::Scalar(_) | Value::List(_) | Value::Unknown => None,
        }
    }
}

/// Where a value stands in the tree, in two spellings.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Path {
    /// A JSON pointer (RFC 6901).
    pub(crate) pointer: String,
    /// The keys, without places in lists, as the table of keys writes them: `proxy.routes.path`.
    pub(crate) dotted: String,
    /// The last key with its place in a list, as messages write it: `ports[0]`.
    pub(crate) last: String,
}

impl Path {
    pub(crate) fn key(&self, key: &str) -> Self {
        let escaped = key.replace('~', "~0").replace('/', "~1");
        let dot = if self.dotted.is_empty() { "" } else { "." };
        Self {
            pointer: format!("{}/{escaped}", self.pointer),
            dotted: format!("{}{dot}{key}", self.dotted),
            last: key.to_owned(),
        }
    }

    pub(crate) fn index(&self, index: usize) -> Self {
        Self {
            pointer: format!("{}/{index}", self.pointer),
            dotted: self.dotted.clone(),
            last: format!("{}[{index}]", self.last),
        }
    }
}
