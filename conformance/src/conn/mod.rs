//! Connections to the server under test: TCP, TLS and perhaps WebSocket, read all the time by a task of their own.

mod reader;
mod tls;
mod websocket;

use std::{net::SocketAddr, sync::Arc};

use bytes::Bytes;
use futures_util::{SinkExt as _, StreamExt as _};
use rustls::pki_types::CertificateDer;
use tokio::{
    io::{AsyncWriteExt as _, WriteHalf},
    net::{TcpSocket, TcpStream},
    sync::{mpsc, watch},
};
use tokio_rustls::client::TlsStream;
use tokio_tungstenite::{WebSocketStream, tungstenite::Message};

use crate::{
    script::{ActorSpec, Transport},
    truth,
    value::{Val, record},
};

pub(crate) use tls::Resumption;
pub(crate) use websocket::close;

/// Frames that may wait to be looked at by the script.
const INBOX: usize = 1 << 16;

/// Where a server listens, and what its certificate must be.
#[derive(Debug, Clone)]
pub struct Endpoint {
    /// Where to connect.
    pub address: SocketAddr,
    /// The name that is sent by SNI, verified, and said in Hello.
    pub server_name: String,
    /// What the certificate must be or be signed by; the system's authorities if empty.
    pub authorities: Vec<CertificateDer<'static>>,
}

/// What comes from a server.
#[derive(Debug)]
pub(crate) enum Incoming {
    /// The body of a frame.
    Body(Vec<u8>),
    /// Something no server may send.
    Fault(String),
    /// Nothing more will come.
    End(End),
}

/// How a connection ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum End {
    /// By TLS close_notify.
    CloseNotify,
    /// By a WebSocket Close frame with this status.
    WebSocket(Option<u16>),
    /// Bare: the TCP connection ended without close_notify, or a WebSocket without a Close frame.
    Bare(String),
}

impl std::fmt::Display for End {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::CloseNotify => f.write_str("close_notify"),
            Self::WebSocket(Some(status)) => write!(f, "a Close frame with status {status}"),
            Self::WebSocket(None) => f.write_str("a Close frame without status"),
            Self::Bare(how) => write!(f, "a bare end of the connection ({how})"),
        }
    }
}

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConnectError {
    /// No TCP connection, or it ended without a word.
    #[error("the connection failed: {0}")]
    Io(std::io::Error),
    /// The server refused the TLS handshake by this alert.
    #[error("the server refused the TLS handshake with alert {0}")]
    Alert(String),
    /// TLS failed in another way.
    #[error("the TLS handshake failed: {0}")]
    Tls(String),
    /// The server answered the WebSocket upgrade by this status.
    #[error("the server refused the WebSocket with HTTP status {0}")]
    Http(u16),
    /// The server's answer to the upgrade is not as RFC 6455 says.
    #[error("the answer to the WebSocket upgrade is wrong: {0}")]
    Upgrade(String),
    /// The script asks for what can't be done.
    #[error("{0}")]
    Script(String),
}

type Tls = TlsStream<TcpStream>;

enum Writer {
    Stream(WriteHalf<Tls>),
    WebSocket(futures_util::stream::SplitSink<WebSocketStream<Tls>, Message>),
    /// A connection that has ended on both sides.
    Gone,
}

/// A connection.
pub(crate) struct Connection {
    writer: Writer,
    is_websocket: bool,
    pub(crate) incoming: mpsc::Receiver<Incoming>,
    paused: watch::Sender<bool>,
    /// RFC 9266 exporter of this connection.
    pub(crate) exporter: [u8; 32],
    /// SHA-256 of the server's leaf certificate.
    pub(crate) cert_sha256: [u8; 32],
    /// What `$actor.tls` and `$actor.ws` show.
    pub(crate) facts: Vec<(String, Val)>,
    reader: tokio::task::JoinHandle<()>,
}

