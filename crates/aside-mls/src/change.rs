//! How members come and go: what a commit is to do, what its header claims, and what it did.

use std::{collections::BTreeSet, fmt};

use mls_rs::MlsMessage;

use crate::Owner;

/// What a commit's clear header claims that it does (MLS-015).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ClaimedChange {
    /// The epoch it is made in; it leads to the next.
    pub epoch: u64,
    /// The devices that come in, with their users: anyone may choose a device id that is another's. One that joins again is
    /// in both sets.
    pub added: BTreeSet<Owner>,
    /// The devices that go.
    pub removed: BTreeSet<Owner>,
}

/// What a commit is to do. One that neither adds nor removes renews this device's keys.
#[derive(Debug, Clone, Default)]
pub struct Change {
    /// Who comes in.
    pub add: Vec<KeyPackage>,
    /// Who goes.
    pub remove: BTreeSet<Owner>,
}

/// A KeyPackage of a device to add. Whether it holds is found out by the commit.
#[derive(Debug, Clone)]
pub struct KeyPackage {
    pub(crate) message: MlsMessage,
    pub(crate) owner: Owner,
}

impl KeyPackage {
    /// Whose it is.
    #[must_use]
    pub const fn owner(&self) -> Owner {
        self.owner
    }
}

/// A commit to submit.
#[derive(Clone, PartialEq, Eq)]
pub struct OutgoingCommit {
    /// The commit: a PrivateMessage, or a PublicMessage if it is external (MLS-005).
    pub commit: Vec<u8>,
    /// The Welcome for all who are added, if any are.
    pub welcome: Option<Vec<u8>>,
    /// The GroupInfo of the epoch after it, by which devices join again (MLS-013).
    pub group_info: Vec<u8>,
}

impl fmt::Debug for OutgoingCommit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OutgoingCommit")
            .field("commit", &self.commit.len())
            .field("welcome", &self.welcome.as_ref().map(Vec::len))
            .field("group_info", &self.group_info.len())
            .finish()
    }
}

/// What a commit did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Effect {
    /// Who made it.
    pub committer: Owner,
    /// Whether its maker came in by it, on its own.
    pub external: bool,
    /// What it did, as its header claimed.
    pub change: ClaimedChange,
    /// Whether this device is out of the group now, if the others take the commit:
    /// [`Group::confirm_removal`](crate::Group::confirm_removal) or
    /// [`Group::reject_removal`](crate::Group::reject_removal) says so (MLS-036).
    pub removed_us: bool,
}
