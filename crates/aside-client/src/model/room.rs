//! Rooms and private conversations, and who is in them.

use aside_proto::{
    id::{ConversationId, IdLengthError, UserId},
    v1::{self, Retention},
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

/// What a private conversation is called until its name is known, and what stands for its id where people read it.
#[must_use]
pub fn unnamed(conversation: ConversationId, kind: Kind) -> String {
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
