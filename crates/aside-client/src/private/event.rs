//! What the engine tells.

use std::collections::BTreeSet;

use aside_mls::{Owner, Reason};
use aside_proto::{
    id::{ConversationId, IdempotencyKey, UserId},
    v1,
};

use crate::GroupProfile;

/// What happened in a private conversation, beside what its entries say.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// Entries were read: what is kept of them has changed.
    Read,
    /// A message of this device is durable.
    Sent {
        /// Which.
        message_id: IdempotencyKey,
        /// Its entry.
        seq: u64,
        /// The entry's time.
        time_ms: u64,
    },
    /// A message of this device will not be sent.
    Failed {
        /// Which.
        message_id: IdempotencyKey,
        /// What the server says.
        error: Box<v1::Error>,
    },
    /// A message waits until a user has a device to encrypt to.
    Waiting {
        /// Who.
        user: UserId,
        /// Why there is none.
        why: v1::NoKeyPackage,
    },
    /// This device is in the conversation's group from now on.
    Joined {
        /// How it came in.
        how: How,
    },
    /// What was asked for was done, or can't be.
    Done {
        /// What.
        goal: Goal,
        /// Why not.
        outcome: Result<(), GoalError>,
    },
    /// A commit can't be followed; the server was told, and so are all (DS-020). If it was to remove this device, as
    /// [`Event::Removed`] said, others have rejected it: this device is a member as before (MLS-036).
    CommitRefused {
        /// Its entry.
        seq: u64,
        /// Who made it.
        by: Owner,
        /// What is wrong with it.
        reason: Reason,
        /// The devices that it adds, or that the Welcome leads to, and that their users' device logs do not approve.
        suspects: Vec<Owner>,
    },
    /// Another device can't follow a commit.
    CommitRejected {
        /// The commit's entry.
        seq: u64,
        /// Who made it, as far as is known.
        maker: Option<Owner>,
        /// Who says so.
        by: Owner,
        /// What is wrong with it.
        code: v1::RejectCode,
    },
    /// The group was begun anew.
    Reset {
        /// By whom.
        by: Owner,
        /// Whose commit made it necessary.
        culprit: Option<Owner>,
    },
    /// This device was removed. Of a commit it is told at once, and [`Event::CommitRefused`] if it does not hold.
    Removed {
        /// By whom; none where it was cut off, or its user left.
        by: Option<Owner>,
    },
    /// A repair was tried, and did not work: only its user can do something now.
    RepairFailed {
        /// What was wrong.
        why: Repair,
        /// Why it did not work.
        reason: Reason,
        /// Devices that the server says are in the group, and that their users' device logs do not approve; of [`Reason::Stranger`] who
        /// it is.
        suspects: Vec<Owner>,
    },
    /// Two members are in different states at one epoch (MLS-032).
    ForkFound {
        /// The epoch.
        epoch: u64,
    },
    /// Another member's device has seen another history of the conversation than this one: the server shows each its own, or that
    /// device does not say the truth (HEAD-011). It is told once of each device.
    HistoryDiverges {
        /// The entry that says so.
        seq: u64,
        /// Who made it.
        by: Owner,
    },
    /// The GROUP has another name or color (PRIV-017).
    Named {
        /// What it is called.
        profile: GroupProfile,
        /// Who said so.
        by: Owner,
    },
    /// The server gave KeyPackages of a device that its user's device log does not approve: nothing is encrypted to it (MLS-009).
    DeviceLeftOut {
        /// The device, and whose the server says it is.
        device: Owner,
    },
    /// A message states another device log than the one that is known, or one that goes on (TRUST-006).
    SenderDoubted {
        /// The message's entry.
        seq: u64,
        /// Its sender.
        sender: Owner,
    },
    /// The server showed what can't be, so nothing more is taken in.
    Contradiction {
        /// The entry.
        seq: u64,
        /// What.
        what: &'static str,
    },
}

