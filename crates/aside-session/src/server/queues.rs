//! What a session holds between its stages, with its size.

use std::collections::VecDeque;

use aside_proto::v1;
use bytes::Bytes;

/// Requests taken off the input and not begun. Not `Debug`: there may be passwords in them.
#[derive(Default)]
pub(super) struct Waiting {
    frames: VecDeque<(v1::ClientFrame, usize)>,
    bytes: usize,
}

impl Waiting {
    /// Adds a request that came in a body of `bytes` bytes.
    pub(super) fn push(&mut self, frame: v1::ClientFrame, bytes: usize) {
        self.frames.push_back((frame, bytes));
        self.bytes += bytes;
    }

    pub(super) fn pop(&mut self) -> Option<v1::ClientFrame> {
        let (frame, bytes) = self.frames.pop_front()?;
        self.bytes -= bytes;
        Some(frame)
    }

    pub(super) fn front(&self) -> Option<&v1::ClientFrame> {
        self.frames.front().map(|(frame, _)| frame)
    }

    pub(super) fn len(&self) -> usize {
        self.frames.len()
    }

    /// Bytes of the bodies in which they came.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }
}

/// What a queued frame takes besides its bytes: its place in the queue and its block on the heap. Small frames, such as Pongs,
/// would else take many times the bound.
const FRAME_OVERHEAD_BYTES: usize = 64;

fn cost(frame: &Bytes) -> usize {
    frame.len() + FRAME_OVERHEAD_BYTES
}

/// Frames for the transport to take.
#[derive(Debug, Default)]
pub(super) struct Outbox {
    frames: VecDeque<Bytes>,
    bytes: usize,
}

impl Outbox {
    pub(super) fn push(&mut self, frame: Bytes) {
        self.bytes += cost(&frame);
        self.frames.push_back(frame);
    }

    pub(super) fn pop(&mut self) -> Option<Bytes> {
        let frame = self.frames.pop_front()?;
        self.bytes -= cost(&frame);
        Some(frame)
    }

    /// About the memory that the frames take, in bytes.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }
}
