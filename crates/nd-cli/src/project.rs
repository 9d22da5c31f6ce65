//! What is read on the user's side: the project's file, its variables, and the login for its registry.

mod client_ca;
mod ecosystem;
mod env_files;
mod error_pages;
mod file;
mod flags;
mod name;
mod registry;
mod request;
pub(crate) mod script;

pub(crate) use ecosystem::{is_ecosystem, text as ecosystem_text};
pub(crate) use file::{find, read, text_of};
pub(crate) use name::of_file;
pub(crate) use request::{Asked, requests};
