//! How answers are shown to people.

pub(crate) mod app;
pub(crate) mod deployment;
pub(crate) mod failure;
pub(crate) mod log;
pub(crate) mod steps;
pub(crate) mod table;
pub(crate) mod time;
