//! What the log of a private conversation says of its members and of its group, in clear: what the server goes by.

use std::collections::{BTreeMap, BTreeSet};

use aside_mls::{Owner, Suite};
use aside_proto::{
    id::UserId,
    v1::{self, ConversationKind, Role},
};

/// Entries of which the maker is remembered, to tell whose commit was rejected.
const MAX_MAKERS: usize = 256;

/// Members, roles, and where the group is.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Roster {
    pub(super) kind: ConversationKind,
    pub(super) members: BTreeMap<UserId, Role>,
    /// Generation and epoch; none if that is not known yet, generation 0 if there is no group.
    pub(super) at: Option<(u32, u64)>,
    /// Whether `at` is what the server says, or of before entries that are gone, and so perhaps not what the log says here.
    pub(super) at_is_vague: bool,
    /// What `at` was last by the log itself: it does not lead back.
    pub(super) floor: Option<(u32, u64)>,
    pub(super) suite: Option<Suite>,
    /// Leaves that the next commit has to remove.
    pub(super) cut_off: BTreeSet<Owner>,
    /// Who made the last commits of this generation, by seq.
    pub(super) makers: BTreeMap<u64, Owner>,
    /// Those of them that somebody rejected.
    pub(super) rejected: BTreeSet<u64>,
}

impl Roster {
    pub(super) fn created(&mut self, payload: &v1::ConversationCreatedPayload) {
        self.kind = payload.kind();
        self.at = Some((0, 0));
        for user in payload.user_ids.iter().filter_map(|id| UserId::try_from(&id[..]).ok()) {
            self.members.insert(user, Role::Owner);
        }
    }

    pub(super) fn role_changed(&mut self, payload: &v1::RoleChangedPayload) {
        if let Ok(user) = UserId::try_from(&payload.user_id[..]) {
            self.members.insert(user, payload.role());
        }
    }

    /// Whether something of this epoch may be the next entry. From then on it is what the log says.
    pub(super) fn goes_on(&mut self, at: (u32, u64)) -> bool {
        let is_next = self.at.is_none_or(|known| known == at);
        let goes_on = is_next || (self.at_is_vague && self.floor.is_none_or(|floor| floor <= at));
        if goes_on {
            (self.at, self.at_is_vague, self.floor) = (Some(at), false, Some(at));
        }
        goes_on
    }

    /// Leaves were cut off.
    pub(super) fn removal_pending(&mut self, user: UserId, devices: &BTreeSet<Owner>, left: bool) {
        self.cut_off.extend(devices);
        if left {
            self.members.remove(&user);
        }
    }

    /// A group was begun.
    pub(super) fn established(
        &mut self,
        (seq, by): (u64, Owner),
        (generation, suite): (u32, Option<Suite>),
        leaves: &BTreeSet<Owner>,
    ) {
        let at = Some((generation, 1));
        (self.at, self.at_is_vague, self.floor) = (at, false, at);
        self.suite = suite;
        self.cut_off.clear();
        self.rejected.clear();
        self.makers = [(seq, by)].into();
        self.came(leaves);
    }

    /// A commit was accepted.
    pub(super) fn committed(
        &mut self,
        (seq, by): (u64, Owner),
        (generation, epoch): (u32, u64),
        added: &BTreeSet<Owner>,
        removed: &BTreeSet<Owner>,
    ) {
        let at = Some((generation, epoch.saturating_add(1)));
        (self.at, self.floor) = (at, at);
        self.cut_off.retain(|leaf| !removed.contains(leaf));
        self.makers.insert(seq, by);
        if self.makers.len() > MAX_MAKERS {
            self.makers.pop_first();
        }
        self.came(added);
    }

    /// Users who have no leaf any more after a commit that put them out are members no longer (PRIV-016).
    pub(super) fn went(&mut self, users: impl Iterator<Item = UserId>) {
        if self.kind == ConversationKind::Group {
            for user in users {
                self.members.remove(&user);
            }
        }
    }

    fn came(&mut self, leaves: &BTreeSet<Owner>) {
        for leaf in leaves {
            self.members.entry(leaf.user).or_insert(Role::Member);
        }
    }

    /// What a user is in the conversation.
    pub(super) fn role(&self, user: UserId) -> Role {
        self.members.get(&user).copied().unwrap_or_default()
    }

    /// Whether a user may give roles, and begin the group anew.
    pub(super) fn is_owner(&self, user: UserId) -> bool {
        self.members.get(&user) == Some(&Role::Owner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_server_says_of_the_epoch_does_not_contradict_the_log() {
        let mut roster = Roster { at: Some((1, 5)), at_is_vague: true, ..Roster::default() };
        assert!(roster.goes_on((1, 3)), "an entry of before the server was asked");
        assert!(!roster.goes_on((1, 5)), "from then on the log says it");
        assert!(roster.goes_on((1, 3)));
        assert_eq!(roster.at, Some((1, 3)));
    }
}
