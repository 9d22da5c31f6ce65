//! Read buffers that nobody uses at the moment: a connection that waits has none.

use std::cell::RefCell;

use bytes::BytesMut;

/// Buffers kept at most.
const MAX_KEPT: usize = 32;
/// Larger buffers are given back to the allocator.
const MAX_CAPACITY: usize = 64 * 1024;

/// A worker's spare buffers; the one used last is warm and used first.
#[derive(Debug, Default)]
pub(crate) struct Buffers(RefCell<Vec<BytesMut>>);

impl Buffers {
    pub(crate) fn take(&self) -> BytesMut {
        self.0.borrow_mut().pop().unwrap_or_default()
    }

    pub(crate) fn give(&self, mut buffer: BytesMut) {
        let mut kept = self.0.borrow_mut();
        buffer.clear();
        if kept.len() < MAX_KEPT && (1..=MAX_CAPACITY).contains(&buffer.capacity()) {
            kept.push(buffer);
        }
    }
}
