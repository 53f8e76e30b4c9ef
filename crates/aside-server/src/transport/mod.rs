//! The two ways frames travel: on the TLS stream itself, and as WebSocket messages. One driver serves both.

mod incoming;
mod outgoing;
mod stream;
mod websocket;

use std::{
    io,
    task::{Context, Poll},
};

use aside_session::{Now, server::Session};
use bytes::Bytes;
use tokio::net::TcpStream;

pub(crate) use self::{stream::FrameStream, websocket::WebSocket};

/// What carries both transports.
pub(crate) type TlsStream = tokio_rustls::server::TlsStream<TcpStream>;

/// What a read brought.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Received {
    /// Something was fed to the session.
    Input,
    /// The client ended the connection in order: close_notify, or a WebSocket Close frame.
    End,
}

/// A way frames travel. All methods are polled by one task, the connection's.
pub(crate) trait Transport {
    /// Feeds the session with what has come. An error means that the connection is lost (CLOSE-003).
    fn poll_receive(
        &mut self,
        cx: &mut Context<'_>,
        session: &mut Session,
        now: Now,
    ) -> Poll<io::Result<Received>>;

    /// Queues a frame, length included.
    fn queue(&mut self, frame: Bytes);

    /// Bytes of frames queued and not yet taken by the layer below.
    fn queued_bytes(&self) -> usize;

    /// Writes what is queued, in as few records as can be.
    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>>;

    /// Ends the sending side: a WebSocket Close frame with this status where that applies, close_notify, half-close.
    fn poll_finish(&mut self, cx: &mut Context<'_>, status: u16) -> Poll<io::Result<()>>;

    /// Reads and discards until the client has ended its side too, so that no reset overtakes the last frame (CLOSE-001).
    fn poll_drain(&mut self, cx: &mut Context<'_>) -> Poll<()>;
}
