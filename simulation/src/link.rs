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
}
