//! What a batch changed, for whoever tells connections about it.

use aside_proto::{
    id::{ConversationId, DeviceId, UserId},
    v1,
};

use crate::PresenceSettings;

/// One change that is durable.
#[derive(Debug, Clone, PartialEq)]
pub enum Effect {
    /// An entry was appended. Its recipients are the members at this point of the sequence of effects.
    Appended {
        /// Where.
        conversation: ConversationId,
        /// The entry's seq.
        seq: u64,
        /// The entry, as Fetch returns it (PUSH-007).
        entry: v1::Entry,
    },
    /// A user is a member from here on. Comes before the entry that says so (PUSH-002).
    Joined {
        /// Who.
        user: UserId,
        /// Where.
        conversation: ConversationId,
        /// How many members there are now.
        members: u64,
    },
    /// A user is no member from here on. Comes after the entry that says so (ROOM-009).
    Left {
        /// Who.
        user: UserId,
        /// Where.
        conversation: ConversationId,
        /// How many members there are now.
        members: u64,
    },
    /// A user was invited to a room (INV-008).
    Invited {
        /// Who is invited.
        user: UserId,
        /// What the user's connections are told.
        invitation: Box<v1::Invitation>,
    },
    /// A member's watermarks have moved (MARK-008).
    WatermarkMoved {
        /// Where.
        conversation: ConversationId,
        /// Who.
        user: UserId,
        /// As they are now.
        delivered_seq: u64,
        /// As they are now.
        read_seq: u64,
        /// The connection that is told by the reply (MARK-009).
        attachment: u64,
        /// Whether other members are told too: there are at most `max_live_members` (MARK-010), and the user lets them
        /// (PRES-016).
        to_members: bool,
    },
    /// A device was revoked: its connections are to be closed (DEV-004).
    DeviceRevoked {
        /// Which.
        device: DeviceId,
    },
    /// A connection is to be pushed what is appended from here on (PUSH-001).
    Attached {
        /// Whose.
        user: UserId,
        /// By which device.
        device: DeviceId,
        /// The number that [`Store::attach`](crate::Store::attach) was given.
        attachment: u64,
        /// What the user is a member of at this point, in no order, and how many members each has.
        conversations: Vec<(ConversationId, u64)>,
        /// What the user lets others see.
        settings: PresenceSettings,
    },
    /// A user lets others see something else from here on (PRES-001).
    PresenceSet {
        /// Who.
        user: UserId,
        /// The connection that is told by the reply (PRES-011).
        attachment: u64,
        /// All there is.
        settings: PresenceSettings,
    },
}

/// Told of every change, once and in commit order, after it is durable and before anyone's request is acknowledged:
/// so a subscriber that queues what it is told has events before the replies that follow them (PUSH-006).
pub trait Observer: Send + Sync {
    /// The effects of one batch. Must not block: nothing is written meanwhile.
    fn committed(&self, effects: &[Effect]);
}

/// For a store that nobody watches.
impl Observer for () {
    fn committed(&self, _: &[Effect]) {}
}
