//! Commits and Welcomes: followed, refused, and what they come to.

use std::collections::BTreeSet;

use aside_mls::{ClaimedChange, Effect, Error as MlsError, Group, Owner, Reason};
use aside_proto::v1::{self, client_frame::Body};
use prost::Message as _;

use super::{
    conversation::{Context, Conversation, Refused, Removal, Stall, Submitted},
    event::{Event, Goal, How, Repair},
    intake::{By, Hold, Taken, reject_code, suspects},
    left_behind::AT_ONCE,
    record::owners,
};

impl Conversation {
    pub(super) fn commit(
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
        let involved = claim.added.iter().copied().chain([by.owner]).collect();
        if !self.may_be_leaves(&involved) {
            return Err(Hold::Contradiction("the leaves of a group of two users"));
        }
        if !self.roster.goes_on(at) {
            return Err(Hold::Contradiction("the epoch of a commit"));
        }
        let taken = self.take_commit(cx, (seq, by), at, (&header, payload), &claim)?;
        if !header.is_external && claim.added.iter().any(|leaf| leaf.user == cx.me.user) {
            // Its user was let in again, be it by another device, or by a Welcome that can't be used: what it had leads nowhere.
            self.is_removed = false;
            if self.removal.take_if(|removal| removal.seq != seq).is_some() {
                self.drop_group(cx);
            }
        }
        self.confirm_removal(cx, by.owner, header.epoch)?;
        let pending = self.roster.cut_off.clone();
        self.roster.committed((seq, by.owner), at, &claim.added, &claim.removed);
        if taken {
            self.report_epoch();
            self.broken = None;
            self.forget_stranger();
            self.hand.ask_again();
        }
        if taken && let Some(leaves) = self.known_leaves() {
            let put_out = claim.removed.iter().filter(|gone| !pending.contains(gone));
            let gone = put_out.filter(|gone| leaves.iter().all(|leaf| leaf.user != gone.user));
            self.roster.went(gone.map(|gone| gone.user));
            self.hand.packages.retain(|owner, _| !leaves.contains(owner));
            let stayed: BTreeSet<_> = leaves.difference(&claim.added).copied().collect();
            let maker = (!header.is_external).then_some(by.owner);
            self.naming.came(&self.roster, maker, &stayed, (cx.me, !claim.added.is_empty()));
        }
        self.settle_goals(cx);
        Ok(())
    }

