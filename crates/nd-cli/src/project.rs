//! What is read on the user's side: the project's file, its variables, and the login for its registry.

mod env_files;
mod file;
mod flags;
mod name;
mod registry;
mod request;
pub(crate) mod script;

pub(crate) use file::{find, read};
pub(crate) use name::of_file;
pub(crate) use request::{Asked, request};
