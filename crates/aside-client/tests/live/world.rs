//! A server and clients, each with a directory of its own.

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use aside_client::{
    Address, Client, ConversationId, Entry, Error, Event, Events, LogIn, Options, Transport, Trust,
    What, v1,
};
use aside_server::{Config, Running, Server};
use tempfile::TempDir;
use tokio::time::timeout;

/// A last resort: whoever waits so long waits in vain.
const PATIENCE: Duration = Duration::from_secs(30);

pub(crate) const PASSWORD: &str = "correct horse battery staple";

pub(crate) struct World {
    pub(crate) home: TempDir,
    pub(crate) server: Running,
    pub(crate) address: SocketAddr,
}

impl World {
    pub(crate) async fn new() -> Self {
        Self::with(|_| {}).await
    }

    pub(crate) async fn with(change: impl FnOnce(&mut Config)) -> Self {
        let home = tempfile::tempdir().expect("a temporary directory");
        let mut config = Config::for_tests(home.path().join("server"));
        change(&mut config);
        let server = Server::start(config).await.expect("the server starts");
        let address = server.local_addr();
        Self { home, server, address }
    }

    /// Stops the server, and starts it again at the same address.
    pub(crate) async fn restart_with(self, change: impl FnOnce(&mut Config)) -> Self {
        let Self { home, server, address } = self;
        server.stop().await;
        Self::start_at(home, address, change).await
    }

    pub(crate) async fn start_at(
        home: TempDir,
        address: SocketAddr,
        change: impl FnOnce(&mut Config),
    ) -> Self {
        let mut config = Config::for_tests(home.path().join("server"));
        config.listen = address;
        change(&mut config);
        let server = Server::start(config).await.expect("the server starts again");
        Self { home, server, address }
    }

    /// How `handle` connects from the computer called `computer`.
    pub(crate) fn options(&self, handle: &str, computer: &str, log_in: LogIn) -> Options {
        let mut options = Options::new(Address {
            handle: Some(handle.to_owned()),
            host: "127.0.0.1".to_owned(),
            port: self.address.port(),
            transport: Transport::Tls,
        });
        let fingerprint = self.server.fingerprint().parse().expect("it is a fingerprint");
        options.trust = Some(Trust::Fingerprint(fingerprint));
        options.data_dir = Some(self.computer(computer));
        options.log_in = log_in;
        options
    }

    pub(crate) fn computer(&self, name: &str) -> PathBuf {
        self.home.path().join(name)
    }

    pub(crate) async fn register(&self, handle: &str) -> Person {
        Person::connect(self.options(handle, handle, registering())).await.expect("registers")
    }

    pub(crate) async fn come_back(&self, handle: &str) -> Result<Person, Error> {
        Person::connect(self.options(handle, handle, LogIn::Remembered)).await
    }
}

pub(crate) fn registering() -> LogIn {
    let password = PASSWORD.to_owned().into();
    LogIn::Register { password, on_conflict: v1::OnConflict::Reject }
}

pub(crate) fn with_password(password: &str) -> LogIn {
    LogIn::Password(password.to_owned().into())
}

pub(crate) struct Person {
    pub(crate) client: Client,
    pub(crate) events: Events,
}

impl Person {
    pub(crate) async fn connect(options: Options) -> Result<Self, Error> {
        let (client, events) = Client::connect(options).await?;
        Ok(Self { client, events })
    }

    /// Waits for the event that `pick` takes.
    pub(crate) async fn until<T>(&mut self, mut pick: impl FnMut(Event) -> Option<T>) -> T {
        loop {
            let event = timeout(PATIENCE, self.events.next()).await.expect("an event comes");
            if let Some(picked) = pick(event.expect("the client goes on")) {
                return picked;
            }
        }
    }

    /// The next message.
    pub(crate) async fn message(&mut self) -> (u64, String) {
        self.until(|event| match event {
            Event::Entry(entry) => verified_text(&entry).map(|text| (entry.seq, text)),
            _ => None,
        })
        .await
    }

    /// The next messages.
    pub(crate) async fn messages(&mut self, count: usize) -> Vec<String> {
        let mut texts = Vec::new();
        while texts.len() < count {
            texts.push(self.message().await.1);
        }
        texts
    }

    pub(crate) async fn join(&self, name: &str) -> ConversationId {
        let room = self.client.room(name).await.expect("a reply").expect("the room is there");
        self.client.join(room.conversation).await.expect("joins").conversation
    }

    pub(crate) async fn say(&self, room: ConversationId, texts: &[String]) {
        for text in texts {
            self.client.send(room, text).await.expect("is said");
        }
    }
}

/// The text of a message that its sender's device signed.
pub(crate) fn verified_text(entry: &Entry) -> Option<String> {
    match &entry.what {
        What::Message { text, verified, .. } => {
            assert!(*verified, "an honest server's messages verify");
            text.clone()
        }
        _ => None,
    }
}

pub(crate) fn numbered(what: &str, numbers: std::ops::Range<usize>) -> Vec<String> {
    numbers.map(|number| format!("{what} {number}")).collect()
}
