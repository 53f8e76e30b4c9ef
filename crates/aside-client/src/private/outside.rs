//! Outside of a group: coming in by an external commit, or beginning it anew where nobody else can go on.

use std::collections::BTreeSet;

use aside_mls::{Error as MlsError, Owner, Reason, Suite};
use aside_proto::{
    id::UserId,
    v1::{self, ConversationKind, client_frame::Body},
};
use bytes::Bytes;
use prost::Message as _;

use super::{
    conversation::{Context, Conversation, Refused, Request, Step, Submitted},
    event::{Event, Repair},
    guests::those_of,
    intake::suspects,
    making::Made,
    record::{leaf, owner},
};

/// What the server says that everybody was shown of a group.
struct Listed {
    at: (u32, u64),
    leaves: BTreeSet<Owner>,
    cut_off: BTreeSet<Owner>,
}

impl Listed {
    /// None if it names what is no device.
    fn of(info: &v1::GroupInfo) -> Option<Self> {
        let leaves = info.leaves.iter().map(owner).collect::<Option<_>>()?;
        let cut_off = info.pending_removals.iter().map(owner).collect::<Option<_>>()?;
        let at = (u32::try_from(info.generation).ok()?, info.epoch);
        Some(Self { at, leaves, cut_off })
    }

    /// Those that are to be removed are in the tree still.
    fn all(&self) -> BTreeSet<Owner> {
        self.leaves.union(&self.cut_off).copied().collect()
    }
}

impl Conversation {
    /// Not in the group, or not at its epoch: come in, or begin it anew.
    pub(super) fn due_outside(&mut self, cx: &mut Context<'_>) -> Made {
        let asked = self.repair == Some(Repair::Asked);
        if self.is_removed && !asked {
            return Ok(None);
        }
        let broken = self.broken.filter(|(.., at)| *at == self.roster.at);
        if let Some((_, reason, _)) = broken
            && self.refused.is_none()
        {
            // There is no way in from here, whatever is tried: others are told, and the next commit may leave one.
            self.accuse(cx, reason);
            return self.due_rejection(cx);
        }
        if broken.is_some_and(|(_, reason, _)| reason == Reason::UnknownKeyPackage) {
            // Nor can it begin anew, for now.
            return Ok(None);
        }
        let stuck = self.refused.is_some() && (self.repair.is_none() || broken.is_some());
        let before = if stuck { self.sure_leaves() } else { None };
        if stuck && before.is_none() && self.group.is_some() {
            // Nobody can be told from nobody.
            self.refresh_logs(cx.logs.take_unknown().into_iter())?;
            let why = (Repair::Behind, Reason::CredentialRefused);
            return Ok(self.break_down(cx, why, &BTreeSet::new()));
        }
        let before = before.unwrap_or_default();
        if stuck && !self.may_reset(cx, &before) {
            // Others will say whether the commit holds: a reset comes, or they go on from it.
            return Ok(None);
        }
        if self.held_at.is_some() && self.held_at == self.roster.at {
            return Ok(None);
        }
        if !asked && self.waits_to_go_on(cx) {
            return Ok(None);
        }
        if self.deserted_at.is_some() && self.deserted_at == self.roster.at {
            return self.begin(cx);
        }
        let Some(info) = self.latest_info() else { return Ok(Some(self.ask_for_info())) };
        let listed = Listed::of(&info).filter(|it| self.may_be_leaves(&it.all()));
        let Some(Listed { at, leaves, cut_off }) = listed else {
            let repair = self.repair.unwrap_or(Repair::NewDevice);
            return Ok(self.break_down(cx, (repair, Reason::NotAMember), &BTreeSet::new()));
        };
        let generation = at.0;
        let known = self.roster.at.unwrap_or_default();
        let is_vague = self.roster.at.is_none() || self.roster.at_is_vague;
        if at > known && !is_vague {
            // Of a later moment than what was taken in: that goes first.
            self.info = None;
            self.expect(self.cursor + 1);
            return Ok(None);
        }
        if at < known {
            // It leads back (MLS-030).
            let repair = self.repair.unwrap_or(Repair::NewDevice);
            return Ok(self.break_down(cx, (repair, Reason::NotAMember), &leaves));
        }
        if is_vague {
            (self.roster.at, self.roster.at_is_vague) = (Some(at), true);
            self.roster.cut_off.clone_from(&cut_off);
            self.is_dirty = true;
        }
        if generation == 0 || leaves.is_empty() {
            // Nobody is there to come to: whoever has something to say begins anew (DS-024).
            self.info = None;
            self.deserted_at = self.roster.at;
            return self.begin(cx);
        }
        if stuck {
            let before = before.iter().map(|leaf| leaf.user).collect();
            let stay = those_of(&before, &leaves);
            if stay.len() == leaves.len() || self.may_leave_out(cx) {
                // Only what no other can have meant otherwise makes a culprit of its maker: logs may be known to some and not yet to
                // others.
                let refused = self.refused.filter(|it| it.reason != Reason::CredentialRefused);
                return self.reset(cx, &info, &stay, refused.map(|refused| refused.by));
            }
            // It may leave nobody out (DS-023): it comes to those who came, if the group is one that it can come to.
            if self.repair.replace(self.repair.unwrap_or(Repair::Behind)).is_some() {
                return Ok(None);
            }
            self.is_dirty = true;
        }
        self.come_in(cx, &info, &leaves, &cut_off)
    }

