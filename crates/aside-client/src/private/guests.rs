//! Who is in a group, and who may be: as far as this device knows by itself, and not by the server's word alone (MLS-049, MLS-050).

use std::collections::BTreeSet;

use aside_crypto::direct_id;
use aside_mls::{Owner, Reason};
use aside_proto::id::UserId;

use super::{
    conversation::{Context, Conversation},
    event::{Event, GoalError, Repair},
};

/// Of a UUID (RFC 9562): the ids of other conversations have another (PRIV-003).
const DIRECT_ID_VERSION: u8 = 8;

/// Whom its user was told of, since the group goes on by a device of that user's whom this device did not know there.
#[derive(Debug, Clone, Copy)]
pub(super) struct Named {
    pub(super) user: UserId,
    pub(super) is_let_lead: bool,
}

/// MLS-049: the devices of these users. Who else came, a device has by nobody's word but the server's.
pub(super) fn those_of(users: &BTreeSet<UserId>, leaves: &BTreeSet<Owner>) -> BTreeSet<Owner> {
    leaves.iter().filter(|leaf| users.contains(&leaf.user)).copied().collect()
}

impl Conversation {
    /// The leaves of the group that this device is in; none if it is in no group, or no log is known of one of them.
    pub(super) fn known_leaves(&self) -> Option<BTreeSet<Owner>> {
        #[cfg(test)]
        self.listings.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let members = self.group.as_ref()?.members().ok()?;
        Some(members.into_iter().map(|member| member.owner).collect())
    }

    /// Whether it is a DIRECT, as its id says (MLS-050).
    pub(super) fn is_direct(&self) -> bool {
        self.id.as_bytes()[6] >> 4 == DIRECT_ID_VERSION
    }

    /// The other user of a DIRECT, whom its id names (PRIV-003): whatever the server lists, it is one with nobody else.
    pub(super) fn peer(&self, me: UserId) -> Option<UserId> {
        let is_peer = |user: &UserId| *user != me && direct_id(me, *user) == self.id;
        self.roster.members.keys().copied().filter(|_| self.is_direct()).find(is_peer)
    }

    /// Whether these may be leaves of the conversation's group: in a DIRECT, devices of its two users (MLS-050).
    pub(super) fn may_be_leaves(&self, leaves: &BTreeSet<Owner>) -> bool {
        if !self.is_direct() {
            return true;
        }
        let users: BTreeSet<_> = leaves.iter().map(|leaf| leaf.user).collect();
        let mut users = users.into_iter();
        match (users.next(), users.next(), users.next()) {
            (Some(one), Some(other), None) => direct_id(one, other) == self.id,
            (.., third) => third.is_none(),
        }
    }

    /// The users whom this device knows to be in the group, or knew to be in the one that it was in last; none if it was in none. Who
    /// is where a stranger has led it, it does not know.
    pub(super) fn known_users(&self) -> Option<BTreeSet<UserId>> {
        let leaves = self.known_leaves().filter(|_| self.led_by.is_none());
        let users = leaves.map(|leaves| leaves.iter().map(|leaf| leaf.user).collect());
        let before = || match self.group {
            // Of some of its leaves no log is known.
            Some(_) => Some(self.known_before.clone().unwrap_or_default()),
            None => self.known_before.clone(),
        };
        users.or_else(before)
    }

    /// Those of the group's leaves that it may begin anew with; none as for [`known_leaves`](Self::known_leaves).
    pub(super) fn sure_leaves(&self) -> Option<BTreeSet<Owner>> {
        let leaves = self.known_leaves()?;
        match self.known_users().filter(|_| self.led_by.is_some()) {
            Some(known) => Some(those_of(&known, &leaves)),
            None => Some(leaves),
        }
    }

    /// The group is let go of: whom this device knew there counts on (MLS-049).
    pub(super) fn note_known(&mut self) {
        if self.group.is_some() {
            self.known_before = self.known_users();
        }
    }

    /// MLS-049: whether this device goes where another leads, whom it has to know if it knows anybody there, unless its user lets that
    /// one lead.
    pub(super) fn may_follow(&self, me: Owner, other: Owner) -> bool {
        let is_let = self.named.is_some_and(|it| it.is_let_lead && it.user == other.user);
        let is_own = other.user == me.user || self.is_direct();
        let knows = |known: BTreeSet<UserId>| known.contains(&other.user);
        is_let || is_own || self.known_users().is_none_or(knows)
    }

    /// A Welcome of somebody whom it did not know has led this device into the group: it reads there, and makes nothing.
    pub(super) fn came_by_stranger(&mut self, cx: &mut Context<'_>, by: Owner) {
        (self.led_by, self.is_dirty) = (Some(by), true);
        self.named = Some(Named { user: by.user, is_let_lead: false });
        self.tell_stranger(cx, Repair::NoWelcome, by);
        for goal in std::mem::take(&mut self.goals) {
            let outcome = Err(GoalError::Stranger);
            cx.tell(self.id, Event::Done { goal, outcome });
        }
    }

    /// A GroupInfo is of somebody whom it did not know, and its user has not let that one lead: what that has asked for was something else.
    pub(super) fn name_stranger(&mut self, cx: &mut Context<'_>, why: Repair, by: Owner) {
        let named = Named { user: by.user, is_let_lead: false };
        let is_another = self.named.replace(named).is_none_or(|it| it.user != by.user);
        (self.info, self.repair, self.is_dirty) = (None, Some(Repair::NoWelcome), true);
        if self.note_broken(why, Reason::Stranger) || is_another {
            self.tell_stranger(cx, why, by);
        }
    }

    /// Its user lets the one who was named lead; false if that is somebody else.
    pub(super) fn let_lead(&mut self, user: UserId) -> bool {
        if self.led_by.is_some_and(|by| by.user == user) && self.is_in_group() {
            (self.led_by, self.named, self.repair) = (None, None, None);
        } else if self.named.is_some_and(|it| it.user == user) {
            // Where that one leads is to be come to, and nothing to be begun anew.
            self.named = Some(Named { user, is_let_lead: true });
            self.repair.get_or_insert(Repair::NoWelcome);
        } else {
            return false;
        }
        self.try_anew();
        true
    }

    /// Who leads, and has not been let.
    pub(super) fn stranger(&self) -> Option<UserId> {
        let named = self.named.filter(|it| !it.is_let_lead).map(|it| it.user);
        named.or_else(|| self.led_by.map(|by| by.user))
    }

    /// What its user was told of somebody who leads, and has said, was of a moment that is over.
    pub(super) fn forget_stranger(&mut self) {
        self.named.take_if(|_| self.led_by.is_none());
    }

    fn tell_stranger(&self, cx: &mut Context<'_>, why: Repair, by: Owner) {
        let (reason, suspects) = (Reason::Stranger, vec![by]);
        cx.tell(self.id, Event::RepairFailed { why, reason, suspects });
    }
}
