//! What a session asks its driver to do.

use std::fmt;

use aside_crypto::PublicKey;
use aside_proto::{
    id::{ConversationId, DeviceId, IdempotencyKey, UserId},
    name::Name,
    private::{Change, Epoch, Establishment, Peer, WelcomeFor},
    token::TokenScopes,
    v1,
};
use bytes::Bytes;
use zeroize::Zeroizing;

/// Names a request that is being worked on; its outcome comes back with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ticket(pub(super) u64);

/// What the driver is to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Carry the command out and give its outcome to [`Session::handle_outcome`](super::Session::handle_outcome).
    ///
    /// Commands of one connection take effect in the order in which they are handed out (REQ-007).
    Execute {
        /// Comes back with the outcome.
        ticket: Ticket,
        /// What to do.
        command: Command,
    },
}

/// A request whose form is right, for the driver to carry out. `key` is the request's idempotency key, in the window
/// (IDEM-002 to IDEM-004); whether it was used before is the store's to say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// Make an account and bind the device. Outcome: [`Outcome::LoggedIn`](super::Outcome::LoggedIn).
    Register {
        /// Idempotency key.
        key: IdempotencyKey,
        /// The handle asked for.
        handle: Name,
        /// A password within the limits (PASS-002).
        password: Secret,
        /// What to do when the handle is in use.
        on_conflict: OnConflict,
        /// The device; it has proved that it holds the key (AUTH-001).
        device: DeviceBinding,
    },
    /// Check the password, and bind the device unless it is bound. Outcome: [`Outcome::LoggedIn`](super::Outcome::LoggedIn).
    PasswordLogin {
        /// The account; none if the text can't be a handle: do the work of a wrong password, then fail (AUTH-021).
        handle: Option<Name>,
        /// What was given as its password.
        password: Secret,
        /// The device; it has proved that it holds the key (AUTH-001).
        device: DeviceBinding,
    },
    /// Find a device that wants to log in. Outcome: [`Outcome::Device`](super::Outcome::Device). Nothing is proved yet.
    FindDevice {
        /// The device it claims to be.
        device_id: DeviceId,
    },
    /// Find a token that wants to log in. Outcome: [`Outcome::Token`](super::Outcome::Token). Nothing is proved yet.
    FindToken {
        /// The token it claims to be.
        token_id: DeviceId,
    },
    /// Subscribe the connection to its user's conversations. Outcome: [`Outcome::Attached`](super::Outcome::Attached), and the session is
    /// authenticated. What is pushed meanwhile waits until [`Session::is_live`](super::Session::is_live).
    Attach {
        /// Who has logged in.
        user_id: UserId,
        /// With which device.
        device_id: DeviceId,
        /// The capabilities in force, sorted: what the connection may be pushed (EXT-006).
        capabilities: Box<[String]>,
        /// Whether it may be pushed anything at all: not to a token without the scope READ (TOKEN-010).
        reads: bool,
    },
    /// Change the handle. Outcome: `Renamed`.
    Rename {
        /// Idempotency key.
        key: IdempotencyKey,
        /// The handle asked for.
        handle: Name,
        /// What to do when it is in use.
        on_conflict: OnConflict,
    },
    /// Change the password. Outcome: `PasswordChanged`.
    ChangePassword {
        /// Idempotency key.
        key: IdempotencyKey,
        /// What was given as the password so far.
        old: Secret,
        /// The new one, within the limits (PASS-002).
        new: Secret,
    },
    /// List the account's devices. Outcome: `Devices`.
    ListDevices,
    /// Revoke one of the account's devices. Outcome: `DeviceRevoked`.
    RevokeDevice {
        /// Idempotency key.
        key: IdempotencyKey,
        /// Which.
        device_id: DeviceId,
    },
    /// Find devices' keys. Outcome: `DeviceKeys`.
    LookUpDevices {
        /// At most `max_page_items`.
        device_ids: Vec<DeviceId>,
    },
    /// Pass something on to other devices of the account. Outcome: `Relayed`.
    Relay {
        /// To which; none: to all that are approved.
        device_id: Option<DeviceId>,
        /// 1 to 8192 bytes.
        payload: Bytes,
    },
    /// Make a room. Outcome: `RoomCreated`.
    CreateRoom {
        /// Idempotency key.
        key: IdempotencyKey,
        /// The name asked for.
        name: Name,
    },
    /// List rooms. Outcome: `Rooms`.
    ListRooms {
        /// Only those the user is a member of.
        joined_only: bool,
        /// Only those the user is invited to.
        invited_only: bool,
        /// Only the room of that name.
        name: Option<Name>,
        /// At most 64 bytes; whether the server made it is the driver's to say.
        page_token: Bytes,
        /// 1 to `max_page_items`.
        page_size: u32,
    },
    /// Join a room. Outcome: `Joined`.
    Join {
        /// Idempotency key.
        key: IdempotencyKey,
        /// Which.
        conversation: ConversationId,
    },
    /// Leave a room. Outcome: `Left`.
    Leave {
        /// Idempotency key.
        key: IdempotencyKey,
        /// Which.
        conversation: ConversationId,
    },
    /// List a room's members. Outcome: `Members`.
    ListMembers {
        /// Which room.
        conversation: ConversationId,
        /// Only those online.
        online_only: bool,
        /// At most 64 bytes; whether the server made it is the driver's to say.
        page_token: Bytes,
        /// 1 to `max_page_items`.
        page_size: u32,
    },
    /// Append a message. Outcome: `Sent`.
    SendMessage {
        /// Idempotency key: the message's id.
        key: IdempotencyKey,
        /// To which conversation.
        conversation: ConversationId,
        /// 1 to `max_payload_bytes` bytes.
        payload: Bytes,
        /// The client's salt.
        salt: [u8; 32],
        /// 64 bytes, not verified: clients do (MSG-008).
        signature: Bytes,
    },
    /// Read a range of a log. Outcome: `Fetched`.
    Fetch {
        /// Which log.
        conversation: ConversationId,
        /// As asked for; the log says whether it is in range (FETCH-004, FETCH-005).
        from_seq: u64,
        /// 1 to `max_fetch_entries`.
        max_entries: u32,
        /// Whether a signed head is wanted with it.
        signed_head: bool,
    },
    /// Sign the head of a log. Outcome: `Head`.
    GetHead {
        /// Which log.
        conversation: ConversationId,
    },
    /// Change a room. Outcome: `RoomUpdated`.
    UpdateRoom {
        /// Idempotency key.
        key: IdempotencyKey,
        /// Which room.
        conversation: ConversationId,
        /// Another name.
        name: Option<Name>,
        /// Another topic: at most 256 bytes, one line (ROOM-024).
        topic: Option<String>,
        /// Another description: at most 2048 bytes (ROOM-024).
        description: Option<String>,
        /// Whether only who is invited may join.
        invite_only: Option<bool>,
        /// Other limits to what is kept (RET-002). One of these five at least is there (ROOM-023).
        retention: Option<v1::Retention>,
    },
    /// Invite a user to a room, or withdraw an invitation. Outcome: `Invited`.
    Invite {
        /// Idempotency key.
        key: IdempotencyKey,
        /// To which room.
        conversation: ConversationId,
        /// Whom.
        handle: Name,
        /// Whether the invitation ends instead.
        withdraw: bool,
    },
    /// Pin a message, or take the pin off. Outcome: `PinSet`.
    SetPin {
        /// Idempotency key.
        key: IdempotencyKey,
        /// In which conversation.
        conversation: ConversationId,
        /// The message's; whether there is one is the log's to say.
        seq: u64,
        /// Whether it is to be pinned.
        pinned: bool,
    },
    /// List a conversation's pinned messages. Outcome: `Pins`.
    ListPins {
        /// Which conversation.
        conversation: ConversationId,
        /// At most 64 bytes; whether the server made it is the driver's to say.
        page_token: Bytes,
        /// 1 to `max_page_items`.
        page_size: u32,
    },
    /// Delete the payloads of messages. Outcome: `Redacted`.
    Redact {
        /// Idempotency key.
        key: IdempotencyKey,
        /// In which conversation.
        conversation: ConversationId,
        /// 1 to `max_redactions`, as they came.
        seqs: Vec<u64>,
    },
    /// List what there is to show of the user's conversations. Outcome: `Summaries`.
    ListSummaries {
        /// At most 64 bytes; whether the server made it is the driver's to say.
        page_token: Bytes,
        /// 1 to `max_page_items`.
        page_size: u32,
    },
    /// Move the user's watermarks forward. Outcome: `Marked`.
    Mark {
        /// In which conversation.
        conversation: ConversationId,
        /// What reached a device; 0 says nothing.
        delivered_seq: u64,
        /// What was shown; 0 says nothing, but not both.
        read_seq: u64,
    },
    /// List the watermarks of a conversation's members. Outcome: `Watermarks`.
    ListWatermarks {
        /// Which conversation.
        conversation: ConversationId,
        /// At most 64 bytes; whether the server made it is the driver's to say.
        page_token: Bytes,
        /// 1 to `max_page_items`.
        page_size: u32,
    },
    /// Set what others may see of the user. Outcome: `PresenceSet`.
    SetPresence {
        /// To all others the user is offline.
        hidden: bool,
        /// At most 128 bytes without control characters.
        status_text: String,
        /// Others are not told the user's watermarks.
        private_receipts: bool,
    },
    /// Say which of some users are online. Outcome: `Presences`.
    GetPresence {
        /// At most `max_page_items`.
        user_ids: Vec<UserId>,
    },
    /// Tell others that the user writes, or no longer. Outcome: `TypingSet`.
    SetTyping {
        /// In which conversation.
        conversation: ConversationId,
        /// Whether the user writes.
        typing: bool,
    },
    /// Find messages. Outcome: `SearchResults`.
    Search {
        /// Where; none means every room that the user is a member of.
        conversation: Option<ConversationId>,
        /// 1 to 256 bytes; whether there is a word in it is the driver's to say.
        query: String,
        /// At most 64 bytes; whether the server made it is the driver's to say.
        page_token: Bytes,
        /// 1 to `max_page_items`.
        page_size: u32,
    },
    /// Make a token. Outcome: `TokenIssued`.
    IssueToken {
        /// Idempotency key.
        key: IdempotencyKey,
        /// 1 to 64 bytes without control characters (DEV-002).
        name: String,
        /// What it may do.
        scopes: TokenScopes,
        /// When it ends, as asked for: see TOKEN-004.
        expires_ms: u64,
        /// Of its secret.
        token_hash: [u8; 32],
        /// What its messages are verified by.
        public_key: PublicKey,
    },
    /// List the account's tokens. Outcome: `Tokens`.
    ListTokens,
    /// Revoke one of the account's tokens. Outcome: `TokenRevoked`.
    RevokeToken {
        /// Idempotency key.
        key: IdempotencyKey,
        /// Which.
        token_id: DeviceId,
    },
    /// Append to the account's device log. Outcome: `DeviceLogPublished`.
    PublishDeviceLog {
        /// Idempotency key.
        key: IdempotencyKey,
        /// How many entries the log has, as the client knows it.
        from_position: u32,
        /// At least one, none empty; whether they are entries is for whoever replays the log to say.
        entries: Vec<Bytes>,
        /// If not 0, these begin another log in the place of one of so many entries; `from_position` is 0 then.
        replaces: u32,
    },
    /// Give device logs. Outcome: `DeviceLogs`.
    FetchDeviceLogs {
        /// 1 to `max_page_items`.
        user_ids: Vec<UserId>,
        /// The first entry wanted of each.
        from_position: u32,
    },
    /// Keep KeyPackages. Outcome: `KeyPackagesPublished`.
    PublishKeyPackages {
        /// Idempotency key.
        key: IdempotencyKey,
        /// Not 0.
        suite: u16,
        /// At most `max_key_packages` of 1 to `max_key_package_bytes` bytes.
        key_packages: Vec<Bytes>,
        /// 1 to `max_key_package_bytes` bytes.
        last_resort: Option<Bytes>,
        /// Whether those that are there go first.
        replace: bool,
    },
    /// Take KeyPackages. Outcome: `KeyPackagesClaimed`.
    ClaimKeyPackages {
        /// Idempotency key.
        key: IdempotencyKey,
        /// Not 0.
        suite: u16,
        /// 1 to `max_page_items` users, each with one device or all.
        targets: Vec<(UserId, Option<DeviceId>)>,
    },
    /// Give the DIRECT of two users. Outcome: `DirectOpened`.
    OpenDirect {
        /// Idempotency key.
        key: IdempotencyKey,
        /// With whom.
        peer: Peer,
    },
    /// Make a GROUP. Outcome: `GroupCreated`.
    CreateGroup {
        /// Idempotency key.
        key: IdempotencyKey,
    },
    /// Begin an MLS group. Outcome: `GroupEstablished`.
    EstablishGroup {
        /// Idempotency key.
        key: IdempotencyKey,
        /// What the header says.
        plan: Establishment,
        /// 1 to `max_commit_bytes` bytes.
        header: Bytes,
        /// The client's salt.
        salt: [u8; 32],
        /// At most `max_welcome_bytes` in all.
        welcomes: Vec<WelcomeFor>,
        /// 1 to `max_group_info_bytes` bytes.
        group_info: Bytes,
    },
    /// Take a group to its next epoch. Outcome: `Committed`.
    SubmitCommit {
        /// Idempotency key: the `message_id` in the header too.
        key: IdempotencyKey,
        /// What the header says.
        plan: Change,
        /// 1 to `max_commit_bytes` bytes.
        payload: Bytes,
        /// The client's salt.
        salt: [u8; 32],
        /// At most `max_welcome_bytes` in all.
        welcomes: Vec<WelcomeFor>,
        /// 1 to `max_group_info_bytes` bytes.
        group_info: Bytes,
    },
    /// Append an encrypted message. Outcome: `Sent`.
    SendPrivate {
        /// Idempotency key: the message's id, in the header too.
        key: IdempotencyKey,
        /// To which conversation.
        conversation: ConversationId,
        /// What it is encrypted for.
        epoch: Epoch,
        /// 1 to `max_payload_bytes` bytes.
        payload: Bytes,
        /// The client's salt.
        salt: [u8; 32],
    },
    /// Give a member another role. Outcome: `RoleSet`.
    SetRole {
        /// Idempotency key.
        key: IdempotencyKey,
        /// In which GROUP.
        conversation: ConversationId,
        /// To whom.
        user_id: UserId,
        /// Not `Unspecified`.
        role: v1::Role,
    },
    /// Note that a commit can't be followed. Outcome: `CommitRejected`.
    RejectCommit {
        /// Idempotency key.
        key: IdempotencyKey,
        /// Where.
        conversation: ConversationId,
        /// The commit's; whether there is one is the log's to say.
        seq: u64,
        /// Not `Unspecified`.
        code: v1::RejectCode,
    },
    /// Give what an external commit is made from. Outcome: `GroupInfo`.
    GetGroupInfo {
        /// Where.
        conversation: ConversationId,
    },
    /// Read the device's inbox. Outcome: `Inbox`.
    FetchInbox {
        /// Items above this position.
        after: u64,
        /// 1 to `max_page_items`.
        max_items: u32,
    },
    /// Delete items from the device's inbox. Outcome: `InboxAcked`.
    AckInbox {
        /// Up to this position.
        up_to: u64,
    },
    /// Note what the device computed of an epoch. Outcome: `ForkCheckReported`.
    ReportForkCheck {
        /// Where.
        conversation: ConversationId,
        /// Of which epoch.
        epoch: Epoch,
        /// What.
        value: [u8; 32],
    },
}

/// What to do when a handle is in use (AUTH-012, AUTH-013).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnConflict {
    /// Refuse.
    Reject,
    /// Append the least number that makes it free.
    Suffix,
}

/// A device that is to be bound to an account; it has proved that it holds the key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeviceBinding {
    /// Its login key.
    pub public_key: PublicKey,
    /// 1 to 64 bytes without control characters (DEV-002).
    pub name: String,
}

/// A password as it is hashed: prepared by RFC 8265 OpaqueString. Wiped when dropped, and never shown.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Zeroizing<String>);

impl Secret {
    /// Keeps a password.
    #[must_use]
    pub fn new(password: String) -> Self {
        Self(Zeroizing::new(password))
    }

    /// The password, to be hashed and for nothing else.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_not_shown() {
        let command = Command::ChangePassword {
            key: IdempotencyKey::new([0; 16]),
            old: Secret::new("correct horse".into()),
            new: Secret::new("battery staple".into()),
        };
        assert_eq!(
            format!("{command:?}"),
            "ChangePassword { key: IdempotencyKey(00000000-0000-0000-0000-000000000000), \
             old: Secret(..), new: Secret(..) }"
        );
    }
}
