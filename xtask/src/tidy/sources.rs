//! The Rust files of the workspace, and what of them is test code.

use std::path::Path;
use std::{fs, io};

use syn::{Attribute, Item, Meta};

use super::Finding;
use crate::Result;

/// Where the workspace keeps code.
const FOLDERS: [&str; 3] = ["crates", "bins", "xtask"];

/// One Rust file.
#[derive(Debug)]
pub(super) struct Source {
    /// Inside the workspace, with `/`.
    pub(super) path: String,
    pub(super) text: String,
}

impl Source {
    /// Whether the whole file is test code: an integration test or a bench.
    pub(super) fn is_test(&self) -> bool {
        self.path.split('/').any(|part| part == "tests" || part == "benches")
    }

    /// The file's syntax tree, or the finding that it has none.
    pub(super) fn parse(&self) -> std::result::Result<syn::File, Box<Finding>> {
        syn::parse_file(&self.text).map_err(|error| {
            Box::new(Finding {
                rule: "syntax",
                path: self.path.clone(),
                line: error.span().start().line,
                item: None,
                size: None,
                what: format!("this does not parse: {error}"),
                why: "nothing else can be checked here",
                fix: "make it compile",
            })
        })
    }

    /// A finding of this file.
    pub(super) fn finding(
        &self,
        rule: &'static str,
        line: usize,
        what: String,
        why: &'static str,
        fix: &'static str,
    ) -> Finding {
        Finding { rule, path: self.path.clone(), line, item: None, size: None, what, why, fix }
    }
}

/// All Rust files, sorted by path.
pub(super) fn load(root: &Path) -> Result<Vec<Source>> {
    let mut sources = Vec::new();
    for folder in FOLDERS {
        walk(root, &root.join(folder), &mut sources).map_err(|error| format!("read {folder}: {error}"))?;
    }
    sources.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(sources)
}

/// Whether these attributes make an item exist in tests only.
pub(super) fn is_test_only(attributes: &[Attribute]) -> bool {
    attributes.iter().any(|attribute| match &attribute.meta {
        Meta::List(list) if list.path.is_ident("cfg") => {
            let condition = list.tokens.to_string();
            condition.split(|c: char| !c.is_alphanumeric()).any(|word| word == "test")
                && !condition.contains("not")
        }
        // `#[test]`, `#[tokio::test]`, with arguments or without.
        meta => meta.path().segments.last().is_some_and(|segment| segment.ident == "test"),
    })
}

/// The attributes of an item that may hold others.
pub(super) fn attributes(item: &Item) -> &[Attribute] {
    match item {
        Item::Mod(item) => &item.attrs,
        Item::Fn(item) => &item.attrs,
        Item::Impl(item) => &item.attrs,
        Item::Use(item) => &item.attrs,
        _ => &[],
    }
}

fn walk(root: &Path, folder: &Path, sources: &mut Vec<Source>) -> io::Result<()> {
    if !folder.exists() {
        return Ok(());
    }
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            if path.file_name().is_some_and(|name| name != "target") {
                walk(root, &path, sources)?;
            }
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let relative = path.strip_prefix(root).unwrap_or(&path).to_string_lossy().replace('\\', "/");
            sources.push(Source { path: relative, text: fs::read_to_string(&path)? });
        }
    }
    Ok(())
}
