//! Files of variables (`.env`).

use nd_api::manifest::Env;

use crate::report::{Code, Mistake, Report};

/// Reads `KEY=VALUE` lines, as Docker's `--env-file` and dotenv tools write them.
///
/// Blank lines and lines that begin with `#` are skipped, `export ` before a name is allowed, and a value may stand in
/// quotes, over several lines too: in double ones `\n`, `\r`, `\t`, `\"`, `\\` and `\$` are escapes, in single ones nothing is. In an
/// unquoted value ` #` begins a comment. Values are never expanded.
///
/// # Errors
/// A [`Report`] of every line that is none of these.
pub fn parse_dotenv(name: &str, text: &str) -> Result<Env, Report> {
    let mut env = Env::default();
    let mut mistakes = Vec::new();
    let mut at = 0;
    while let Some(rest) = text.get(at..).filter(|rest| !rest.is_empty()) {
        let line = rest.split('\n').next().unwrap_or_default();
        let span = at..at + line.trim_end().len();
        let (read, length) = read_line(rest, line);
        let set = read.and_then(|pair| match pair {
            Some((key, value)) => {
                env.insert(key, value).map_err(|error| Mistake::error(Code::BadValue, error.to_string()))
            }
            None => Ok(()),
        });
        if let Err(mistake) = set {
            mistakes.push(mistake.at(Some(span)));
        }
        at += length;
    }
    if mistakes.is_empty() { Ok(env) } else { Err(Report::new(name, text, mistakes)) }
}

type Pair<'t> = Option<(&'t str, String)>;

/// Reads what begins with `line`, and says how many bytes of `rest` it took.
fn read_line<'t>(rest: &'t str, line: &'t str) -> (Result<Pair<'t>, Mistake>, usize) {
    let whole = line.len() + 1;
    let content = line.trim();
    if content.is_empty() || content.starts_with('#') {
        return (Ok(None), whole);
    }
    let Some((name, value)) = line.split_once('=') else {
        let mistake = Mistake::error(Code::Syntax, "a line must be KEY=VALUE, a comment or blank");
        return (Err(mistake), whole);
    };
    let name = name.trim();
    let name = name.strip_prefix("export ").map_or(name, str::trim_start);
    let value_at = line.len() - value.trim_start().len();
    let Some(quote) = value.trim_start().chars().next().filter(|c| matches!(c, '"' | '\'')) else {
        return (Ok(Some((name, unquoted(value)))), whole);
    };
    match quoted(rest.get(value_at + 1..).unwrap_or_default(), quote) {
        Some((value, length)) => {
            let end = value_at + 1 + length;
            let tail = rest.get(end..).unwrap_or_default();
            let after = tail.split('\n').next().unwrap_or_default();
            let read = if after.trim().is_empty() || after.trim_start().starts_with('#') {
                Ok(Some((name, value)))
            } else {
                Err(Mistake::error(Code::Syntax, format!("something stands after the value of `{name}`")))
            };
            (read, end + after.len() + 1)
        }
        None => (
            Err(Mistake::error(Code::Syntax, format!("the quote around the value of `{name}` has no end"))),
            whole,
        ),
    }
}

fn unquoted(value: &str) -> String {
    let end = value.find(" #").unwrap_or(value.len());
    value.get(..end).unwrap_or_default().trim().to_owned()
}

/// The value up to its closing quote, and how many bytes it took with that quote.
fn quoted(text: &str, quote: char) -> Option<(String, usize)> {
    let mut value = String::new();
    let mut chars = text.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            _ if c == quote => return Some((value, at + 1)),
            '\\' if quote == '"' => match chars.next()?.1 {
                'n' => value.push('\n'),
                'r' => value.push('\r'),
                't' => value.push('\t'),
                escaped @ ('"' | '\\' | '$') => value.push(escaped),
                other => value.extend(['\\', other]),
            },
            _ => value.push(c),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_usual_forms_are_read() {
        let text = "# c\n\nA=1\nexport B = two words # note\r\nC=\"x\\ny # z\" # note\nD='a\\n'\nE=\nF=a=b\nG=\"l1\nl2\"\nH=a#b";
        let env = parse_dotenv(".env", text).unwrap();
        let pairs: Vec<_> = env.iter().collect();
        assert_eq!(
            pairs,
            [
                ("A", "1"),
                ("B", "two words"),
                ("C", "x\ny # z"),
                ("D", "a\\n"),
                ("E", ""),
                ("F", "a=b"),
                ("G", "l1\nl2"),
                ("H", "a#b"),
            ]
        );
    }

    #[test]
    fn every_bad_line_is_named_with_its_place() {
        let report = parse_dotenv(".env", "A=1\noops\n1X=2\nB=\"open\nC='x' y\n").unwrap_err();
        assert_eq!(
            report.to_string(),
            "error[ND0101] .env:2:1: a line must be KEY=VALUE, a comment or blank\n\
             error[ND0121] .env:3:1: `1X` is not a variable name; use letters, digits, `_`, `.` and `-`, and do not begin with a digit\n\
             error[ND0101] .env:4:1: the quote around the value of `B` has no end\n\
             error[ND0101] .env:5:1: something stands after the value of `C`"
        );
    }
}
