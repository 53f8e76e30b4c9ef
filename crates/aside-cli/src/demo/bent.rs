//! A client that is bent to lie: the real one, behind a wire that changes what it asks for on its way out. As TLS ends here, the wire
//! has the server's own certificate, and the client ties its log-ins to that instead of the connection.

use std::{
    fs, io,
    net::SocketAddr,
    path::Path,
    sync::{Arc, Mutex, PoisonError},
};

use anyhow::{Context as _, Result};
use aside_proto::{
    ALPN, frame,
    v1::{self, client_frame::Body},
};
use prost::Message as _;
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _, WriteHalf, split},
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};
use tokio_rustls::{
    TlsAcceptor, TlsConnector,
    rustls::{
        ClientConfig, RootCertStore, ServerConfig,
        crypto::aws_lc_rs,
        pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject as _},
        version::TLS13,
    },
};

/// What is read at once.
const CHUNK_BYTES: usize = 1 << 14;
/// More than any frame of the demo's.
const MAX_FRAME_BYTES: usize = 1 << 22;

/// What is changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Lie {
    /// The clear header of the next message has another franking tag than was sealed.
    Message,
    /// The clear header of the next commit says that it removes nobody.
    Commit,
}

/// The wire.
pub(super) struct Bent {
    address: SocketAddr,
    next: Next,
    accepting: JoinHandle<()>,
}

/// The next lie.
type Next = Arc<Mutex<Option<Lie>>>;

#[derive(Clone)]
struct Ends {
    acceptor: TlsAcceptor,
    connector: TlsConnector,
    server: SocketAddr,
    next: Next,
}

impl Bent {
    /// A wire to a server whose data are in this folder.
    pub(super) async fn start(server: SocketAddr, data: &Path) -> Result<Self> {
        let certificate =
            CertificateDer::from_pem_slice(&fs::read(data.join("dev-certificate.pem"))?)
                .context("the server's certificate")?;
        let key = PrivateKeyDer::from_pem_slice(&fs::read(data.join("dev-key.pem"))?)
            .context("the server's key")?;
        let provider = Arc::new(aws_lc_rs::default_provider());
        let mut roots = RootCertStore::empty();
        roots.add(certificate.clone())?;
        let mut as_client = ClientConfig::builder_with_provider(Arc::clone(&provider))
            .with_protocol_versions(&[&TLS13])?
            .with_root_certificates(roots)
            .with_no_client_auth();
        let mut as_server = ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&TLS13])?
            .with_no_client_auth()
            .with_single_cert(vec![certificate], key)?;
        as_client.alpn_protocols = vec![ALPN.to_vec()];
        as_server.alpn_protocols = vec![ALPN.to_vec()];
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let address = listener.local_addr()?;
        let next = Next::default();
        let ends = Ends {
            acceptor: Arc::new(as_server).into(),
            connector: Arc::new(as_client).into(),
            server,
            next: Arc::clone(&next),
        };
        Ok(Self { address, next, accepting: tokio::spawn(accept(listener, ends)) })
    }

    /// Where the client dials.
    pub(super) fn port(&self) -> u16 {
        self.address.port()
    }

    /// What the next message, or commit, is to be.
    pub(super) fn lie(&self, lie: Lie) {
        *self.next.lock().unwrap_or_else(PoisonError::into_inner) = Some(lie);
    }

    /// Whether the lie was told.
    pub(super) fn has_lied(&self) -> bool {
        self.next.lock().unwrap_or_else(PoisonError::into_inner).is_none()
    }
}

impl Drop for Bent {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn accept(listener: TcpListener, ends: Ends) {
    while let Ok((client, _)) = listener.accept().await {
        let ends = ends.clone();
        // However it ends, both sides notice.
        tokio::spawn(async move { drop(forward(client, ends).await) });
    }
}

async fn forward(client: TcpStream, ends: Ends) -> io::Result<()> {
    let client = ends.acceptor.accept(client).await?;
    let server = TcpStream::connect(ends.server).await?;
    let name = ServerName::from(ends.server.ip());
    let (mut replies, server) = split(ends.connector.connect(name, server).await?);
    let (mut requests, mut client) = split(client);
    let down = async {
        tokio::io::copy(&mut replies, &mut client).await?;
        client.shutdown().await
    };
    tokio::select! {
        ended = down => ended,
        ended = bend(&mut requests, server, &ends.next) => ended,
    }
}

/// Hands on what the client asks for, but for one lie.
async fn bend(
    requests: &mut (impl AsyncRead + Unpin),
    mut server: WriteHalf<tokio_rustls::client::TlsStream<TcpStream>>,
    next: &Next,
) -> io::Result<()> {
    let mut decoder = frame::Decoder::new(MAX_FRAME_BYTES);
    let mut chunk = vec![0; CHUNK_BYTES];
    loop {
        let length = requests.read(&mut chunk).await?;
        if length == 0 {
            return server.shutdown().await;
        }
        decoder.extend(&chunk[..length]);
        while let Some(body) = decoder.next_body().map_err(io::Error::other)? {
            let mut asked: v1::ClientFrame = frame::decode(body).map_err(io::Error::other)?;
            if let Some(body) = &mut asked.body {
                let mut next = next.lock().unwrap_or_else(PoisonError::into_inner);
                next.take_if(|lie| tell(*lie, body).is_some());
            }
            server.write_all(&frame::encode(&asked)).await?;
        }
        server.flush().await?;
    }
}

/// Changes the clear header, if this has one.
fn tell(lie: Lie, body: &mut Body) -> Option<()> {
    match (lie, body) {
        (Lie::Message, Body::SendPrivate(send)) => {
            let mut payload = v1::PrivatePayload::decode(send.payload.clone()).ok()?;
            let mut header = v1::PrivateHeader::decode(payload.header).ok()?;
            header.franking_tag = vec![0; header.franking_tag.len()].into();
            payload.header = header.encode_to_vec().into();
            send.payload = payload.encode_to_vec().into();
        }
        (Lie::Commit, Body::SubmitCommit(submit)) => {
            let mut payload = v1::CommitPayload::decode(submit.payload.clone()).ok()?;
            let mut header = v1::CommitHeader::decode(payload.header).ok()?;
            header.removed.clear();
            payload.header = header.encode_to_vec().into();
            submit.payload = payload.encode_to_vec().into();
        }
        _ => return None,
    }
    Some(())
}
