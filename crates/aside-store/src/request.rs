//! What is asked of the store, and what it answers beyond the messages of `aside.v1`.

mod private;
mod reader;

use std::fmt;

use aside_crypto::Hash;
use aside_proto::{
    id::{ConversationId, DeviceId, IdempotencyKey, UserId},
    limits::{PUBLIC_KEY_BYTES, SIGNATURE_BYTES},
    name::Name,
    token::TokenScopes,
    v1,
};
use bytes::Bytes;
use zeroize::Zeroizing;

pub use private::{
    AckInbox, ClaimKeyPackages, CreateGroup, EstablishGroup, OpenDirect, PublishDeviceLog,
    PublishKeyPackages, RejectCommit, ReportForkCheck, SendPrivate, SetRole, SubmitCommit,
    VerifiedLog,
};
pub use reader::Reader;

/// A device's public key: a P-256 point, uncompressed. The store takes it as it is: whoever asks has checked it.
pub type PublicKeyBytes = [u8; PUBLIC_KEY_BYTES];

/// A message to append. Payload, salt and signature are stored as they are (MSG-001).
#[derive(Debug, Clone)]
pub struct Append {
    /// Who sends.
    pub user: UserId,
    /// By which device.
    pub device: DeviceId,
    /// Where to.
    pub conversation: ConversationId,
    /// The request's idempotency key.
    pub message_id: IdempotencyKey,
    /// At least 1 byte, at most `max_payload_bytes`: checked by the caller.
    pub payload: Bytes,
    /// The client's.
    pub salt: [u8; 32],
    /// 64 bytes, not verified here.
    pub signature: Bytes,
}

/// An account to make, with its first device. Not `Debug`: it holds a password hash.
#[derive(Clone)]
pub struct Register {
    /// The request's idempotency key; "the same device" is the same public key (IDEM-006).
    pub key: IdempotencyKey,
    /// The handle asked for.
    pub handle: Name,
    /// What to do when it is taken.
    pub on_conflict: v1::OnConflict,
    /// A PHC string.
    pub password_hash: String,
    /// The device's.
    pub public_key: PublicKeyBytes,
    /// The device's.
    pub device_name: String,
}

/// A device to bind after its user gave the password. Not `Debug`: it holds a password hash.
#[derive(Clone)]
pub struct BindDevice {
    /// Whose.
    pub user: UserId,
    /// The hash that the password was verified against: refused if it is no longer the account's, so that a log-in
    /// that races with a change of the password can't leave a device behind.
    pub verified_hash: String,
    /// Takes its place: the same password at today's cost.
    pub new_hash: Option<String>,
    /// The device's.
    pub public_key: PublicKeyBytes,
    /// The device's, if it is new.
    pub device_name: String,
}

/// Who is logged in by which device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LoggedIn {
    /// The account.
    pub user: UserId,
    /// Its device.
    pub device: DeviceId,
}

/// A handle to change.
#[derive(Debug, Clone)]
pub struct Rename {
    /// The request's idempotency key.
    pub key: IdempotencyKey,
    /// Whose.
    pub user: UserId,
    /// Who asks.
    pub device: DeviceId,
    /// The handle asked for.
    pub handle: Name,
    /// What to do when it is taken.
    pub on_conflict: v1::OnConflict,
}

/// A password to change. Not `Debug`: it holds password hashes.
#[derive(Clone)]
pub struct ChangePassword {
    /// The request's idempotency key.
    pub key: IdempotencyKey,
    /// Whose.
    pub user: UserId,
    /// Who asks, and is spared (PASS-006).
    pub device: DeviceId,
    /// The hash that the old password was verified against: refused if it is no longer the account's.
    pub verified_hash: String,
    /// A PHC string.
    pub new_hash: String,
}

/// A device to revoke.
#[derive(Debug, Clone)]
pub struct RevokeDevice {
    /// The request's idempotency key.
    pub key: IdempotencyKey,
    /// Whose.
    pub user: UserId,
    /// Who asks.
    pub device: DeviceId,
    /// Which; it may be the one that asks.
    pub target: DeviceId,
}

/// A token to make.
#[derive(Debug, Clone)]
pub struct IssueToken {
    /// The request's idempotency key.
    pub key: IdempotencyKey,
    /// Whose.
    pub user: UserId,
    /// Who asks.
    pub device: DeviceId,
    /// The token's.
    pub name: String,
    /// What it may do.
    pub scopes: TokenScopes,
    /// When it ends, as asked for (TOKEN-004).
    pub expires_ms: u64,
    /// Of its secret.
    pub token_hash: Hash,
    /// What its messages are verified by.
    pub public_key: PublicKeyBytes,
}

/// A token to revoke.
#[derive(Debug, Clone)]
pub struct RevokeToken {
    /// The request's idempotency key.
    pub key: IdempotencyKey,
    /// Whose.
    pub user: UserId,
    /// Who asks.
    pub device: DeviceId,
    /// Which.
    pub token: DeviceId,
}

