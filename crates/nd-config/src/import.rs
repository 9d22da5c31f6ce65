//! PM2's ecosystem files and Compose files → the text of a `nextdeploy.yml`.
//!
//! An importer turns each key into one of ours (`draft`), and what it writes is read back by the strict reader before
//! anybody sees it: a value that this reader refuses is taken out and told with the reader's own reason (`settle`). So
//! nothing is dropped in silence and everything that is written is valid.

mod compose;
mod draft;
mod pm2;
mod settle;
mod write;

use nd_types::AppName;

pub use self::compose::{Surroundings, compose};
pub use self::pm2::pm2;

/// What an import has made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Imported {
    /// The text of the `nextdeploy.yml`.
    pub yaml: String,
    /// The apps in it, in the order of the file.
    pub apps: Vec<AppName>,
    /// What each key became, in the order of the file that was read.
    pub became: Vec<Became>,
    /// Each key that was not kept, in the order of the file that was read.
    pub lost: Vec<Lost>,
}

/// What a key became.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Became {
    /// The line it stands in, from 1; nothing where it stands in another file.
    pub line: Option<u32>,
    /// The key, as in `services.web.restart`.
    pub from: String,
    /// The key of `nextdeploy.yml`, as in `apps.web.deployment.container.restart`.
    pub to: String,
    /// Its value there.
    pub value: String,
}

/// A key that was not kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lost {
    /// The line it stands in, from 1; nothing where it stands in another file.
    pub line: Option<u32>,
    /// The column, from 1, in characters.
    pub column: Option<u32>,
    /// The key, as in `services.web.labels`.
    pub key: String,
    /// Why, and what to do instead where there is something.
    pub reason: String,
}
