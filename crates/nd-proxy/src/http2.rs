//! HTTP/2 (RFC 9113) at the rim: inside, everything speaks HTTP/1.
//!
//! A stream is turned into what it means, a connection that carries one exchange: [`stream`] (a client's) and [`app`] read
//! and write like one.
//! So each rule, limit and feature is written once and holds for both, and whatever comes in as HTTP/2 passes the same
//! strict reader as everything else. Frames, HPACK and flow control are the `h2` crate's.
//!
//! Nothing here knows apps or routes.

pub(crate) mod app;
pub(crate) mod guarded;
pub(crate) mod head;
pub(crate) mod inlet;
pub(crate) mod outlet;
pub(crate) mod preface;
pub(crate) mod session;
pub(crate) mod stalls;
pub(crate) mod stream;
pub(crate) mod watch;