impl Event {
    /// The users whom it names, in order: whose device it was, and who says so.
    #[must_use]
    pub fn users(&self) -> Vec<UserId> {
        let owners = match self {
            Self::Waiting { user, .. } => return vec![*user],
            Self::Done { goal: Goal::Add(user) | Goal::Remove(user), .. } => return vec![*user],
            Self::CommitRefused { by, suspects, .. } => {
                [*by].into_iter().chain(suspects.iter().copied()).collect()
            }
            Self::RepairFailed { suspects, .. } => suspects.clone(),
            Self::Named { by, .. } | Self::HistoryDiverges { by, .. } => vec![*by],
            Self::CommitRejected { maker, by, .. } => maker.iter().copied().chain([*by]).collect(),
            Self::Reset { by, culprit } => [*by].into_iter().chain(*culprit).collect(),
            Self::Removed { by } => by.iter().copied().collect(),
            Self::SenderDoubted { sender: owner, .. } | Self::DeviceLeftOut { device: owner } => {
                vec![*owner]
            }
            Self::Read
            | Self::Sent { .. }
            | Self::Failed { .. }
            | Self::Joined { .. }
            | Self::Done { .. }
            | Self::ForkFound { .. }
            | Self::Contradiction { .. } => Vec::new(),
        };
        owners.into_iter().map(|owner| owner.user).collect()
    }
}

/// How this device came into a group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum How {
    /// It began the group.
    Began,
    /// It was added.
    Welcomed,
    /// It came in by itself.
    Came(Repair),
}

/// Why a device comes into a group by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Repair {
    /// It is a new device of a member.
    #[error("this device is new")]
    NewDevice,
    /// Its state was lost, or put back from a copy.
    #[error("what this device knew was lost")]
    StateLost,
    /// Others follow a commit that it can't follow.
    #[error("others follow a commit that this device can't follow")]
    Behind,
    /// It was added, and the Welcome is not there, or leads nowhere.
    #[error("the invitation can't be used")]
    NoWelcome,
    /// Its user asked for it.
    #[error("its user asked for it")]
    Asked,
}

/// What is to be done in a conversation by a commit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Goal {
    /// The group is begun.
    Begin,
    /// All approved devices of a user come in.
    Add(UserId),
    /// All devices of a user go.
    Remove(UserId),
    /// This device's keys are renewed.
    Renew,
}

/// Why something can't be done.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum GoalError {
    /// There is no device of the user to add.
    #[error("no device of the user can be added")]
    NoDevice(v1::NoKeyPackage),
    /// The user's devices are refused: their KeyPackages, or their certificates.
    #[error("the user's devices are refused: {0}")]
    Device(Reason),
    /// The server refuses.
    #[error("{}", .0.message)]
    Refused(Box<v1::Error>),
    /// It is this device's user who is to be removed.
    #[error("nobody removes themselves from a group")]
    Oneself,
    /// It is a DIRECT (MLS-050).
    #[error("it is a conversation of two, whom nobody joins and nobody is removed from")]
    Direct,
    /// The group goes on by somebody whom this device did not know there, and its user has not let that one lead (MLS-049).
    #[error("the group goes on by somebody whom this device did not know there")]
    Stranger,
    /// This device is not in the group.
    #[error("this device is not in the conversation's group")]
    NotInGroup,
}

/// How a conversation stands.
#[derive(Debug, Clone, PartialEq)]
pub struct Health {
    /// The group's generation and epoch, as the log says; none before there is a group.
    pub at: Option<(u32, u64)>,
    /// The epoch that this device is at; none if it is not in the group.
    pub epoch: Option<u64>,
    /// The suite's number in RFC 9420.
    pub suite: Option<u16>,
    /// The devices in the group.
    pub leaves: Vec<Owner>,
    /// Whether these are still to be held against what the server lists, before anything is said (MLS-046).
    pub is_tree_unproven: bool,
    /// Those that are to be removed.
    pub cut_off: BTreeSet<Owner>,
    /// Members and their roles.
    pub members: Vec<(UserId, v1::Role)>,
    /// What the fork check of this epoch is: equal among members who see the same; none if this device is not in the group.
    pub fork_check: Option<[u8; 32]>,
    /// The last epoch at which members were found in different states.
    pub forked_at: Option<u64>,
    /// Who had seen another history of the conversation, and by which entry that is known.
    pub diverged: Vec<(u64, Owner)>,
    /// The last repair, and the entry by which it was done.
    pub last_repair: Option<(Repair, u64)>,
    /// A repair that did not work, and why.
    pub broken: Option<(Repair, Reason)>,
    /// The device whose commits this one could not follow so often that it comes in anew by itself only now and then, and how often
    /// it did (MLS-044).
    pub left_behind: Option<(Owner, u32)>,
    /// Who led this device into the group by a Welcome, whom it did not know in the one before: it reads there, and makes nothing before
    /// its user lets that one lead (MLS-049).
    pub led_by: Option<Owner>,
    /// By whom the group goes on, whom this device did not know in the one before, and its user has not let lead yet.
    pub stranger: Option<UserId>,
    /// Messages that wait.
    pub waiting: usize,
}

/// An event and its conversation.
pub type Told = (ConversationId, Event);
