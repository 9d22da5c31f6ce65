//! The runtime on a real engine: every verb, every bad input, and an engine that goes away.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests end at the first surprise"
)]

mod absence;
mod addresses;
mod adoption;
mod bench;
mod failures;
mod hints;
mod lifecycle;
mod logs;
mod pull;
mod registry;
