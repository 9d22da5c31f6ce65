//! Lints are switched off with a reason, and some of them not at all.

use syn::punctuated::Punctuated;
use syn::spanned::Spanned;
use syn::visit::{self, Visit};
use syn::{Attribute, Meta, Token};

use super::Finding;
use super::sources::Source;

/// What keeps panics, lost errors and ownerless tasks out; an exception stands in the allow-list, where it is seen.
const WALLS: [&str; 7] = [
    "unwrap_used",
    "expect_used",
    "panic",
    "indexing_slicing",
    "let_underscore_must_use",
    "disallowed_methods",
    "await_holding_lock",
];

/// What the files of `tests/` may switch off, with a reason: `allow-unwrap-in-tests` knows test functions, not their helpers.
const OPEN_IN_TESTS: [&str; 4] = ["unwrap_used", "expect_used", "panic", "indexing_slicing"];

/// The crates that are a wall's other side: the owner of all tasks.
const DISALLOWED_METHODS_HOME: &str = "crates/nd-supervise/";

pub(super) fn check(source: &Source, file: &syn::File) -> Vec<Finding> {
    let mut visitor = Lints { source, findings: vec![] };
    visitor.visit_file(file);
    visitor.findings
}

struct Lints<'a> {
    source: &'a Source,
    findings: Vec<Finding>,
}

impl<'ast> Visit<'ast> for Lints<'_> {
    fn visit_attribute(&mut self, attribute: &'ast Attribute) {
        if attribute.path().is_ident("allow") || attribute.path().is_ident("expect") {
            let parse = Punctuated::<Meta, Token![,]>::parse_terminated;
            if let Ok(arguments) = attribute.parse_args_with(parse) {
                self.check(attribute, &arguments.into_iter().collect::<Vec<_>>());
            }
        }
        visit::visit_attribute(self, attribute);
    }
}

impl Lints<'_> {
    fn check(&mut self, attribute: &Attribute, arguments: &[Meta]) {
        let line = attribute.span().start().line;
        if !arguments.iter().any(|argument| argument.path().is_ident("reason")) {
            self.findings.push(self.source.finding(
                "lint-reason",
                line,
                "a lint is switched off without a reason".to_owned(),
                "the next reader cannot tell whether it still holds",
                "add `reason = \"…\"`, or mend what the lint found",
            ));
        }
        for argument in arguments {
            let Some(lint) = argument.path().segments.last().map(|segment| segment.ident.to_string()) else {
                continue;
            };
            let at_home =
                lint == "disallowed_methods" && self.source.path.starts_with(DISALLOWED_METHODS_HOME);
            let in_test = self.source.path.contains("/tests/") && OPEN_IN_TESTS.contains(&lint.as_str());
            if WALLS.contains(&lint.as_str()) && !at_home && !in_test {
                let mut finding = self.source.finding(
                    "lint-wall",
                    line,
                    format!("`{lint}` is switched off"),
                    "it keeps panics, lost errors and ownerless tasks out",
                    "handle the case; tests return a Result; else write it into xtask/tidy-allow.toml",
                );
                finding.item = Some(lint);
                self.findings.push(finding);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(path: &str, text: &str) -> Vec<(&'static str, usize)> {
        crate::tidy::found_in(path, text, check)
    }

    #[test]
    fn a_lint_is_switched_off_with_a_reason() {
        assert_eq!(rules("a.rs", "fn f() {}\n#[allow(dead_code)]\nfn g() {}"), [("lint-reason", 2)]);
        assert_eq!(rules("a.rs", "#[allow(dead_code, reason = \"later\")]\nfn g() {}"), []);
    }

    #[test]
    fn helpers_of_tests_may_unwrap_and_tasks_have_owners_there_too() {
        let unwrap = "#![allow(clippy::unwrap_used, reason = \"tests\")]";
        assert_eq!(rules("crates/x/tests/a.rs", unwrap), []);
        assert_eq!(rules("crates/x/src/a.rs", unwrap), [("lint-wall", 1)]);
        let spawn = "#![allow(clippy::disallowed_methods, reason = \"tests\")]";
        assert_eq!(rules("crates/x/tests/a.rs", spawn), [("lint-wall", 1)]);
    }

    #[test]
    fn bare_spawns_are_at_home_in_one_crate() {
        let text = "#[allow(clippy::disallowed_methods, reason = \"the owner\")]\nfn f() {}";
        assert_eq!(rules("crates/nd-supervise/src/spawn.rs", text), []);
        assert_eq!(rules("crates/nd-core/src/spawn.rs", text), [("lint-wall", 1)]);
    }
}
