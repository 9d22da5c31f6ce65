//! Strategies: how one release replaces another, as pure planners.
//!
//! A strategy sees which units exist, how far they are and which the ingress serves, and answers what is left to do. It
//! must never know I/O or clocks: asked again after each step, it plans from what is then true, so there is no half-run
//! plan to resume.
//!
//! [`BlueGreen`] starts the new release beside the old one; [`Rolling`] replaces one instance after the other; [`Canary`]
//! gives the new release to some of the clients first; [`Recreate`] is for apps of which two versions must never run at
//! once.

mod bluegreen;
mod canary;
mod recreate;
mod rolling;
mod view;

pub use bluegreen::BlueGreen;
pub use canary::Canary;
pub use recreate::Recreate;
pub use rolling::Rolling;
