//! Drafts as text.

use super::draft::{AppDraft, Draft, Out, Twig};

/// The order in which the keys of an app are written.
const ORDER: [&str; 16] = [
    "app",
    "runtime",
    "image",
    "entrypoint",
    "command",
    "cwd",
    "working_dir",
    "user",
    "depends_on",
    "env",
    "deployment",
    "wait_ready",
    "restart",
    "scale",
    "proxy",
    "environments",
];

/// The longest list that is written in one line, in characters.
const LONGEST: usize = 100;

/// How wide comments are.
const COMMENT: usize = 100;

/// Writes the whole file. One app stands by itself, several below `apps:`.
pub(super) fn file(draft: &Draft, line_of: &dyn Fn(usize) -> u32) -> String {
    let mut out = String::new();
    for remark in &draft.remarks {
        comment(&mut out, 0, remark);
    }
    for lost in &draft.dropped {
        comment(&mut out, 0, &not_kept(lost, line_of));
    }
    out.push_str("version: \"1.0\"\n");
    match draft.apps.as_slice() {
        [one] => {
            out.push('\n');
            app(&mut out, 0, one, true, line_of);
        }
        several => {
            out.push_str("\napps:\n");
            for (index, one) in several.iter().enumerate() {
                if index > 0 {
                    out.push('\n');
                }
                indent(&mut out, 1);
                out.push_str(&one.name);
                out.push_str(":\n");
                app(&mut out, 2, one, false, line_of);
            }
        }
    }
    out
}

fn app(out: &mut String, depth: usize, app: &AppDraft, alone: bool, line_of: &dyn Fn(usize) -> u32) {
    for remark in &app.remarks {
        comment(out, depth, remark);
    }
    for lost in &app.dropped {
        comment(out, depth, &not_kept(lost, line_of));
    }
    let mut keys: Vec<&Twig> = app.keys.iter().collect();
    let rank = |key: &str| ORDER.iter().position(|known| *known == key).unwrap_or(ORDER.len());
    keys.sort_by_key(|twig| rank(&twig.key));
    if alone {
        indent(out, depth);
        out.push_str("app:\n");
        indent(out, depth + 1);
        out.push_str(&format!("name: {}\n", app.name));
        if let Some(Twig { value: Out::Map(below), .. }) = keys.iter().find(|twig| twig.key == "app") {
            below.iter().for_each(|twig| entry(out, depth + 1, twig));
        }
        keys.retain(|twig| twig.key != "app");
    }
    keys.into_iter().for_each(|twig| entry(out, depth, twig));
}

fn not_kept(lost: &super::draft::Dropped, line_of: &dyn Fn(usize) -> u32) -> String {
    let line = lost.origin.span.as_ref().map(|span| format!(" (line {})", line_of(span.start)));
    format!("Not kept: {}{}: {}", lost.origin.key, line.unwrap_or_default(), lost.reason)
}

fn entry(out: &mut String, depth: usize, twig: &Twig) {
    if is_empty(&twig.value) {
        return;
    }
    indent(out, depth);
    out.push_str(&scalar(&twig.key));
    out.push(':');
    value(out, depth, &twig.value);
}

fn value(out: &mut String, depth: usize, value: &Out) {
    match value {
        Out::Text(_) | Out::Flag(_) => out.push_str(&format!(" {}\n", shown(value))),
        Out::Words(words) => {
            let line = shown(value);
            if line.chars().count() <= LONGEST {
                out.push_str(&format!(" {line}\n"));
                return;
            }
            out.push('\n');
            for word in words {
                indent(out, depth + 1);
                out.push_str(&format!("- {}\n", scalar(word)));
            }
        }
        Out::List(items) => {
            out.push('\n');
            for item in items {
                indent(out, depth + 1);
                out.push_str(&format!("- {}\n", shown(&item.value)));
            }
        }
        Out::Map(keys) => {
            out.push('\n');
            keys.iter().for_each(|twig| entry(out, depth + 1, twig));
        }
    }
}

fn is_empty(value: &Out) -> bool {
    match value {
        Out::Text(_) | Out::Flag(_) | Out::Words(_) => false,
        Out::List(items) => items.is_empty(),
        Out::Map(keys) => keys.iter().all(|twig| is_empty(&twig.value)),
    }
}

/// A value in one line.
pub(super) fn shown(value: &Out) -> String {
    match value {
        Out::Text(text) => scalar(text),
        Out::Flag(flag) => flag.to_string(),
        Out::Words(words) => {
            format!("[{}]", words.iter().map(|word| scalar(word)).collect::<Vec<_>>().join(", "))
        }
        Out::List(items) => {
            format!("[{}]", items.iter().map(|item| shown(&item.value)).collect::<Vec<_>>().join(", "))
        }
        Out::Map(keys) => {
            let keys = keys.iter().map(|twig| format!("{}: {}", scalar(&twig.key), shown(&twig.value)));
            format!("{{{}}}", keys.collect::<Vec<_>>().join(", "))
        }
    }
}

/// A text as a YAML scalar: as it is where it cannot be taken for anything else, else in double quotes, in which JSON's
/// escapes are YAML's (YAML 1.2.2, section 1.3).
fn scalar(text: &str) -> String {
    let word = |c: char| {
        c.is_ascii_alphanumeric()
            || matches!(c, '_' | '.' | '/' | '@' | '%' | '+' | '=' | '-' | ' ' | ':' | '$' | '~')
    };
    let plain = text.chars().all(word)
        && text.starts_with(|c: char| c.is_ascii_alphanumeric() || matches!(c, '/' | '.' | '_'))
        && !text.ends_with([' ', ':'])
        && !text.contains(": ")
        && !text.starts_with("...")
        && !looks_like_something_else(text);
    if plain { text.to_owned() } else { quoted(text) }
}

/// Words and numbers with a colon, which readers of other versions of YAML take for truth values, nothing or a time.
fn looks_like_something_else(text: &str) -> bool {
    let word = text.to_ascii_lowercase();
    matches!(word.as_str(), "null" | "true" | "false" | "yes" | "no" | "on" | "off" | "y" | "n")
        || text.contains(':') && text.bytes().all(|byte| byte.is_ascii_digit() || matches!(byte, b':' | b'.'))
}

fn quoted(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\t' => out.push_str("\\t"),
            '\r' => out.push_str("\\r"),
            c if c.is_control() || matches!(c, '\u{2028}' | '\u{2029}' | '\u{feff}') => {
                let code = u32::from(c);
                out.push_str(&format!("\\U{code:08x}"));
            }
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

/// A comment, broken between words; what comes from the file that is read stays in its line.
fn comment(out: &mut String, depth: usize, text: &str) {
    let clean: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    let mut line = String::new();
    let mut first = true;
    let mut put = |line: &mut String| {
        indent(out, depth);
        out.push_str(if first { "# " } else { "#   " });
        first = false;
        out.push_str(line);
        out.push('\n');
        line.clear();
    };
    for word in clean.split_whitespace() {
        if !line.is_empty() && line.chars().count() + word.chars().count() >= COMMENT {
            put(&mut line);
        }
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(word);
    }
    if !line.is_empty() {
        put(&mut line);
    }
}

fn indent(out: &mut String, depth: usize) {
    out.push_str(&"  ".repeat(depth));
}
