//! Which other apps must be up before an app starts.

use std::fmt;

use nd_types::AppName;

/// An app that comes up before another one, and stops after it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dependency {
    /// The app that comes first.
    pub app: AppName,
    /// How far it must have come.
    pub condition: Condition,
}

/// How far an app must have come, as in the Compose specification (`depends_on`, long syntax).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Condition {
    /// An instance runs.
    Started,
    /// An instance is ready.
    Healthy,
    /// It has ended with success.
    Completed,
}

impl fmt::Display for Dependency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (app, goal) = (
            &self.app,
            match self.condition {
                Condition::Started => "to start",
                Condition::Healthy => "to be ready",
                Condition::Completed => "to end with success",
            },
        );
        write!(f, "{app} {goal}")
    }
}
