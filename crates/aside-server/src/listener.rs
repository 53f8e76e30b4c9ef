//! Takes connections: counts them, makes TLS, and hands each to the transport its ALPN names.

use std::{io, net::SocketAddr, pin::pin, sync::Arc, time::Duration};

use aside_proto::v1::ErrorCode;
use aside_session::{
    Now,
    server::{Session, Transport as Binding},
};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::watch,
    task::JoinSet,
    time::{Instant, sleep, timeout, timeout_at},
};
use tokio_rustls::TlsAcceptor;

use crate::{
    app::App,
    driver,
    passwords::random,
    rates::{Admission, Slot},
    tls::{HTTP_ALPN, Tls},
    transport::{FrameStream, TlsStream, Transport, WebSocket},
};

/// RFC 9266, section 4.2.
const EXPORTER_LABEL: &[u8] = b"EXPORTER-Channel-Binding";
/// How long to wait before accepting again when the system is out of descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// How long a refused connection is told to wait (ERR-004).
const REFUSED_RETRY_MS: u64 = 5_000;

/// Accepts until told to stop, then waits for the connections to end, `grace` at most.
pub(crate) async fn run(
    app: Arc<App>,
    tls: Tls,
    listener: TcpListener,
    stop: watch::Receiver<bool>,
    grace: Duration,
) {
    let acceptor = TlsAcceptor::from(Arc::clone(&tls.config));
    let mut connections = JoinSet::new();
    let mut stopped = pin!(stopped(stop.clone()));
    loop {
        tokio::select! {
            () = &mut stopped => break,
            accepted = listener.accept() => match accepted {
                Ok((stream, peer)) => admit(&app, &tls, &acceptor, stream, peer, &stop, &mut connections),
                Err(error) => {
                    tracing::warn!(%error, "accept failed");
                    sleep(ACCEPT_PAUSE).await;
                }
            },
            Some(_) = connections.join_next() => {}
        }
    }
    drop(listener);
    app.hub.shut_down();
    let all_ended = async { while connections.join_next().await.is_some() {} };
    if timeout(grace, all_ended).await.is_err() {
        tracing::warn!(count = connections.len(), "connections did not end in time");
    }
}

fn admit(
    app: &Arc<App>,
    tls: &Tls,
    acceptor: &TlsAcceptor,
    stream: TcpStream,
    peer: SocketAddr,
    stop: &watch::Receiver<bool>,
    connections: &mut JoinSet<()>,
) {
    let (slot, refusal) = match app.connections.admit(peer.ip()) {
        Admission::Admitted(slot) => (slot, None),
        Admission::Refused(slot) => (slot, Some(ErrorCode::TooManyConnections)),
        Admission::Dropped => {
            metrics::counter!("aside_connections_dropped_total").increment(1);
            return;
        }
    };
    let accepting = Accepting {
        app: Arc::clone(app),
        acceptor: acceptor.clone(),
        fingerprint: tls.fingerprint,
        peer,
        refusal,
        _slot: slot,
    };
    connections.spawn(accepting.serve(stream, stop.clone()));
}

struct Accepting {
    app: Arc<App>,
    acceptor: TlsAcceptor,
    fingerprint: [u8; 32],
    peer: SocketAddr,
    refusal: Option<ErrorCode>,
    _slot: Slot,
}

impl Accepting {
    async fn serve(self, stream: TcpStream, stop: watch::Receiver<bool>) {
        let open = metrics::gauge!("aside_connections");
        open.increment(1);
        let peer = self.peer;
        if let Err(error) = self.handshake(stream, stop).await {
            metrics::counter!("aside_handshakes_failed_total").increment(1);
            tracing::debug!(%peer, %error, "handshake failed");
        }
        open.decrement(1);
    }

    /// TLS and, where asked for, WebSocket, within the handshake deadline (LIM-001); then the connection itself.
    async fn handshake(self, stream: TcpStream, stop: watch::Receiver<bool>) -> io::Result<()> {
        // Small frames must not wait for each other's acknowledgement.
        stream.set_nodelay(true)?;
        let limits = self.app.config.limits;
        let accepted = self.app.now();
        let deadline = Instant::now() + Duration::from_millis(limits.handshake_timeout_ms.into());
        let mut handshake = Handshake { deadline, stop };
        let tls = handshake.run(self.acceptor.accept(stream)).await??;
        let alpn = tls.get_ref().1.alpn_protocol().map(<[u8]>::to_vec);
        let exporter = exporter(&tls)?;
        let cert_sha256 = self.fingerprint;
        let websocket = &self.app.config.websocket;
        if alpn.as_deref() == Some(HTTP_ALPN) {
            let accept = WebSocket::accept(tls, &websocket.origins, limits);
            let socket = handshake.run(accept).await?.map_err(io::Error::other)?;
            let allow_none = websocket.allow_unbound;
            let binding = Binding::WebSocket { exporter, cert_sha256, allow_none };
            self.serve_session(accepted, socket, binding, None).await;
        } else {
            let missing = alpn.is_none().then_some(ErrorCode::AlpnRequired);
            let binding = Binding::Tls { exporter, cert_sha256 };
            self.serve_session(accepted, FrameStream::new(tls), binding, missing).await;
        }
        Ok(())
    }

    async fn serve_session(
        self,
        accepted: Now,
        transport: impl Transport,
        binding: Binding,
        missing: Option<ErrorCode>,
    ) {
        let config = Arc::clone(&self.app.session_config);
        let mut session = Session::new(config, binding, random::<32>(), accepted);
        match missing.or(self.refusal) {
            Some(ErrorCode::AlpnRequired) => {
                session.close(ErrorCode::AlpnRequired, "Offer aside/1 by ALPN.", 0);
            }
            Some(code) => {
                let message = "There are too many connections from your address.";
                session.close(code, message, REFUSED_RETRY_MS);
            }
            None => {}
        }
        let attachment = self.app.hub.connect(self.app.config.limits.push_queue_bytes as usize);
        driver::run(Arc::clone(&self.app), self.peer.ip(), transport, session, attachment).await;
    }
}

/// What bounds a handshake.
struct Handshake {
    deadline: Instant,
    stop: watch::Receiver<bool>,
}

impl Handshake {
    /// Runs a part of it, until the deadline, or until the server is stopped: then nobody is owed anything yet.
    async fn run<T>(&mut self, part: impl Future<Output = T>) -> io::Result<T> {
        tokio::select! {
            done = timeout_at(self.deadline, part) => Ok(done?),
            () = stopped(self.stop.clone()) => Err(io::ErrorKind::ConnectionAborted.into()),
        }
    }
}

fn exporter(tls: &TlsStream) -> io::Result<[u8; 32]> {
    tls.get_ref().1.export_keying_material([0; 32], EXPORTER_LABEL, None).map_err(io::Error::other)
}

/// Ends when the server is told to stop, or is gone.
pub(crate) async fn stopped(mut stop: watch::Receiver<bool>) {
    // An error means that the sender is gone.
    drop(stop.wait_for(|stop| *stop).await);
}

/// Binds the listening socket, with an error that names the address.
pub(crate) async fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    TcpListener::bind(address).await.map_err(|error| {
        io::Error::new(error.kind(), format!("can't listen on {address}: {error}"))
    })
}
