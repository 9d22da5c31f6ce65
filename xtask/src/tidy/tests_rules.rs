//! Tests wait for events, and none is skipped silently.

use syn::spanned::Spanned;
use syn::visit::{self, Visit};
use syn::{Attribute, Expr, ExprCall, ExprForLoop, ExprLoop, ExprWhile, ItemFn, ItemMod};

use super::Finding;
use super::sources::{Source, is_test_only};

pub(super) fn check(source: &Source, file: &syn::File) -> Vec<Finding> {
    let mut visitor =
        Tests { source, in_test: source.is_test(), paused: false, in_loop: false, findings: vec![] };
    visitor.visit_file(file);
    visitor.findings
}

struct Tests<'a> {
    source: &'a Source,
    in_test: bool,
    /// Inside a test whose clock is tokio's paused one: its sleeps take no time and decide nothing.
    paused: bool,
    /// Inside a loop: the pace of a poll or of simulated work, not a guess how long something takes.
    in_loop: bool,
    findings: Vec<Finding>,
}

impl<'ast> Visit<'ast> for Tests<'_> {
    fn visit_item_mod(&mut self, item: &'ast ItemMod) {
        let before = self.in_test;
        self.in_test |= is_test_only(&item.attrs);
        visit::visit_item_mod(self, item);
        self.in_test = before;
    }

    fn visit_item_fn(&mut self, item: &'ast ItemFn) {
        let before = (self.in_test, self.paused, self.in_loop);
        self.in_loop = false;
        self.in_test |= is_test_only(&item.attrs);
        self.paused |= item.attrs.iter().any(starts_paused);
        visit::visit_item_fn(self, item);
        (self.in_test, self.paused, self.in_loop) = before;
    }

    fn visit_attribute(&mut self, attribute: &'ast Attribute) {
        if attribute.path().is_ident("ignore") {
            self.findings.push(self.source.finding(
                "ignored-test",
                attribute.span().start().line,
                "a test is ignored".to_owned(),
                "nothing is skipped silently",
                "mend it or remove it; what it needs, `cargo xtask test` provides",
            ));
        }
        visit::visit_attribute(self, attribute);
    }

    fn visit_expr_loop(&mut self, item: &'ast ExprLoop) {
        self.looping(|this| visit::visit_expr_loop(this, item));
    }

    fn visit_expr_while(&mut self, item: &'ast ExprWhile) {
        self.looping(|this| visit::visit_expr_while(this, item));
    }

    fn visit_expr_for_loop(&mut self, item: &'ast ExprForLoop) {
        self.looping(|this| visit::visit_expr_for_loop(this, item));
    }

    fn visit_expr_call(&mut self, call: &'ast ExprCall) {
        if self.in_test && !self.paused && !self.in_loop && is_sleep(&call.func) {
            self.findings.push(self.source.finding(
                "sleep-in-test",
                call.span().start().line,
                "a test sleeps".to_owned(),
                "on a slow machine it fails, on a fast one it wastes time",
                "wait for the event with a deadline, or use a manual or paused clock",
            ));
        }
        visit::visit_expr_call(self, call);
    }
}

impl Tests<'_> {
    fn looping(&mut self, visit: impl FnOnce(&mut Self)) {
        let before = std::mem::replace(&mut self.in_loop, true);
        visit(self);
        self.in_loop = before;
    }
}

fn is_sleep(function: &Expr) -> bool {
    let Expr::Path(path) = function else { return false };
    path.path.segments.last().is_some_and(|segment| segment.ident == "sleep")
}

fn starts_paused(attribute: &Attribute) -> bool {
    attribute.meta.require_list().is_ok_and(|list| list.tokens.to_string().contains("start_paused = true"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(path: &str, text: &str) -> Vec<(&'static str, usize)> {
        crate::tidy::found_in(path, text, check)
    }

    #[test]
    fn a_sleep_is_found_in_tests_only() {
        let text = "fn f() {\n    std::thread::sleep(D);\n}";
        assert_eq!(rules("crates/x/src/a.rs", text), []);
        assert_eq!(rules("crates/x/tests/a.rs", text), [("sleep-in-test", 2)]);
        assert_eq!(
            rules("a.rs", "#[cfg(test)]\nmod tests {\n    fn f() { sleep(D); }\n}"),
            [("sleep-in-test", 3)]
        );
        assert_eq!(rules("a.rs", "#[cfg(not(test))]\nmod code {\n    fn f() { sleep(D); }\n}"), []);
    }

    #[test]
    fn a_poll_may_sleep_between_its_looks() {
        assert_eq!(rules("crates/x/tests/a.rs", "fn f() { loop { if g() { return; } sleep(D); } }"), []);
    }

    #[test]
    fn a_paused_clock_may_sleep() {
        let text = "#[tokio::test(start_paused = true)]\nasync fn f() { tokio::time::sleep(D).await; }";
        assert_eq!(rules("crates/x/tests/a.rs", text), []);
    }

    #[test]
    fn an_ignored_test_is_found() {
        assert_eq!(rules("a.rs", "#[test]\n#[ignore = \"slow\"]\nfn f() {}"), [("ignored-test", 2)]);
    }
}
