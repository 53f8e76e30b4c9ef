//! Entries, taken in one after another: each changes what is known, or waits for what it needs.

use std::collections::BTreeSet;

use aside_mls::{ClaimedChange, Group, Owner, Reason};
use aside_proto::{
    id::{IdempotencyKey, UserId},
    v1::{self, EntryKind},
};
use aside_session::client::log::Sender;

use super::{
    conversation::{Context, Conversation, Entry, Hand, Outgoing, Stall},
    event::{Event, Goal, How, Repair},
    record::{owner, owners},
    replies::epoch_of,
};
use crate::StateError;

/// Why an entry is not taken in.
pub(super) enum Hold {
    /// It waits.
    Stall(Stall),
    /// The server contradicts itself.
    Contradiction(&'static str),
    /// What is kept can't be used.
    State(StateError),
}

pub(super) type Taken<T = ()> = Result<T, Hold>;

impl From<StateError> for Hold {
    fn from(error: StateError) -> Self {
        Self::State(error)
    }
}

/// Who made an entry, and by which request.
#[derive(Clone, Copy)]
pub(super) struct By {
    pub(super) owner: Owner,
    pub(super) key: IdempotencyKey,
}

impl By {
    fn of(header: &v1::EntryHeader) -> Option<Self> {
        let sender = Sender::of(header).flatten()?;
        let owner = Owner { user: sender.user, device: sender.device };
        Some(Self { owner, key: sender.message_id })
    }
}

impl Conversation {
    /// Takes in as many of the entries that are there as can be.
    pub(super) fn take_in(&mut self, cx: &mut Context<'_>) -> Result<bool, StateError> {
        let mut any = false;
        if std::mem::take(&mut self.skipped) {
            self.missed(cx);
        }
        while self.stall.is_none() && !self.contradicted {
            let Some(entry) = self.queue.front().cloned() else { break };
            if entry.seq != self.cursor + 1 {
                self.missed(cx);
            }
            match self.entry(cx, &entry) {
                Ok(()) => {
                    if By::of(&entry.header).is_some_and(|by| by.owner != cx.me) {
                        self.refused_in_vain = 0;
                    }
                    self.queue.pop_front();
                    self.cursor = entry.seq;
                    self.history.took_in(entry.seq, entry.chain);
                    self.refreshed.clear();
                    (self.is_dirty, any) = (true, true);
                }
                Err(Hold::Stall(stall)) => self.wait_for(stall),
                Err(Hold::Contradiction(what)) => {
                    (self.contradicted, self.is_dirty) = (true, true);
                    cx.tell(self.id, Event::Contradiction { seq: entry.seq, what });
                }
                Err(Hold::State(error)) => return Err(error),
            }
        }
        // What the server has, and what came instead of entries that are gone: it will not come.
        let is_gone = |it: &Outgoing| it.sent.is_some_and(|seq| seq <= self.cursor);
        while let Some(at) = self.outgoing.iter().position(is_gone) {
            let gone = self.outgoing.remove(at);
            gone.map(|it| cx.conversation(self.id).outgoing.insert(it.message_id, None));
        }
        if any {
            cx.tell(self.id, Event::Read);
        }
        Ok(any)
    }

    /// Entries before this one are no longer kept: where the group is by now is not known, and a state of then leads nowhere.
    pub(super) fn missed(&mut self, cx: &mut Context<'_>) {
        self.roster.at_is_vague = true;
        if self.cursor > 0 && self.group.is_some() {
            self.drop_group(cx);
            self.repair.get_or_insert(Repair::Behind);
            (self.refused, self.removal) = (None, None);
            self.drop_submitted();
        }
    }

