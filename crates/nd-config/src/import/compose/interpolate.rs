//! `$VAR`, `${VAR:-default}` and the other forms in which Compose has variables in values.

use crate::import::draft::literal;

/// How deep defaults may stand in each other.
const DEEPEST: usize = 8;

type Lookup<'l> = &'l dyn Fn(&str) -> Option<String>;

/// A piece of a value.
#[derive(Debug, PartialEq)]
enum Piece {
    Text(String),
    Variable { name: String, otherwise: Otherwise },
}

/// What stands for a variable that is not set.
#[derive(Debug, PartialEq)]
enum Otherwise {
    /// Nothing, and Compose warns.
    Nothing,
    /// `${A:-text}`, and without the colon `${A-text}`, where an empty variable counts as set.
    Default { text: String, for_empty: bool },
    /// `${A:?text}` and `${A?text}`.
    Refusal { text: String, for_empty: bool },
    /// `${A:+text}` and `${A+text}`: the text where it *is* set.
    Replaced { text: String, for_empty: bool },
}

/// The value with what its variables are now.
///
/// # Errors
/// What is wrong with a reference, or which variable is missing.
pub(super) fn resolve(text: &str, lookup: Lookup<'_>) -> Result<String, String> {
    resolve_within(text, lookup, DEEPEST)
}

/// The value as `nextdeploy.yml` says it, with its variables still in it where that file can say them.
///
/// # Errors
/// What is wrong with a reference, or which variable is missing for one that has to be replaced now.
pub(super) fn keep(text: &str, lookup: Lookup<'_>) -> Result<String, String> {
    let mut out = String::new();
    for piece in pieces(text)? {
        match piece {
            Piece::Text(text) => out.push_str(&literal(&text)),
            Piece::Variable { name, otherwise: Otherwise::Nothing | Otherwise::Refusal { .. } } => {
                out.push_str(&format!("${{{name}}}"));
            }
            Piece::Variable { name, otherwise: Otherwise::Default { text, .. } }
                if !text.contains(['$', '}', '{']) =>
            {
                out.push_str(&format!("${{{name}:-{text}}}"));
            }
            piece @ Piece::Variable { .. } => out.push_str(&literal(&value(&piece, lookup, DEEPEST)?)),
        }
    }
    Ok(out)
}

fn resolve_within(text: &str, lookup: Lookup<'_>, depth: usize) -> Result<String, String> {
    pieces(text)?.iter().map(|piece| value(piece, lookup, depth)).collect()
}

fn value(piece: &Piece, lookup: Lookup<'_>, depth: usize) -> Result<String, String> {
    let (name, otherwise) = match piece {
        Piece::Text(text) => return Ok(text.clone()),
        Piece::Variable { name, otherwise } => (name, otherwise),
    };
    let below = |text: &str| match depth.checked_sub(1) {
        Some(depth) => resolve_within(text, lookup, depth),
        None => Err("defaults stand too deep in each other".to_owned()),
    };
    let set = lookup(name);
    let counts = |for_empty: bool| set.clone().filter(|value| !for_empty || !value.is_empty());
    match otherwise {
        Otherwise::Nothing => {
            set.ok_or_else(|| format!("variable `{name}` is not set; export it and import again"))
        }
        Otherwise::Default { text, for_empty } => counts(*for_empty).map_or_else(|| below(text), Ok),
        Otherwise::Refusal { text, for_empty } => {
            counts(*for_empty).ok_or_else(|| format!("variable `{name}` is not set: {text}"))
        }
        Otherwise::Replaced { text, for_empty } => {
            counts(*for_empty).map_or_else(|| Ok(String::new()), |_| below(text))
        }
    }
}

fn pieces(text: &str) -> Result<Vec<Piece>, String> {
    let mut pieces = Vec::new();
    let mut plain = String::new();
    let mut rest = text;
    while let Some(at) = rest.find('$') {
        let (head, tail) = rest.split_at(at);
        plain.push_str(head);
        let tail = tail.get(1..).unwrap_or_default();
        if let Some(after) = tail.strip_prefix('$') {
            plain.push('$');
            rest = after;
            continue;
        }
        let (piece, after) = match tail.strip_prefix('{') {
            Some(inner) => {
                let end = end_of(inner).ok_or_else(|| format!("`{text}` has a `${{` without its `}}`"))?;
                let (reference, after) = inner.split_at(end);
                (braced(reference)?, after.get(1..).unwrap_or_default())
            }
            None => {
                let length = name_length(tail);
                if length == 0 {
                    return Err(format!("`{text}` has a `$` that begins no variable; `$$` is a plain one"));
                }
                let (name, after) = tail.split_at(length);
                (Piece::Variable { name: name.to_owned(), otherwise: Otherwise::Nothing }, after)
            }
        };
        if !plain.is_empty() {
            pieces.push(Piece::Text(std::mem::take(&mut plain)));
        }
        pieces.push(piece);
        rest = after;
    }
    plain.push_str(rest);
    if !plain.is_empty() {
        pieces.push(Piece::Text(plain));
    }
    Ok(pieces)
}

