//! Those who chat: each a client of its own, with its own state, over TLS through the relay.

use std::{path::PathBuf, time::Duration};

use anyhow::{Result, bail};
use aside_client::{
    Address, BindingKind, Client, Content, ConversationId, Entry, Error, Event, Events, LogIn,
    Options, Transport, Trust, What, v1,
};
use tokio::{task::unconstrained, time::timeout};
use zeroize::Zeroizing;

/// Far more than anything here takes: whoever waits so long waits in vain.
const PATIENCE: Duration = Duration::from_secs(30);

/// From somebody's computer to the server.
pub(super) struct Way {
    pub(super) name: &'static str,
    /// Whose account it is.
    pub(super) handle: &'static str,
    pub(super) port: u16,
    pub(super) trust: Trust,
    pub(super) binding: BindingKind,
    pub(super) computer: PathBuf,
}

/// Somebody who chats.
pub(super) struct Person {
    pub(super) name: &'static str,
    pub(super) client: Client,
    events: Events,
    /// What was said, as this person's client let it through: seq, who, text.
    pub(super) heard: Vec<(u64, String, String)>,
    /// What else happened.
    pub(super) noticed: Vec<Event>,
}

impl Way {
    fn options(&self, handle: &str, log_in: LogIn) -> Options {
        let mut options = Options::new(Address {
            handle: Some(handle.to_owned()),
            host: "127.0.0.1".to_owned(),
            port: self.port,
            transport: Transport::Tls,
        });
        options.trust = Some(self.trust.clone());
        options.data_dir = Some(self.computer.clone());
        options.binding = self.binding;
        options.log_in = log_in;
        options
    }

    /// Makes an account.
    pub(super) async fn register(&self, password: &str) -> Result<Person> {
        let password = Zeroizing::new(password.to_owned());
        let log_in = LogIn::Register { password, on_conflict: v1::OnConflict::Reject };
        self.connect(log_in).await
    }

    /// Comes back with the device's key alone.
    pub(super) async fn come_back(&self) -> Result<Person> {
        self.connect(LogIn::Remembered).await
    }

    /// Tries to be somebody.
    pub(super) async fn try_password(&self, handle: &str, password: &str) -> Result<(), Error> {
        let log_in = LogIn::Password(Zeroizing::new(password.to_owned()));
        let (client, _) = Client::connect(self.options(handle, log_in)).await?;
        client.close().await;
        Ok(())
    }

    /// Logs in on another device.
    pub(super) async fn log_in(&self, password: &str) -> Result<Person> {
        self.connect(LogIn::Password(Zeroizing::new(password.to_owned()))).await
    }

    async fn connect(&self, log_in: LogIn) -> Result<Person> {
        let (client, events) = Client::connect(self.options(self.handle, log_in)).await?;
        let (heard, noticed) = Default::default();
        Ok(Person { name: self.name, client, events, heard, noticed })
    }
}

impl Person {
    /// Waits until this was heard.
    pub(super) async fn hears(&mut self, text: &str) -> Result<()> {
        while !self.heard.iter().any(|(_, _, heard)| heard == text) {
            self.next(&format!("\"{text}\"")).await?;
        }
        Ok(())
    }

    /// Waits until something else happened.
    pub(super) async fn notices(
        &mut self,
        what: &str,
        wanted: impl Fn(&Event) -> bool,
    ) -> Result<()> {
        while !self.noticed.iter().any(&wanted) {
            self.next(what).await?;
        }
        Ok(())
    }

    /// Takes in what has happened by now.
    async fn catches_up(&mut self) {
        let now = Duration::ZERO;
        while let Ok(Some(event)) = timeout(now, unconstrained(self.events.next())).await {
            self.take(event);
        }
    }

    /// Waits until the client has ended by itself: there is nothing more to be heard.
    pub(super) async fn is_shut_out(&mut self) -> Result<()> {
        loop {
            match timeout(PATIENCE, self.events.next()).await {
                Err(_) => bail!("{} is not shut out", self.name),
                Ok(None) => return Ok(()),
                Ok(Some(event)) => self.take(event),
            }
        }
    }

    /// Whether this was said without this person: it was not heard up to now, and the client has kept nothing of it.
    pub(super) async fn never_heard(&mut self, room: ConversationId, text: &str) -> Result<bool> {
        let kept = self.remembers(room).await?;
        self.catches_up().await;
        Ok(self.times_heard(text) == 0 && !kept.iter().any(|it| it == text))
    }

    /// How often this was heard.
    pub(super) fn times_heard(&self, text: &str) -> usize {
        self.heard.iter().filter(|(_, _, heard)| heard == text).count()
    }

    /// Whether everything was heard once and in the order of the log.
    pub(super) fn heard_in_order(&self) -> bool {
        self.heard.is_sorted_by(|(one, ..), (next, ..)| one < next)
    }

    /// The text of every message in the room, as this person's client has it.
    pub(super) async fn remembers(&self, room: ConversationId) -> Result<Vec<String>> {
        let entries = self.client.history(room, None, 1000).await?;
        Ok(entries.into_iter().filter_map(text_of).map(|(_, _, text)| text).collect())
    }

    async fn next(&mut self, what: &str) -> Result<()> {
        match timeout(PATIENCE, self.events.next()).await {
            Err(_) => bail!("{} waits in vain for {what}", self.name),
            Ok(None) => bail!("{}'s client ended while waiting for {what}", self.name),
            Ok(Some(event)) => self.take(event),
        }
        Ok(())
    }

    fn take(&mut self, event: Event) {
        match event {
            Event::Entry(entry) if is_seen_otherwise(&entry) => {
                self.noticed.push(Event::Entry(entry));
            }
            Event::Entry(entry) => self.heard.extend(text_of(entry)),
            event => self.noticed.push(event),
        }
    }
}

/// Whether it changes how other messages look, or can't be read, rather than to say something.
fn is_seen_otherwise(entry: &Entry) -> bool {
    match &entry.what {
        What::Message { verified: true, content, .. } => {
            matches!(
                content,
                Content::Reaction { .. }
                    | Content::Edit { message: Some(_), .. }
                    | Content::Profile { .. }
            )
        }
        What::Redacted { .. } | What::Unreadable { .. } => true,
        _ => false,
    }
}

fn text_of(entry: Entry) -> Option<(u64, String, String)> {
    let by = entry.by?.to_string();
    match entry.what {
        What::Message { text: Some(text), verified: true, .. } => Some((entry.seq, by, text)),
        What::Message { text, .. } => {
            Some((entry.seq, format!("{by} (NOT VERIFIED)"), text.unwrap_or_default()))
        }
        _ => None,
    }
}
