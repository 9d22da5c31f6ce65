//! One value with its place.

use std::fmt::Display;
use std::ops::RangeInclusive;
use std::str::FromStr;
use std::time::Duration;

use nd_api::manifest::{InvalidWord, format_exact};
use nd_types::{ByteSize, InvalidMeasure, parse_duration};

use super::{Decoder, Keys};
use crate::node::{Entry, Node, Path, Scalar, Span, Value};
use crate::report::{Code, Mistake};
use crate::suggest::closest;

/// One value of the text, with its path and the place of its key.
#[derive(Clone)]
pub(crate) struct Field<'n> {
    pub(crate) node: &'n Node,
    pub(crate) key_span: Span,
    pub(crate) path: Path,
}

impl<'n> Field<'n> {
    pub(crate) fn root(node: &'n Node) -> Self {
        Self { node, key_span: node.span.clone(), path: Path::default() }
    }

    pub(crate) fn of(entry: &'n Entry, path: Path) -> Self {
        Self { node: &entry.value, key_span: entry.key_span.clone(), path }
    }

    /// The value at a path of keys below this one, where it is written and not null.
    pub(crate) fn dig(&self, keys: &[&str]) -> Option<Self> {
        let dug = keys.iter().try_fold(self.clone(), |field, key| {
            let entry = field.node.get(key)?;
            Some(Self::of(entry, field.path.key(key)))
        });
        dug.filter(|field| !field.is_null())
    }

    pub(crate) fn is_null(&self) -> bool {
        self.node.value == Value::Null
    }

    /// A mistake at the value.
    pub(crate) fn mistake(&self, code: Code, message: impl Into<String>) -> Mistake {
        Mistake::error(code, message).on(&self.path).at(self.node.span.clone())
    }

    fn wrong(&self, expected: &str) -> Mistake {
        let message = match self.path.last.as_str() {
            "" => format!("the file must be {expected}, found {}", self.node.describe()),
            name => format!("{name} must be {expected}, found {}", self.node.describe()),
        };
        // A map or list is long, its key says enough.
        let span = if matches!(self.node.value, Value::List(_) | Value::Map(_)) {
            &self.key_span
        } else {
            &self.node.span
        };
        Mistake::error(Code::WrongType, message).on(&self.path).at(span.clone())
    }

