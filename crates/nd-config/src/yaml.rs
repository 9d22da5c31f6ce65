//! YAML into nodes. This module alone knows the YAML library.
//!
//! The tree is built from the parser's events rather than through serde, because it needs what a deserializer drops:
//! the text of a scalar as it was written (`1.10` is not 1.1), where each key stands, and every duplicate key instead
//! of the first. Documents are small, so the budget is low: nothing a person writes comes near it, and an alias bomb
//! ends at once.

use std::collections::HashMap;
use std::ops::Range;

use serde::Serialize;
use serde_yaml::granit_parser::{ErrorKind, Event, Options, Parser, ScalarStyle, Span as ParserSpan, Tag};

use crate::node::{Entry, Node, Scalar, Span, Value};
use crate::report::{Code, Mistake};

/// The largest text that is read, in bytes.
pub(crate) const MAX_BYTES: usize = 1 << 20;
/// The most values a document may have once its aliases are followed.
const MAX_NODES: usize = 10_000;
/// How deep maps and lists may stand in each other.
const MAX_DEPTH: usize = 48;

/// Why a value cannot be written as YAML.
#[derive(Debug, thiserror::Error)]
#[error("write YAML: {0}")]
pub struct WriteError(#[from] serde_yaml::SerializeError);

/// Writes a value as YAML.
pub(crate) fn write<T: Serialize>(value: &T) -> Result<String, WriteError> {
    Ok(serde_yaml::to_string(value)?)
}

/// Reads one document. A text that is no YAML gives no tree; lesser mistakes are reported and the tree goes on.
pub(crate) fn read(text: &str, mistakes: &mut Vec<Mistake>) -> Option<Node> {
    if text.len() > MAX_BYTES {
        mistakes.push(Mistake::error(
            Code::TooLarge,
            format!("the file is larger than {} KiB", MAX_BYTES / 1024),
        ));
        return None;
    }
    let mut options = Options::default();
    options.emit_comments = false;
    options.emit_unresolved_aliases = true;
    options.flow_nesting_limit = MAX_DEPTH;
    options.block_nesting_limit = MAX_DEPTH;
    let mut tree = Tree::new(text, mistakes);
    for event in Parser::new_from_str_with_options(text, options) {
        let taken = match event {
            Ok((event, span)) => tree.take(event, range(&span)),
            Err(error) => Err(Box::new(syntax(text, &error))),
        };
        if let Err(mistake) = taken {
            tree.mistakes.push(*mistake);
            return None;
        }
    }
    Some(tree.root.unwrap_or(Node::new(Value::Null, Some(0..0))))
}

/// What is being built: open maps and lists, and what anchors stand for.
struct Tree<'m> {
    text: &'m str,
    mistakes: &'m mut Vec<Mistake>,
    open: Vec<Open>,
    anchors: HashMap<usize, (Node, usize, usize)>,
    root: Option<Node>,
    documents: usize,
    nodes: usize,
}

/// A map or list whose end has not come yet.
struct Open {
    anchor: usize,
    start: Span,
    content: Content,
}

enum Content {
    List(Vec<Node>),
    Map { entries: Vec<Entry>, merges: Vec<Node>, key: Option<(String, Span)> },
}

type Step = Result<(), Box<Mistake>>;

impl<'m> Tree<'m> {
    fn new(text: &'m str, mistakes: &'m mut Vec<Mistake>) -> Self {
        Self { text, mistakes, open: Vec::new(), anchors: HashMap::new(), root: None, documents: 0, nodes: 0 }
    }

