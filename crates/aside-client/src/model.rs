//! What a user interface shows: rooms, people, devices, entries, and what happens.

use std::{fmt, ops::Range, sync::Arc, time::Duration};

use aside_proto::{
    id::{ConversationId, DeviceId, IdLengthError, IdempotencyKey, UserId},
    v1::{self, Retention},
};

use aside_crypto::PinBreach;
use aside_session::client::{room::Settings as RoomSettings, timeline::Reply};

use crate::{
    Error, GroupProfile, Notice, Outgoing, Presence, PresenceSettings, State, Watermark, private,
};

/// A room, as the user sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Room {
    /// Its id, for ever.
    pub conversation: ConversationId,
    /// What it is.
    pub kind: Kind,
    /// Its name: of a private one as this client has it, since the server knows none. To be neutralised before it is displayed.
    pub name: String,
    /// Whether the server can read what is said in it; to be shown before joining (ROOM-001).
    pub server_readable: bool,
    /// How many members it has.
    pub member_count: u32,
    /// The user's role in it; none if not a member.
    pub role: Option<Role>,
    /// Whether it is the room that newcomers are shown first.
    pub is_default: bool,
    /// The first entry that is still there.
    pub first_seq: u64,
    /// The last entry.
    pub head_seq: u64,
    /// What is talked about; empty if nobody said. To be neutralised before it is displayed.
    pub topic: String,
    /// What it is for; empty if nobody said. To be neutralised before it is displayed.
    pub description: String,
    /// Whether only those may join who are invited. The server reads such a room too.
    pub invite_only: bool,
    /// Whether the user is invited, and has not joined since.
    pub invited: bool,
    /// What limits how much of it is kept; to be shown before the user writes there (RET-011).
    pub retention: Retention,
    /// How many messages of others the user has not read on any device; 1000 stands for "1000 or more" (SUM-005). None if not a
    /// member, if the server does not count, and in what [`Client::room`](crate::Client::room), `join` and `create_room` give.
    pub unread: Option<u32>,
}

/// What a conversation is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Anyone may join, and the server can read what is said.
    PublicRoom,
    /// Private, of any number of users.
    Group,
    /// Private, of two users for ever.
    Direct,
}

impl Kind {
    /// Whether what is said is encrypted among its members' devices.
    #[must_use]
    pub const fn is_private(self) -> bool {
        matches!(self, Self::Group | Self::Direct)
    }

    pub(crate) const fn of(kind: v1::ConversationKind) -> Self {
        match kind {
            v1::ConversationKind::Group => Self::Group,
            v1::ConversationKind::Direct => Self::Direct,
            v1::ConversationKind::Unspecified | v1::ConversationKind::PublicRoom => {
                Self::PublicRoom
            }
        }
    }
}

/// What a member may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Reads and writes.
    Member,
    /// Of a GROUP: adds members, and removes those who are neither admins nor owners.
    Admin,
    /// Made the room.
    Owner,
}

impl Role {
    /// As a message names it.
    #[must_use]
    pub const fn to_proto(self) -> v1::Role {
        match self {
            Self::Member => v1::Role::Member,
            Self::Admin => v1::Role::Admin,
            Self::Owner => v1::Role::Owner,
        }
    }

    /// What a message names; none if it names none.
    #[must_use]
    pub const fn of(role: v1::Role) -> Option<Self> {
        match role {
            v1::Role::Unspecified => None,
            v1::Role::Member => Some(Self::Member),
            v1::Role::Admin => Some(Self::Admin),
            v1::Role::Owner => Some(Self::Owner),
        }
    }
}

/// A member of a room.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// Who.
    pub user: UserId,
    /// The member's handle. To be neutralised before it is displayed.
    pub handle: String,
    /// What the member may do.
    pub role: Role,
    /// Whether any of the member's devices is connected.
    pub online: bool,
}

