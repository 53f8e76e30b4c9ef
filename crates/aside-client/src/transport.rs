//! Frames over TLS or WebSocket. Every future here may be dropped at any await without losing a byte, so that a driver can wait
//! for several things at once.

use std::{collections::VecDeque, future::poll_fn, io};

use aside_proto::{WEBSOCKET_PATH, WEBSOCKET_PROTOCOL, frame, limits::CLIENT_MAX_FRAME_BYTES};
use aside_session::{Now, client::Session};
use bytes::{Bytes, BytesMut};
use futures_util::{
    SinkExt as _, StreamExt as _,
    stream::{SplitSink, SplitStream},
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _, ReadHalf, WriteHalf},
    net::TcpStream,
};
use tokio_rustls::client::TlsStream;
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{
        Message, client::IntoClientRequest as _, handshake::client::Request, http::HeaderValue,
        protocol::WebSocketConfig,
    },
};

use crate::{Address, Transport};

type Tls = TlsStream<TcpStream>;

/// Bytes asked for at once: a few TLS records.
const READ_BYTES: usize = 64 * 1024;
/// Small frames are gathered up to about so many bytes, to make few TLS records of them.
const GATHER_BYTES: usize = 16 * 1024;

/// The receiving half.
pub(crate) enum Reader {
    Tls(ReadHalf<Tls>),
    WebSocket(SplitStream<WebSocketStream<Tls>>),
}

/// What came.
pub(crate) enum Received {
    Bytes(BytesMut),
    Message(Bytes),
    End { clean: bool },
}

/// The sending half, with what waits to be sent.
pub(crate) struct Writer {
    queue: VecDeque<Bytes>,
    out: Out,
}

enum Out {
    Tls { half: WriteHalf<Tls>, gathered: BytesMut },
    WebSocket { sink: SplitSink<WebSocketStream<Tls>, Message>, unflushed: bool },
}

/// Opens the transport on a TLS stream.
pub(crate) async fn open(stream: Tls, address: &Address) -> io::Result<(Reader, Writer)> {
    let (reader, out) = match address.transport {
        Transport::Tls => {
            let (read, half) = tokio::io::split(stream);
            (Reader::Tls(read), Out::Tls { half, gathered: BytesMut::new() })
        }
        Transport::WebSocket => {
            let (sink, read) = upgrade(stream, address).await?.split();
            (Reader::WebSocket(read), Out::WebSocket { sink, unflushed: false })
        }
    };
    Ok((reader, Writer { queue: VecDeque::new(), out }))
}

async fn upgrade(stream: Tls, address: &Address) -> io::Result<WebSocketStream<Tls>> {
    let config = WebSocketConfig::default()
        .max_message_size(Some(CLIENT_MAX_FRAME_BYTES))
        .max_frame_size(Some(CLIENT_MAX_FRAME_BYTES));
    let request = request(address).map_err(io::Error::other)?;
    let upgraded = tokio_tungstenite::client_async_with_config(request, stream, Some(config)).await;
    upgraded.map(|(stream, _)| stream).map_err(io::Error::other)
}

fn request(address: &Address) -> Result<Request, Box<dyn std::error::Error + Send + Sync>> {
    let uri = format!("wss://{}{WEBSOCKET_PATH}", address.server());
    let mut request = uri.into_client_request()?;
    let protocol = HeaderValue::from_static(WEBSOCKET_PROTOCOL);
    request.headers_mut().insert("Sec-WebSocket-Protocol", protocol);
    Ok(request)
}

impl Reader {
    /// Waits for the next bytes or message.
    pub(crate) async fn read(&mut self) -> Received {
        match self {
            Self::Tls(half) => {
                let mut bytes = BytesMut::with_capacity(READ_BYTES);
                match half.read_buf(&mut bytes).await {
                    Ok(0) => Received::End { clean: true },
                    Ok(_) => Received::Bytes(bytes),
                    Err(_) => Received::End { clean: false },
                }
            }
            Self::WebSocket(stream) => loop {
                match stream.next().await {
                    Some(Ok(Message::Binary(body))) => return Received::Message(body),
                    Some(Ok(Message::Close(_))) => return Received::End { clean: true },
                    // Pings are answered by the library; a text is nothing a server sends.
                    Some(Ok(_)) => {}
                    Some(Err(_)) | None => return Received::End { clean: false },
                }
            },
        }
    }
}

impl Received {
    /// Hands it to the session.
    pub(crate) fn deliver(self, session: &mut Session, now: Now) {
        match self {
            Self::Bytes(bytes) => session.handle_bytes(now, &bytes),
            Self::Message(body) => session.handle_message(now, body),
            Self::End { clean } => session.handle_eof(clean),
        }
    }
}

impl Writer {
    /// Queues a frame, its length included; the session bounds how many there can be.
    pub(crate) fn push(&mut self, frame: Bytes) {
        self.queue.push_back(frame);
    }

    /// Whether [`write`](Self::write) has anything to do.
    pub(crate) fn is_pending(&self) -> bool {
        let begun = match &self.out {
            Out::Tls { gathered, .. } => !gathered.is_empty(),
            Out::WebSocket { unflushed, .. } => *unflushed,
        };
        begun || !self.queue.is_empty()
    }

    /// Writes all that waits.
    pub(crate) async fn write(&mut self) -> io::Result<()> {
        match &mut self.out {
            Out::Tls { half, gathered } => {
                while !gathered.is_empty() || !self.queue.is_empty() {
                    while gathered.len() < GATHER_BYTES
                        && let Some(frame) = self.queue.pop_front()
                    {
                        gathered.extend_from_slice(&frame);
                    }
                    half.write_buf(gathered).await?;
                }
                half.flush().await
            }
            Out::WebSocket { sink, unflushed } => {
                while !self.queue.is_empty() {
                    poll_fn(|context| sink.poll_ready_unpin(context))
                        .await
                        .map_err(io::Error::other)?;
                    if let Some(frame) = self.queue.pop_front() {
                        let message = Message::Binary(frame::body(&frame));
                        sink.start_send_unpin(message).map_err(io::Error::other)?;
                        *unflushed = true;
                    }
                }
                sink.flush().await.map_err(io::Error::other)?;
                *unflushed = false;
                Ok(())
            }
        }
    }

    /// Sends what waits, then close_notify or a Close frame.
    pub(crate) async fn close(mut self) -> io::Result<()> {
        self.write().await?;
        match self.out {
            Out::Tls { mut half, .. } => half.shutdown().await,
            Out::WebSocket { mut sink, .. } => sink.close().await.map_err(io::Error::other),
        }
    }
}
