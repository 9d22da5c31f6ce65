//! `${VAR}` and `${VAR:-default}` in values.
//!
//! Only the form with braces is replaced, so that `$HOME` in a command stays the shell's; `$${` stands for `${`. Keys are
//! never replaced.

use crate::node::{Node, Scalar, Value};
use crate::report::{Code, Mistake};

/// Where variables come from: the environment of the command that reads the file.
pub(crate) type Lookup<'l> = &'l dyn Fn(&str) -> Option<String>;

/// Replaces every reference in a tree. A value with one that cannot be replaced is reported and becomes unknown.
pub(crate) fn substitute(node: &mut Node, lookup: Lookup<'_>, mistakes: &mut Vec<Mistake>) {
    match &mut node.value {
        Value::Scalar(scalar) if scalar.text.contains('$') => match replaced(scalar, lookup) {
            Ok(text) => scalar.text = text,
            Err(mistake) => {
                mistakes.push(mistake.at(node.span.clone()));
                node.value = Value::Unknown;
            }
        },
        Value::List(items) => items.iter_mut().for_each(|item| substitute(item, lookup, mistakes)),
        Value::Map(entries) => {
            entries.iter_mut().for_each(|entry| substitute(&mut entry.value, lookup, mistakes));
        }
        Value::Scalar(_) | Value::Null | Value::Unknown => {}
    }
}

fn replaced(scalar: &Scalar, lookup: Lookup<'_>) -> Result<String, Mistake> {
    let mut out = String::with_capacity(scalar.text.len());
    let mut rest = scalar.text.as_str();
    while let Some(at) = rest.find("${") {
        let (head, tail) = rest.split_at(at);
        if let Some(kept) = head.strip_suffix('$') {
            out.push_str(kept);
            out.push_str("${");
            rest = tail.get(2..).unwrap_or_default();
            continue;
        }
        out.push_str(head);
        let (reference, after) = tail.get(2..).and_then(|tail| tail.split_once('}')).ok_or_else(|| {
            Mistake::error(Code::BadVariable, "`${` without `}`")
                .help("write `$${` for the two characters themselves")
        })?;
        out.push_str(&value_of(reference, lookup)?);
        rest = after;
    }
    out.push_str(rest);
    Ok(out)
}

fn value_of(reference: &str, lookup: Lookup<'_>) -> Result<String, Mistake> {
    let (name, default) = match reference.split_once(":-") {
        Some((name, default)) => (name, Some(default)),
        None => (reference, None),
    };
    let is_name = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    if !is_name {
        let mistake =
            Mistake::error(Code::BadVariable, format!("`${{{reference}}}` is not a reference to a variable"));
        return Err(mistake
            .help("write `${NAME}` or `${NAME:-default}`, and `$${` for the two characters themselves"));
    }
    let found = lookup(name).filter(|value| default.is_none() || !value.is_empty());
    found.or_else(|| default.map(str::to_owned)).ok_or_else(|| {
        Mistake::error(Code::UnsetVariable, format!("variable `{name}` is not set"))
            .help(format!("export {name}, or write `${{{name}:-default}}`"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn apply(text: &str) -> Result<String, String> {
        let lookup = |name: &str| match name {
            "PORT" => Some("3000".to_owned()),
            "EMPTY" => Some(String::new()),
            _ => None,
        };
        let scalar = Scalar { text: text.to_owned(), quoted: true };
        replaced(&scalar, &lookup).map_err(|mistake| mistake.message)
    }

    #[test]
    fn a_variable_or_its_default_takes_the_place_of_its_name() {
        assert_eq!(apply("http://x:${PORT}/").as_deref(), Ok("http://x:3000/"));
        assert_eq!(apply("${NONE:-a:-b}").as_deref(), Ok("a:-b"));
        assert_eq!(apply("${EMPTY:-full}|${EMPTY}|").as_deref(), Ok("full||"));
        assert_eq!(apply("${NONE:-}").as_deref(), Ok(""));
    }

    #[test]
    fn what_belongs_to_the_shell_stays() {
        assert_eq!(apply("echo $HOME $1 $${PORT} 5$").as_deref(), Ok("echo $HOME $1 ${PORT} 5$"));
    }

    #[test]
    fn a_reference_that_cannot_be_replaced_is_named() {
        assert_eq!(apply("${NONE}").unwrap_err(), "variable `NONE` is not set");
        assert_eq!(apply("${PORT").unwrap_err(), "`${` without `}`");
        assert_eq!(apply("${PORT%x}").unwrap_err(), "`${PORT%x}` is not a reference to a variable");
    }
}