impl Connection {
    /// Connects as an actor's description says.
    pub(crate) async fn open(
        endpoint: &Endpoint,
        spec: &ActorSpec,
        resumption: Option<&Resumption>,
    ) -> Result<Self, ConnectError> {
        let tcp = tcp(endpoint, spec.receive_buffer).await.map_err(ConnectError::Io)?;
        let stream = tls::handshake(endpoint, spec, tcp, resumption).await?;
        let (_, session) = stream.get_ref();
        let mut exporter = [0; 32];
        // TLS 1.2 without extended master secret has none; such a connection is never used.
        let _ = session.export_keying_material(&mut exporter, b"EXPORTER-Channel-Binding", None);
        let leaf = session.peer_certificates().and_then(<[_]>::first);
        let cert_sha256 = leaf.map_or([0; 32], |leaf| truth::sha256(leaf));
        let mut facts = vec![("tls".to_owned(), tls::facts(session))];
        let (sender, incoming) = mpsc::channel(INBOX);
        let (paused, pause) = watch::channel(false);
        let is_websocket = spec.transport == Some(Transport::Websocket);
        let (writer, reader) = if is_websocket {
            let (socket, fact) = websocket::upgrade(stream, &endpoint.server_name, spec).await?;
            facts.push(("ws".to_owned(), fact));
            let (sink, source) = socket.split();
            (Writer::WebSocket(sink), tokio::spawn(reader::websocket(source, sender, pause)))
        } else {
            let (source, sink) = tokio::io::split(stream);
            (Writer::Stream(sink), tokio::spawn(reader::stream(source, sender, pause)))
        };
        if !facts.iter().any(|(name, _)| name == "ws") {
            facts.push(("ws".to_owned(), record([])));
        }
        Ok(Self { writer, is_websocket, incoming, paused, exporter, cert_sha256, facts, reader })
    }

    pub(crate) fn is_websocket(&self) -> bool {
        self.is_websocket
    }

    /// Sends bodies, all in one write: as frames, or each as one WebSocket message.
    pub(crate) async fn send_bodies(&mut self, bodies: &[Vec<u8>]) -> std::io::Result<()> {
        match &mut self.writer {
            Writer::Stream(stream) => {
                let frames: Vec<u8> =
                    bodies.iter().flat_map(|body| crate::codec::frame(body)).collect();
                stream.write_all(&frames).await?;
                stream.flush().await
            }
            Writer::WebSocket(sink) => {
                for body in bodies {
                    sink.feed(Message::Binary(Bytes::copy_from_slice(body)))
                        .await
                        .map_err(to_io)?;
                }
                sink.flush().await.map_err(to_io)
            }
            Writer::Gone => Err(gone()),
        }
    }

    /// Sends bytes as they are, in pieces of at most `piece` bytes, each flushed; on WebSocket as one message.
    pub(crate) async fn send_bytes(&mut self, bytes: &[u8], piece: usize) -> std::io::Result<()> {
        match &mut self.writer {
            Writer::Stream(stream) => {
                for piece in bytes.chunks(piece.max(1)) {
                    stream.write_all(piece).await?;
                    stream.flush().await?;
                }
                Ok(())
            }
            Writer::WebSocket(_) => {
                self.send_message(Message::Binary(Bytes::copy_from_slice(bytes))).await
            }
            Writer::Gone => Err(gone()),
        }
    }

    /// Sends a WebSocket message.
    pub(crate) async fn send_message(&mut self, message: Message) -> std::io::Result<()> {
        match &mut self.writer {
            Writer::WebSocket(sink) => sink.send(message).await.map_err(to_io),
            Writer::Stream(_) => Err(std::io::Error::other("this connection is not a WebSocket")),
            Writer::Gone => Err(gone()),
        }
    }

    /// Ends our direction: close_notify, or a Close frame.
    pub(crate) async fn finish(&mut self) -> std::io::Result<()> {
        match &mut self.writer {
            Writer::Stream(stream) => stream.shutdown().await,
            Writer::WebSocket(_) => self.send_message(close(1000)).await,
            Writer::Gone => Ok(()),
        }
    }

    /// Ends our direction after the server ended its own, and closes the socket.
    pub(crate) async fn hang_up(&mut self) {
        if let Writer::Stream(stream) = &mut self.writer {
            // The server may be gone already.
            let _ = stream.shutdown().await;
        }
        self.writer = Writer::Gone;
    }

    /// Stops or resumes reading from the socket.
    pub(crate) fn pause(&self, paused: bool) {
        self.paused.send_replace(paused);
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        // Both halves are dropped, and with them the socket, without close_notify.
        self.reader.abort();
    }
}

async fn tcp(endpoint: &Endpoint, receive_buffer: Option<u32>) -> std::io::Result<TcpStream> {
    let socket =
        if endpoint.address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    if let Some(bytes) = receive_buffer {
        socket.set_recv_buffer_size(bytes)?;
    }
    let stream = socket.connect(endpoint.address).await?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

fn gone() -> std::io::Error {
    std::io::Error::new(std::io::ErrorKind::NotConnected, "the connection has ended")
}

fn to_io(error: tokio_tungstenite::tungstenite::Error) -> std::io::Error {
    std::io::Error::other(error)
}

/// What the suite's TLS is built on.
fn provider() -> Arc<rustls::crypto::CryptoProvider> {
    Arc::new(rustls::crypto::aws_lc_rs::default_provider())
}