/// A device of the user's account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Device {
    /// Its id, for ever.
    pub id: DeviceId,
    /// The name it was bound with. To be neutralised before it is displayed.
    pub name: String,
    /// When it was bound, milliseconds since 1970.
    pub created_ms: u64,
    /// When it was last seen, milliseconds since 1970.
    pub last_seen_ms: u64,
    /// Whether it is this one.
    pub current: bool,
    /// Whether it is connected.
    pub online: bool,
}

/// Someone who did something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Person {
    /// Who, for ever.
    pub user: UserId,
    /// The handle last heard of; none if the user left before this client came.
    pub handle: Option<String>,
}

impl fmt::Display for Person {
    /// The handle, or what stands for it. To be neutralised before it is displayed.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.handle {
            Some(handle) => f.write_str(handle),
            None => {
                let id = self.user.to_string();
                write!(f, "user-{}", &id[id.len() - 6..])
            }
        }
    }
}

/// One entry of a conversation's log, past every check of the chain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The conversation.
    pub conversation: ConversationId,
    /// What it is.
    pub kind: Kind,
    /// Its name, as it is now. To be neutralised before it is displayed.
    pub room: String,
    /// The entry's place in it.
    pub seq: u64,
    /// When the server accepted it, milliseconds since 1970.
    pub time_ms: u64,
    /// Who made it; none if the server did.
    pub by: Option<Person>,
    /// What it records.
    pub what: What,
    /// Of a message of the user's, what became of it as far as is known; [`Entry::advance`] keeps it so. Never [`State::Queued`]
    /// or [`State::Failed`]: those are in [`Client::outbox`](crate::Client::outbox).
    pub state: Option<State>,
}

/// What an entry records.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum What {
    /// Somebody said something.
    Message {
        /// The message's id, made by the sender's client.
        message_id: IdempotencyKey,
        /// The text: as it is now of a message, the one it gives of an edit; none of a reaction, and of what this version can't
        /// show (MSG-011). To be neutralised before it is displayed.
        text: Option<String>,
        /// Whether a device of the sender said it, here and once; to be shown if not (MSG-008, MSG-012 to MSG-014).
        verified: bool,
        /// The entry that it repeats: the server shows again what was said there, which is to be shown (MSG-013).
        repeats: Option<u64>,
        /// What else there is to it.
        content: Content,
    },
    /// The room was made.
    RoomCreated,
    /// Somebody joined.
    Joined {
        /// Who.
        who: Person,
    },
    /// Somebody left.
    Left {
        /// Who.
        who: Person,
    },
    /// Somebody changed the handle.
    Renamed {
        /// The handle before.
        from: String,
        /// The handle since.
        to: String,
    },
    /// The room's owner said something else of it.
    RoomUpdated {
        /// All that is said of it since.
        now: RoomSettings,
        /// What was before; none if that entry is not kept.
        before: Option<RoomSettings>,
    },
    /// Somebody was invited.
    Invited {
        /// Who.
        who: Person,
    },
    /// A message was pinned, or its pin taken off.
    Pinned {
        /// The message's entry.
        seq: u64,
        /// Whether it is pinned since.
        pinned: bool,
        /// The message as it is now; none if it is not kept.
        message: Option<Arc<Entry>>,
    },
    /// Somebody took messages away.
    Redacted {
        /// Which, in order; those that are loaded show it themselves.
        seqs: Vec<u64>,
    },
    /// A private message that can't be read.
    Unreadable {
        /// The message's id, made by the sender's client.
        message_id: IdempotencyKey,
        /// Why.
        why: private::Unreadable,
    },
    /// The encrypted group of a private conversation was begun, or begun anew.
    GroupBegun {
        /// Its members' devices.
        leaves: Vec<Person>,
        /// Whose commit made it necessary to begin anew.
        culprit: Option<Person>,
    },
    /// Devices came into a private conversation, or went.
    MembersChanged {
        /// Whose devices came in: each user once.
        added: Vec<Person>,
        /// Whose devices went: each user once.
        removed: Vec<Person>,
        /// Whether the device let itself in: it is a new one of a member's, or had lost its state.
        external: bool,
    },
    /// Devices get nothing more, and the next commit removes them.
    RemovalPending {
        /// Whose.
        who: Person,
        /// Whether the user left.
        left: bool,
    },
    /// A member has another role.
    RoleChanged {
        /// Who.
        who: Person,
        /// The role since.
        role: Option<Role>,
    },
    /// Somebody's device can't follow a commit.
    CommitRejected {
        /// The commit's entry.
        seq: u64,
    },
    /// Something that this version does not know.
    Unknown,
}

