//! Parameters of a request as a query string.

use nd_api::endpoints::encode;
use serde::Serialize;
use serde_json::Value;

/// Writes the fields of a value as `?name=value&…`; nothing for a value without fields.
pub(crate) fn query(parameters: &impl Serialize) -> String {
    let Ok(Value::Object(fields)) = serde_json::to_value(parameters) else { return String::new() };
    let mut text = String::new();
    for (name, value) in fields {
        let value = match value {
            Value::Null => continue,
            Value::String(value) => value,
            other => other.to_string(),
        };
        text.push(if text.is_empty() { '?' } else { '&' });
        encode(&name, &mut text);
        text.push('=');
        encode(&value, &mut text);
    }
    text
}

#[cfg(test)]
mod tests {
    use nd_api::v1::LogQuery;

    use super::*;

    #[test]
    fn only_what_is_said_is_written() {
        let asked = LogQuery {
            app: Some("shop".to_owned()),
            level: Some("warn+".to_owned()),
            tail: Some(5),
            follow: true,
            ..LogQuery::default()
        };
        assert_eq!(query(&asked), "?app=shop&follow=true&level=warn%2B&tail=5");
        assert_eq!(query(&LogQuery::default()), "");
    }
}
