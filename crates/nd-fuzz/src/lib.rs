//! Every parser that reads what comes from outside, with the promises that hold for any bytes.
//!
//! [`TARGETS`] is the one table. Two drivers take it from there: the tests of this crate give each target its corpus and
//! some thousand changed copies of it, the same ones at every run; `cargo xtask fuzz` hands it to libFuzzer (the package
//! in `libfuzzer/`), which looks for new ways through the code as long as it may. An input that broke a promise goes into
//! `corpus/<target>/` and stays there.
//!
//! This crate must never know how anything is run: a target is a function of bytes.

mod certs;
mod config;
mod logs;
mod targets;
mod wire;

pub use targets::{TARGETS, Target, target};
