//! How answers are shown to people.

pub(crate) mod app;
pub(crate) mod check;
pub(crate) mod deployment;
pub(crate) mod describe;
pub(crate) mod failure;
pub(crate) mod log;
pub(crate) mod metrics;
pub(crate) mod requests;
pub(crate) mod rows;
pub(crate) mod steps;
pub(crate) mod table;
pub(crate) mod time;
pub(crate) mod timeline;
pub(crate) mod tree;
pub(crate) mod unit;
