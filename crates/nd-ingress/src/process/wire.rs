//! How daemon and worker speak: JSON, each message behind its length (32 bits, big-endian), over a unix socket.

use tokio::net::UnixStream;
use tokio_util::codec::{Framed, LengthDelimitedCodec};

/// More is no message of ours.
const LONGEST: usize = 256 << 20;

/// A connection, message by message.
pub(super) type Frames = Framed<UnixStream, LengthDelimitedCodec>;

pub(super) fn frames(stream: UnixStream) -> Frames {
    LengthDelimitedCodec::builder().max_frame_length(LONGEST).new_framed(stream)
}
