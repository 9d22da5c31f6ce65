//! `cargo xtask tidy`: the rules of the house that the compiler does not know.
//!
//! Each rule stands in a file of its own below. What breaks one with good reason is written into
//! `xtask/tidy-allow.toml`; an entry that nothing needs any more is itself a finding.

use std::fmt;

use crate::Result;
use crate::workspace::Workspace;

mod allow;
mod crate_docs;
mod layers;
mod lint_walls;
mod manifests;
mod sizes;
mod sources;
mod tests_rules;
mod words;

/// One broken rule, at its place.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Finding {
    /// The rule's name, as the allow-list writes it.
    rule: &'static str,
    path: String,
    line: usize,
    /// The function, lint or crate it is about, where the place has several.
    item: Option<String>,
    /// How large it is, for the rules that limit a size.
    size: Option<usize>,
    what: String,
    why: &'static str,
    fix: &'static str,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}; {}; {} [{}]", self.path, self.line, self.what, self.why, self.fix, self.rule)
    }
}

/// `cargo xtask tidy`.
pub(crate) fn run() -> Result {
    let summary = check(&Workspace::load()?)?;
    println!("{summary}");
    Ok(())
}

/// Checks all rules and gives one line of summary; each finding goes to stderr.
pub(crate) fn check(workspace: &Workspace) -> Result<String> {
    let sources = sources::load(&workspace.root)?;
    let mut findings = layers::check(workspace);
    findings.extend(manifests::check(workspace)?);
    findings.extend(crate_docs::check(workspace, &sources));
    for source in &sources {
        findings.extend(words::check(source));
        match source.parse() {
            Ok(file) => {
                findings.extend(sizes::check(source, &file));
                findings.extend(lint_walls::check(source, &file));
                findings.extend(tests_rules::check(source, &file));
            }
            Err(finding) => findings.push(*finding),
        }
    }
    let list = allow::List::load(&workspace.root)?;
    let mut left = list.apply(findings);
    left.sort_by(|a, b| (&a.path, a.line).cmp(&(&b.path, b.line)));
    for finding in &left {
        eprintln!("{finding}");
    }
    match left.len() {
        0 => Ok(format!("{} files are tidy, {} exceptions", sources.len(), list.len())),
        count => Err(format!("{count} findings in {} files", sources.len()).into()),
    }
}

/// The rules that a file of this text breaks, and where: what the tests of a rule ask.
#[cfg(test)]
fn found_in(
    path: &str,
    text: &str,
    check: impl Fn(&sources::Source, &syn::File) -> Vec<Finding>,
) -> Vec<(&'static str, usize)> {
    let source = sources::Source { path: path.to_owned(), text: text.to_owned() };
    let file = source.parse().unwrap();
    check(&source, &file).into_iter().map(|finding| (finding.rule, finding.line)).collect()
}
