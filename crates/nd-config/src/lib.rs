//! Text into typed values, with every mistake named at once.
//!
//! `nextdeploy.yml`, the JSON body of a deploy request and `nextdeployd.toml` become the same tree of nodes that know
//! where they stand (`node`); one decoder (`decode`) reads that tree against one table of keys and collects what is
//! wrong with it, instead of stopping at the first mistake as derived deserialization does. What comes out is already
//! checked: ports are ports, ranges hold, nobody further in checks again.
//!
//! Entry points: [`read_manifest`] and [`manifest_from_json`] for apps, [`read_settings`] for the daemon,
//! [`parse_dotenv`] for files of variables, [`manifest_to_yaml`] for the way back, [`import`] for the files of other tools. A [`Report`] prints itself as
//! rustc-like snippets, as one line a mistake, or as the `errors` of a problem body.
//!
//! This crate must never know the core, open a file or read the process's environment: its callers do.

mod decode;
mod dotenv;
pub mod import;
mod json;
mod manifest;
mod node;
mod overlay;
mod report;
mod schema;
mod settings;
mod substitute;
mod suggest;
mod toml_tree;
mod words;
mod yaml;

pub use dotenv::parse_dotenv;
pub use manifest::{
    Checked, CheckedApps, ReadOptions, Workload, manifest_from_json, manifest_to_yaml, read_manifest,
    read_manifests,
};
pub use report::{Code, Colour, Mistake, Related, Report, Severity};
pub use settings::{
    DaemonSettings, DockerSettings, Https, LogFormat, LogLevel, LogSettings, OnShutdown, read_settings,
};
pub use yaml::WriteError;
