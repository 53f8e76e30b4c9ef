//! What was done that a device may complain of: what the server lied of and to whom, which members are evil, and whose device was
//! revoked. Where nothing of it was done, every suspicion is an error.

use std::collections::{BTreeMap, BTreeSet};

use aside_client::private::{Event, How, Repair};
use aside_mls::{Owner, Reason};
use aside_proto::id::{ConversationId, DeviceId, IdempotencyKey, UserId};

use super::witness::Told;

/// All that was done.
#[derive(Default)]
pub(crate) struct Causes {
    pub(crate) evil: BTreeSet<UserId>,
    /// To whom the server lied, and of which conversation, if it was of one.
    lies: BTreeSet<(DeviceId, Option<ConversationId>)>,
    /// Devices that are to be revoked, by the key of the request.
    revoking: BTreeMap<IdempotencyKey, Owner>,
    /// Devices that were, as the server has it.
    revoked: BTreeSet<Owner>,
    /// Whoever was ever a leaf.
    leaves: BTreeMap<ConversationId, BTreeSet<Owner>>,
    /// Of each commit, and each beginning of a group, who made it and whom it lets in.
    changes: BTreeMap<(ConversationId, u64), BTreeSet<Owner>>,
    /// Those that a device can't follow, or whose Welcomes it can't use, it says.
    pub(crate) refused: BTreeSet<Told>,
    /// Those that somebody had a reason to reject.
    rejected: BTreeSet<(ConversationId, u64)>,
    /// Whose disk was put back, and did not find out since.
    may_lose: BTreeSet<(usize, ConversationId)>,
    /// Where devices found out.
    lost: BTreeSet<Told>,
}

/// A device, and who it is.
pub(crate) type Who = (usize, Owner);

impl Causes {
    pub(crate) fn lied(&mut self, to: DeviceId, of: Option<ConversationId>) {
        self.lies.insert((to, of));
    }

    /// A user asks for a device to be revoked.
    pub(crate) fn revokes(&mut self, key: IdempotencyKey, device: Owner) {
        self.revoking.insert(key, device);
    }

    /// The server has published what was asked for.
    pub(crate) fn published(&mut self, key: IdempotencyKey) {
        self.revoked.extend(self.revoking.get(&key));
    }

    /// The server has accepted a commit, or the beginning of a group.
    pub(crate) fn changed(
        &mut self,
        (id, seq): (ConversationId, u64),
        by: Owner,
        added: impl IntoIterator<Item = Owner>,
    ) {
        let involved: BTreeSet<_> = added.into_iter().chain([by]).collect();
        self.leaves.entry(id).or_default().extend(&involved);
        self.changes.insert((id, seq), involved);
    }

    /// A device's disk was put back, which had these conversations.
    pub(crate) fn put_back(&mut self, device: usize, had: impl Iterator<Item = ConversationId>) {
        self.may_lose.extend(had.map(|id| (device, id)));
    }

    pub(crate) fn was_lied_to(&self, device: DeviceId, id: ConversationId) -> bool {
        self.lies.contains(&(device, None)) || self.lies.contains(&(device, Some(id)))
    }

    pub(crate) fn was_lied_to_of_logs(&self, device: DeviceId) -> bool {
        self.lies.contains(&(device, None))
    }

    /// Whether two members may be in different states, or be taken to be.
    pub(crate) fn may_fork(&self, device: DeviceId, id: ConversationId) -> bool {
        self.was_lied_to(device, id) || self.had_leaf(id, |it| self.evil.contains(&it.user))
    }

    pub(crate) fn is_doubtful(&self, device: &Owner) -> bool {
        self.evil.contains(&device.user) || self.revoked.contains(device)
    }

    fn had_leaf(&self, id: ConversationId, which: impl Fn(&Owner) -> bool) -> bool {
        self.leaves.get(&id).into_iter().flatten().any(which)
    }

    /// Whether there is something about a conversation that a device may find.
    fn is_suspect(&self, who: Owner, id: ConversationId) -> bool {
        self.was_lied_to(who.device, id)
            || self.revoked.contains(&who)
            || self.had_leaf(id, |it| self.is_doubtful(it))
    }

    /// Whether there is a reason not to follow a commit.
    fn may_refuse(&self, who: Owner, id: ConversationId, seq: u64) -> bool {
        let involved = self.changes.get(&(id, seq)).into_iter().flatten();
        self.was_lied_to(who.device, id)
            || self.rejected.contains(&(id, seq))
            || involved.into_iter().any(|it| self.is_doubtful(it))
    }

    /// A device rejects a commit; false if there is no reason to.
    #[must_use]
    pub(crate) fn rejects(&mut self, who: Who, id: ConversationId, seq: u64) -> bool {
        let (index, owner) = who;
        self.rejected.insert((id, seq));
        self.refused.contains(&(index, id, seq)) || self.is_suspect(owner, id)
    }

    /// An evil member rejects one.
    pub(crate) fn rejects_evilly(&mut self, id: ConversationId, seq: u64) {
        self.rejected.insert((id, seq));
    }

    /// Whether there is a reason for what a device tells, which came in last by this entry.
    pub(crate) fn explain(
        &mut self,
        (index, who): Who,
        (id, joined_at): (ConversationId, u64),
        told: &Event,
    ) -> bool {
        let has_refused =
            |it: &Self| it.refused.range((index, id, 0)..=(index, id, u64::MAX)).next().is_some();
        match told {
            Event::Joined { how: How::Came(Repair::StateLost) } => {
                // Told again if it was not written.
                let place = (index, id, joined_at);
                self.lost.contains(&place)
                    || (self.may_lose.remove(&(index, id)) && self.lost.insert(place))
            }
            Event::Joined { how: How::Came(Repair::Behind) } => {
                // Of a removal that is none, it concludes the same.
                has_refused(self) || self.was_lied_to(who.device, id)
            }
            Event::CommitRefused { seq, .. } => {
                self.refused.insert((index, id, *seq));
                self.may_refuse(who, id, *seq)
            }
            Event::CommitRejected { seq, by, .. } => {
                self.evil.contains(&by.user) || self.rejected.contains(&(id, *seq))
            }
            Event::RepairFailed { reason: Reason::NotAMember, .. } => true,
            Event::RepairFailed { .. } => self.is_suspect(who, id),
            Event::DeviceLeftOut { device } => {
                self.revoked.contains(device) || self.was_lied_to_of_logs(who.device)
            }
            Event::SenderDoubted { .. } => self.was_lied_to_of_logs(who.device),
            Event::ForkFound { .. } => self.may_fork(who.device, id),
            Event::HistoryDiverges { by, .. } => self.evil.contains(&by.user),
            _ => true,
        }
    }
}
