//! What a batch changed, for whoever tells connections about it.

use aside_proto::{
    id::{ConversationId, DeviceId, UserId},
    v1,
};

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
    },
    /// A user is no member from here on. Comes after the entry that says so (ROOM-009).
    Left {
        /// Who.
        user: UserId,
        /// Where.
        conversation: ConversationId,
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
        /// Whether other members are told too: there are at most `max_live_members` (MARK-010).
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
        /// What the user is a member of at this point, in no order.
        conversations: Vec<ConversationId>,
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
