//! The keys of `nextdeploy.yml`, as their reference in `docs/configuration.md` has them. The page is what people read
//! and what a test of `nd-config` holds against the parser, so it is read here instead of being written twice.

use serde::Serialize;

const PAGE: &str = include_str!("../../../docs/configuration.md");

/// One key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Key {
    /// Its dotted path.
    pub(crate) key: &'static str,
    /// A value, as YAML.
    pub(crate) example: &'static str,
    /// What it does.
    pub(crate) does: &'static str,
}

/// Every key that is served, in the order of the page.
pub(crate) fn all() -> impl Iterator<Item = Key> {
    PAGE.lines().filter_map(row)
}

/// Why a key that stands on the page has no row: what becomes of a file that has it.
pub(crate) fn not_served(key: &str) -> Option<&'static str> {
    let (_, rest) = PAGE.split_once("\n## What is known and not served yet\n")?;
    let section = rest.split("\n## ").next()?;
    let named = format!("`{key}`");
    let mut paragraphs = section.split("\n\n").zip([
        "known, and not served by this version: a file with it is refused",
        "known, and without effect in this version: the app runs without it, and a warning names the line",
        "a key of the original tool that never has an effect here",
    ]);
    paragraphs.find(|(text, _)| text.contains(&named)).map(|(_, becomes)| becomes)
}

/// `` | `app.port` | `8080` | where the app listens | ``
fn row(line: &'static str) -> Option<Key> {
    let cells = line.strip_prefix("| `")?.strip_suffix(" |")?;
    let (key, rest) = cells.split_once("` | `")?;
    let (example, does) = rest.split_once("` | ")?;
    Some(Key { key, example, does })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_has_rows_of_every_section() {
        let keys: Vec<_> = all().collect();
        assert!(keys.len() > 50, "{}", keys.len());
        let port = keys.iter().find(|row| row.key == "app.port").unwrap();
        assert_eq!(port.example, "8080");
        assert!(port.does.starts_with("where the app listens"), "{port:?}");
    }

    #[test]
    fn what_is_not_served_is_told_from_what_is_unknown() {
        assert!(not_served("hooks").unwrap().contains("refused"));
        assert!(not_served("logging").unwrap().contains("warning"));
        assert!(not_served("serverless").unwrap().contains("original"));
        assert_eq!(not_served("app.port"), None);
        assert_eq!(not_served("nonsense"), None);
    }
}
