//! A crate opens with its purpose, and its root holds nothing else but the way in.

use std::path::Path;

use syn::spanned::Spanned;
use syn::{Expr, ExprLit, Item, Lit, Meta};

use super::Finding;
use super::sources::{Source, attributes, is_test_only};
use crate::workspace::Workspace;

/// Less than this says no purpose.
const SHORTEST: usize = 40;

pub(super) fn check(workspace: &Workspace, sources: &[Source]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for target in workspace.members().flat_map(|package| &package.targets) {
        let path = workspace.relative(&target.src_path);
        let Some(source) = sources.iter().find(|source| source.path == path) else { continue };
        let Ok(file) = source.parse() else { continue };
        findings.extend(check_docs(source, &file));
        if Path::new(&path).file_name().is_some_and(|name| name == "lib.rs")
            && target.kind.iter().any(|kind| kind == "lib")
        {
            findings.extend(check_root(source, &file));
        }
    }
    findings
}

fn check_docs(source: &Source, file: &syn::File) -> Option<Finding> {
    let docs: usize =
        file.attrs.iter().filter_map(|attribute| doc_text(&attribute.meta)).map(|text| text.len()).sum();
    (docs < SHORTEST).then(|| {
        source.finding(
            "crate-docs",
            1,
            "the crate does not say what it is for".to_owned(),
            "its purpose, and what it must never know, decide where code belongs",
            "open the file with `//!` and a sentence or more",
        )
    })
}

fn check_root(source: &Source, file: &syn::File) -> Vec<Finding> {
    let is_way_in = |item: &Item| match item {
        Item::Mod(module) => module.content.is_none(),
        Item::Use(_) | Item::ExternCrate(_) => true,
        _ => false,
    };
    let others = file.items.iter().filter(|item| !is_way_in(item) && !is_test_only(attributes(item)));
    others
        .map(|item| {
            source.finding(
                "crate-root",
                item.span().start().line,
                "lib.rs holds code".to_owned(),
                "it is the crate's doc, its module list and its re-exports",
                "move this into a module and re-export it",
            )
        })
        .collect()
}

fn doc_text(meta: &Meta) -> Option<String> {
    let Meta::NameValue(pair) = meta else { return None };
    let Expr::Lit(ExprLit { lit: Lit::Str(text), .. }) = &pair.value else { return None };
    pair.path.is_ident("doc").then(|| text.value())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(text: &str) -> (Source, syn::File) {
        let source = Source { path: "crates/x/src/lib.rs".to_owned(), text: text.to_owned() };
        let file = source.parse().unwrap();
        (source, file)
    }

    #[test]
    fn a_crate_says_what_it_is_for() {
        let (short, file) = source("//! (soon)\n");
        assert!(check_docs(&short, &file).is_some());
        let (long, file) = source("//! Balances requests over the ready instances of an app.\n");
        assert!(check_docs(&long, &file).is_none());
    }

    #[test]
    fn a_root_holds_modules_and_re_exports_only() {
        let (root, file) = source("mod a;\npub use a::A;\nfn f() {}\n");
        let lines: Vec<_> = check_root(&root, &file).iter().map(|finding| finding.line).collect();
        assert_eq!(lines, [3]);
    }
}
