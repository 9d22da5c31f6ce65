//! The proof of the engine's decisions: a world without clocks, sockets or processes, in which everything goes wrong.
//!
//! [`world`] holds what would be the machine (units, the table that serves, the store); [`sim`] is a daemon around an
//! `AppModel`, with actions that end in any order, badly, or not at all because it was killed; [`laws`] are what must
//! hold after every step and at the end. [`histories`] drives random histories and shrinks those that break a law; the
//! other files prove one sentence of the architecture each.

mod canary;
mod deploys;
mod histories;
mod keeping;
mod killed;
mod laws;
mod mirror;
mod op;
mod receipts;
mod recipe;
mod renewing;
mod rolling;
mod settle;
mod sim;
mod story;
mod world;