    fn take(&mut self, event: Event<'_>, span: Span) -> Step {
        match event {
            Event::DocumentStart(..) => {
                self.documents += 1;
                if self.documents > 1 {
                    return Err(Box::new(
                        Mistake::error(Code::Syntax, "a second document begins here").at(span),
                    ));
                }
                Ok(())
            }
            Event::Scalar(text, style, anchor, tag) => {
                let node = self.scalar(text.into_owned(), style, tag.as_deref(), span);
                self.close(node, anchor)
            }
            Event::Alias(id) => self.alias(id, span),
            Event::UnresolvedAlias(name) => {
                let message = format!("`*{name}` has no anchor `&{name}` before it");
                self.mistakes.push(Mistake::error(Code::Syntax, message).at(span.clone()));
                self.close(Node::new(Value::Unknown, span), 0)
            }
            Event::SequenceStart(_, anchor, tag) => {
                self.refuse_tag(tag.as_deref(), &span);
                self.open(anchor, span, Content::List(Vec::new()));
                Ok(())
            }
            Event::MappingStart(_, anchor, tag) => {
                self.refuse_tag(tag.as_deref(), &span);
                let content = Content::Map { entries: Vec::new(), merges: Vec::new(), key: None };
                self.open(anchor, span, content);
                Ok(())
            }
            Event::SequenceEnd | Event::MappingEnd => self.end(&span),
            _ => Ok(()),
        }
    }

    fn open(&mut self, anchor: usize, start: Span, content: Content) {
        self.open.push(Open { anchor, start, content });
    }

    fn end(&mut self, end: &Span) -> Step {
        let Some(Open { anchor, start, content }) = self.open.pop() else { return Ok(()) };
        let span = match (&start, end) {
            (Some(start), Some(end)) => Some(start.start..end.start.max(start.end)),
            _ => start,
        };
        let value = match content {
            Content::List(items) => Value::List(items),
            Content::Map { mut entries, merges, .. } => {
                for merged in merges {
                    self.merge(&mut entries, merged);
                }
                Value::Map(entries)
            }
        };
        self.close(Node::new(value, span), anchor)
    }

    /// Puts a finished node where it belongs: into the open map or list, or at the root.
    fn close(&mut self, node: Node, anchor: usize) -> Step {
        self.nodes += 1;
        if anchor != 0 {
            let (size, depth) = node.measure();
            self.anchors.insert(anchor, (node.clone(), size, depth));
        }
        if self.nodes > MAX_NODES {
            return Err(Box::new(too_large(node.span)));
        }
        match self.open.last_mut().map(|open| &mut open.content) {
            None => self.root = Some(node),
            Some(Content::List(items)) => items.push(node),
            Some(Content::Map { key: key @ None, .. }) => match node.value {
                Value::Scalar(Scalar { text, .. }) => *key = Some((text, node.span)),
                Value::Null => *key = Some((String::new(), node.span)),
                Value::List(_) | Value::Map(_) | Value::Unknown => {
                    let mistake = Mistake::error(Code::WrongType, "a key must be a text").at(node.span);
                    return Err(Box::new(mistake));
                }
            },
            Some(Content::Map { entries, merges, key }) => {
                let Some((name, key_span)) = key.take() else { return Ok(()) };
                if name == "<<" {
                    merges.push(node);
                } else if let Some(first) = entries.iter().find(|entry| entry.key == name) {
                    self.mistakes.push(duplicate(self.text, &name, key_span, first.key_span.clone()));
                } else {
                    entries.push(Entry { key: name, key_span, value: node });
                }
            }
        }
        Ok(())
    }

    fn alias(&mut self, id: usize, span: Span) -> Step {
        let Some((node, size, depth)) = self.anchors.get(&id) else {
            return Err(Box::new(
                Mistake::error(Code::Syntax, "the alias stands inside what it repeats").at(span),
            ));
        };
        self.nodes += size;
        if self.nodes > MAX_NODES || self.open.len() + depth > MAX_DEPTH {
            return Err(Box::new(too_large(span)));
        }
        // Mistakes in what is repeated point to where it is written, so its spans are kept.
        let node = node.clone();
        self.close(node, 0)
    }

