//! What happens.

use std::time::Duration;

use aside_crypto::PinBreach;
use aside_proto::id::{ConversationId, DeviceId, IdempotencyKey};

use super::{Entry, Kind, Person, Room};
use crate::{Error, Notice, Outgoing, Presence, PresenceSettings, Watermark, private};

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
        /// What it is.
        kind: Kind,
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
        /// What it is.
        kind: Kind,
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
        /// What it is.
        kind: Kind,
        /// Who has put the user out of a private one, as far as its log has told.
        by: Option<Person>,
        /// What the server said when it was asked for entries; none if it left the room out of the user's rooms. DEVICE_NOT_APPROVED
        /// if it is private and this device is not approved: then the server lists none (PRIV-006), and it is back once that has changed.
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
        /// What it is.
        kind: Kind,
        /// What.
        what: private::Event,
        /// Whom it names, in the order in which it does.
        people: Vec<Person>,
        /// Of a repair that failed: whose commits have left this device behind so often that it comes in anew by itself only now and
        /// then, and how often they did (MLS-044).
        left_behind: Option<(Person, u32)>,
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
