//! A wire that can be cut: forwards TCP to the server, byte for byte. TLS goes through it end to end.

use std::{
    io,
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};

/// The wire.
pub(super) struct Relay {
    address: SocketAddr,
    state: Arc<Mutex<State>>,
    accepting: JoinHandle<()>,
}

struct State {
    /// Where the server is; none while the wire is cut.
    server: Option<SocketAddr>,
    connections: Vec<JoinHandle<()>>,
}

impl Relay {
    /// A wire to the server.
    pub(super) async fn start(server: SocketAddr) -> io::Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let address = listener.local_addr()?;
        let state = State { server: Some(server), connections: Vec::new() };
        let state = Arc::new(Mutex::new(state));
        let accepting = tokio::spawn(accept(listener, Arc::clone(&state)));
        Ok(Self { address, state, accepting })
    }

    /// Where clients dial.
    pub(super) fn port(&self) -> u16 {
        self.address.port()
    }

    /// Cuts every connection, without a word to either side, and lets no new one through.
    pub(super) fn cut(&self) {
        let mut state = lock(&self.state);
        state.server = None;
        for connection in state.connections.drain(..) {
            connection.abort();
        }
    }

    /// Mends the wire.
    pub(super) fn mend(&self, server: SocketAddr) {
        lock(&self.state).server = Some(server);
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.cut();
        self.accepting.abort();
    }
}

async fn accept(listener: TcpListener, state: Arc<Mutex<State>>) {
    while let Ok((client, _)) = listener.accept().await {
        let mut state = lock(&state);
        if let Some(server) = state.server {
            state.connections.retain(|connection| !connection.is_finished());
            state.connections.push(tokio::spawn(forward(client, server)));
        }
    }
}

async fn forward(mut client: TcpStream, server: SocketAddr) {
    if let Ok(mut server) = TcpStream::connect(server).await {
        // However it ends, both sides notice.
        let _ = copy_bidirectional(&mut client, &mut server).await;
    }
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}
