//! Frames on the TLS stream (ALPN `aside/1`).

use std::{
    io,
    pin::Pin,
    task::{Context, Poll, ready},
};

use aside_session::{Now, server::Session};
use bytes::Bytes;
use tokio::io::AsyncWrite as _;

use super::{Received, TlsStream, Transport, incoming, outgoing::Outgoing};

/// Frames on a TLS stream.
pub(crate) struct FrameStream {
    stream: TlsStream,
    out: Outgoing<Bytes>,
}

impl FrameStream {
    pub(crate) fn new(stream: TlsStream) -> Self {
        Self { stream, out: Outgoing::new() }
    }
}

impl Transport for FrameStream {
    fn poll_receive(
        &mut self,
        cx: &mut Context<'_>,
        session: &mut Session,
        now: Now,
    ) -> Poll<io::Result<Received>> {
        incoming::poll_read(&mut self.stream, cx, |bytes| {
            if bytes.is_empty() {
                return Received::End;
            }
            session.handle_bytes(now, bytes);
            Received::Input
        })
    }

    fn queue(&mut self, frame: Bytes) {
        self.out.push(frame);
    }

    fn queued_bytes(&self) -> usize {
        self.out.bytes()
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.out.poll_flush(&mut self.stream, cx)
    }

    fn poll_finish(&mut self, cx: &mut Context<'_>, _status: u16) -> Poll<io::Result<()>> {
        ready!(self.poll_flush(cx))?;
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }

    fn poll_drain(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        incoming::poll_drain(&mut self.stream, cx)
    }
}
