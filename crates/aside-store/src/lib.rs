//! The server's database: accounts, devices, rooms and logs. All SQL of the server is here, and none of its types
//! leave.
//!
//! Writes go through the *journal*: one queue and one writer. Whatever waits when the writer is free is a batch, and a
//! batch is one transaction (group commit), so that the cost of making it durable is shared:
//!
//! ```text
//!  Store::append … ──▶ queue ──▶ batch ──▶ BEGIN … COMMIT ──▶ Observer::committed ──▶ replies
//!                     (bounded)           (synced to disk)      (effects, in order)
//! ```
//!
//! An answer leaves after its transaction is durable and the observer was told. Requests take effect in the order of the
//! calls. If a transaction fails, nothing of its batch happened and all of it is answered so. Reads use connections of
//! their own and see all that was answered before.
//!
//! ```
//! # use std::sync::Arc;
//! # use aside_proto::{id::{uuid_v7, IdempotencyKey}, limits, name::Name, retention, v1};
//! # use aside_store::{Options, Register, Store};
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let folder = tempfile::tempdir()?;
//! # let url = format!("sqlite://{}/aside.db", folder.path().display());
//! let store = Store::open(&url, Options {
//!     limits: limits::DEFAULT,
//!     retention: retention::NONE, // all is kept
//!     clock: Arc::new(|| 1_700_000_000_000), // your clock
//!     entropy: Arc::new(|bytes| bytes.fill(7)), // your source of randomness
//!     default_room: Name::new("lobby", 32)?,
//!     newcomers: Arc::new(|_, _| Ok(())), // members may be made of any number
//!     observer: Arc::new(()),
//! })
//! .await?;
//!
//! let alice = store.register(Register {
//!     key: IdempotencyKey::new(uuid_v7(1_700_000_000_000, [1; 10])),
//!     handle: Name::new("Alice", 32)?,
//!     on_conflict: v1::OnConflict::Reject,
//!     password_hash: "$argon2id$…".to_owned(),
//!     public_key: [4; 65],
//!     device_name: "laptop".to_owned(),
//! })
//! .await?;
//! assert_eq!(store.attach(alice.user, alice.device, 1).await?.as_str(), "alice");
//! store.close().await;
//! # Ok(())
//! # }
//! ```

pub mod page;
#[cfg(any(test, feature = "suite"))]
pub mod suite;

mod accounts;
mod db;
mod effect;
mod error;
mod journal;
mod logs;
mod pins;
mod private;
mod recall;
mod request;
mod retention;
mod rooms;
mod search;
mod sql;
mod store;
mod summaries;
#[cfg(test)]
mod tests;
mod tokens;
mod write;

pub use effect::{AttachedPrivate, Effect, Observer, Seat};
pub use error::{DatabaseError, Refused, StoreError};
pub use journal::Reply;
pub use request::{
    AckInbox, Append, BindDevice, ChangePassword, ClaimKeyPackages, CreateGroup, CreateRoom,
    DeviceRecord, EstablishGroup, HeadState, Invite, IssueToken, Join, Leave, ListPins, ListRooms,
    ListSummaries, ListWatermarks, LogKey, LogKeys, LoggedIn, Mark, MembersPage, OpenDirect,
    PresenceSettings, PublicKeyBytes, PublishDeviceLog, PublishKeyPackages, Reader, Redact,
    Register, RejectCommit, Rename, ReportForkCheck, RevokeDevice, RevokeToken, Search,
    SendPrivate, SetLogKey, SetPin, SetPresence, SetRole, SubmitCommit, TokenRecord, UpdateRoom,
    VerifiedLog,
};
pub use store::{Clock, Entropy, Newcomers, Options, Store};
