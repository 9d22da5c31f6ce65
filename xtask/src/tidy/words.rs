//! What a file's name and comments may not say.

use super::Finding;
use super::sources::Source;

/// Words of promises; each needs an issue that keeps it.
const PROMISES: [&str; 4] = ["TODO", "FIXME", "XXX", "HACK"];

pub(super) fn check(source: &Source) -> Vec<Finding> {
    let mut findings = Vec::new();
    if source.path.ends_with("/mod.rs") {
        findings.push(source.finding(
            "mod-rs",
            1,
            "a file is called mod.rs".to_owned(),
            "ten tabs with that name are ten riddles",
            "move it to foo.rs beside the folder foo/",
        ));
    }
    for (index, line) in source.text.lines().enumerate() {
        let Some((_, comment)) = line.split_once("//") else { continue };
        let comment = comment.trim_start_matches(['/', '!', ' ']);
        if PROMISES.iter().any(|word| is_open_promise(comment, word)) {
            findings.push(source.finding(
                "open-promise",
                index + 1,
                "a promise names no issue".to_owned(),
                "nobody will come back to it",
                "do it now, or write the issue's number after it: (#12)",
            ));
        }
        if comment.starts_with("```") && comment.contains("ignore") {
            findings.push(source.finding(
                "ignored-test",
                index + 1,
                "an example of the docs is not tested".to_owned(),
                "docs that are not run are soon wrong",
                "make it run, or `no_run`, or mark it as `text`",
            ));
        }
    }
    findings
}

/// A promise stands at a comment's beginning, or is followed by a colon; in prose the word is only a word.
fn is_open_promise(comment: &str, word: &str) -> bool {
    let Some((before, after)) = comment.split_once(word) else { return false };
    let is_promise = before.is_empty() && !after.starts_with(char::is_alphanumeric) || after.starts_with(':');
    let has_issue =
        after.strip_prefix("(#").is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()));
    is_promise && !has_issue
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(path: &str, text: &str) -> Vec<(&'static str, usize)> {
        let source = Source { path: path.to_owned(), text: text.to_owned() };
        check(&source).iter().map(|finding| (finding.rule, finding.line)).collect()
    }

    #[test]
    fn a_promise_needs_an_issue() {
        for word in PROMISES {
            assert_eq!(rules("a.rs", &format!("f();\ng(); // {word} later")), [("open-promise", 2)]);
            assert_eq!(rules("a.rs", &format!("/// see {word}: later")), [("open-promise", 1)]);
            assert_eq!(rules("a.rs", &format!("// {word}(#12): later")), []);
            assert_eq!(rules("a.rs", &format!("// the word {word} in prose")), []);
        }
    }

    #[test]
    fn mod_rs_and_untested_examples_are_found() {
        assert_eq!(rules("crates/x/src/a/mod.rs", ""), [("mod-rs", 1)]);
        let fence = "`".repeat(3);
        assert_eq!(rules("a.rs", &format!("/// {fence}ignore\n/// {fence}")), [("ignored-test", 1)]);
        assert_eq!(rules("a.rs", &format!("/// {fence}no_run")), []);
    }
}
