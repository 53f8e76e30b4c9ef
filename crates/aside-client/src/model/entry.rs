//! What a conversation's log records, and what it comes to.

use std::{ops::Range, sync::Arc};

use aside_proto::id::{ConversationId, IdempotencyKey};
use aside_session::client::{room::Settings as RoomSettings, timeline::Reply};

use super::{Kind, Person, Role};
use crate::{GroupProfile, State, private};

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
        /// Those of them whose devices got nothing more already, as far as the entries kept right before tell: since they were revoked, or
        /// since the user left. The others were put out by this.
        cut_off: Vec<Person>,
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
