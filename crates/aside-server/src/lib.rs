//! The Aside reference server: listeners, one task a connection, the hub that fans entries out, and the handlers that ask the
//! store.
//!
//! ```text
//!              bytes                 Command               op
//!  listener ──▶ driver ──▶ Session ──▶ driver ──▶ App ──▶ Store ──▶ (durable)
//!                 ▲                                          │
//!                 │   frames   ┌──────────── Outcome ◀───────┤
//!                 └────────────┴── PushQueue ◀── Hub ◀───────┘ effects, in the order of the log
//! ```
//!
//! What this crate never does: decide protocol questions (that is `aside-session`), write SQL (`aside-store`), or look into
//! payloads.
//!
//! ```no_run
//! # async fn example() -> Result<(), aside_server::StartError> {
//! let config = aside_server::Config::for_tests("/tmp/aside-example");
//! let running = aside_server::Server::start(config).await?;
//! println!("listening on {}, certificate SHA-256 {}", running.local_addr(), running.fingerprint());
//! running.stop().await;
//! # Ok(())
//! # }
//! ```

mod app;
mod config;
mod driver;
mod handlers;
mod hub;
mod jobs;
mod listener;
mod notices;
mod passwords;
mod push;
mod rates;
mod seen;
#[cfg(feature = "simulation")]
#[doc(hidden)]
pub mod simulation;
mod tls;
mod transport;
mod typing;

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use aside_proto::v1;
use aside_store::StoreError;
use tokio::{sync::watch, task::JoinHandle};

use self::{app::App, tls::Tls};
pub use self::{
    config::{
        Config, ConfigError, Connections, LogConfig, PasswordConfig, Rate, Rates, Registration,
        ServerConfig, WebSocketConfig,
    },
    notices::NoticeTooLong,
    tls::{CertificateReport, TlsError, inspect_certificate},
};

/// The name and version of this program, as it says in Greeted.
pub const USER_AGENT: &str = concat!("aside/", env!("CARGO_PKG_VERSION"));

/// Why a server did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The configuration can't be used.
    #[error("configuration: {0}")]
    Config(String),
    /// The data folder or the listening socket.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// The certificate or its key.
    #[error("{0}")]
    Tls(#[from] TlsError),
    /// The database.
    #[error("database: {0}")]
    Store(#[from] StoreError),
}

/// The server; see [`Server::start`].
#[derive(Debug)]
pub struct Server;

impl Server {
    /// Opens the database, binds the socket and serves until [`Running::stop`].
    ///
    /// # Errors
    /// What is missing or wrong, in one sentence; nothing is left running.
    pub async fn start(config: Config) -> Result<Running, StartError> {
        std::fs::create_dir_all(&config.data).map_err(|error| {
            let what = format!("can't make the data folder {}: {error}", config.data.display());
            io::Error::new(error.kind(), what)
        })?;
        let tls = Tls::load(&config)?;
        let listener = listener::bind(config.listen).await?;
        let local_addr = listener.local_addr()?;
        let app = App::open(config).await?;
        let (stop, stopped) = watch::channel(false);
        let grace = Duration::from_millis(app.config.connections.shutdown_grace_ms);
        let jobs = [
            tokio::spawn(jobs::run(Arc::clone(&app), stopped.clone())),
            tokio::spawn(jobs::index(Arc::clone(&app), stopped.clone())),
            tokio::spawn(jobs::trim(Arc::clone(&app), jobs::TRIM_EVERY, stopped.clone())),
        ];
        let serving =
            tokio::spawn(listener::run(Arc::clone(&app), tls.clone(), listener, stopped, grace));
        tracing::info!(address = %local_addr, "listening");
        Ok(Running { local_addr, tls, stop, serving, jobs, app })
    }
}

/// A server that is running.
pub struct Running {
    local_addr: SocketAddr,
    tls: Tls,
    stop: watch::Sender<bool>,
    serving: JoinHandle<()>,
    jobs: [JoinHandle<()>; 3],
    app: Arc<App>,
}

impl Running {
    /// The address it listens on, with the port that was free if the configuration said 0.
    #[must_use]
    pub fn local_addr(&self) -> SocketAddr {
        self.local_addr
    }

    /// The leaf certificate, DER.
    #[must_use]
    pub fn certificate_der(&self) -> &[u8] {
        &self.tls.leaf
    }

    /// SHA-256 of the leaf certificate, in lower-case hex: what clients pin.
    #[must_use]
    pub fn fingerprint(&self) -> String {
        hex::encode(self.tls.fingerprint)
    }

    /// Whether the certificate was made by this program for itself, so that clients must pin it.
    #[must_use]
    pub fn has_development_certificate(&self) -> bool {
        self.tls.is_development
    }

    /// Resolves if the database's writer ended by itself: the server can acknowledge nothing any more, and should be stopped.
    pub async fn failed(&self) {
        self.app.store.failed().await;
    }

    /// Says something to everyone who is connected (NOTE-003).
    ///
    /// # Errors
    /// [`NoticeTooLong`]: nobody was told.
    pub fn notify(&self, text: &str, level: v1::NoticeLevel) -> Result<(), NoticeTooLong> {
        self.app.hub.notify(notices::notice(text, level)?);
        Ok(())
    }

    /// Stops: a warning, if one is configured and anyone hears it (NOTE-004); then no new connections, SHUTTING_DOWN on those there are, and every accepted write made durable.
    pub async fn stop(self) {
        notices::warn_of_stop(&self.app).await;
        self.stop.send_replace(true);
        for task in std::iter::once(self.serving).chain(self.jobs) {
            if let Err(error) = task.await {
                tracing::error!(%error, "a task of the server failed");
            }
        }
        jobs::note_seen(&self.app).await;
        self.app.store.close().await;
        tracing::info!("stopped");
    }
}
