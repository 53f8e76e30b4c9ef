//! The server without listeners, connections and clocks of its own, for the simulation alone.
//!
//! [`Core`] is all that connections share: the hub, the handlers and the store. Who drives it feeds sessions, gives their commands to
//! [`Core::execute`] and takes events from [`Connection::pop`], as the connection driver does.

use std::{
    net::{IpAddr, Ipv4Addr},
    sync::Arc,
    task::Waker,
};

use aside_proto::id::{DeviceId, UserId};
use aside_session::{
    Now,
    server::{self as session, Command, Outcome},
};
use bytes::Bytes;
use futures_util::future::BoxFuture;

use crate::{
    Config, StartError,
    app::{App, Identity, Origin},
    hub::Attachment,
    jobs,
};

/// Tells the time.
pub type Clock = Arc<dyn Fn() -> Now + Send + Sync>;
/// Fills a slice with random bytes.
pub type Entropy = Arc<dyn Fn(&mut [u8]) + Send + Sync>;

/// All that connections share.
pub struct Core(Arc<App>);

/// A connection's place in the hub; left on drop.
pub struct Connection(Attachment);

impl Core {
    /// Opens the database, with a simulated clock and randomness. A tokio runtime must be entered.
    ///
    /// # Errors
    /// As [`Server::start`](crate::Server::start).
    pub async fn open(config: Config, clock: Clock, entropy: Entropy) -> Result<Self, StartError> {
        App::open_with(config, clock, entropy).await.map(Self)
    }

    /// What sessions are made with.
    #[must_use]
    pub fn session_config(&self) -> Arc<session::Config> {
        Arc::clone(&self.0.session_config)
    }

    /// Takes in a new connection.
    #[must_use]
    pub fn connect(&self) -> Connection {
        Connection(self.0.hub.connect(self.0.config.limits.push_queue_bytes as usize))
    }

    /// Begins a command of a connection; `identity` is its session's. Polled once, what it writes is in the journal.
    #[must_use]
    pub fn execute(
        &self,
        connection: &Connection,
        identity: Option<(UserId, DeviceId)>,
        command: Command,
    ) -> BoxFuture<'static, Outcome> {
        let identity = identity.map(|(user, device)| Identity { user, device });
        let address = IpAddr::V4(Ipv4Addr::LOCALHOST);
        let origin = Origin { address, attachment: connection.0.id, identity };
        Arc::clone(&self.0).execute(origin, command)
    }

    /// Notes that a connection of a device ended.
    pub fn ended(&self, device: DeviceId) {
        self.0.seen.add(device);
    }

    /// Removes what is no longer to be kept, as the job does; false if the database failed.
    pub async fn trim(&self) -> bool {
        loop {
            match self.0.store.trim().await {
                Ok(true) => {}
                Ok(false) => return true,
                Err(_) => return false,
            }
        }
    }

    /// Writes what was accepted, and closes the database.
    pub async fn close(self) {
        jobs::note_seen(&self.0).await;
        self.0.store.close().await;
    }
}

impl Connection {
    /// The next event for the connection, if there is one; to be asked only while its session is live.
    #[must_use]
    pub fn pop(&self) -> Option<Bytes> {
        self.0.queue.pop(Waker::noop())
    }
}