/// What is to change of a room: what is none stays.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RoomChange {
    /// Another name.
    pub name: Option<String>,
    /// Another topic: at most 256 bytes, one line. An empty one takes it away.
    pub topic: Option<String>,
    /// Another description: at most 2048 bytes. An empty one takes it away.
    pub description: Option<String>,
    /// Whether only those may join who are invited.
    pub invite_only: Option<bool>,
    /// Other limits to what is kept of the room; without limits, all is. What they do not keep is removed for ever.
    pub retention: Option<Retention>,
}

/// A message that is pinned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pin {
    /// The message's entry.
    pub seq: u64,
    /// The entry that pinned it.
    pub pin_seq: u64,
    /// The message; none if it is not kept, and too far back or not to be had, or does not verify.
    pub message: Option<Entry>,
}

/// What a message is, and what became of it by the entries that are kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Content {
    /// A text.
    Text {
        /// Whose attention is asked for, in order (CONT-005).
        mentions: Vec<Mention>,
        /// The entry that gave it the text it has now; none if it is as it was sent (CONT-011).
        edited: Option<u64>,
        /// The message that it answers (CONT-006, CONT-007).
        reply: Option<Reply>,
        /// In the order in which they are shown (CONT-010).
        reactions: Vec<Reaction>,
    },
    /// A reaction to another message.
    Reaction {
        /// The message as it is now; none if it is not there: then nothing is to be shown (CONT-009).
        to: Option<Arc<Entry>>,
        /// An emoji. To be neutralised before it is displayed.
        emoji: String,
        /// Whether it is taken back.
        remove: bool,
    },
    /// Another text for an earlier message.
    Edit {
        /// Which entry, as its sender says.
        of: u64,
        /// The message as it is now; none if it is not shown: then this is shown as a message, and marked (CONT-013).
        message: Option<Arc<Entry>>,
    },
    /// The name and the color of a GROUP.
    Profile {
        /// What they are. The name is to be neutralised before it is displayed.
        profile: GroupProfile,
        /// Whether the sender might say so; if not, it changes nothing (PRIV-017).
        counts: bool,
    },
    /// What was redacted: that is all there is to be shown of it (CONT-014).
    Redacted,
    /// What came without its text, before an entry that redacts it was met: what this is can't be told yet, or any more
    /// (LOG-013, REDACT-015).
    Missing,
    /// An edit of what was redacted: nothing is to be shown of it (CONT-014).
    Hidden,
    /// What this version can't show (MSG-011).
    Unknown,
}

/// Those who reacted to a message with one emoji.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reaction {
    /// An emoji. To be neutralised before it is displayed.
    pub emoji: String,
    /// Who, in order.
    pub by: Vec<Person>,
}

/// A part of a text that names somebody.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mention {
    /// Who is meant.
    pub who: Person,
    /// Where in the text's UTF-8: always on boundaries of characters.
    pub range: Range<usize>,
}

/// A message to answer, to react to or to edit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MessageRef {
    /// Its entry.
    pub seq: u64,
    /// Its id.
    pub message_id: IdempotencyKey,
}

impl Entry {
    /// What a reply, a reaction or an edit needs to refer to this; none if nothing may (CONT-002, CONT-003).
    #[must_use]
    pub fn as_message(&self) -> Option<MessageRef> {
        match self.what {
            What::Message { message_id, verified: true, content: Content::Text { .. }, .. } => {
                Some(MessageRef { seq: self.seq, message_id })
            }
            _ => None,
        }
    }
}

