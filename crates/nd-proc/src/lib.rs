//! Processes of this host as the kernel shows them under `/proc` (proc(5)), and how one of them is killed without hitting
//! another that got its number later.
//!
//! Must never know: who wants to know it. Everything blocks, and nothing is kept.
//!
//! Start at [`Process`], or at [`all`] for every one of them.

mod life;
mod process;
mod stat;

pub use life::Life;
pub use process::{
    all, ancestors, bearing, descendants, glance, kill, kill_and_wait, marked, send, send_and_wait,
};
pub use rustix::process::Signal;
pub use stat::Process;