/// The place of the `}` that closes a reference.
fn end_of(inner: &str) -> Option<usize> {
    let mut depth = 0usize;
    let mut before = ' ';
    for (at, c) in inner.char_indices() {
        match c {
            '{' if before == '$' => depth += 1,
            '}' if depth == 0 => return Some(at),
            '}' => depth -= 1,
            _ => {}
        }
        before = c;
    }
    None
}

fn braced(reference: &str) -> Result<Piece, String> {
    let length = name_length(reference);
    let (name, rest) = reference.split_at(length);
    let (for_empty, operator) = match rest.strip_prefix(':') {
        Some(operator) => (true, operator),
        None => (false, rest),
    };
    let text = || operator.get(1..).unwrap_or_default().to_owned();
    let otherwise = match operator.chars().next() {
        None if !for_empty => Some(Otherwise::Nothing),
        Some('-') => Some(Otherwise::Default { text: text(), for_empty }),
        Some('?') => Some(Otherwise::Refusal { text: text(), for_empty }),
        Some('+') => Some(Otherwise::Replaced { text: text(), for_empty }),
        _ => None,
    };
    match otherwise.filter(|_| length > 0) {
        Some(otherwise) => Ok(Piece::Variable { name: name.to_owned(), otherwise }),
        None => Err(format!("`${{{reference}}}` is no reference to a variable")),
    }
}

fn name_length(text: &str) -> usize {
    if text.starts_with(|c: char| c.is_ascii_digit()) {
        return 0;
    }
    text.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(text.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lookup(name: &str) -> Option<String> {
        match name {
            "SET" => Some("value".to_owned()),
            "EMPTY" => Some(String::new()),
            _ => None,
        }
    }

    #[test]
    fn every_form_is_replaced_as_compose_does_it() {
        for (text, expected) in [
            ("$SET/${SET}", "value/value"),
            ("${EMPTY:-a}|${EMPTY-a}|${NONE-a}", "a||a"),
            ("${SET:+on}${EMPTY:+on}${EMPTY+on}", "onon"),
            ("${NONE:-${SET}/x}", "value/x"),
            ("${NONE:-${NO:-deep}}", "deep"),
            ("a$$b$${SET}", "a$b${SET}"),
            ("${SET?why}", "value"),
            ("$SET-x", "value-x"),
        ] {
            assert_eq!(resolve(text, &lookup).as_deref(), Ok(expected), "{text}");
        }
    }

    #[test]
    fn what_our_file_can_say_stays_a_variable() {
        for (text, expected) in [
            ("$SET/${NONE}", "${SET}/${NONE}"),
            ("${NONE:-a b}", "${NONE:-a b}"),
            ("${NONE-a}", "${NONE:-a}"),
            ("${NONE:?say it}", "${NONE}"),
            ("${NONE:-${SET}}", "value"),
            ("${SET:+on}", "on"),
            ("a$$b$${SET}", "a$b$${SET}"),
        ] {
            assert_eq!(keep(text, &lookup).as_deref(), Ok(expected), "{text}");
        }
    }

    #[test]
    fn what_cannot_be_replaced_says_why() {
        for (text, reason) in [
            ("${NONE}", "variable `NONE` is not set; export it and import again"),
            ("${EMPTY:?needed}", "variable `EMPTY` is not set: needed"),
            ("${SET", "`${SET` has a `${` without its `}`"),
            ("${}", "`${}` is no reference to a variable"),
            ("${SET%x}", "`${SET%x}` is no reference to a variable"),
            ("5$", "`5$` has a `$` that begins no variable; `$$` is a plain one"),
        ] {
            assert_eq!(resolve(text, &lookup).unwrap_err(), reason, "{text}");
        }
    }
}