    /// `<<: *base` gives a map the entries it does not have itself (YAML merge key, 1.1 type repository).
    fn merge(&mut self, entries: &mut Vec<Entry>, merged: Node) {
        match merged.value {
            Value::Map(more) => {
                for entry in more {
                    if !entries.iter().any(|known| known.key == entry.key) {
                        entries.push(entry);
                    }
                }
            }
            Value::List(items) => items.into_iter().for_each(|item| self.merge(entries, item)),
            Value::Null | Value::Unknown => {}
            Value::Scalar(_) => {
                let message = format!("`<<` must be a map, found {}", merged.describe());
                self.mistakes.push(Mistake::error(Code::WrongType, message).at(merged.span));
            }
        }
    }

    fn scalar(&mut self, text: String, style: ScalarStyle, tag: Option<&Tag>, span: Span) -> Node {
        let text_tag = tag.is_some_and(|tag| tag.is_yaml_core_schema_tag("str"));
        if !text_tag {
            self.refuse_tag(tag, &span);
        }
        let quoted = text_tag || style != ScalarStyle::Plain;
        if !quoted && matches!(text.as_str(), "" | "~" | "null" | "Null" | "NULL") {
            return Node::new(Value::Null, span);
        }
        Node::scalar(text, quoted, span)
    }

    fn refuse_tag(&mut self, tag: Option<&Tag>, span: &Span) {
        if let Some(tag) = tag {
            let mistake =
                Mistake::error(Code::Syntax, format!("the tag `{}` has no meaning here", tag.original()));
            self.mistakes.push(mistake.at(span.clone()).help("leave it out"));
        }
    }
}

fn duplicate(text: &str, name: &str, span: Span, first: Span) -> Mistake {
    let head = first.as_ref().and_then(|first| text.get(..first.start)).unwrap_or_default();
    let line = head.bytes().filter(|byte| *byte == b'\n').count() + 1;
    let message = format!("`{name}` is defined twice, first at line {line}");
    Mistake::error(Code::DuplicateKey, message).at(span).also(first, "first defined here")
}

fn too_large(span: Span) -> Mistake {
    let message = format!("the file has more than {MAX_NODES} values or more than {MAX_DEPTH} levels");
    Mistake::error(Code::TooLarge, message).at(span).help("aliases count as what they repeat")
}

fn range(span: &ParserSpan) -> Span {
    span.byte_range()
}

/// Says what the parser stumbled over; a tab is named whatever the parser made of it.
fn syntax(text: &str, error: &serde_yaml::granit_parser::ScanError) -> Mistake {
    let at = error.marker().byte_offset().unwrap_or(text.len()).min(text.len());
    if let Some(tab) = tab_near(text, at) {
        return Mistake::error(Code::Tab, "tab used for indentation").at(Some(tab)).help("write spaces");
    }
    match error.kind() {
        ErrorKind::RecursionLimitExceeded => too_large(Some(at..at)),
        ErrorKind::ExpectedBlockMappingKey | ErrorKind::InvalidIndentation => {
            let message = "the line is indented like no key above it";
            Mistake::error(Code::Syntax, message)
                .at(Some(at..at))
                .help("align it with the keys it belongs to")
        }
        _ => Mistake::error(Code::Syntax, format!("the text is not YAML: {}", error.info())).at(Some(at..at)),
    }
}

/// The tab in the indentation of the line that holds `at`, of the one before it or of the one after it: the parser
/// stops at either end of what it could not read.
fn tab_near(text: &str, at: usize) -> Option<Range<usize>> {
    let start = |at: usize| text.get(..at).map(|head| head.rfind('\n').map_or(0, |newline| newline + 1));
    let tab_in = |start: usize| {
        let line = text.get(start..)?.lines().next()?;
        let indent = line.len() - line.trim_start().len();
        let tab = line.get(..indent)?.find('\t')?;
        Some(start + tab..start + tab + 1)
    };
    let this = start(at)?;
    let before = this.checked_sub(1).and_then(start);
    let after = text.get(at..).and_then(|tail| tail.find('\n')).map(|newline| at + newline + 1);
    [Some(this), before, after].into_iter().flatten().find_map(tab_in)
}
