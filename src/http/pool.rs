//! Buffers that connections take turns with.

use std::cell::RefCell;

use super::limits::{BUFFER_BYTES, BUFFERS_MAX};

#[derive(Default)]
pub(super) struct Pool {
    buffers: RefCell<Vec<Vec<u8>>>,
}

impl Pool {
    /// An empty buffer with room.
    pub(super) fn take(&self) -> Vec<u8> {
        self.buffers.borrow_mut().pop().unwrap_or_else(|| Vec::with_capacity(BUFFER_BYTES))
    }

    /// One that has grown for a big request is not kept, nor one that was made to measure.
    pub(super) fn give(&self, mut buffer: Vec<u8>) {
        let mut buffers = self.buffers.borrow_mut();
        if (BUFFER_BYTES..=2 * BUFFER_BYTES).contains(&buffer.capacity()) && buffers.len() < BUFFERS_MAX {
            buffer.clear();
            buffers.push(buffer);
        }
    }
}
