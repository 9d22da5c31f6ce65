//! The body of an answer: passed on as it comes, or compressed on the way.

use std::task::{Context, Poll};

use super::buffers::Buffers;
use super::encoded::Encoded;
use super::pump::{Pump, PumpError};
use super::wire::Wire;

/// One body.
#[derive(Debug)]
pub(crate) enum Body {
    Plain(Pump),
    /// Boxed: few answers are, and each request has room for one.
    Encoded(Box<Encoded>),
}

impl Body {
    /// Moves the body on; ready when all of it, and the sink's output before it, has been written.
    pub(crate) fn poll(
        &mut self,
        cx: &mut Context<'_>,
        source: &mut Wire,
        sink: &mut Wire,
        spare: &Buffers,
    ) -> Poll<Result<(), PumpError>> {
        match self {
            Self::Plain(pump) => pump.poll(cx, source, sink, spare),
            Self::Encoded(encoded) => encoded.poll(cx, source, sink, spare),
        }
    }

    /// Bytes of content so far, as the client gets them.
    pub(crate) fn content(&self) -> u64 {
        match self {
            Self::Plain(pump) => pump.content(),
            Self::Encoded(encoded) => encoded.content(),
        }
    }

    /// Grows whenever bytes were read or written.
    pub(crate) fn activity(&self) -> u64 {
        match self {
            Self::Plain(pump) => pump.activity(),
            Self::Encoded(encoded) => encoded.activity(),
        }
    }

    /// Whether the sink holds this body up, rather than the source.
    pub(crate) fn waits_for_sink(&self, sink: &Wire) -> bool {
        match self {
            Self::Plain(pump) => pump.waits_for_sink(sink),
            Self::Encoded(_) => !sink.output.is_empty(),
        }
    }
}
