//! Entries, taken in one after another: each changes what is known, or waits for what it needs.

use std::collections::BTreeSet;

use aside_crypto::{Envelope, Judgement, LogHead, StatedHeadError};
use aside_mls::{ClaimedChange, Effect, Error as MlsError, Group, Owner, Reason};
use aside_proto::{
    id::UserId,
    v1::{self, EntryKind, client_frame::Body},
};
use aside_session::client::log::Sender;
use prost::Message as _;

use super::{
    conversation::{Context, Conversation, Entry, Opened, Refused, Removal, Stall},
    event::{Event, Goal, How, Repair},
    reading::{Reading, Said, Unreadable},
    record::{owner, owners},
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

type Taken<T = ()> = Result<T, Hold>;

impl From<StateError> for Hold {
    fn from(error: StateError) -> Self {
        Self::State(error)
    }
}

/// Who made an entry, and by which request.
#[derive(Clone, Copy)]
struct By {
    owner: Owner,
    key: aside_proto::id::IdempotencyKey,
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
                    self.queue.pop_front();
                    self.cursor = entry.seq;
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
        if any {
            cx.tell(self.id, Event::Read);
        }
        Ok(any)
    }

    /// Entries before this one are no longer kept: where the group is by now is not known, and a state of then leads nowhere.
    fn missed(&mut self, cx: &mut Context<'_>) {
        self.roster.at_is_vague = true;
        if self.cursor > 0 && self.group.is_some() {
            self.drop_group(cx);
            self.repair.get_or_insert(Repair::Behind);
            (self.refused, self.removal, self.submitted) = (None, None, None);
        }
    }

    fn entry(&mut self, cx: &mut Context<'_>, entry: &Entry) -> Taken {
        let by = Sender::of(&entry.header).flatten().map(|sender| By {
            owner: Owner { user: sender.user, device: sender.device },
            key: sender.message_id,
        });
        let kind = entry.header.kind();
        if let EntryKind::PrivateMessage = kind {
            let by = by.ok_or(Hold::Contradiction("a message of nobody"))?;
            return self.message(cx, entry, by);
        }
        let seq = entry.seq;
        match (kind, by) {
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

    fn removal_pending(
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
            self.out(cx)?;
            self.is_removed = true;
            cx.tell(self.id, Event::Removed { by: None });
        }
        Ok(())
    }

    /// This device is in the group no longer.
    fn out(&mut self, cx: &mut Context<'_>) -> Taken {
        if let Some(group) = self.group.take() {
            cx.conversation(self.id).groups.insert(group.id().generation, None);
        }
        (self.removal, self.refused, self.repair, self.submitted) = (None, None, None, None);
        self.reject = None;
        self.report = None;
        self.group_is_dirty = false;
        Ok(())
    }

    fn established(
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
        let known = self.roster.at.filter(|_| !self.roster.at_is_vague);
        if known.is_some_and(|(known, _)| generation <= known) {
            return Err(Hold::Contradiction("a group's generation"));
        }
        let claim = ClaimedChange {
            epoch: 0,
            added: leaves.iter().copied().filter(|leaf| *leaf != by.owner).collect(),
            removed: BTreeSet::new(),
        };
        let group = match self.submitted.take_if(|submitted| submitted.key == by.key) {
            Some(submitted) if by.owner == cx.me => submitted.group,
            _ if leaves.contains(&cx.me) && by.owner != cx.me => {
                self.welcomed(cx, (seq, by.owner), generation, &claim)?
            }
            _ => None,
        };
        let before = self.roster.at.map(|(generation, _)| generation);
        let culprit = header.culprit.as_ref().and_then(owner);
        // What is wrong with the Welcome is still to be said.
        let reject = self.reject.filter(|(of, _)| *of == seq);
        // This device may have come in from outside, before it knew that it was added.
        let external = self.submitted.take_if(|submitted| {
            let leads_to =
                submitted.group.as_ref().map(|group| (group.id().generation, group.epoch()));
            leads_to == Some((generation, 2)) && matches!(submitted.body, Body::SubmitCommit(_))
        });
        self.out(cx)?;
        (self.reject, self.submitted) = (reject, external);
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
        self.hand = super::conversation::Hand::default();
        if let Some(mut group) = group {
            let how = if by.owner == cx.me { How::Began } else { How::Welcomed };
            if how == How::Began {
                let applied = group.apply_pending();
                applied.map_err(|_| StateError::Damaged("a group that was begun"))?;
            }
            self.adopt(cx, group, seq, how)?;
        } else if leaves.contains(&cx.me) {
            match by.owner == cx.me {
                true => self.lost(),
                false => self.repair = Some(Repair::NoWelcome),
            }
        }
        self.goals.remove(&Goal::Begin).then(|| {
            cx.tell(self.id, Event::Done { goal: Goal::Begin, outcome: Ok(()) });
        });
        self.settle_goals(cx);
        Ok(())
    }

    /// From now on this is the group.
    fn adopt(&mut self, cx: &mut Context<'_>, group: Group, seq: u64, how: How) -> Taken {
        self.group = Some(group);
        self.group_is_dirty = true;
        self.joined_at = seq;
        (self.repair, self.broken, self.refused, self.removal) = (None, None, None, None);
        self.is_removed = false;
        if let How::Came(repair) = how {
            self.last_repair = Some((repair, seq));
        }
        self.report_epoch();
        cx.tell(self.id, Event::Joined { how });
        // Before anything else is made of it.
        Ok(self.write(cx)?)
    }

    /// MLS-032: to be reported, and compared.
    fn report_epoch(&mut self) {
        let Some(group) = &self.group else { return };
        self.report =
            group.fork_check().ok().map(|check| (group.id().generation, group.epoch(), check));
    }

    fn commit(
        &mut self,
        cx: &mut Context<'_>,
        seq: u64,
        by: By,
        payload: &v1::CommitPayload,
    ) -> Taken {
        const WRONG: Hold = Hold::Contradiction("the header of a commit");
        let header = v1::CommitHeader::decode(&payload.header[..]).map_err(|_| WRONG)?;
        let generation = u32::try_from(header.generation).map_err(|_| WRONG)?;
        let claim = ClaimedChange {
            epoch: header.epoch,
            added: owners(&header.added).ok_or(WRONG)?,
            removed: owners(&header.removed).ok_or(WRONG)?,
        };
        let at = (generation, header.epoch);
        let is_here = header.conversation_id[..] == self.id.as_bytes()[..];
        if header.message_id[..] != by.key.as_bytes()[..] || !is_here {
            return Err(Hold::Contradiction("the ids of a commit"));
        }
        if !self.roster.goes_on(at) {
            return Err(Hold::Contradiction("the epoch of a commit"));
        }
        let taken = self.take_commit(cx, (seq, by), at, (&header, payload), &claim)?;
        self.confirm_removal(cx, by.owner, header.epoch)?;
        let pending = self.roster.cut_off.clone();
        self.roster.committed((seq, by.owner), at, &claim.added, &claim.removed);
        if taken {
            let leaves = self.leaves();
            let put_out = claim.removed.iter().filter(|gone| !pending.contains(gone));
            let gone = put_out.filter(|gone| leaves.iter().all(|leaf| leaf.user != gone.user));
            self.roster.went(gone.map(|gone| gone.user));
            self.report_epoch();
            self.broken = None;
            self.hand.asked.clear();
            self.hand.packages.retain(|owner, _| !leaves.contains(owner));
            let stayed: BTreeSet<_> = leaves.difference(&claim.added).copied().collect();
            let maker = (!header.is_external).then_some(by.owner);
            self.naming.came(&self.roster, maker, &stayed, (cx.me, !claim.added.is_empty()));
        }
        self.settle_goals(cx);
        Ok(())
    }

    /// Whether the group is at the epoch after the commit.
    fn take_commit(
        &mut self,
        cx: &mut Context<'_>,
        (seq, by): (u64, By),
        at: (u32, u64),
        (header, payload): (&v1::CommitHeader, &v1::CommitPayload),
        claim: &ClaimedChange,
    ) -> Taken<bool> {
        let is_current = self.is_at(at);
        if by.owner == cx.me {
            match self.submitted.take_if(|submitted| submitted.key == by.key) {
                Some(submitted) => return self.own_commit(cx, seq, submitted),
                None if is_current || claim.added.contains(&cx.me) => {
                    self.lost();
                    self.drop_group(cx);
                }
                None => {}
            }
            return Ok(false);
        }
        if is_current {
            return self.follow(cx, (seq, by.owner), (header, payload), claim);
        }
        if let Some(refused) = self.refused
            && refused.by != by.owner
        {
            self.repair.get_or_insert(Repair::Behind);
        }
        if claim.added.contains(&cx.me) && !header.is_external {
            match self.welcomed(cx, (seq, by.owner), at.0, claim)? {
                Some(group) => {
                    self.drop_group(cx);
                    self.adopt(cx, group, seq, How::Welcomed)?;
                    return Ok(true);
                }
                None => self.repair = Some(Repair::NoWelcome),
            }
        }
        Ok(false)
    }

    fn is_at(&self, at: (u32, u64)) -> bool {
        let group = self.group.as_ref();
        group.is_some_and(|group| (group.id().generation, group.epoch()) == at)
            && self.refused.is_none()
            && self.removal.is_none()
    }

    /// What is known was lost: the state is of no use any more.
    fn drop_group(&mut self, cx: &mut Context<'_>) {
        if let Some(group) = self.group.take() {
            cx.conversation(self.id).groups.insert(group.id().generation, None);
        }
        self.group_is_dirty = false;
    }

    fn own_commit(
        &mut self,
        cx: &mut Context<'_>,
        seq: u64,
        submitted: super::conversation::Submitted,
    ) -> Taken<bool> {
        if let (Some(group), Body::SubmitCommit(_)) = (submitted.group, &submitted.body) {
            self.drop_group(cx);
            self.adopt(cx, group, seq, How::Came(submitted.repair.unwrap_or(Repair::Asked)))?;
            return Ok(true);
        }
        match self.group.as_mut().map(Group::apply_pending) {
            Some(Ok(_)) => {
                self.group_is_dirty = true;
                self.goals.remove(&Goal::Renew).then(|| {
                    cx.tell(self.id, Event::Done { goal: Goal::Renew, outcome: Ok(()) });
                });
                Ok(true)
            }
            _ => {
                self.lost();
                self.drop_group(cx);
                Ok(false)
            }
        }
    }

    /// Another's commit, at the epoch that the group is at.
    fn follow(
        &mut self,
        cx: &mut Context<'_>,
        (seq, by): (u64, Owner),
        (header, payload): (&v1::CommitHeader, &v1::CommitPayload),
        claim: &ClaimedChange,
    ) -> Taken<bool> {
        self.need_logs(cx, claim.added.iter().map(|leaf| leaf.user))?;
        let Some(group) = &mut self.group else { return Ok(false) };
        let received = group.receive_commit(&payload.commit, &payload.header, by, claim);
        let effect: Effect = match received {
            Ok(effect) if effect.external != header.is_external => {
                return self.refuse(cx, (seq, by), Reason::ClaimMismatch, &claim.added);
            }
            Ok(effect) => effect,
            Err(Reason::CredentialRefused) => {
                let users = claim.added.iter().map(|leaf| leaf.user).chain([by.user]);
                self.refresh_logs(users)?;
                return self.refuse(cx, (seq, by), Reason::CredentialRefused, &claim.added);
            }
            Err(Reason::Own) => {
                self.lost();
                self.drop_group(cx);
                return Ok(false);
            }
            Err(reason) => return self.refuse(cx, (seq, by), reason, &claim.added),
        };
        self.group_is_dirty = true;
        // The server takes no other at this epoch.
        self.submitted.take_if(|submitted| matches!(submitted.body, Body::SubmitCommit(_)));
        if effect.removed_us {
            self.removal = Some(Removal { seq, by });
            return Ok(false);
        }
        Ok(true)
    }

    /// The commit can't be followed: the server is told, and so all are.
    fn refuse(
        &mut self,
        cx: &mut Context<'_>,
        (seq, by): (u64, Owner),
        reason: Reason,
        claim_added: &BTreeSet<Owner>,
    ) -> Taken<bool> {
        self.refused = Some(Refused { seq, by, reason });
        self.reject = Some((seq, reject_code(reason)));
        if let Some(group) = &mut self.group
            && group.has_pending()
        {
            group.clear_pending();
            self.group_is_dirty = true;
        }
        self.submitted.take_if(|submitted| matches!(submitted.body, Body::SubmitCommit(_)));
        let suspects = suspects(cx, claim_added);
        cx.tell(self.id, Event::CommitRefused { seq, by, reason, suspects });
        Ok(false)
    }

    fn rejected(&mut self, cx: &mut Context<'_>, by: Owner, payload: &v1::CommitRejectedPayload) {
        let maker = self.roster.makers.get(&payload.seq).copied();
        if maker.is_some() {
            self.roster.rejected.insert(payload.seq);
        }
        let is_last =
            self.roster.makers.last_key_value().is_some_and(|(seq, _)| *seq == payload.seq);
        if is_last {
            // What could not be done before may be done now.
            self.broken = None;
        }
        if is_last && payload.code() == v1::RejectCode::WelcomeInvalid && self.is_in_group() {
            // Nobody comes in by what the last commit left: the next one leaves another.
            let mut others = self.leaves().into_iter().filter(|leaf| Some(*leaf) != maker);
            if others.next() == Some(cx.me) {
                self.goals.insert(Goal::Renew);
            }
        }
        if let Some(group) = &mut self.group
            && self.removal.take_if(|removal| removal.seq == payload.seq).is_some()
        {
            // Who was to be removed can't tell: the others can (MLS-036).
            let rejected = group.reject_removal();
            debug_assert!(rejected.is_ok(), "a removal was noted");
            self.group_is_dirty = true;
            if let Some(maker) = maker {
                let reason = Reason::Invalid;
                self.refused = Some(Refused { seq: payload.seq, by: maker, reason });
            }
        }
        if by != cx.me {
            let (seq, code) = (payload.seq, payload.code());
            cx.tell(self.id, Event::CommitRejected { seq, maker, by, code });
        }
    }

    /// MLS-036: somebody else goes on from the commit that removed this device.
    fn confirm_removal(&mut self, cx: &mut Context<'_>, by: Owner, epoch: u64) -> Taken {
        let Some(removal) = self.removal else { return Ok(()) };
        let Some(group) = &mut self.group else { return Ok(()) };
        let others = group.members().map_or(0, |members| {
            let other = |leaf: Owner| leaf != cx.me && leaf != removal.by;
            members.into_iter().filter(|member| other(member.owner)).count()
        });
        let tells = by != cx.me && (by != removal.by || others == 0);
        if !tells || epoch != group.epoch() + 1 {
            return Ok(());
        }
        let confirmed = group.confirm_removal();
        debug_assert!(confirmed.is_ok(), "a removal was noted");
        self.group_is_dirty = true;
        self.write(cx)?;
        self.out(cx)?;
        self.is_removed = true;
        cx.tell(self.id, Event::Removed { by: Some(removal.by) });
        Ok(())
    }

    /// The group that a Welcome leads into; none if there is no Welcome that can be used.
    fn welcomed(
        &mut self,
        cx: &mut Context<'_>,
        (seq, by): (u64, Owner),
        generation: u32,
        claim: &ClaimedChange,
    ) -> Taken<Option<Group>> {
        let Some(welcome) = cx.inbox.welcome(self.id, seq) else {
            if self.looked_for >= seq {
                return Ok(None);
            }
            return Err(Hold::Stall(Stall::Inbox));
        };
        let users: BTreeSet<_> = self
            .roster
            .members
            .keys()
            .copied()
            .chain(claim.added.iter().map(|leaf| leaf.user))
            .chain([by.user])
            .collect();
        self.need_logs(cx, users.iter().copied())?;
        let id = self.group_id(generation);
        let held = self.group.as_ref().filter(|group| group.id() == id).map(Group::epoch);
        match cx.device.join(&welcome, id, claim, held) {
            Ok(group) => Ok(Some(group)),
            Err(MlsError::Refused(Reason::CredentialRefused)) => {
                self.refresh_logs(users.into_iter())?;
                self.bad_welcome(cx, (seq, by), Reason::CredentialRefused, &claim.added)
            }
            Err(MlsError::Refused(reason)) => self.bad_welcome(cx, (seq, by), reason, &claim.added),
            Err(_) => Ok(None),
        }
    }

    fn bad_welcome(
        &mut self,
        cx: &mut Context<'_>,
        (seq, by): (u64, Owner),
        reason: Reason,
        claim_added: &BTreeSet<Owner>,
    ) -> Taken<Option<Group>> {
        // A Welcome for what this device has lost, or that leads back, is no fault of its maker's.
        if !matches!(reason, Reason::UnknownKeyPackage | Reason::StaleEpoch) {
            self.reject = Some((seq, v1::RejectCode::WelcomeInvalid));
            let suspects = suspects(cx, claim_added);
            cx.tell(self.id, Event::CommitRefused { seq, by, reason, suspects });
        }
        Ok(None)
    }

    fn message(&mut self, cx: &mut Context<'_>, entry: &Entry, by: By) -> Taken {
        let seq = entry.seq;
        if entry.payload.is_empty() {
            // Redacted: there is nothing to read. If it was this device's, it arrived.
            let known = self.arrived(cx, by)?;
            let is_ours = by.owner == cx.me && known.is_none();
            if is_ours && self.group.is_some() && seq > self.joined_at {
                // Sent in a state that is lost, as any other that is not known here.
                self.lost();
                self.drop_group(cx);
            }
            return Ok(());
        }
        const WRONG: Hold = Hold::Contradiction("the header of a message");
        let payload = v1::PrivatePayload::decode(&entry.payload[..]).map_err(|_| WRONG)?;
        let header = v1::PrivateHeader::decode(&payload.header[..]).map_err(|_| WRONG)?;
        let generation = u32::try_from(header.generation).map_err(|_| WRONG)?;
        let at = (generation, header.epoch);
        if !self.roster.goes_on(at) {
            return Err(Hold::Contradiction("the epoch of a message"));
        }
        let is_here = header.conversation_id[..] == self.id.as_bytes()[..];
        if header.message_id[..] != by.key.as_bytes()[..] || !is_here {
            return Err(Hold::Contradiction("the ids of a message"));
        }
        self.confirm_removal(cx, by.owner, header.epoch)?;
        let reading = if by.owner == cx.me {
            self.own_message(cx, entry, by, at)?
        } else if self.is_at(at) {
            self.others_message(cx, seq, by.owner, (&header, &payload))?
        } else if let Some(refused) = self.refused {
            if refused.by != by.owner {
                self.repair.get_or_insert(Repair::Behind);
            }
            Reading::Unreadable(Unreadable::Refused(Reason::FutureEpoch))
        } else {
            Reading::Unreadable(Unreadable::NotHere)
        };
        if let Reading::Said(said) = &reading
            && said.approved
            && let Some(profile) = self.naming.said(self.roster.kind, (seq, by.owner), said)
        {
            cx.tell(self.id, Event::Named { profile, by: by.owner });
        }
        cx.read(self.id, seq, &reading);
        Ok(())
    }

    /// The message of this device's that an entry is; it waits no longer.
    fn arrived(
        &mut self,
        cx: &mut Context<'_>,
        by: By,
    ) -> Taken<Option<super::conversation::Outgoing>> {
        let ours = |it: &super::conversation::Outgoing| it.message_id == by.key;
        let at = self.outgoing.iter().position(ours).filter(|_| by.owner == cx.me);
        let Some(mine) = at.and_then(|at| self.outgoing.remove(at)) else { return Ok(None) };
        cx.conversation(self.id).outgoing.insert(by.key, None);
        Ok(Some(mine))
    }

    fn own_message(
        &mut self,
        cx: &mut Context<'_>,
        entry: &Entry,
        by: By,
        at: (u32, u64),
    ) -> Taken<Reading> {
        let Some(mine) = self.arrived(cx, by)? else {
            // Sent in a state that is lost: the keys that it used may be used no more (MLS table "own").
            if self.is_at(at) {
                self.lost();
            }
            return Ok(Reading::Unreadable(Unreadable::Lost));
        };
        if mine.sent.is_none() {
            let (message_id, time_ms) = (by.key, entry.header.time_ms);
            cx.tell(self.id, Event::Sent { message_id, seq: entry.seq, time_ms });
        }
        if mine.payload.as_ref() != Some(&entry.payload) {
            // Encrypted in a state that is lost, and said before the copy was made.
            if self.is_at(at) {
                self.lost();
            }
            return Ok(Reading::Unreadable(Unreadable::Lost));
        }
        let position = cx.logs.with(cx.me.user, |log| log.head().position).unwrap_or_default();
        Ok(Reading::Said(Said {
            content: mine.content,
            franking_key: mine.franking_key,
            position,
            approved: true,
            role: self.roster.role(cx.me.user),
        }))
    }

    fn others_message(
        &mut self,
        cx: &mut Context<'_>,
        seq: u64,
        by: Owner,
        (header, payload): (&v1::PrivateHeader, &v1::PrivatePayload),
    ) -> Taken<Reading> {
        let opened = match self.opened.take_if(|opened| opened.seq == seq) {
            Some(opened) => opened,
            None => match self.open(seq, by, header, payload) {
                Ok(opened) => opened,
                Err(unreadable) => return Ok(Reading::Unreadable(unreadable)),
            },
        };
        self.is_dirty = true;
        let stated = LogHead { position: opened.position, hash: opened.hash };
        let judged = cx.logs.with(by.user, |log| {
            log.judge_new(by.device, &stated)
                .map(|judged| (judged.position, matches!(judged.judgement, Judgement::Active(_))))
        });
        let is_refreshed = self.refreshed.contains(&by.user);
        let unreadable = match judged {
            Some(Ok((position, approved))) if approved || is_refreshed => {
                return Ok(Reading::Said(Said {
                    content: opened.content,
                    franking_key: opened.franking_key,
                    position,
                    approved,
                    role: self.roster.role(by.user),
                }));
            }
            Some(Err(StatedHeadError::Diverged(_))) => Unreadable::LogDiverges,
            Some(Err(StatedHeadError::Beyond(_))) | None if is_refreshed => Unreadable::LogHeldBack,
            _ => {
                // What was opened once can't be opened again: it is kept until its sender is known.
                self.opened = Some(opened);
                return Err(Hold::Stall(Stall::Logs([by.user].into())));
            }
        };
        cx.tell(self.id, Event::SenderDoubted { seq, sender: by });
        Ok(Reading::Unreadable(unreadable))
    }

    fn open(
        &mut self,
        seq: u64,
        by: Owner,
        header: &v1::PrivateHeader,
        payload: &v1::PrivatePayload,
    ) -> Result<Opened, Unreadable> {
        let group = self.group.as_mut().ok_or(Unreadable::NotHere)?;
        let decrypted = group.decrypt(&payload.ciphertext, &payload.header, by);
        let message = decrypted.map_err(|reason| {
            if reason == Reason::Own {
                self.lost();
            }
            Unreadable::Refused(reason)
        })?;
        self.group_is_dirty = true;
        let envelope = Envelope::open(&message.content, &header.franking_tag);
        let envelope = envelope.map_err(|_| Unreadable::Damaged)?;
        Ok(Opened {
            seq,
            content: envelope.content,
            franking_key: *envelope.key.as_bytes(),
            position: envelope.head.position,
            hash: envelope.head.hash,
        })
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
        if !self.is_in_group() {
            return;
        }
        let leaves = self.leaves();
        let has = |user: UserId| leaves.iter().any(|leaf| leaf.user == user);
        let reached = |goal: &Goal| match goal {
            Goal::Add(user) => has(*user),
            Goal::Remove(user) => !has(*user),
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
    let is_approved = |leaf: &Owner| {
        let is_active = cx.logs.with(leaf.user, |log| {
            log.active().any(|certificate| certificate.device() == leaf.device)
        });
        is_active == Some(true)
    };
    leaves.into_iter().copied().filter(|leaf| !is_approved(leaf)).collect()
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
