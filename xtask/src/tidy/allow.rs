//! The reasoned exceptions of `xtask/tidy-allow.toml`.

use std::fs;
use std::path::Path;

use serde::Deserialize;

use super::Finding;
use crate::Result;

const PATH: &str = "xtask/tidy-allow.toml";

/// More exceptions than this are a rule that is wrong.
const MOST: usize = 20;

/// All exceptions.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct List {
    #[serde(default)]
    allow: Vec<Entry>,
}

/// One exception: what a rule finds at this place is right.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    rule: String,
    path: String,
    /// The function, lint or crate; every one of the place where absent.
    item: Option<String>,
    /// How large it may be, for the rules that limit a size.
    limit: Option<usize>,
    reason: String,
}

impl List {
    /// Reads the file; an absent one is an empty list.
    pub(super) fn load(root: &Path) -> Result<Self> {
        match fs::read_to_string(root.join(PATH)) {
            Ok(text) => Self::parse(&text),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Self::default()),
            Err(error) => Err(format!("read {PATH}: {error}").into()),
        }
    }

    pub(super) fn len(&self) -> usize {
        self.allow.len()
    }

    /// Drops what is excepted; adds what is wrong with the exceptions themselves.
    pub(super) fn apply(&self, findings: Vec<Finding>) -> Vec<Finding> {
        let stale = self.allow.iter().filter(|entry| !findings.iter().any(|finding| entry.covers(finding)));
        let mut left: Vec<Finding> = stale
            .map(|entry| {
                list_finding(
                    format!("nothing breaks `{}` in {} any more", entry.rule, entry.path),
                    "an exception that nobody needs hides the next one",
                    "remove it, or correct its path, item or limit",
                )
            })
            .collect();
        if self.len() > MOST {
            left.push(list_finding(
                format!("{} exceptions, where {MOST} are the most", self.len()),
                "the list is to be short",
                "mend some of the places, or change the rule",
            ));
        }
        left.extend(
            findings.into_iter().filter(|finding| !self.allow.iter().any(|entry| entry.covers(finding))),
        );
        left
    }

    fn parse(text: &str) -> Result<Self> {
        let list: Self = toml::from_str(text).map_err(|error| format!("{PATH}: {error}"))?;
        match list.allow.iter().find(|entry| entry.reason.trim().len() < 15) {
            Some(entry) => Err(format!("{PATH}: `{}` in {}: say the reason", entry.rule, entry.path).into()),
            None => Ok(list),
        }
    }
}

impl Entry {
    fn covers(&self, finding: &Finding) -> bool {
        self.rule == finding.rule
            && self.path == finding.path
            && self.item.as_ref().is_none_or(|item| Some(item) == finding.item.as_ref())
            && finding.size.is_none_or(|size| self.limit.is_some_and(|limit| size <= limit))
    }
}

fn list_finding(what: String, why: &'static str, fix: &'static str) -> Finding {
    Finding { rule: "allow-list", path: PATH.to_owned(), line: 1, item: None, size: None, what, why, fix }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn too_long(size: usize) -> Finding {
        let mut finding = list_finding("f is long".to_owned(), "", "");
        (finding.rule, finding.path, finding.size) = ("function-size", "a.rs".to_owned(), Some(size));
        finding.item = Some("f".to_owned());
        finding
    }

    fn list(limit: usize) -> List {
        List::parse(&format!(
            "[[allow]]\nrule = 'function-size'\npath = 'a.rs'\nitem = 'f'\nlimit = {limit}\nreason = 'a table that reads best whole'"
        ))
        .unwrap()
    }

    #[test]
    fn an_exception_holds_up_to_its_limit() {
        assert_eq!(list(80).apply(vec![too_long(80)]), []);
        let rules: Vec<_> = list(80).apply(vec![too_long(81)]).iter().map(|finding| finding.rule).collect();
        assert_eq!(rules, ["allow-list", "function-size"]);
    }

    #[test]
    fn an_exception_that_nothing_needs_is_a_finding() {
        assert_eq!(list(80).apply(vec![]).len(), 1);
    }

    #[test]
    fn an_exception_needs_a_reason() {
        assert!(List::parse("[[allow]]\nrule = 'x'\npath = 'y'\nreason = ''").is_err());
    }
}
