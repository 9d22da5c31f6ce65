//! Which other apps must be up before an app starts.

use std::collections::BTreeMap;

use nd_types::AppName;
use serde::{Deserialize, Serialize};

use super::Condition;

/// The apps that come up before this one, and how far each must have come (`depends_on:`). They stop after it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Dependencies(BTreeMap<AppName, Dependency>);

/// What is awaited of one app.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Dependency {
    /// How far it must have come.
    pub condition: Condition,
}

impl Dependencies {
    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Awaits one more app; what was awaited of it before is replaced.
    pub fn insert(&mut self, app: AppName, condition: Condition) {
        self.0.insert(app, Dependency { condition });
    }

    /// What is awaited of an app, if anything.
    #[must_use]
    pub fn get(&self, app: &str) -> Option<Condition> {
        self.0.get(app).map(|dependency| dependency.condition)
    }

    /// The apps with what is awaited of each, in the order of their names.
    pub fn iter(&self) -> impl Iterator<Item = (&AppName, Condition)> {
        self.0.iter().map(|(app, dependency)| (app, dependency.condition))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dependencies_read_back_as_they_are_written() {
        let text = r#"{"db":{"condition":"healthy"},"migrate":{"condition":"completed"}}"#;
        let read: Dependencies = serde_json::from_str(text).unwrap();
        assert_eq!(read.get("db"), Some(Condition::Healthy));
        assert_eq!(serde_json::to_string(&read).unwrap(), text);
    }
}