/// A message that the server made durable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Receipt {
    /// The message's id.
    pub message_id: IdempotencyKey,
    /// Its place in the conversation.
    pub seq: u64,
    /// When the server accepted it, milliseconds since 1970.
    pub time_ms: u64,
}

/// Something a user interface may want to show.
#[derive(Debug)]
#[non_exhaustive]
pub enum Event {
    /// The connection came up, or was lost.
    Connection(Connection),
    /// An entry came: live, missed while offline, or kept by an earlier run and told again as [`Options::replay`] says. Of each
    /// conversation in order, each once. What an earlier run had taken in but not told by its end comes only by such a replay.
    ///
    /// [`Options::replay`]: crate::Options::replay
    Entry(Entry),
    /// Entries that had not been pushed were fetched.
    GapRepaired {
        /// The conversation's name.
        room: String,
        /// The first of them.
        from_seq: u64,
        /// The last of them.
        to_seq: u64,
    },
    /// The server no longer keeps entries that this client never had.
    Trimmed {
        /// The conversation's name.
        room: String,
        /// The first of them.
        from_seq: u64,
        /// The first entry that is still there.
        first_seq: u64,
    },
    /// The log is not what it was: the user must be warned (LOG-011). Nothing more of the conversation is taken in or sent.
    Tampering {
        /// The conversation.
        conversation: ConversationId,
        /// Its name.
        room: String,
        /// What was found, as a sentence.
        what: String,
    },
    /// A conversation is not followed any more, though nothing in its log says that the user left: by another device, or the
    /// server hides it.
    Unfollowed {
        /// The conversation.
        conversation: ConversationId,
        /// Its name.
        room: String,
        /// What the server said when it was asked for entries; none if it left the room out of the user's rooms.
        reason: Option<Error>,
    },
    /// The server names another key for a device than it did at first: the user must be warned (DEV-010). The first is kept.
    DeviceKeyChanged {
        /// The device.
        device: DeviceId,
        /// Whose it was said to be at first.
        user: Person,
    },
    /// The device log of the user, or of another, has changed; [`Client::device_log`](crate::Client::device_log) gives it.
    DeviceLogChanged {
        /// Whose.
        who: Person,
    },
    /// A device of the user asks to be approved: [`Client::approve`](crate::Client::approve) lets it in.
    DeviceAsks {
        /// Which; [`Client::devices`](crate::Client::devices) says what it is called.
        device: DeviceId,
    },
    /// The server gave a device log that does not go on from what was seen of it: the user must be warned (TRUST-003). Or another identity
    /// altogether, which is not used before the user has seen that (TRUST-004).
    DeviceLogRefused {
        /// Whose.
        who: Person,
        /// Why.
        why: PinBreach,
    },
    /// Somebody invited the user to a room. Who was away asks for [`Client::invitations`](crate::Client::invitations).
    Invited {
        /// The room, not joined yet.
        room: Room,
        /// Who.
        by: Person,
    },
    /// The server asked to wait; what was to be sent is sent later.
    Throttled {
        /// How long.
        wait: Duration,
    },
    /// How a message of the user's stands that was said here: it was kept, it is durable, or it will not be sent. What becomes of
    /// it then, [`Event::WatermarkMoved`] tells.
    Outgoing(Outgoing),
    /// A message is not in the [`outbox`](crate::Client::outbox) any more: it was discarded, or is said once more as another.
    Discarded {
        /// The message's id.
        message_id: IdempotencyKey,
        /// The conversation.
        conversation: ConversationId,
    },
    /// A member has got further; or the user has read further, on this device or another: then less is unread. A member's moves
    /// may come as one.
    WatermarkMoved {
        /// The conversation.
        conversation: ConversationId,
        /// Who, and how far.
        watermark: Watermark,
    },
    /// A message of the outbox was refused for good.
    MessageFailed {
        /// The message's id.
        message_id: IdempotencyKey,
        /// The conversation.
        conversation: ConversationId,
        /// Why.
        error: Error,
    },
    /// Somebody came, went, or has another status; of those that [`Client::presence`] was asked about also when that is found out
    /// after a lost connection.
    ///
    /// [`Client::presence`]: crate::Client::presence
    Presence(Presence),
    /// Another device of the user has changed what others may see.
    PresenceSettings(PresenceSettings),
    /// A member writes, or no longer: for [`Typists`](crate::Typists), which know for how long.
    Typing {
        /// Where.
        conversation: ConversationId,
        /// Who.
        who: Person,
        /// Whether the member writes.
        typing: bool,
    },
    /// The operator of the server has something to say.
    Notice(Notice),
    /// The client can't go on, and ends.
    Ended(Error),
    /// Something happened in a private conversation, beside what its entries say.
    Private {
        /// The conversation.
        conversation: ConversationId,
        /// Its name. To be neutralised before it is displayed.
        room: String,
        /// What.
        what: private::Event,
        /// Whom it names, in the order in which it does.
        people: Vec<Person>,
    },
}