    /// The scalar, whatever it means.
    pub(crate) fn scalar(&self, expected: &str, d: &mut Decoder) -> Option<&'n Scalar> {
        match &self.node.value {
            Value::Scalar(scalar) => Some(scalar),
            Value::Unknown => None,
            Value::Null | Value::List(_) | Value::Map(_) => {
                d.say(self.wrong(expected));
                None
            }
        }
    }

    /// Any text that is not empty.
    pub(crate) fn text(&self, d: &mut Decoder) -> Option<String> {
        let text = &self.scalar("a text", d)?.text;
        if text.trim().is_empty() || text.contains('\0') {
            d.say(self.mistake(Code::BadValue, format!("{} must not be empty", self.path.last)));
            return None;
        }
        Some(text.clone())
    }

    /// A text that a type reads; its error says what is wrong.
    pub(crate) fn parsed<T: FromStr<Err: Display>>(&self, d: &mut Decoder) -> Option<T> {
        let text = &self.scalar("a text", d)?.text;
        text.parse().map_err(|error: T::Err| d.say(self.mistake(Code::BadValue, error.to_string()))).ok()
    }

    /// One word out of a few, with the closest one as help.
    pub(crate) fn word<T: FromStr<Err = InvalidWord>>(&self, d: &mut Decoder) -> Option<T> {
        let text = &self.scalar("a word", d)?.text;
        let error = match text.parse() {
            Ok(word) => return Some(word),
            Err(error) => error,
        };
        let mistake = self.mistake(Code::BadValue, error.to_string());
        d.say(match closest(text, error.known.iter().copied()) {
            Some(word) => mistake.help(format!("`{word}`")),
            None => mistake,
        });
        None
    }

    /// `true` or `false`, and nothing else: `yes`, `on` and `"true"` are texts.
    pub(crate) fn flag(&self, d: &mut Decoder) -> Option<bool> {
        let scalar = self.scalar("true or false", d)?;
        match (scalar.text.as_str(), scalar.quoted) {
            ("true" | "True" | "TRUE", false) => Some(true),
            ("false" | "False" | "FALSE", false) => Some(false),
            (text, _) => {
                let meant = match text.to_ascii_lowercase().as_str() {
                    "yes" | "y" | "on" | "1" | "true" => Some(true),
                    "no" | "n" | "off" | "0" | "false" => Some(false),
                    _ => None,
                };
                let mistake = self.wrong("true or false");
                d.say(match meant {
                    Some(meant) => mistake.help(format!("write `{meant}`")),
                    None => mistake,
                });
                None
            }
        }
    }

    /// A whole number within a range.
    pub(crate) fn whole<T: TryFrom<i64>>(&self, range: &RangeInclusive<i64>, d: &mut Decoder) -> Option<T> {
        let text = &self.scalar("a whole number", d)?.text;
        let Ok(number) = text.parse::<i64>() else {
            d.say(self.wrong("a whole number"));
            return None;
        };
        let value = T::try_from(number).ok().filter(|_| range.contains(&number));
        if value.is_none() {
            let message =
                format!("{} must be {}–{}, found {number}", self.path.last, range.start(), range.end());
            d.say(self.mistake(Code::BadValue, message));
        }
        value
    }

    /// A duration with a unit, within a range.
    pub(crate) fn duration(&self, range: &RangeInclusive<Duration>, d: &mut Decoder) -> Option<Duration> {
        let text = &self.scalar("a duration such as `30s`", d)?.text;
        let duration = match parse_duration(text) {
            Ok(duration) => duration,
            Err(error) => {
                d.say(match &error {
                    InvalidMeasure::NoUnit(number) => self
                        .mistake(
                            Code::BadValue,
                            format!("duration needs a unit (other tools read {number} as seconds or as milliseconds)"),
                        )
                        .help(format!("write `{number}s`")),
                    _ => self.mistake(Code::BadValue, error.to_string()),
                });
                return None;
            }
        };
        if !range.contains(&duration) {
            let (from, to) = (format_exact(*range.start()), format_exact(*range.end()));
            d.say(
                self.mistake(Code::BadValue, format!("{} must be {from}–{to}, found {text}", self.path.last)),
            );
            return None;
        }
        Some(duration)
    }

    /// A size of at least `least` bytes.
    pub(crate) fn size(&self, least: ByteSize, d: &mut Decoder) -> Option<ByteSize> {
        let text = &self.scalar("a size such as `512M`", d)?.text;
        let size: ByteSize = text
            .parse()
            .map_err(|error: InvalidMeasure| {
                d.say(self.mistake(Code::BadValue, error.to_string()));
            })
            .ok()?;
        if size < least {
            let unit = if text.bytes().all(|byte| byte.is_ascii_digit()) { " bytes" } else { "" };
            let message = format!("{text}{unit} is below the {least} minimum");
            let mistake = self.mistake(Code::BadValue, message);
            let in_mega = ByteSize(size.0.saturating_mul(1 << 20));
            let meant = !unit.is_empty() && in_mega >= least;
            d.say(if meant { mistake.help(format!("write `{text}M`")) } else { mistake });
            return None;
        }
        Some(size)
    }

    /// The items of a list.
    pub(crate) fn items(&self, d: &mut Decoder) -> Vec<Self> {
        match &self.node.value {
            Value::List(items) => {
                let item = |(index, node): (usize, &'n Node)| Self {
                    node,
                    key_span: node.span.clone(),
                    path: self.path.index(index),
                };
                items.iter().enumerate().map(item).collect()
            }
            Value::Unknown => Vec::new(),
            Value::Null | Value::Scalar(_) | Value::Map(_) => {
                let mistake = self.wrong("a list");
                d.say(match &self.node.value {
                    Value::Scalar(scalar) => mistake.help(format!("write `[{}]`", scalar.text)),
                    _ => mistake,
                });
                Vec::new()
            }
        }
    }

    /// The items of a list, where a single one may stand without the list around it.
    pub(crate) fn one_or_more(&self, d: &mut Decoder) -> Vec<Self> {
        match &self.node.value {
            Value::Scalar(_) => vec![self.clone()],
            _ => self.items(d),
        }
    }

    /// The map, to be asked for its keys.
    pub(crate) fn keys(&self, d: &mut Decoder) -> Option<Keys<'n>> {
        match &self.node.value {
            Value::Map(entries) => Some(Keys::new(entries, self.path.clone(), self.key_span.clone())),
            Value::Unknown => None,
            Value::Null | Value::Scalar(_) | Value::List(_) => {
                d.say(self.wrong("a map"));
                None
            }
        }
    }

    /// The entries of a map whose keys are free.
    pub(crate) fn entries(&self, d: &mut Decoder) -> Vec<(&'n Entry, Self)> {
        match &self.node.value {
            Value::Map(entries) => {
                entries.iter().map(|entry| (entry, Self::of(entry, self.path.key(&entry.key)))).collect()
            }
            Value::Unknown => Vec::new(),
            Value::Null | Value::Scalar(_) | Value::List(_) => {
                d.say(self.wrong("a map"));
                Vec::new()
            }
        }
    }
}
