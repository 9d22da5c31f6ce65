//! Pages of lists, and the version that the CLI's JSON carries.

use serde::{Deserialize, Serialize};

/// The version of every view; it rises when a field changes its meaning.
pub const SCHEMA_VERSION: u8 = 1;

/// One page of a list, newest first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListPage<T> {
    /// The entries.
    pub items: Vec<T>,
    /// Where the next page begins; nothing on the last one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_cursor: Option<String>,
}

impl<T> ListPage<T> {
    /// A list that fits on one page.
    #[must_use]
    pub fn complete(items: Vec<T>) -> Self {
        Self { items, next_cursor: None }
    }
}

/// The parameters of a list.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PageQuery {
    /// How many at most; 50 where it is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<u32>,
    /// Where to go on, from the page before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cursor: Option<String>,
}

/// A view with `"v":1` in front, as `--json` prints it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Versioned<T> {
    /// [`SCHEMA_VERSION`].
    pub v: u8,
    /// The view.
    #[serde(flatten)]
    pub view: T,
}

impl<T> Versioned<T> {
    /// Puts today's version in front of a view.
    #[must_use]
    pub fn new(view: T) -> Self {
        Self { v: SCHEMA_VERSION, view }
    }
}