    pub(super) fn entry(&mut self, cx: &mut Context<'_>, entry: &Entry) -> Taken {
        let is_acknowledged =
            self.outgoing.iter().find(|it| it.sent == Some(entry.seq)).map(|it| it.message_id);
        let by = By::of(&entry.header);
        let kind = entry.header.kind();
        let is_it = |key| by.is_some_and(|by| by.owner == cx.me && by.key == key);
        if is_acknowledged.is_some_and(|key| kind != EntryKind::PrivateMessage || !is_it(key)) {
            // MSG-015
            return Err(Hold::Contradiction("a message that was acknowledged as this entry"));
        }
        if let EntryKind::PrivateMessage = kind {
            let by = by.ok_or(Hold::Contradiction("a message of nobody"))?;
            return self.message(cx, entry, by);
        }
        let seq = entry.seq;
        if matches!(kind, EntryKind::RoleChanged | EntryKind::RemovalPending) {
            // What was refused may be permitted by now, or be due.
            self.held_at = None;
        }
        match (kind, by) {
            (EntryKind::ConversationCreated, _) if seq != 1 => {
                return Err(Hold::Contradiction("the beginning of a conversation"));
            }
            (EntryKind::ConversationCreated, _) => self.roster.created(&decode(entry)?),
            (EntryKind::RoleChanged, _) => self.roster.role_changed(&decode(entry)?),
            (EntryKind::RemovalPending, _) => self.removal_pending(cx, &decode(entry)?)?,
            (EntryKind::GroupEstablished, Some(by)) => {
                self.established(cx, seq, by, &decode(entry)?)?;
            }
            (EntryKind::Commit, Some(by)) => self.commit(cx, seq, by, &decode(entry)?)?,
            (EntryKind::CommitRejected, Some(by)) => self.rejected(cx, by.owner, &decode(entry)?),
            (EntryKind::GroupEstablished | EntryKind::Commit | EntryKind::CommitRejected, None) => {
                return Err(Hold::Contradiction("a commit of nobody"));
            }
            _ => {}
        }
        Ok(())
    }

    pub(super) fn removal_pending(
        &mut self,
        cx: &mut Context<'_>,
        pending: &v1::RemovalPendingPayload,
    ) -> Taken {
        let user = UserId::try_from(&pending.user_id[..]);
        let user = user.map_err(|_| Hold::Contradiction("a removal of nobody"))?;
        let device = |id: &bytes::Bytes| {
            let device = id[..].try_into().map_err(|_| Hold::Contradiction("a device's id"))?;
            Ok(Owner { user, device })
        };
        let devices: BTreeSet<_> = pending.device_ids.iter().map(device).collect::<Taken<_>>()?;
        self.roster.removal_pending(user, &devices, pending.left);
        // Perhaps nobody is left who could go on.
        self.broken = None;
        if devices.contains(&cx.me) || (pending.left && user == cx.me.user) {
            self.out(cx);
            self.is_removed = true;
            cx.tell(self.id, Event::Removed { by: None });
        }
        Ok(())
    }

    /// What another device states of the history that it has seen, with entry `seq` (HEAD-011).
    pub(super) fn compare_history(
        &mut self,
        cx: &mut Context<'_>,
        (seq, by): (u64, Owner),
        (head_seq, chain): (u64, &[u8]),
    ) {
        if self.history.differs(seq, head_seq, chain) && self.history.note_diverged(by, seq) {
            self.is_dirty = true;
            cx.tell(self.id, Event::HistoryDiverges { seq, by });
        }
    }

    /// This device is in the group no longer.
    pub(super) fn out(&mut self, cx: &mut Context<'_>) {
        self.drop_group(cx);
        (self.removal, self.refused, self.repair) = (None, None, None);
        (self.reject, self.report) = (None, None);
        self.drop_submitted();
    }

    /// What was made in the group that is over is over. But to come in from outside is of where the group was when the server was
    /// asked, which may be further on than the log was taken in: what became of that, the log says, or the server.
    pub(super) fn drop_submitted(&mut self) {
        self.submitted.take_if(|submitted| submitted.repair.is_none());
    }

    /// Another's commit was taken at this epoch: what was made for it, or before, is overtaken (MLS-019).
    pub(super) fn overtaken(&mut self, at: (u32, u64)) {
        self.submitted.take_if(|it| epoch_of(&it.body).is_some_and(|base| base <= at));
    }

