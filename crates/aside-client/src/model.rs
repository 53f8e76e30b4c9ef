//! What a user interface shows: rooms, people, devices, entries, and what happens.

use std::{fmt, ops::Range, sync::Arc, time::Duration};

use aside_proto::{
    id::{ConversationId, DeviceId, IdLengthError, IdempotencyKey, UserId},
    v1,
};

use aside_session::client::timeline::Reply;

use crate::Error;

/// A room, as the user sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Room {
    /// Its id, for ever.
    pub conversation: ConversationId,
    /// Its name. To be neutralised before it is displayed.
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
}

/// What a member may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Reads and writes.
    Member,
    /// Made the room.
    Owner,
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
    /// Something that this version does not know.
    Unknown,
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
    /// What was redacted: that is all there is to be shown of it (CONT-014).
    Redacted,
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
    /// The server names another key for a device than it did at first: the user must be warned (DEV-010). The first is kept.
    DeviceKeyChanged {
        /// The device.
        device: DeviceId,
        /// Whose it was said to be at first.
        user: Person,
    },
    /// The server asked to wait; what was to be sent is sent later.
    Throttled {
        /// How long.
        wait: Duration,
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
    /// The client can't go on, and ends.
    Ended(Error),
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

impl TryFrom<v1::Room> for Room {
    type Error = IdLengthError;

    fn try_from(room: v1::Room) -> Result<Self, IdLengthError> {
        let role = match room.role() {
            v1::Role::Unspecified => None,
            v1::Role::Member => Some(Role::Member),
            v1::Role::Owner => Some(Role::Owner),
        };
        Ok(Self {
            conversation: room.conversation_id[..].try_into()?,
            // What is not known to be private is not private.
            server_readable: true,
            member_count: room.member_count,
            role,
            is_default: room.is_default,
            first_seq: room.first_seq,
            head_seq: room.head_seq,
            name: room.name,
        })
    }
}

impl TryFrom<v1::Member> for Member {
    type Error = IdLengthError;

    fn try_from(member: v1::Member) -> Result<Self, IdLengthError> {
        let owner = member.role() == v1::Role::Owner;
        Ok(Self {
            user: member.user_id[..].try_into()?,
            handle: member.handle,
            role: if owner { Role::Owner } else { Role::Member },
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
