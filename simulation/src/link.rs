//! A connection's bytes on their way, below TLS.

use std::collections::VecDeque;

use crate::rng::Rng;

/// One direction.
#[derive(Debug, Default)]
pub(crate) struct Pipe {
    bytes: VecDeque<u8>,
    ended: Option<Ending>,
}

/// How a direction ends, once what is still in it was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ending {
    /// With a close_notify.
    Clean,
    /// Without.
    Cut,
}

impl Pipe {
    /// Puts bytes in; after the end they are lost.
    pub(crate) fn write(&mut self, bytes: &[u8]) {
        if self.ended.is_none() {
            self.bytes.extend(bytes);
        }
    }

    /// Takes up to `most` bytes out, in order.
    pub(crate) fn read(&mut self, most: usize) -> Vec<u8> {
        let count = most.min(self.bytes.len());
        self.bytes.drain(..count).collect()
    }

    /// Frames in it, whole or not, if it was read by frames alone. Their number says nothing of how long signatures are, which
    /// is not for the seed to decide.
    pub(crate) fn frames(&self) -> usize {
        self.frame_ends().count()
    }

    /// Takes up to `most` frames out.
    pub(crate) fn read_frames(&mut self, most: usize) -> Vec<u8> {
        let end = self.frame_ends().take(most).last().unwrap_or_default();
        self.read(end)
    }

    /// Cuts it after some of its frames, or within the next.
    pub(crate) fn cut_frames(&mut self, rng: &mut Rng) {
        if self.ended.is_none() {
            let arrive = rng.below(self.frames() + 1);
            let part = rng.below(4);
            let end = self.frame_ends().take(arrive).last().unwrap_or_default();
            self.bytes.truncate(end + part);
            self.ended = Some(Ending::Cut);
        }
    }

    /// Where each frame ends.
    fn frame_ends(&self) -> impl Iterator<Item = usize> {
        let mut begin = 0;
        std::iter::from_fn(move || {
            let length =
                |at: usize| self.bytes.get(begin + at).map_or(0, |byte| usize::from(*byte));
            let body = (0..4).fold(0, |sum, at| sum << 8 | length(at));
            let left = self.bytes.len().checked_sub(begin).filter(|left| *left > 0)?;
            begin += left.min(4 + body);
            Some(begin)
        })
    }

    /// Bytes in it.
    pub(crate) fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Ends it in order.
    pub(crate) fn close(&mut self) {
        self.ended.get_or_insert(Ending::Clean);
    }

    /// Cuts it: some of what is in it still arrives, up to any byte.
    pub(crate) fn cut(&mut self, rng: &mut Rng) {
        if self.ended.is_none() {
            self.bytes.truncate(rng.below(self.bytes.len() + 1));
            self.ended = Some(Ending::Cut);
        }
    }

    /// Whether it was cut.
    pub(crate) fn is_cut(&self) -> bool {
        self.ended == Some(Ending::Cut)
    }

    /// How it ended, once everything in it was read.
    pub(crate) fn over(&self) -> Option<Ending> {
        self.ended.filter(|_| self.bytes.is_empty())
    }
}

/// Both directions of a connection.
#[derive(Debug, Default)]
pub(crate) struct Link {
    /// The device, by its number.
    pub(crate) device: usize,
    pub(crate) to_server: Pipe,
    pub(crate) to_client: Pipe,
    /// The client does not read, for now.
    pub(crate) stalled: bool,
}

impl Link {
    /// Breaks the connection.
    pub(crate) fn cut(&mut self, rng: &mut Rng) {
        self.to_server.cut(rng);
        self.to_client.cut(rng);
    }

    /// Breaks it after some frames, or within the next.
    pub(crate) fn cut_frames(&mut self, rng: &mut Rng) {
        self.to_server.cut_frames(rng);
        self.to_client.cut_frames(rng);
    }
}
