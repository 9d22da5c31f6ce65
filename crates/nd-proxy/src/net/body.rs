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

/// A body that can be moved on, as far as it may go.
pub(crate) trait Moving {
    /// Moves it on; ready when all of it, and the sink's output before it, has been written.
    fn poll(
        &mut self,
        cx: &mut Context<'_>,
        source: &mut Wire,
        sink: &mut Wire,
        spare: &Buffers,
    ) -> Poll<Result<(), PumpError>>;

    /// Bytes of content so far, as the sink gets them.
    fn content(&self) -> u64;

    /// Lets it go up to so many bytes of content, and a little further where they are here already.
    fn stop_at(&mut self, content: u64);

    /// Whether it has gone as far as it may. Nobody wakes its task then.
    fn is_stopped(&self) -> bool;
}

impl Moving for Body {
    fn poll(
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

    fn content(&self) -> u64 {
        match self {
            Self::Plain(pump) => pump.content(),
            Self::Encoded(encoded) => encoded.content(),
        }
    }

    fn stop_at(&mut self, content: u64) {
        match self {
            Self::Plain(pump) => pump.stop_at(content),
            Self::Encoded(encoded) => encoded.stop_at(content),
        }
    }

    fn is_stopped(&self) -> bool {
        match self {
            Self::Plain(pump) => pump.is_stopped(),
            Self::Encoded(encoded) => encoded.is_stopped(),
        }
    }
}

impl Body {
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
