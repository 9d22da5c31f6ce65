//! The data plane through its public API: real sockets, raw bytes, real concurrency.

mod answers;
mod bodies;
mod compression;
mod drain;
mod error_pages;
mod faults;
mod finer_points;
mod fronts;
mod gate;
mod handover;
mod headers;
mod hold;
mod host_ports;
mod http2;
mod introductions;
mod limits;
mod passwords;
mod prompt;
mod rates;
#[path = "../floods/raw.rs"]
#[allow(dead_code, reason = "shared with the floods, which use more of it")]
mod raw;
mod records;
mod routing;
mod rules;
mod shares;
mod sleeping;
mod smuggling;
mod sticky;
mod support;
mod swap;
mod tls;
mod trial;
mod upgrades;
