//! A client of the Aside protocol: connects, keeps connected, keeps up, and says things exactly once.
//!
//! ```no_run
//! use aside_client::{Client, Event, LogIn, Options, What, display};
//!
//! # async fn run() -> Result<(), aside_client::Error> {
//! let mut options = Options::new("aside://alice@chat.example".parse().expect("it is an address"));
//! options.log_in = LogIn::Password("correct horse battery staple".to_owned().into());
//! let (client, mut events) = Client::connect(options).await?;
//!
//! let lobby = client.room("lobby").await?.expect("every server has a default room");
//! client.join(lobby.conversation).await?;
//! client.send(lobby.conversation, "hello").await?;
//!
//! while let Some(event) = events.next().await {
//!     if let Event::Entry(entry) = event
//!         && let (Some(by), What::Message { text: Some(text), verified, .. }) = (entry.by, entry.what)
//!     {
//!         let doubt = if verified { "" } else { " (not verified)" };
//!         println!("{}{doubt}: {}", by, display::neutralise(&text));
//!     }
//! }
//! # Ok(())
//! # }
//! ```
//!
//! # How it holds together
//!
//! ```text
//!  Client ──commands──► driver task ──► Session (sans-IO) ──► TLS or WebSocket
//!  Events ◄──outlet──── │   │   └────► one Follower a conversation: cursor, chain, what to fetch
//!                       │   └────────► outbox: messages until they are acknowledged
//!                       └────────────► state.db: device key, pins, cursors, entries, outbox
//! ```
//!
//! - An entry is kept before it is told of, and told of by reading what was kept: a slow program loses nothing.
//! - A message is kept before it is sent, and sent, the same to the bit, until it is acknowledged (IDEM-001).
//! - The server's certificate is verified or pinned (TLS-006); its log key and every device's key are remembered from first
//!   contact (HEAD-004, DEV-010); each conversation's chain is held against signed heads (LOG-011).
//! - A user's device log is pinned from first contact, and no other takes its place unseen (TRUST-001): [`Client::device_log`]. What
//!   it comes to, two users compare: [`Client::safety`].
//! - A new device is let in by six digits that its user compares on both: [`Client::ask_for_approval`], [`Client::approve`].
//! - One process writes the state; another may work on a copy: [`Options::shared`].
//!
//! Names and texts are given as others made them. Whoever displays them passes them through [`display`] first (MSG-010).

pub mod display;
pub mod private;

mod address;
mod backoff;
mod certificate;
mod client;
mod content;
mod driver;
mod error;
mod guard;
mod kept;
mod model;
mod options;
mod paths;
mod presence;
mod progress;
mod random;
mod store;
#[cfg(feature = "testing")]
pub mod testing;
mod tls;
mod token;
mod transport;
mod trust;
mod view;
mod words;

pub use address::{Address, AddressError, Transport};
pub use aside_crypto::{
    Code, DeviceLog, EntryError, Judgement, PhraseError, PinBreach, RecoveryPhrase, SafetyNumber,
    Strength,
};
pub use aside_session::client::{
    Typists,
    approval::ApprovalEnd,
    room::Settings as RoomSettings,
    timeline::{Profile as GroupProfile, ProfileError as GroupProfileError, Reply},
};
pub use client::{
    ApprovalRequest, Client, Comparison, Events, Found, IssuedToken, LogChange, LogEntry, Queued,
    Safety, Token, new_recovery_phrase,
};
pub use content::Text;
pub use error::{Error, PasswordReason, Refusal};
pub use guard::{Guard, Unlock};
pub use kept::{Hits, Kept, SearchPage};
pub use model::{
    Connection, Content, Device, Entry, Event, Kind, Member, Mention, MessageRef, Person, Pin,
    Reaction, Receipt, Role, Room, RoomChange, What, unnamed,
};
pub use options::{BindingKind, LogIn, Options};
pub use paths::{client_data_dir, default_data_dir};
pub use presence::{Notice, Presence, PresenceSettings};
pub use progress::{Outgoing, Overview, State, Watermark};
pub use store::{Identity, StateError};
pub use tls::{Fingerprint, FingerprintError, TlsError, Trust};
pub use token::{BotToken, BotTokenError};

/// Ids, and the codes and limits of the protocol, as this library's types name them.
pub use aside_proto::{
    id::{ConversationId, DeviceId, IdempotencyKey, UserId},
    v1::{self, Retention},
};