    /// What the server said last of the group, if it is not of before what was taken in since, perhaps.
    fn latest_info(&self) -> Option<v1::GroupInfo> {
        let latest = self.info.as_ref().filter(|it| it.asked_at >= self.cursor);
        latest.map(|it| it.info.clone())
    }

    fn ask_for_info(&mut self) -> Request {
        (self.info, self.info_asked_at) = (None, self.cursor);
        let body = v1::GetGroupInfo { conversation_id: self.id.to_bytes() };
        Request { step: Step::Info, key: None, body: Body::GetGroupInfo(body) }
    }

    /// MLS-046: nothing is made in a group that a Welcome led to before its leaves are those that all are shown.
    pub(super) fn prove_tree(&mut self, cx: &mut Context<'_>, leaves: &BTreeSet<Owner>) -> Made {
        if self.is_broken_here() {
            // The server does not say.
            return Ok(None);
        }
        let Some(info) = self.latest_info() else { return Ok(Some(self.ask_for_info())) };
        self.info = None;
        let Some(listed) = Listed::of(&info) else {
            return Ok(self.break_down(
                cx,
                (Repair::NoWelcome, Reason::NotAMember),
                &BTreeSet::new(),
            ));
        };
        if self.roster.at.is_some_and(|at| listed.at > at) {
            // Of a later moment than what was taken in: that goes first.
            self.expect(self.cursor + 1);
            return Ok(None);
        }
        self.is_dirty = true;
        if Some(listed.at) != self.roster.at || listed.all() != *leaves {
            // As if the Welcome had not come: it comes in by what the group is now, if that is as the server says.
            self.repair = Some(Repair::NoWelcome);
        }
        self.is_tree_unproven = false;
        self.due(cx)
    }

    /// MLS-044: whether this device was left behind by one member's commits so often that it does not come in, or begin anew, at once
    /// any more.
    fn waits_to_go_on(&mut self, cx: &mut Context<'_>) -> bool {
        let Some(Refused { by, reason, .. }) = self.refused else { return false };
        let wait = self.left_behind.wait(by, cx.now_ms);
        self.go_on_at_ms = wait.as_ref().map(|wait| wait.until_ms);
        if wait.as_ref().is_some_and(|wait| wait.is_new) {
            let (why, suspects) = (Repair::Behind, Vec::new());
            cx.tell(self.id, Event::RepairFailed { why, reason, suspects });
        }
        wait.is_some()
    }

    /// The commit that led to where the log is left no GroupInfo that this device can come in by: all are told, once (DS-020).
    pub(super) fn accuse(&mut self, cx: &Context<'_>, reason: Reason) {
        // Logs may be known to some and not yet to others; what this device lacks is nobody's fault; and whose leaves there are besides
        // is the server's word alone.
        let is_evidence = !matches!(
            reason,
            Reason::NotAMember
                | Reason::CredentialRefused
                | Reason::ClaimMismatch
                | Reason::UnknownKeyPackage
                | Reason::Stranger
        );
        let Some((seq, by)) = self.roster.makers.last_key_value() else { return };
        let is_new = !self.roster.rejected.contains(seq) && self.accused != Some(*seq);
        if is_evidence && *by != cx.me && is_new {
            self.accused = Some(*seq);
            self.reject = Some((*seq, v1::RejectCode::WelcomeInvalid));
        }
    }

