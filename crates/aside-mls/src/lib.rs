//! Private conversations: Aside's profile of MLS (RFC 9420), as `spec/src/mls.md` says, on the library mls-rs.
//!
//! A [`Device`] publishes KeyPackages, and creates, joins and loads [`Group`]s. A group encrypts and decrypts contents, makes
//! commits and follows those of others. Around it stands the client: it moves bytes, orders them by the log, and decides
//! whom to trust; the crate asks it through [`Judge`], and hands it [`Changes`] to write in the client's own transaction.
//!
//! ```text
//!   log entry ── header, bytes ──▶ decrypt / receive_commit ──▶ Message / Effect
//!   content, header ──▶ encrypt ──┐                                   │
//!   Change, header ──▶ commit ────┤── save ──▶ take_changes ──▶ one transaction ──▶ send
//! ```
//!
//! Every message and commit is bound to the clear header it travels under (MLS-014), so a header that was changed on its way
//! is found out, and a commit is checked against what its header claims before it changes anything (MLS-015). Nothing is
//! merged before the server has accepted it. What is refused leaves the group as it was, and says why by a [`Reason`] with
//! its repair.
//!
//! ```
//! use aside_mls::{Change, DefaultCrypto, Device, GroupId, Suite, testing::{Cast, owner}};
//! use aside_proto::id::ConversationId;
//!
//! const NOW: u64 = 1_700_000_000;
//! let cast = Cast::default();
//! let alice: Device = cast.device::<DefaultCrypto>(1, 1)?;
//! let bob: Device = cast.device::<DefaultCrypto>(2, 2)?;
//!
//! let id = GroupId { conversation: ConversationId::new([7; 16]), generation: 1 };
//! let mut hers = alice.create(Suite::P256Aes128, id, NOW)?;
//! let key_package = hers.key_package(&bob.key_package(Suite::P256Aes128, false, NOW)?)?;
//! let change = Change { add: vec![key_package], ..Change::default() };
//! let claim = hers.claim(&change);
//! let header = format!("commit, claiming {claim:?}"); // the protocol's clear header, really
//! let commit = hers.commit(&change, header.as_bytes(), NOW)?;
//! // … the server accepts it …
//! hers.apply_pending()?;
//! let mut his = bob.join(&commit.welcome.expect("someone was added"), id, (owner(1, 1), &claim), None)?;
//!
//! let message = hers.encrypt(b"hello", b"message 1")?;
//! assert_eq!(his.decrypt(&message, b"message 1", owner(1, 1))?.content, b"hello");
//! his.save()?;
//! assert!(bob.take_changes().groups.contains_key(&id)); // to be written, with "hello", in one transaction
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! The crate knows no clock, no socket and no file; randomness is the operating system's, by the cryptographic provider.

mod change;
mod device;
mod error;
mod group;
mod judge;
mod notes;
mod padding;
mod rejoin;
mod rules;
mod storage;
mod suite;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
mod wire;

#[cfg(feature = "awslc")]
pub use suite::AwsLc;
#[cfg(feature = "rustcrypto")]
pub use suite::RustCrypto;

pub use change::{Change, ClaimedChange, Effect, KeyPackage, OutgoingCommit};
pub use device::{CLOCK_SKEW, Device, KEY_PACKAGE_LIFETIME};
pub use error::{Error, Reason};
pub use group::{Group, GroupId, Member, Message};
pub use judge::{CredentialRefused, Judge, Leaf, Owner};
pub use notes::MAX_MISSING;
pub use padding::{BUCKET_STEP, LARGEST_BUCKET, SMALLEST_BUCKET, bucket};
pub use rejoin::Rejoin;
pub use storage::{Changes, Secret};
pub use suite::{Crypto, DefaultCrypto, SigningKey, SigningKeyError, Suite};
pub use wire::{MAX_COMMIT_BYTES, MAX_KEY_PACKAGE_BYTES, MAX_LEAVES, MAX_WELCOME_BYTES};
