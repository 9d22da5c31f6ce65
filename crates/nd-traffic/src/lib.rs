//! Requests that were served: written down in a file that is rotated, and the latest of them at hand.
//!
//! Start at [`RequestLog`]. It gets batches of JSON lines, each an [`AccessRecord`](nd_types::AccessRecord), and never makes
//! whoever serves the requests wait. Must never know where the records come from, nor who asks for them.

mod combined;
mod file;
mod request_log;

pub use request_log::{Followed, Form, RequestLog};