    /// DS-022: whether this device may begin the group anew, since it can't follow a commit that was rejected.
    fn may_reset(&self, cx: &Context<'_>, leaves: &BTreeSet<Owner>) -> bool {
        let Some(refused) = self.refused.filter(|_| self.group.is_some()) else { return false };
        // Whom it removes is no leaf any more, the server says.
        let is_open = self.roster.rejected.contains(&refused.seq) && !refused.removes_us;
        if !is_open || refused.by == cx.me {
            return false;
        }
        let roster = &self.roster;
        let gave_cause = |user: UserId| {
            roster.makers.iter().any(|(seq, by)| roster.rejected.contains(seq) && by.user == user)
        };
        let mut owners = leaves.iter().map(|leaf| leaf.user).filter(|user| roster.is_owner(*user));
        self.may_leave_out(cx) || owners.all(gave_cause)
    }

    /// DS-023: whether this device may leave others out of the group that it begins anew.
    fn may_leave_out(&self, cx: &Context<'_>) -> bool {
        let roster = &self.roster;
        roster.is_owner(cx.me.user) || roster.kind == ConversationKind::Direct
    }

    /// The same devices in a new group, but the one whose commit can't be followed: an OWNER's leaf is an OWNER's alone to leave
    /// out, and so are devices that can't be added (DS-023).
    pub(super) fn reset(
        &mut self,
        cx: &mut Context<'_>,
        info: &v1::GroupInfo,
        leaves: &BTreeSet<Owner>,
        culprit: Option<Owner>,
    ) -> Made {
        let roster = &self.roster;
        let is_owner = self.may_leave_out(cx);
        let may_go = |leaf: &Owner| is_owner || !roster.is_owner(leaf.user);
        let culprit = culprit.filter(|leaf| leaves.contains(leaf) && may_go(leaf));
        let stays = |leaf: &Owner| Some(*leaf) != culprit && *leaf != cx.me;
        let stay: BTreeSet<_> = leaves.iter().copied().filter(stays).collect();
        let suite = u16::try_from(info.suite).ok().and_then(Suite::from_number);
        self.roster.suite = suite.or(self.roster.suite);
        let suite = self.suite();
        let targets = stay.iter().map(|it| (it.user, Some(it.device)));
        if let Some(claim) = self.claim(cx, suite, targets) {
            return Ok(Some(claim));
        }
        let packages = self.usable(cx, None, |owner| stay.contains(owner))?;
        if packages.len() < stay.len() && !is_owner {
            return Ok(self.break_down(cx, (Repair::Behind, Reason::UnknownKeyPackage), leaves));
        }
        self.info = None;
        self.establish(cx, suite, packages, culprit)
    }

    /// The group anew, by an OWNER who can't come into the one that is: with those whom this device knew when it was in it. One that was
    /// in none knows nobody, and its user has seen who the server says is there.
    fn begin_again(
        &mut self,
        cx: &mut Context<'_>,
        info: &v1::GroupInfo,
        leaves: &BTreeSet<Owner>,
    ) -> Made {
        let stay = match self.known_users().filter(|_| !self.is_direct()) {
            Some(mut known) => {
                known.insert(cx.me.user);
                those_of(&known, leaves)
            }
            None => leaves.clone(),
        };
        self.reset(cx, info, &stay, None)
    }

    pub(super) fn break_down(
        &mut self,
        cx: &mut Context<'_>,
        (why, reason): (Repair, Reason),
        leaves: &BTreeSet<Owner>,
    ) -> Option<Request> {
        let suspects = suspects(cx, leaves);
        self.forget_stranger();
        self.info = None;
        if self.note_broken(why, reason) {
            cx.tell(self.id, Event::RepairFailed { why, reason, suspects });
        }
        None
    }

    /// A repair did not work; whether that is news to the user.
    pub(super) fn note_broken(&mut self, why: Repair, reason: Reason) -> bool {
        self.broken = Some((why, reason, self.roster.at));
        std::mem::replace(&mut self.told_broken, self.broken) != self.broken
    }

