//! Orders at a real ACME server, and at ones that misbehave.

mod bad_servers;
mod edge;
mod orders;
mod scripted;
mod support;
