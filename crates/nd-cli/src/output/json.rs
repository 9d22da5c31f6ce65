//! Views as `--json` prints them.

use nd_api::v1::{SCHEMA_VERSION, Versioned};
use serde::ser::{Error as _, SerializeMap};
use serde::{Serialize, Serializer};
use serde_json::Value;

/// A view behind its version: all of it, or the fields that were asked for, in the order they were.
pub(super) struct Shown<'a, T> {
    pub(super) view: &'a T,
    /// `name`, or `instances.ready` for a field of a field.
    pub(super) fields: &'a [String],
}

impl<T: Serialize> Serialize for Shown<'_, T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if self.fields.is_empty() {
            return Versioned::new(self.view).serialize(serializer);
        }
        let whole = serde_json::to_value(self.view).map_err(S::Error::custom)?;
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("v", &SCHEMA_VERSION)?;
        for field in self.fields.iter().filter(|field| *field != "v") {
            // A view leaves out what it has nothing for; whoever asks for it gets a null.
            let found = whole.pointer(&format!("/{}", field.replace('.', "/")));
            map.serialize_entry(field, found.unwrap_or(&Value::Null))?;
        }
        map.end()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn shown(fields: &[&str]) -> String {
        let view = json!({"name": "shop", "instances": {"ready": 2}});
        let fields: Vec<String> = fields.iter().map(ToString::to_string).collect();
        serde_json::to_string(&Shown { view: &view, fields: &fields }).unwrap()
    }

    #[test]
    fn every_view_carries_its_version() {
        assert_eq!(shown(&[]), r#"{"v":1,"instances":{"ready":2},"name":"shop"}"#);
    }

    #[test]
    fn fields_come_in_the_order_they_were_asked_for() {
        assert_eq!(
            shown(&["name", "instances.ready", "url"]),
            r#"{"v":1,"name":"shop","instances.ready":2,"url":null}"#
        );
    }
}
