//! Orders at a real ACME server, and at ones that misbehave.

mod bad_servers;
mod edge;
mod in_the_dns;
mod orders;
mod scripted;
mod support;
