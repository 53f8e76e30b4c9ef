//! What is asked of the store about private conversations.

use std::collections::BTreeSet;

use aside_crypto::Hash;
use aside_proto::{
    id::{ConversationId, DeviceId, IdempotencyKey, UserId},
    private::{Change, Epoch, Establishment, Peer, WelcomeFor},
    v1,
};
use bytes::Bytes;

use super::PublicKeyBytes;

/// Entries of a device log to append.
#[derive(Debug, Clone)]
pub struct PublishDeviceLog {
    /// The request's idempotency key.
    pub key: IdempotencyKey,
    /// Whose log.
    pub user: UserId,
    /// Who asks; it need not be approved.
    pub device: DeviceId,
    /// How many entries the log has, as the client knows it.
    pub from_position: u32,
    /// As they were signed, at least one.
    pub entries: Vec<Bytes>,
    /// If not 0: the log of so many entries is put away, and these begin another.
    pub replaces: u32,
    /// What the log says with them, if whoever asks could replay it: without, nothing new is taken.
    pub verified: Option<VerifiedLog>,
}

/// What a log says that was replayed, entry by entry.
#[derive(Debug, Clone)]
pub struct VerifiedLog {
    /// The last entry that the new ones follow; none if they begin the log. Refused if another is the last by now.
    pub after: Option<Bytes>,
    /// The devices that are active at its head, with their login keys.
    pub active: Vec<(DeviceId, PublicKeyBytes)>,
    /// The devices that a revocation in it names and that are not active.
    pub revoked: Vec<DeviceId>,
}

/// KeyPackages to keep.
#[derive(Debug, Clone)]
pub struct PublishKeyPackages {
    /// The request's idempotency key.
    pub key: IdempotencyKey,
    /// Whose.
    pub user: UserId,
    /// Of which device; it need not be approved yet.
    pub device: DeviceId,
    /// The MLS cipher suite.
    pub suite: u16,
    /// 0 to `max_key_packages`, none empty.
    pub key_packages: Vec<Bytes>,
    /// Takes the place of the one that is there.
    pub last_resort: Option<Bytes>,
    /// Whether the others of the suite go first.
    pub replace: bool,
}

/// KeyPackages to take.
#[derive(Debug, Clone)]
pub struct ClaimKeyPackages {
    /// The request's idempotency key.
    pub key: IdempotencyKey,
    /// Who asks.
    pub user: UserId,
    /// By which device.
    pub device: DeviceId,
    /// The MLS cipher suite.
    pub suite: u16,
    /// Users, each with one device or all that are approved.
    pub targets: Vec<(UserId, Option<DeviceId>)>,
    /// Those of whom nothing but the last resort is given (KP-015).
    pub spared: BTreeSet<UserId>,
    /// The greatest encoded KeyPackagesClaimed (KP-009).
    pub max_bytes: usize,
}

/// A DIRECT to open.
#[derive(Debug, Clone)]
pub struct OpenDirect {
    /// The request's idempotency key.
    pub key: IdempotencyKey,
    /// Who asks.
    pub user: UserId,
    /// By which device.
    pub device: DeviceId,
    /// With whom.
    pub peer: Peer,
}

/// A GROUP to make.
#[derive(Debug, Clone)]
pub struct CreateGroup {
    /// The request's idempotency key.
    pub key: IdempotencyKey,
    /// Who makes it.
    pub user: UserId,
    /// By which device.
    pub device: DeviceId,
}

/// An MLS group to begin.
#[derive(Debug, Clone)]
pub struct EstablishGroup {
    /// The request's idempotency key.
    pub key: IdempotencyKey,
    /// Who asks.
    pub user: UserId,
    /// By which device.
    pub device: DeviceId,
    /// What the header says.
    pub plan: Establishment,
    /// The header, as it came.
    pub header: Bytes,
    /// The client's.
    pub salt: [u8; 32],
    /// For the leaves but the sender's own.
    pub welcomes: Vec<WelcomeFor>,
    /// At epoch 1.
    pub group_info: Bytes,
}

/// A commit to take.
#[derive(Debug, Clone)]
pub struct SubmitCommit {
    /// The request's idempotency key.
    pub key: IdempotencyKey,
    /// Who asks.
    pub user: UserId,
    /// By which device.
    pub device: DeviceId,
    /// What the header says.
    pub plan: Change,
    /// Header and commit, as they came.
    pub payload: Bytes,
    /// The client's.
    pub salt: [u8; 32],
    /// For the leaves that are added.
    pub welcomes: Vec<WelcomeFor>,
    /// Of the next epoch.
    pub group_info: Bytes,
}

/// An encrypted message to append.
#[derive(Debug, Clone)]
pub struct SendPrivate {
    /// Who sends.
    pub user: UserId,
    /// By which device.
    pub device: DeviceId,
    /// Where to.
    pub conversation: ConversationId,
    /// The request's idempotency key.
    pub message_id: IdempotencyKey,
    /// What it is encrypted for.
    pub epoch: Epoch,
    /// Header and ciphertext, as they came.
    pub payload: Bytes,
    /// The client's.
    pub salt: [u8; 32],
}

/// A role to give.
#[derive(Debug, Clone)]
pub struct SetRole {
    /// The request's idempotency key.
    pub key: IdempotencyKey,
    /// Who asks.
    pub user: UserId,
    /// By which device.
    pub device: DeviceId,
    /// In which GROUP.
    pub conversation: ConversationId,
    /// To which member.
    pub member: UserId,
    /// Which; not `Unspecified`.
    pub role: v1::Role,
}

/// A commit that can't be followed.
#[derive(Debug, Clone)]
pub struct RejectCommit {
    /// The request's idempotency key.
    pub key: IdempotencyKey,
    /// Who asks.
    pub user: UserId,
    /// By which device.
    pub device: DeviceId,
    /// Where.
    pub conversation: ConversationId,
    /// The commit's.
    pub seq: u64,
    /// What is wrong.
    pub code: v1::RejectCode,
}

/// Items of an inbox that are no longer wanted.
#[derive(Debug, Clone, Copy)]
pub struct AckInbox {
    /// Whose.
    pub user: UserId,
    /// Of which device.
    pub device: DeviceId,
    /// The last of them.
    pub up_to: u64,
}

/// What a leaf computed of an epoch.
#[derive(Debug, Clone)]
pub struct ReportForkCheck {
    /// Whose.
    pub user: UserId,
    /// By which device.
    pub device: DeviceId,
    /// Where.
    pub conversation: ConversationId,
    /// When.
    pub epoch: Epoch,
    /// What.
    pub value: Hash,
}
