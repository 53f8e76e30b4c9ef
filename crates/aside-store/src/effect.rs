//! What a batch changed, for whoever tells connections about it.

use aside_proto::{
    id::{ConversationId, DeviceId, UserId},
    private::Epoch,
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
        /// The rooms that the user is a member of at this point, in no order, and how many members each has.
        conversations: Vec<(ConversationId, u64)>,
        /// What the user lets others see.
        settings: PresenceSettings,
        /// What there is to know for private conversations.
        private: AttachedPrivate,
    },
    /// A user is a member of a private conversation from here on. Its devices are pushed nothing by that: leaves are.
    JoinedPrivate {
        /// Who.
        user: UserId,
        /// Where.
        conversation: ConversationId,
        /// How many members there are now.
        members: u64,
    },
    /// A device is a leaf from here on, and is pushed what is appended. Comes before the entry that says so (PRIV-008).
    LeafAdded {
        /// Which.
        device: DeviceId,
        /// Where.
        conversation: ConversationId,
        /// How many members there are.
        members: u64,
    },
    /// A device is no leaf from here on, or one that is to be removed.
    LeafRemoved {
        /// Which.
        device: DeviceId,
        /// Where.
        conversation: ConversationId,
    },
    /// A user's device log has grown, or was replaced (DEVLOG-009).
    DeviceLogChanged {
        /// Whose.
        user: UserId,
        /// How many entries it has now.
        length: u32,
        /// Its devices that are approved now.
        approved: Vec<DeviceId>,
    },
    /// A device has few KeyPackages (KP-011).
    KeyPackagesLow {
        /// Which.
        device: DeviceId,
        /// Of which cipher suite.
        suite: u16,
        /// How many.
        available: u32,
    },
    /// Something waits for a device (INBOX-005).
    InboxItem {
        /// Which.
        device: DeviceId,
        /// Where in its inbox.
        position: u64,
        /// Where it leads.
        conversation: ConversationId,
    },
    /// Two leaves computed different values for an epoch (FORK-003).
    ForkCheckMismatch {
        /// Where.
        conversation: ConversationId,
        /// When.
        epoch: Epoch,
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

/// What a device that logs in has to do with private conversations.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AttachedPrivate {
    /// Whether it is approved (DEVLOG-006).
    pub is_approved: bool,
    /// Those that its user is a member of, in no order.
    pub conversations: Vec<Seat>,
    /// Its cipher suites with fewer KeyPackages than `key_packages_low`, and how many these are.
    pub key_packages_low: Vec<(u16, u32)>,
}

/// A private conversation, as one device has to do with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Seat {
    /// Which.
    pub conversation: ConversationId,
    /// How many members it has.
    pub members: u64,
    /// Whether the device is a leaf that is not to be removed.
    pub is_leaf: bool,
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
