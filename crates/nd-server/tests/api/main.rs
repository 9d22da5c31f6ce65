//! The API as clients see it: a real engine on stand-ins, spoken to byte by byte over its sockets.

mod access;
mod certs;
mod domains;
mod flat;
mod following;
mod idempotency;
mod streams;
mod supervision;
mod support;
mod v1;
