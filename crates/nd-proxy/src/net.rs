//! Sockets: binding listeners, a connection with its buffers, bodies on their way from one connection to the next.

pub(crate) mod accepted;
pub(crate) mod bind;
pub(crate) mod body;
pub(crate) mod buffers;
pub(crate) mod deadline;
pub(crate) mod encoded;
pub(crate) mod holder;
pub(crate) mod pump;
pub(crate) mod sockets;
pub(crate) mod stream;
pub(crate) mod wire;
