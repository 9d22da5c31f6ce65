//! JSON values into nodes, which then have no place but a path.

use serde_json::Value as Json;

use crate::node::{Entry, Node, Value};

/// Takes over a JSON value. A `serde_json::Value` is at most 128 levels deep, so that the recursion is bounded.
pub(crate) fn to_node(json: &Json) -> Node {
    let value = match json {
        Json::Null => Value::Null,
        Json::Bool(flag) => return Node::scalar(flag.to_string(), false, None),
        Json::Number(number) => return Node::scalar(number.to_string(), false, None),
        Json::String(text) => return Node::scalar(text.clone(), true, None),
        Json::Array(items) => Value::List(items.iter().map(to_node).collect()),
        Json::Object(entries) => Value::Map(
            entries
                .iter()
                .map(|(key, value)| Entry { key: key.clone(), key_span: None, value: to_node(value) })
                .collect(),
        ),
    };
    Node::new(value, None)
}
