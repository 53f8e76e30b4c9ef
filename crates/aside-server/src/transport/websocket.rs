//! Frame bodies as WebSocket messages (ALPN `http/1.1`, RFC 6455).
//!
//! A library makes the handshake and knows the headers of frames. Messages are put together and written here: a library
//! that closes by itself does so before the replies that are owed have left (CLOSE-002), and keeps buffers.

mod handshake;
mod messages;
#[cfg(test)]
mod tests;

use std::{
    io::{self, Cursor},
    pin::Pin,
    task::{Context, Poll, ready},
};

use aside_proto::{frame, v1};
use aside_session::{Now, server::Session};
use bytes::{Buf as _, Bytes, buf::Chain};
use tokio::io::{AsyncRead, AsyncWrite};

use self::{
    handshake::HandshakeError,
    messages::{Message, Messages},
};
use super::{Received, TlsStream, Transport, incoming, outgoing::Outgoing};

/// Bytes of the longest header of a frame that a server sends.
const MAX_HEADER_BYTES: usize = 10;
/// With so many bytes queued, a Pong waits: only the last Ping need be answered (RFC 6455, section 5.5.3).
const MAX_BYTES_BEFORE_PONG: usize = 64 * 1024;

/// First byte of a frame that is a message's only one, or a control frame.
mod first_byte {
    pub(super) const BINARY: u8 = 0x82;
    pub(super) const CLOSE: u8 = 0x88;
    pub(super) const PONG: u8 = 0x8a;
}

/// Frame bodies on a WebSocket.
pub(crate) struct WebSocket<S = TlsStream> {
    stream: S,
    messages: Messages,
    out: Outgoing<Chain<Cursor<[u8; MAX_HEADER_BYTES]>, Bytes>>,
    /// Data of the last Ping that has no Pong yet.
    pong: Option<Bytes>,
    close_queued: bool,
}

impl<S: AsyncRead + AsyncWrite + Unpin> WebSocket<S> {
    /// Answers the HTTP request: WS-001 to WS-004. Its head is held to the size of a frame before authentication.
    ///
    /// A refused client is given until it closes to read why; the caller bounds the time.
    pub(crate) async fn accept(
        mut stream: S,
        origins: &[String],
        limits: v1::Limits,
    ) -> Result<Self, HandshakeError> {
        let limit = limits.max_frame_bytes_unauthenticated as usize;
        handshake::answer(&mut stream, origins, limit).await?;
        Ok(Self {
            stream,
            messages: Messages::default(),
            out: Outgoing::new(),
            pong: None,
            close_queued: false,
        })
    }

    fn push(&mut self, first_byte: u8, payload: Bytes) {
        self.out.push(header(first_byte, payload.len()).chain(payload));
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Transport for WebSocket<S> {
    fn poll_receive(
        &mut self,
        cx: &mut Context<'_>,
        session: &mut Session,
        now: Now,
    ) -> Poll<io::Result<Received>> {
        let Self { stream, messages, .. } = self;
        let ended = ready!(incoming::poll_read(stream, cx, |bytes| {
            messages.extend(bytes);
            bytes.is_empty()
        }))?;
        if ended {
            return Poll::Ready(Ok(Received::End));
        }
        // The limit of the phase holds before a byte of the message is kept (WS-006).
        while let Some(message) =
            self.messages.next(session.frame_limit()).map_err(io::Error::other)?
        {
            match message {
                Message::Binary(body) => session.handle_message(now, body),
                Message::Text => session.handle_text(now),
                Message::Oversized(length) => session.handle_oversized(now, length),
                Message::Ping(data) => self.pong = Some(data),
                Message::Close => {
                    self.pong = None;
                    return Poll::Ready(Ok(Received::End));
                }
            }
        }
        Poll::Ready(Ok(Received::Input))
    }

    fn queue(&mut self, frame: Bytes) {
        self.push(first_byte::BINARY, frame::body(&frame));
    }

    fn queued_bytes(&self) -> usize {
        self.out.bytes()
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        loop {
            if self.out.bytes() < MAX_BYTES_BEFORE_PONG
                && let Some(data) = self.pong.take()
            {
                self.push(first_byte::PONG, data);
            }
            ready!(self.out.poll_flush(&mut self.stream, cx))?;
            if self.pong.is_none() {
                return Poll::Ready(Ok(()));
            }
        }
    }

    fn poll_finish(&mut self, cx: &mut Context<'_>, status: u16) -> Poll<io::Result<()>> {
        if !self.close_queued {
            self.close_queued = true;
            self.push(first_byte::CLOSE, Bytes::copy_from_slice(&status.to_be_bytes()));
        }
        ready!(self.out.poll_flush(&mut self.stream, cx))?;
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }

    fn poll_drain(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        incoming::poll_drain(&mut self.stream, cx)
    }
}

/// A frame's header as a server sends it, without mask, of 2, 4 or 10 bytes (RFC 6455, section 5.2). It stands at the end
/// of the array, where the length is in any case.
fn header(first_byte: u8, length: usize) -> Cursor<[u8; MAX_HEADER_BYTES]> {
    let mut bytes = [0; MAX_HEADER_BYTES];
    bytes[2..].copy_from_slice(&(length as u64).to_be_bytes());
    let start = match length {
        0..=125 => 8,
        126..=0xffff => {
            bytes[7] = 126;
            6
        }
        _ => {
            bytes[1] = 127;
            0
        }
    };
    bytes[start] = first_byte;
    let mut header = Cursor::new(bytes);
    header.set_position(start as u64);
    header
}