/// What is known of a token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenRecord {
    /// Whose it is.
    pub user: UserId,
    /// Of its secret.
    pub token_hash: Hash,
    /// What it may do.
    pub scopes: TokenScopes,
    /// When it ends, milliseconds since 1970.
    pub expires_ms: u64,
    /// Whether it may never log in again.
    pub is_revoked: bool,
}

/// Messages to find.
#[derive(Debug, Clone)]
pub struct Search {
    /// Where; none means every public room that the user is a member of.
    pub conversation: Option<ConversationId>,
    /// As the client sent it.
    pub query: String,
    /// As the client sent it; empty for the first page.
    pub page_token: Bytes,
    /// 1 to `max_page_items`.
    pub page_size: u32,
    /// The greatest encoded SearchResults: the page ends early rather than be larger (SEARCH-008).
    pub max_bytes: usize,
}

/// A public room to make.
#[derive(Debug, Clone)]
pub struct CreateRoom {
    /// The request's idempotency key.
    pub key: IdempotencyKey,
    /// Who makes it.
    pub user: UserId,
    /// By which device.
    pub device: DeviceId,
    /// The room's name.
    pub name: Name,
}

/// A room to join.
#[derive(Debug, Clone)]
pub struct Join {
    /// The request's idempotency key.
    pub key: IdempotencyKey,
    /// Who joins.
    pub user: UserId,
    /// By which device.
    pub device: DeviceId,
    /// Which room.
    pub conversation: ConversationId,
}

/// A room to leave.
#[derive(Debug, Clone)]
pub struct Leave {
    /// The request's idempotency key.
    pub key: IdempotencyKey,
    /// Who leaves.
    pub user: UserId,
    /// By which device.
    pub device: DeviceId,
    /// Which room.
    pub conversation: ConversationId,
}

/// A room to change. Only what is there changes.
#[derive(Debug, Clone)]
pub struct UpdateRoom {
    /// The request's idempotency key.
    pub key: IdempotencyKey,
    /// Who asks.
    pub user: UserId,
    /// By which device.
    pub device: DeviceId,
    /// Which room.
    pub conversation: ConversationId,
    /// Another name.
    pub name: Option<Name>,
    /// Another topic; its form was checked by the caller.
    pub topic: Option<String>,
    /// Another description; its form was checked by the caller.
    pub description: Option<String>,
    /// Whether only who is invited may join.
    pub invite_only: Option<bool>,
    /// Other limits to what is kept, none to take them away; their values were checked by the caller (RET-002).
    pub retention: Option<v1::Retention>,
}

/// A user to invite to a room, or to invite no longer.
#[derive(Debug, Clone)]
pub struct Invite {
    /// The request's idempotency key.
    pub key: IdempotencyKey,
    /// Who invites.
    pub user: UserId,
    /// By which device.
    pub device: DeviceId,
    /// To which room.
    pub conversation: ConversationId,
    /// Whom.
    pub handle: Name,
    /// Whether the user's invitation ends instead.
    pub withdraw: bool,
}

/// A message to pin, or to take the pin off.
#[derive(Debug, Clone)]
pub struct SetPin {
    /// The request's idempotency key.
    pub key: IdempotencyKey,
    /// Who asks.
    pub user: UserId,
    /// By which device.
    pub device: DeviceId,
    /// In which conversation.
    pub conversation: ConversationId,
    /// The message's.
    pub seq: u64,
    /// Whether it is to be pinned.
    pub pinned: bool,
}

/// Which page of a conversation's pinned messages to list.
#[derive(Debug, Clone)]
pub struct ListPins {
    /// Which conversation.
    pub conversation: ConversationId,
    /// As the client sent it; empty for the first page.
    pub page_token: Bytes,
    /// 1 to `max_page_items`.
    pub page_size: u32,
    /// The greatest encoded Pins: the page ends early rather than be larger (PIN-006).
    pub max_bytes: usize,
}

/// Messages whose payloads are to be deleted.
#[derive(Debug, Clone)]
pub struct Redact {
    /// The request's idempotency key.
    pub key: IdempotencyKey,
    /// Who asks.
    pub user: UserId,
    /// By which device.
    pub device: DeviceId,
    /// In which conversation.
    pub conversation: ConversationId,
    /// Which messages: 1 to `max_redactions`, in any order.
    pub seqs: Vec<u64>,
}

/// How far a user has got in a conversation.
#[derive(Debug, Clone)]
pub struct Mark {
    /// Who.
    pub user: UserId,
    /// By which device.
    pub device: DeviceId,
    /// By which connection: the number that [`Store::attach`](crate::Store::attach) was given.
    pub attachment: u64,
    /// In which conversation.
    pub conversation: ConversationId,
    /// Every entry up to this seq reached a device; 0 says nothing.
    pub delivered_seq: u64,
    /// Every entry up to this seq was shown; 0 says nothing.
    pub read_seq: u64,
}

