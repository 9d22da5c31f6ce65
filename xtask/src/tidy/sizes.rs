//! A file is one thought, a function is one screen.

use proc_macro2::Span;
use syn::spanned::Spanned;
use syn::visit::{self, Visit};
use syn::{Attribute, ImplItemFn, ItemFn, ItemImpl, ItemMod, Signature, TraitItemFn};

use super::Finding;
use super::sources::{Source, attributes, is_test_only};

/// The most lines of a file, its unit tests apart.
const FILE: usize = 400;

/// The most lines of a function, from its signature to its last brace.
const FUNCTION: usize = 60;

/// The most lines of a test: it may tell a longer story.
const TEST_FUNCTION: usize = 100;

pub(super) fn check(source: &Source, file: &syn::File) -> Vec<Finding> {
    let mut functions = Functions { source, in_test: source.is_test(), findings: file_size(source, file) };
    functions.visit_file(file);
    functions.findings
}

fn file_size(source: &Source, file: &syn::File) -> Vec<Finding> {
    let tests = file.items.iter().filter(|item| is_test_only(attributes(item)));
    let lines = source.text.lines().count() - tests.map(|item| lines_of(item.span())).sum::<usize>();
    if lines <= FILE {
        return vec![];
    }
    let mut finding = source.finding(
        "file-size",
        1,
        format!("{lines} lines without its unit tests, where {FILE} are the most"),
        "a file is one thought that can be read in one go",
        "split it by noun, layer or verb",
    );
    finding.size = Some(lines);
    vec![finding]
}

struct Functions<'a> {
    source: &'a Source,
    in_test: bool,
    findings: Vec<Finding>,
}

impl Functions<'_> {
    fn measure(&mut self, signature: &Signature, whole: Span) {
        let limit = if self.in_test { TEST_FUNCTION } else { FUNCTION };
        let first = signature.span().start().line;
        let lines = whole.end().line + 1 - first;
        if lines > limit {
            let name = signature.ident.to_string();
            let mut finding = self.source.finding(
                "function-size",
                first,
                format!("fn {name} has {lines} lines, where {limit} are the most"),
                "a function is read on one screen",
                "give its steps names of their own",
            );
            (finding.item, finding.size) = (Some(name), Some(lines));
            self.findings.push(finding);
        }
    }

    fn within(&mut self, attributes: &[Attribute], visit: impl FnOnce(&mut Self)) {
        let before = self.in_test;
        self.in_test |= is_test_only(attributes);
        visit(self);
        self.in_test = before;
    }
}

impl<'ast> Visit<'ast> for Functions<'_> {
    fn visit_item_mod(&mut self, item: &'ast ItemMod) {
        self.within(&item.attrs, |this| visit::visit_item_mod(this, item));
    }

    fn visit_item_impl(&mut self, item: &'ast ItemImpl) {
        self.within(&item.attrs, |this| visit::visit_item_impl(this, item));
    }

    fn visit_item_fn(&mut self, item: &'ast ItemFn) {
        self.within(&item.attrs, |this| {
            this.measure(&item.sig, item.span());
            visit::visit_item_fn(this, item);
        });
    }

    fn visit_impl_item_fn(&mut self, item: &'ast ImplItemFn) {
        self.measure(&item.sig, item.span());
        visit::visit_impl_item_fn(self, item);
    }

    fn visit_trait_item_fn(&mut self, item: &'ast TraitItemFn) {
        self.measure(&item.sig, item.span());
        visit::visit_trait_item_fn(self, item);
    }
}

fn lines_of(span: Span) -> usize {
    span.end().line + 1 - span.start().line
}

#[cfg(test)]
mod tests {
    use super::*;

    fn findings(path: &str, text: String) -> Vec<(&'static str, usize)> {
        let source = Source { path: path.to_owned(), text };
        let file = source.parse().unwrap();
        check(&source, &file).iter().map(|finding| (finding.rule, finding.size.unwrap())).collect()
    }

    fn function(lines: usize) -> String {
        format!("/// Docs do not count.\nfn f() {{\n{}}}\n", "    g();\n".repeat(lines - 2))
    }

    #[test]
    fn a_function_of_60_lines_fits_and_one_of_61_does_not() {
        assert_eq!(findings("a.rs", function(60)), []);
        assert_eq!(findings("a.rs", function(61)), [("function-size", 61)]);
    }

    #[test]
    fn a_test_may_be_longer() {
        assert_eq!(findings("crates/x/tests/a.rs", function(100)), []);
        let text = format!("#[cfg(test)]\nmod tests {{\n{}}}", function(101));
        assert_eq!(findings("a.rs", text), [("function-size", 101)]);
    }

    #[test]
    fn unit_tests_do_not_count_for_the_size_of_a_file() {
        let tests = format!("#[cfg(test)]\nmod tests {{\n{}}}\n", "    const _: () = ();\n".repeat(300));
        let code = "const _: () = ();\n";
        assert_eq!(findings("a.rs", code.repeat(400) + &tests), []);
        assert_eq!(findings("a.rs", code.repeat(401)), [("file-size", 401)]);
    }
}
