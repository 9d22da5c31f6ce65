//! The engine through its handle, in a world of stand-ins and paused time.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test ends at the first surprise, also inside its helpers"
)]

mod adoption;
mod certificates;
mod claims;
mod crashes;
mod dependencies;
mod deploying;
mod domains;
mod failing;
mod following;
mod kills;
mod moving;
mod sleeping;
mod storing;
mod trouble;
mod verbs;
mod world;