    /// An external commit, if a device of this user's is in the group (MLS-012).
    pub(super) fn come_in(
        &mut self,
        cx: &mut Context<'_>,
        info: &v1::GroupInfo,
        leaves: &BTreeSet<Owner>,
        cut_off: &BTreeSet<Owner>,
    ) -> Made {
        let repair = self.repair.unwrap_or(Repair::NewDevice);
        let asked = self.repair == Some(Repair::Asked);
        if asked
            && self.roster.is_owner(cx.me.user)
            && leaves.iter().all(|it| it.user != cx.me.user)
        {
            // Nobody need let an OWNER in who has lost all devices, and says so.
            return self.begin_again(cx, info, leaves);
        }
        if leaves.iter().chain(cut_off).all(|leaf| leaf.user != cx.me.user) {
            // Somebody has to let this user in.
            self.forget_stranger();
            self.info = None;
            self.broken = Some((repair, Reason::NotAMember, self.roster.at));
            return Ok(None);
        }
        let users: BTreeSet<_> = leaves.iter().chain(cut_off).map(|leaf| leaf.user).collect();
        self.need_logs(cx, users.iter().copied())?;
        let Some((generation, epoch)) = self.roster.at else { return Ok(None) };
        let id = self.group_id(generation);
        let listed = leaves.union(cut_off).copied().collect();
        let (head_seq, chain) = self.history.head();
        let made = cx.device.rejoin(&info.group_info, id, epoch, None).and_then(|rejoin| {
            // Who is in the tree is to be seen by all (MLS-039).
            if *rejoin.leaves() != listed {
                return Err(Reason::ClaimMismatch.into());
            }
            let key = cx.idempotency_key();
            let claim = rejoin.claim().clone();
            let header = v1::CommitHeader {
                conversation_id: self.id.to_bytes(),
                message_id: key.to_bytes(),
                generation: generation.into(),
                epoch,
                added: claim.added.iter().map(|it| leaf(*it)).collect(),
                removed: claim.removed.iter().map(|it| leaf(*it)).collect(),
                is_external: true,
                head_seq,
                chain,
            };
            let header = header.encode_to_vec();
            let by = rejoin.signer();
            let (group, commit) = rejoin.commit(&header)?;
            Ok((key, header, group, commit, by))
        });
        let (key, header, mut group, commit, by) = match made {
            Ok(made) => made,
            Err(MlsError::Refused(Reason::CredentialRefused)) => {
                self.refresh_logs(users.into_iter())?;
                return self.shut_out(cx, (repair, Reason::CredentialRefused), info, leaves);
            }
            Err(MlsError::Refused(reason)) => {
                return self.shut_out(cx, (repair, reason), info, leaves);
            }
            Err(_) => return self.shut_out(cx, (repair, Reason::Invalid), info, leaves),
        };
        if !self.may_follow(cx.me, by) {
            self.name_stranger(cx, repair, by);
            return Ok(None);
        }
        self.info = None;
        let candidate = cx.save(&mut group)?;
        let payload = v1::CommitPayload { header: header.into(), commit: commit.commit.into() };
        let submit = v1::SubmitCommit {
            payload: payload.encode_to_vec().into(),
            salt: Bytes::copy_from_slice(&cx.bytes::<32>()),
            welcomes: Vec::new(),
            group_info: commit.group_info.into(),
        };
        let (body, group) = (Body::SubmitCommit(submit), Some(group));
        let repair = Some(repair);
        Ok(Some(self.submit(Submitted { key, body, group, candidate, repair })))
    }

    /// There is no way in. Where none but this user's devices are left, this one begins anew, and where its user, an OWNER, says so;
    /// else others may leave another way.
    pub(super) fn shut_out(
        &mut self,
        cx: &mut Context<'_>,
        why: (Repair, Reason),
        info: &v1::GroupInfo,
        leaves: &BTreeSet<Owner>,
    ) -> Made {
        let me = cx.me;
        let is_alone = leaves.iter().all(|leaf| leaf.user == me.user);
        // Who else is there, the server alone says here: that is for an OWNER to look at, and to say.
        let is_asked = self.repair == Some(Repair::Asked) && self.roster.is_owner(me.user);
        let may = leaves.contains(&me) && (is_alone || is_asked);
        let last = self.roster.makers.last_key_value().map(|(seq, _)| *seq);
        if let Some(seq) = last.filter(|_| may) {
            if self.roster.rejected.contains(&seq) {
                return self.begin_again(cx, info, leaves);
            }
            if self.accused != Some(seq) {
                self.info = None;
                self.accused = Some(seq);
                self.reject = Some((seq, v1::RejectCode::WelcomeInvalid));
                return self.due_rejection(cx);
            }
        }
        Ok(self.break_down(cx, why, leaves))
    }
}