    pub(super) fn established(
        &mut self,
        cx: &mut Context<'_>,
        seq: u64,
        by: By,
        header: &v1::EstablishHeader,
    ) -> Taken {
        let wrong = |_| Hold::Contradiction("the beginning of a group");
        let generation = u32::try_from(header.generation).map_err(wrong)?;
        let leaves = owners(&header.leaves).ok_or(Hold::Contradiction("the leaves of a group"))?;
        let suite = u16::try_from(header.suite).ok().and_then(aside_mls::Suite::from_number);
        if !leaves.contains(&by.owner) {
            return Err(Hold::Contradiction("who began a group"));
        }
        if !self.may_be_leaves(&leaves) {
            return Err(Hold::Contradiction("the leaves of a group of two users"));
        }
        let known = self.roster.at.filter(|_| !self.roster.at_is_vague);
        if known.is_some_and(|(known, _)| generation <= known) {
            return Err(Hold::Contradiction("a group's generation"));
        }
        let claim = ClaimedChange {
            epoch: 0,
            added: leaves.iter().copied().filter(|leaf| *leaf != by.owner).collect(),
            removed: BTreeSet::new(),
        };
        let is_known = self.may_follow(cx.me, by.owner);
        let group = match self.submitted.take_if(|submitted| submitted.key == by.key) {
            Some(submitted) if submitted.is_beginning(header) => submitted.group,
            Some(_) => return Err(Hold::Contradiction("what this device began")),
            None if leaves.contains(&cx.me) && by.owner != cx.me => {
                self.welcomed(cx, (seq, by.owner), generation, &claim)?
            }
            None => None,
        };
        let before = known.map(|(generation, _)| generation);
        let culprit = header.culprit.as_ref().and_then(owner);
        // What is wrong with the Welcome is still to be said.
        let reject = self.reject.filter(|(of, _)| *of == seq);
        if let Some(refused) = self.refused.filter(|_| by.owner == cx.me) {
            self.left_behind.came(refused.by, cx.now_ms);
        }
        self.out(cx);
        self.reject = reject;
        self.overtaken((generation, 0));
        if before.is_some_and(|before| before > 0) {
            cx.tell(self.id, Event::Reset { by: by.owner, culprit });
        }
        let is_put_out = |culprit: &Owner| {
            self.roster.is_owner(by.owner.user)
                && leaves.iter().all(|leaf| leaf.user != culprit.user)
        };
        let gone = culprit.filter(is_put_out).map(|culprit| culprit.user);
        self.roster.went(gone.into_iter());
        self.roster.established((seq, by.owner), (generation, suite), &leaves);
        self.hand = Hand::default();
        if let Some(mut group) = group {
            let how = if by.owner == cx.me { How::Began } else { How::Welcomed };
            if how == How::Began {
                let applied = group.apply_pending();
                applied.map_err(|_| StateError::Damaged("a group that was begun"))?;
            }
            self.adopt(cx, group, seq, how)?;
            if !is_known {
                self.came_by_stranger(cx, by.owner);
            }
        } else if leaves.contains(&cx.me) {
            match by.owner == cx.me {
                true => self.lost(),
                false => (self.repair, self.is_removed) = (Some(Repair::NoWelcome), false),
            }
        }
        self.goals.remove(&Goal::Begin).then(|| {
            cx.tell(self.id, Event::Done { goal: Goal::Begin, outcome: Ok(()) });
        });
        self.settle_goals(cx);
        Ok(())
    }

    /// From now on this is the group.
    pub(super) fn adopt(
        &mut self,
        cx: &mut Context<'_>,
        group: Group,
        seq: u64,
        how: How,
    ) -> Taken {
        self.group = Some(group);
        self.group_is_dirty = true;
        self.joined_at = seq;
        if let (How::Came(Repair::Behind), Some(refused)) = (how, self.refused) {
            self.left_behind.came(refused.by, cx.now_ms);
        }
        (self.repair, self.broken, self.refused, self.removal) = (None, None, None, None);
        (self.is_removed, self.not_before_ms) = (false, 0);
        (self.led_by, self.named) = (None, None);
        // The leaves that a group begins with are held against its header (MLS-038), and those that one comes to against the
        // server's list (MLS-039).
        let is_later = self.group.as_ref().is_some_and(|group| group.epoch() > 1);
        self.is_tree_unproven = how == How::Welcomed && is_later;
        if let How::Came(repair) = how {
            self.last_repair = Some((repair, seq));
        }
        self.report_epoch();
        cx.tell(self.id, Event::Joined { how });
        // Before anything else is made of it.
        Ok(self.write(cx)?)
    }

