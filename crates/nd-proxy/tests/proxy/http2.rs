//! HTTP/2 in front: everything that holds for HTTP/1 holds for each stream.

pub(crate) mod apps;
mod bodies;
pub(crate) mod client;
mod desync;
mod ends;
mod heads;
mod sockets;
