//! What the clear headers of private conversations say, once they were checked.

use bytes::Bytes;

use crate::{
    id::{ConversationId, DeviceId, IdLengthError, UserId},
    name::Name,
    v1,
};

/// A device as the leaf of an MLS group.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Leaf {
    /// Whose it is.
    pub user: UserId,
    /// Which.
    pub device: DeviceId,
}

impl TryFrom<&v1::Leaf> for Leaf {
    type Error = IdLengthError;

    /// CONV-001.
    fn try_from(leaf: &v1::Leaf) -> Result<Self, IdLengthError> {
        Ok(Self { user: leaf.user_id[..].try_into()?, device: leaf.device_id[..].try_into()? })
    }
}

impl From<Leaf> for v1::Leaf {
    fn from(leaf: Leaf) -> Self {
        Self { user_id: leaf.user.to_bytes(), device_id: leaf.device.to_bytes() }
    }
}

/// The other user of a DIRECT, as the one who opens it names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Peer {
    /// By its id.
    User(UserId),
    /// By its handle now.
    Handle(Name),
}

/// Where a group is: no two commits lead to the same place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Epoch {
    /// Counts the groups of a conversation from 1; 0 before the first.
    pub generation: u64,
    /// Counts the commits of a group: 1 for one that was just established.
    pub epoch: u64,
}

/// An `EstablishHeader`: every leaf is there once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Establishment {
    /// Where.
    pub conversation: ConversationId,
    /// Which group it is to be.
    pub generation: u64,
    /// The last entry, as its sender knows it.
    pub head_seq: u64,
    /// The MLS cipher suite, not 0.
    pub suite: u16,
    /// All leaves, at least one.
    pub leaves: Vec<Leaf>,
    /// Who is left out for a commit that was rejected.
    pub culprit: Option<Leaf>,
}

/// A `CommitHeader`: every leaf is there once among those added, and once among those removed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// Where.
    pub conversation: ConversationId,
    /// What it builds on.
    pub base: Epoch,
    /// The leaves that come.
    pub added: Vec<Leaf>,
    /// The leaves that go.
    pub removed: Vec<Leaf>,
    /// Whether its sender comes by it.
    pub is_external: bool,
}

/// A Welcome, not empty, and whom it is for: at least one device, and none that another Welcome of the request is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WelcomeFor {
    /// The MLS message.
    pub welcome: Bytes,
    /// The devices.
    pub devices: Vec<DeviceId>,
}