    /// MLS-032: to be reported, and compared.
    pub(super) fn report_epoch(&mut self) {
        let Some(group) = &self.group else { return };
        self.report =
            group.fork_check().ok().map(|check| (group.id().generation, group.epoch(), check));
    }

    pub(super) fn is_at(&self, at: (u32, u64)) -> bool {
        let group = self.group.as_ref();
        group.is_some_and(|group| (group.id().generation, group.epoch()) == at)
            && self.refused.is_none()
            && self.removal.is_none()
    }

    /// What is known was lost: the state is of no use any more.
    pub(super) fn drop_group(&mut self, cx: &mut Context<'_>) {
        self.note_known();
        self.led_by = None;
        if let Some(group) = self.group.take() {
            cx.conversation(self.id).groups.insert(group.id().generation, None);
            self.is_dirty = true;
        }
        self.group_is_dirty = false;
    }

    /// Waits for the device logs of users of whom there is none yet.
    pub(super) fn need_logs(&self, cx: &Context<'_>, users: impl Iterator<Item = UserId>) -> Taken {
        let missing = |user: &UserId| !cx.logs.has(*user) && !self.refreshed.contains(user);
        let missing: BTreeSet<_> = users.filter(missing).collect();
        if missing.is_empty() { Ok(()) } else { Err(Hold::Stall(Stall::Logs(missing))) }
    }

    /// Waits for the device logs of users as they are now, unless they were fetched for this already: a log that is behind does
    /// not know the newest device.
    pub(super) fn refresh_logs(&self, users: impl Iterator<Item = UserId>) -> Taken {
        let stale: BTreeSet<_> = users.filter(|user| !self.refreshed.contains(user)).collect();
        if stale.is_empty() { Ok(()) } else { Err(Hold::Stall(Stall::Logs(stale))) }
    }

    /// Says of what was asked for and is so by now that it is.
    pub(super) fn settle_goals(&mut self, cx: &mut Context<'_>) {
        if self.goals.is_empty() || !self.is_in_group() {
            return;
        }
        let Some(leaves) = self.known_leaves() else { return };
        let users: BTreeSet<_> = leaves.iter().map(|leaf| leaf.user).collect();
        let reached = |goal: &Goal| match goal {
            Goal::Add(user) => users.contains(user),
            Goal::Remove(user) => !users.contains(user),
            Goal::Begin | Goal::Renew => false,
        };
        let done: Vec<_> = self.goals.iter().copied().filter(reached).collect();
        for goal in done {
            self.goals.remove(&goal);
            cx.tell(self.id, Event::Done { goal, outcome: Ok(()) });
        }
    }
}

fn decode<M: prost::Message + Default>(entry: &Entry) -> Taken<M> {
    M::decode(&entry.payload[..]).map_err(|_| Hold::Contradiction("what an entry says"))
}

/// Those of these devices that their users' device logs do not approve.
pub(super) fn suspects<'a>(
    cx: &Context<'_>,
    leaves: impl IntoIterator<Item = &'a Owner>,
) -> Vec<Owner> {
    leaves.into_iter().copied().filter(|leaf| !cx.logs.approves(*leaf)).collect()
}

/// What others are told of a commit that can't be followed.
pub(super) fn reject_code(reason: Reason) -> v1::RejectCode {
    match reason {
        Reason::HeaderMismatch | Reason::ClaimMismatch | Reason::SenderMismatch => {
            v1::RejectCode::HeaderMismatch
        }
        Reason::CredentialRefused => v1::RejectCode::CredentialRefused,
        _ => v1::RejectCode::Invalid,
    }
}
