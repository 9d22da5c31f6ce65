//! TOML into nodes.

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::node::{Entry, Node, Value};
use crate::report::{Code, Mistake};

/// Reads a TOML document and reports every error of its syntax; what could be read is in the tree.
pub(crate) fn read(text: &str, mistakes: &mut Vec<Mistake>) -> Node {
    let (table, errors) = DeTable::parse_recoverable(text);
    for error in errors {
        let message = error.message().replace('\n', ", ");
        let code = if message.contains("duplicate key") { Code::DuplicateKey } else { Code::Syntax };
        mistakes.push(Mistake::error(code, format!("the text is not TOML: {message}")).at(error.span()));
    }
    Node::new(table_value(table.get_ref()), Some(table.span()))
}

fn table_value(table: &DeTable<'_>) -> Value {
    let mut entries: Vec<Entry> = table
        .iter()
        .map(|(key, value)| Entry {
            key: key.get_ref().to_string(),
            key_span: Some(key.span()),
            value: node(value),
        })
        .collect();
    entries.sort_by_key(|entry| entry.key_span.as_ref().map(|span| span.start));
    Value::Map(entries)
}

fn node(value: &Spanned<DeValue<'_>>) -> Node {
    let span = Some(value.span());
    match value.get_ref() {
        DeValue::String(text) => Node::scalar(text.to_string(), true, span),
        DeValue::Integer(number) => Node::scalar(number.to_string(), false, span),
        DeValue::Float(number) => Node::scalar(number.to_string(), false, span),
        DeValue::Boolean(flag) => Node::scalar(flag.to_string(), false, span),
        DeValue::Datetime(time) => Node::scalar(time.to_string(), false, span),
        DeValue::Array(items) => Node::new(Value::List(items.iter().map(node).collect()), span),
        DeValue::Table(table) => Node::new(table_value(table), span),
    }
}
