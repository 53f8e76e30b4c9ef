//! What is queued to be written, and the writing of it.

use std::{
    collections::VecDeque,
    io::{self, IoSlice},
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Buf;
use tokio::io::AsyncWrite;

/// Slices handed to TLS at once.
const MAX_SLICES: usize = 64;

/// Pieces written one after another, in as few records as can be. Empty, it holds no memory.
pub(super) struct Outgoing<P> {
    pieces: VecDeque<P>,
    bytes: usize,
    unflushed: bool,
}

impl<P: Buf> Outgoing<P> {
    pub(super) fn new() -> Self {
        Self { pieces: VecDeque::new(), bytes: 0, unflushed: false }
    }

    /// Queues a piece, which is not empty.
    pub(super) fn push(&mut self, piece: P) {
        self.bytes += piece.remaining();
        self.pieces.push_back(piece);
    }

    /// Bytes queued and not yet taken by the layer below.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Writes everything that is queued, and has the layer below send it.
    pub(super) fn poll_flush(
        &mut self,
        stream: &mut (impl AsyncWrite + Unpin),
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        while !self.pieces.is_empty() {
            let mut slices = [IoSlice::new(&[]); MAX_SLICES];
            let mut count = 0;
            for piece in &self.pieces {
                count += piece.chunks_vectored(&mut slices[count..]);
                if count == MAX_SLICES {
                    break;
                }
            }
            self.unflushed = true;
            let written = Pin::new(&mut *stream).poll_write_vectored(cx, &slices[..count]);
            match ready!(written)? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                written => self.advance(written),
            }
        }
        if self.unflushed {
            ready!(Pin::new(stream).poll_flush(cx))?;
            self.unflushed = false;
        }
        Poll::Ready(Ok(()))
    }

    fn advance(&mut self, mut written: usize) {
        self.bytes -= written;
        while let Some(first) = self.pieces.front_mut() {
            let remaining = first.remaining();
            if written < remaining {
                first.advance(written);
                return;
            }
            written -= remaining;
            self.pieces.pop_front();
        }
        self.pieces = VecDeque::new();
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use bytes::Bytes;
    use tokio::io::AsyncReadExt as _;

    use super::*;

    #[tokio::test]
    async fn everything_arrives_in_order_through_a_stream_that_takes_little() {
        let (mut near, mut far) = tokio::io::duplex(7);
        let mut out = Outgoing::new();
        let mut expected = Vec::new();
        for i in 0..200_u8 {
            let (head, body) = (Bytes::from(vec![i; 3]), Bytes::from(vec![i; usize::from(i) % 20]));
            expected.extend_from_slice(&head);
            expected.extend_from_slice(&body);
            out.push(head.chain(body));
        }
        assert_eq!(out.bytes(), expected.len());
        let write = async {
            poll_fn(|cx| out.poll_flush(&mut near, cx)).await.unwrap();
            drop(near);
        };
        let mut got = Vec::new();
        let (_, read) = tokio::join!(write, far.read_to_end(&mut got));
        read.unwrap();
        assert_eq!(got, expected);
        assert_eq!((out.bytes(), out.pieces.capacity()), (0, 0));
    }

    #[tokio::test]
    async fn a_flush_is_not_done_while_something_is_queued() {
        let (mut near, mut far) = tokio::io::duplex(8);
        let mut out = Outgoing::new();
        out.push(Bytes::from_static(b"0123456789"));
        let flushed = poll_fn(|cx| Poll::Ready(out.poll_flush(&mut near, cx).is_ready())).await;
        assert_eq!((flushed, out.bytes()), (false, 2));
        far.read_exact(&mut [0; 8]).await.unwrap();
        poll_fn(|cx| out.poll_flush(&mut near, cx)).await.unwrap();
        assert_eq!(out.bytes(), 0);
    }
}
