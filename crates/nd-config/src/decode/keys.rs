//! Maps with known keys.

use super::{Decoder, Field};
use crate::node::{Entry, Path, Span};
use crate::report::{Code, Mistake, Severity};
use crate::schema::Served;
use crate::suggest::closest;

/// A map whose keys are asked for one by one; [`Keys::finish`] says what is left over.
pub(crate) struct Keys<'n> {
    entries: &'n [Entry],
    asked: Vec<&'static str>,
    path: Path,
    span: Span,
}

impl<'n> Keys<'n> {
    pub(crate) fn new(entries: &'n [Entry], path: Path, span: Span) -> Self {
        Self { entries, asked: Vec::new(), path, span }
    }

    /// The value of a key; nothing where it is not written or is null.
    pub(crate) fn get(&mut self, key: &'static str) -> Option<Field<'n>> {
        self.asked.push(key);
        let entry = self.entries.iter().find(|entry| entry.key == key)?;
        Some(Field::of(entry, self.path.key(key))).filter(|field| !field.is_null())
    }

    /// The value of a key that may be written under several names; two of them at once are a mistake.
    pub(crate) fn get_any(&mut self, names: &[&'static str], d: &mut Decoder) -> Option<Field<'n>> {
        let mut found: Vec<Field<'n>> = names.iter().filter_map(|name| self.get(name)).collect();
        if let [first, second, ..] = found.as_slice() {
            let message =
                format!("`{}` and `{}` say the same thing twice", first.path.last, second.path.last);
            let mistake =
                Mistake::error(Code::Conflict, message).on(&second.path).at(second.key_span.clone());
            d.say(mistake.also(first.key_span.clone(), "said here already").help("keep one of them"));
        }
        if found.is_empty() { None } else { Some(found.swap_remove(0)) }
    }

    /// The value of a key that must be written.
    pub(crate) fn required(&mut self, key: &'static str, help: &str, d: &mut Decoder) -> Option<Field<'n>> {
        let field = self.get(key);
        if field.is_none() {
            let place = self.path.key(key);
            let message = format!("`{}` is missing", place.dotted);
            d.say(Mistake::error(Code::MissingKey, message).on(&self.path).at(self.span.clone()).help(help));
        }
        field
    }

    /// Reports every key that nobody asked for, and every one that was read but has no effect yet.
    pub(crate) fn finish(self, d: &mut Decoder) {
        for entry in self.entries {
            let path = self.path.key(&entry.key);
            let asked = self.asked.iter().any(|key| *key == entry.key);
            let heeded = asked && d.schema.find(&path.dotted) != Some(Served::NoEffectYet);
            if !heeded && !entry.key.starts_with("x-") {
                let mistake = self.stranger(entry, d);
                d.say(mistake.on(&path).at(entry.key_span.clone()));
            }
        }
    }

    fn stranger(&self, entry: &Entry, d: &Decoder) -> Mistake {
        let dotted = self.path.key(&entry.key).dotted;
        match d.schema.find(&dotted) {
            Some(Served::NotYet) => {
                Mistake::error(Code::NotYet, format!("`{dotted}` is not supported yet by this version"))
            }
            Some(Served::NoEffectYet) => {
                let message = format!("`{dotted}` is not supported yet by this version and has no effect");
                Mistake::new(Severity::Warning, Code::NotYet, message)
            }
            Some(Served::Never) => {
                Mistake::new(Severity::Note, Code::NoEffect, format!("`{dotted}` has no effect here"))
            }
            // A key that is read but was not asked for stands in a value of another form, which was reported.
            Some(Served::Now) | None => self.unknown(&entry.key, d),
        }
    }

    fn unknown(&self, key: &str, d: &Decoder) -> Mistake {
        let place = d.schema.elsewhere(key);
        if let Some(place) = place.filter(|place| place.contains('.') || !self.path.dotted.is_empty()) {
            let message = match self.path.dotted.as_str() {
                "" => format!("`{key}` is not a key of the file's top level"),
                section => format!("`{key}` is not a key of `{section}`"),
            };
            return Mistake::error(Code::MisplacedKey, message).help(format!("move it to `{place}`"));
        }
        let message = match self.path.dotted.as_str() {
            "" => format!("unknown key `{key}`"),
            section => format!("unknown key `{key}` in {section}"),
        };
        let known: Vec<&str> = d.schema.keys_of(&self.path.dotted).collect();
        let mistake = Mistake::error(Code::UnknownKey, message);
        match closest(key, known.iter().copied()) {
            Some(similar) => mistake.help(format!("a key with a similar name exists: `{similar}`")),
            None => mistake.help(format!("known keys: {}", known.join(", "))),
        }
    }
}