/// What an account lets others see. The default is what a newcomer has.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PresenceSettings {
    /// To all others the user is offline.
    pub hidden: bool,
    /// At most 128 bytes: checked by the caller.
    pub status_text: String,
    /// The user's watermarks are kept from others.
    pub private_receipts: bool,
}

/// What an account is to let others see from now on.
#[derive(Debug, Clone)]
pub struct SetPresence {
    /// Whose.
    pub user: UserId,
    /// By which device.
    pub device: DeviceId,
    /// By which connection: the number that [`Store::attach`](crate::Store::attach) was given.
    pub attachment: u64,
    /// All of it.
    pub settings: PresenceSettings,
}

/// Which page of a user's summaries to list.
#[derive(Debug, Clone, Default)]
pub struct ListSummaries {
    /// Whether private conversations are listed too: only to an approved device (PRIV-006).
    pub private: bool,
    /// As the client sent it; empty for the first page.
    pub page_token: Bytes,
    /// 1 to `max_page_items`.
    pub page_size: u32,
    /// The greatest encoded Summaries: the page ends early rather than be larger (SUM-004).
    pub max_bytes: usize,
}

/// Which page of a conversation's watermarks to list.
#[derive(Debug, Clone)]
pub struct ListWatermarks {
    /// Which conversation.
    pub conversation: ConversationId,
    /// As the client sent it; empty for the first page.
    pub page_token: Bytes,
    /// 1 to `max_page_items`.
    pub page_size: u32,
}

/// Which rooms to list.
#[derive(Debug, Clone, Default)]
pub struct ListRooms {
    /// Only those the asker is a member of.
    pub joined_only: bool,
    /// Only those the asker is invited to.
    pub invited_only: bool,
    /// Only the room of that name.
    pub name: Option<Name>,
    /// As the client sent it; empty for the first page.
    pub page_token: Bytes,
    /// 1 to `max_page_items`.
    pub page_size: u32,
    /// The greatest encoded Rooms: the page ends early rather than be larger (ROOM-028).
    pub max_bytes: usize,
}

/// What is known of a device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeviceRecord {
    /// Whose it is.
    pub user: UserId,
    /// Its key.
    pub public_key: PublicKeyBytes,
    /// When it was revoked, milliseconds since 1970; none if it is active.
    pub revoked_ms: Option<u64>,
    /// Whether it is a token, which logs in by its secret alone (TOKEN-015).
    pub is_token: bool,
    /// When it last logged in or was [touched](crate::Store::touch), milliseconds since 1970.
    pub last_seen_ms: u64,
}

/// A page of a room's members.
#[derive(Debug, Clone, PartialEq)]
pub struct MembersPage {
    /// In order of `user_id`; `online` is false in all, since the store doesn't know.
    pub members: Vec<v1::Member>,
    /// Whether there are more after the last of these.
    pub more: bool,
}

/// What a signed head says about a log, but for the time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HeadState {
    /// The first entry that is still there.
    pub first_seq: u64,
    /// The chain value before it.
    pub anchor: Hash,
    /// The last entry.
    pub head_seq: u64,
    /// Its chain value.
    pub chain: Hash,
}

/// The server's log key as the database keeps it.
#[derive(Clone, PartialEq, Eq)]
pub struct LogKey {
    /// The key in use.
    pub public_key: PublicKeyBytes,
    /// Its private half.
    pub private_key: Zeroizing<[u8; 32]>,
}

impl fmt::Debug for LogKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LogKey").field("private_key", &"…").finish_non_exhaustive()
    }
}

/// The log key in use, and how it came to be that.
#[derive(Debug, Clone, PartialEq)]
pub struct LogKeys {
    /// The key in use.
    pub current: LogKey,
    /// Oldest first; empty while the first key is in use.
    pub rotations: Vec<v1::LogKeyRotation>,
}

/// A log key to use from now on.
#[derive(Debug, Clone)]
pub struct SetLogKey {
    /// The key.
    pub key: LogKey,
    /// By the key in use so far, over `log-key-rotation`; none for the first key.
    pub rotation_signature: Option<[u8; SIGNATURE_BYTES]>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_key_does_not_show_its_private_half() {
        let key = LogKey { public_key: [4; 65], private_key: Zeroizing::new([171; 32]) };
        assert_eq!(format!("{key:?}"), r#"LogKey { private_key: "…", .. }"#);
        let keys = LogKeys { current: key.clone(), rotations: Vec::new() };
        let set = SetLogKey { key, rotation_signature: None };
        assert!(!format!("{keys:?} {set:?}").contains("171"));
    }
}