    /// Whether the group is at the epoch after the commit.
    pub(super) fn take_commit(
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
                Some(submitted) if submitted.is_commit(payload) => {
                    return self.own_commit(cx, seq, submitted);
                }
                Some(_) => return Err(Hold::Contradiction("what this device committed")),
                None if is_current || claim.added.contains(&cx.me) => {
                    self.lost();
                    self.drop_group(cx);
                }
                None => {}
            }
            return Ok(false);
        }
        self.overtaken(at);
        if is_current {
            return self.follow(cx, (seq, by.owner), (header, payload), claim);
        }
        self.others_go_on(cx, by.owner);
        if claim.added.contains(&cx.me) && !header.is_external {
            if let Some(group) = self.welcomed(cx, (seq, by.owner), at.0, claim)? {
                let is_known = self.may_follow(cx.me, by.owner);
                self.drop_group(cx);
                self.adopt(cx, group, seq, How::Welcomed)?;
                if !is_known {
                    self.came_by_stranger(cx, by.owner);
                }
                return Ok(true);
            }
            self.repair = Some(Repair::NoWelcome);
        }
        Ok(false)
    }

    pub(super) fn own_commit(
        &mut self,
        cx: &mut Context<'_>,
        seq: u64,
        submitted: Submitted,
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
    pub(super) fn follow(
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
        self.compare_history(cx, (seq, by), (header.head_seq, &header.chain));
        if effect.removed_us {
            self.removal = Some(Removal { seq, by });
            // Told at once: nothing more may come. What was kept stays until it is sure (MLS-036).
            cx.tell(self.id, Event::Removed { by: Some(by) });
            return Ok(false);
        }
        Ok(true)
    }

    /// The commit can't be followed: the server is told, and so all are.
    pub(super) fn refuse(
        &mut self,
        cx: &mut Context<'_>,
        (seq, by): (u64, Owner),
        reason: Reason,
        claim_added: &BTreeSet<Owner>,
    ) -> Taken<bool> {
        self.refused = Some(Refused { seq, by, reason, removes_us: false });
        self.reject = Some((seq, reject_code(reason)));
        if let Some(group) = &mut self.group
            && group.has_pending()
        {
            group.clear_pending();
            self.group_is_dirty = true;
        }
        let suspects = suspects(cx, claim_added);
        cx.tell(self.id, Event::CommitRefused { seq, by, reason, suspects });
        Ok(false)
    }

    pub(super) fn rejected(
        &mut self,
        cx: &mut Context<'_>,
        by: Owner,
        payload: &v1::CommitRejectedPayload,
    ) {
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
            // Nobody comes in by what the last commit left: the next one leaves another (MLS-045).
            let leaves = self.known_leaves().unwrap_or_default();
            let mut others = leaves.into_iter().filter(|leaf| Some(*leaf) != maker && *leaf != by);
            if others.next() == Some(cx.me) && self.renewed_for.times(by) < AT_ONCE {
                self.renewed_for.came(by, cx.now_ms);
                self.goals.insert(Goal::Renew);
            }
        }
        if let Some(group) = &mut self.group
            && let Some(removal) = self.removal.take_if(|removal| removal.seq == payload.seq)
        {
            // Who was to be removed can't tell: the others can (MLS-036).
            let rejected = group.reject_removal();
            debug_assert!(rejected.is_ok(), "a removal was noted");
            self.group_is_dirty = true;
            let (Removal { seq, by }, reason) = (removal, Reason::Invalid);
            self.refused = Some(Refused { seq, by, reason, removes_us: true });
            // Whether it comes in again is its user's to say.
            self.repair.take_if(|repair| *repair != Repair::Asked);
            cx.tell(self.id, Event::CommitRefused { seq, by, reason, suspects: Vec::new() });
        }
        if by != cx.me {
            let (seq, code) = (payload.seq, payload.code());
            cx.tell(self.id, Event::CommitRejected { seq, maker, by, code });
        }
    }

    /// Somebody says something at the epoch after a commit that this device does not follow: if it is not the commit's maker, others
    /// took it.
    pub(super) fn others_go_on(&mut self, cx: &mut Context<'_>, by: Owner) {
        let Some(refused) = self.refused.filter(|refused| refused.by != by) else { return };
        if !refused.removes_us {
            self.repair.get_or_insert(Repair::Behind);
            return;
        }
        // One has rejected it, and it holds all the same (MLS-036).
        self.out(cx);
        self.is_removed = true;
        cx.tell(self.id, Event::Removed { by: Some(refused.by) });
    }

    /// MLS-036: somebody else goes on from the commit that removed this device.
    pub(super) fn confirm_removal(&mut self, cx: &mut Context<'_>, by: Owner, epoch: u64) -> Taken {
        let Some(removal) = self.removal else { return Ok(()) };
        let Some(group) = &mut self.group else { return Ok(()) };
        // Where they can't be told there is somebody else.
        let others = group.members().map_or(1, |members| {
            // Devices of one user go together.
            let other = |leaf: Owner| leaf.user != cx.me.user && leaf != removal.by;
            members.into_iter().filter(|member| other(member.owner)).count()
        });
        let tells = by != cx.me && (by != removal.by || others == 0);
        if !tells || epoch <= group.epoch() {
            return Ok(());
        }
        let confirmed = group.confirm_removal();
        debug_assert!(confirmed.is_ok(), "a removal was noted");
        self.group_is_dirty = true;
        self.write(cx)?;
        let asked = self.repair.filter(|repair| *repair == Repair::Asked);
        self.out(cx);
        (self.is_removed, self.repair) = (asked.is_none(), asked);
        Ok(())
    }

    /// The group that a Welcome leads into; none if there is no Welcome that can be used.
    pub(super) fn welcomed(
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
        cx.logs.take_unknown();
        match cx.device.join(&welcome, id, (by, claim), held) {
            Ok(group) => Ok(Some(group)),
            Err(MlsError::Refused(Reason::CredentialRefused)) => {
                // Those whose leaves are in the tree yet may be members no longer.
                self.refresh_logs(users.union(&cx.logs.take_unknown()).copied())?;
                self.bad_welcome(cx, (seq, by), Reason::CredentialRefused, &claim.added)
            }
            Err(MlsError::Refused(reason)) => self.bad_welcome(cx, (seq, by), reason, &claim.added),
            Err(_) => Ok(None),
        }
    }

    pub(super) fn bad_welcome(
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
}