/// How it stands with the connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Connection {
    /// Logged in.
    Online {
        /// The account's handle.
        handle: String,
    },
    /// Lost, or never made; the next attempt follows.
    Offline {
        /// Why.
        reason: String,
        /// When the next attempt follows.
        retry_in: Duration,
    },
}

/// What a private conversation is called until its name is known.
pub(crate) fn unnamed(conversation: ConversationId, kind: Kind) -> String {
    let id = conversation.to_string();
    let what = if kind == Kind::Direct { "direct" } else { "group" };
    format!("{what}-{}", &id[id.len() - 6..])
}

/// Whether a private conversation has a name of its own here.
pub(crate) fn is_named(room: &Room) -> bool {
    !room.name.is_empty() && room.name != unnamed(room.conversation, room.kind)
}

/// Whether a conversation is none that the server can read. This version shows none of these.
pub(crate) fn is_private(room: &v1::Room) -> bool {
    match room.kind() {
        v1::ConversationKind::Group | v1::ConversationKind::Direct => true,
        v1::ConversationKind::Unspecified | v1::ConversationKind::PublicRoom => false,
    }
}

impl TryFrom<v1::Room> for Room {
    type Error = IdLengthError;

    fn try_from(room: v1::Room) -> Result<Self, IdLengthError> {
        let kind = Kind::of(room.kind());
        Ok(Self {
            conversation: room.conversation_id[..].try_into()?,
            role: Role::of(room.role()),
            kind,
            // What is not known to be private is not private.
            server_readable: !kind.is_private(),
            member_count: room.member_count,
            is_default: room.is_default,
            first_seq: room.first_seq,
            head_seq: room.head_seq,
            unread: None,
            name: room.name,
            topic: room.topic,
            description: room.description,
            invite_only: room.invite_only,
            invited: room.invited,
            retention: room.retention.unwrap_or_default(),
        })
    }
}

impl TryFrom<v1::Member> for Member {
    type Error = IdLengthError;

    fn try_from(member: v1::Member) -> Result<Self, IdLengthError> {
        let role = Role::of(member.role()).unwrap_or(Role::Member);
        Ok(Self {
            user: member.user_id[..].try_into()?,
            handle: member.handle,
            role,
            online: member.online,
        })
    }
}

impl TryFrom<v1::Device> for Device {
    type Error = IdLengthError;

    fn try_from(device: v1::Device) -> Result<Self, IdLengthError> {
        Ok(Self {
            id: device.device_id[..].try_into()?,
            name: device.name,
            created_ms: device.created_ms,
            last_seen_ms: device.last_seen_ms,
            current: device.current,
            online: device.online,
        })
    }
}
