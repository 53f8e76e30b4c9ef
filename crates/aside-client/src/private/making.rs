//! What is to be done next in a conversation, and the request that does it: one at a time.

use std::collections::BTreeSet;

use aside_crypto::{Envelope, FRANKING_KEY_BYTES};
use aside_mls::{Change, Error as MlsError, Group, KeyPackage, Owner, Reason, Suite};
use aside_proto::{
    id::{DeviceId, UserId},
    v1::{self, ConversationKind, client_frame::Body},
};
use bytes::Bytes;
use prost::Message as _;

use super::{
    conversation::{Context, Conversation, Hand, Info, Request, Stall, Step, Submitted},
    event::{Event, Goal, GoalError, Repair},
    intake::Hold,
    record::{leaf, owner},
};
use crate::StateError;

/// KeyPackages that were too old, after which no others are claimed.
const MAX_EXPIRED: usize = 128;

/// What came of an attempt to make something.
type Made = Result<Option<Request>, Hold>;

impl Conversation {
    /// Makes the next request, if one is due. What has to be durable before it is sent is among the writes.
    pub(super) fn decide(&mut self, cx: &mut Context<'_>) -> Result<(), StateError> {
        let idle = self.next.is_none() && self.in_flight.is_none();
        if !idle || self.contradicted || !cx.approved || !self.is_caught_up() {
            return Ok(());
        }
        match self.due(cx) {
            Ok(next) => self.next = next,
            Err(Hold::Stall(stall)) => self.wait_for(stall),
            Err(Hold::Contradiction(_)) => {}
            Err(Hold::State(error)) => return Err(error),
        }
        Ok(())
    }

    fn due(&mut self, cx: &mut Context<'_>) -> Made {
        if self.reject.is_some() {
            return self.due_rejection(cx);
        }
        if let Some(submitted) = &self.submitted {
            return Ok(Some(submitted.request()));
        }
        if let Some((generation, epoch, value)) = self.report {
            let report = v1::ReportForkCheck {
                conversation_id: self.id.to_bytes(),
                generation: generation.into(),
                epoch,
                value: Bytes::copy_from_slice(&value),
            };
            let body = Body::ReportForkCheck(report);
            return Ok(Some(Request { step: Step::Report, key: None, body }));
        }
        if self.removal.is_some() {
            return Ok(None);
        }
        if self.is_in_group() && self.repair.is_none() {
            return self.due_in_group(cx);
        }
        match self.roster.at {
            Some((0, _)) => self.begin(cx),
            _ => self.due_outside(cx),
        }
    }

    fn due_rejection(&self, cx: &mut Context<'_>) -> Made {
        let Some((seq, code)) = self.reject else { return Ok(None) };
        let conversation_id = self.id.to_bytes();
        let body = v1::RejectCommit { conversation_id, seq, code: code.into() };
        Ok(Some(Request {
            step: Step::Reject,
            key: Some(cx.idempotency_key()),
            body: Body::RejectCommit(body),
        }))
    }

    /// The first group of the conversation, once there is something to do in it and, in a DIRECT, somebody to talk to.
    fn begin(&mut self, cx: &mut Context<'_>) -> Made {
        let wanted = !self.goals.is_empty() || self.waits();
        if !wanted || !self.roster.members.contains_key(&cx.me.user) {
            return Ok(None);
        }
        let mut users: BTreeSet<UserId> = [cx.me.user].into();
        match (self.roster.kind, self.peer(cx.me.user)) {
            (ConversationKind::Direct, Some(peer)) => drop(users.insert(peer)),
            // Its id says that it is another's.
            (ConversationKind::Direct, None) => return Ok(None),
            _ => users.extend(self.added_users()),
        }
        if let Some(claim) = self.claim(cx, users.iter().map(|user| (*user, None))) {
            return Ok(Some(claim));
        }
        let packages = self.usable(cx, None, |owner| users.contains(&owner.user))?;
        let peer_missing = self.roster.kind == ConversationKind::Direct
            && users.iter().any(|user| {
                *user != cx.me.user && packages.iter().all(|(owner, _)| owner.user != *user)
            });
        self.give_up_on(cx, |owner| packages.iter().any(|(it, _)| it.user == owner));
        if peer_missing {
            self.tell_waiting(cx, &users);
            return Ok(None);
        }
        self.establish(cx, Suite::P256Aes128, packages, None)
    }

    /// A group with these devices and this one.
    fn establish(
        &mut self,
        cx: &mut Context<'_>,
        suite: Suite,
        packages: Vec<(Owner, Bytes)>,
        culprit: Option<Owner>,
    ) -> Made {
        let generation = self.roster.at.map_or(0, |(generation, _)| generation) + 1;
        let now = cx.now_ms / 1000;
        let refused = |_| StateError::Damaged("the keys of this device");
        let id = self.group_id(generation);
        let mut group = cx.device.create(suite, id, now).map_err(refused)?;
        let (change, leaves) = self.change(&group, packages, BTreeSet::new());
        let header = v1::EstablishHeader {
            conversation_id: self.id.to_bytes(),
            generation: generation.into(),
            head_seq: self.cursor,
            suite: suite.number().into(),
            leaves: leaves.iter().chain([&cx.me]).map(|it| leaf(*it)).collect(),
            culprit: culprit.map(leaf),
        };
        let header = header.encode_to_vec();
        let commit = match group.commit(&change, &header, now) {
            Ok(commit) => commit,
            Err(error) => return self.unmade(cx, &change, error),
        };
        let candidate = cx.save(&mut group)?;
        let establish = v1::EstablishGroup {
            header: header.into(),
            salt: Bytes::copy_from_slice(&cx.bytes::<32>()),
            welcomes: welcomes(commit.welcome, &leaves),
            group_info: commit.group_info.into(),
        };
        let submitted = Submitted {
            key: cx.idempotency_key(),
            body: Body::EstablishGroup(establish),
            group: Some(group),
            candidate,
            repair: None,
        };
        Ok(Some(self.submit(submitted)))
    }

    fn submit(&mut self, submitted: Submitted) -> Request {
        let request = submitted.request();
        self.submitted = Some(submitted);
        self.is_dirty = true;
        request
    }

    /// What is made of KeyPackages, without those that this group refuses; and whose they are.
    fn change(
        &mut self,
        group: &Group,
        packages: Vec<(Owner, Bytes)>,
        remove: BTreeSet<Owner>,
    ) -> (Change, Vec<Owner>) {
        let mut change = Change { add: Vec::new(), remove };
        for (owner, bytes) in packages {
            match group.key_package(&bytes) {
                Ok(package) if package.owner() == owner => change.add.push(package),
                Ok(_) => self.drop_package(owner, Reason::CredentialRefused),
                Err(reason) => self.drop_package(owner, reason),
            }
        }
        let leaves = change.add.iter().map(KeyPackage::owner).collect();
        (change, leaves)
    }

    fn drop_package(&mut self, owner: Owner, reason: Reason) {
        self.hand.packages.remove(&owner);
        if reason == Reason::Expired && self.hand.expired < MAX_EXPIRED {
            // The oldest come first: the next may do.
            self.hand.expired += 1;
            self.hand.asked.retain(|(of, _), _| *of != owner.user);
            return;
        }
        self.hand.refused.insert(owner, reason);
    }

    /// A commit could not be made: what stands in its way is left out of the next.
    fn unmade(&mut self, cx: &mut Context<'_>, change: &Change, error: MlsError) -> Made {
        match error {
            MlsError::KeyPackages(refused) => {
                for (at, reason) in refused {
                    if let Some(package) = change.add.get(at) {
                        self.drop_package(package.owner(), reason);
                    }
                }
                self.due(cx)
            }
            // Said by `health` too; a later commit or log may change it.
            MlsError::NotApproved(_) | MlsError::Refused(_) | MlsError::NotInGroup(_) => Ok(None),
            _ => Err(StateError::Damaged("the state of a private conversation").into()),
        }
    }

    fn due_in_group(&mut self, cx: &mut Context<'_>) -> Made {
        let wanted = self.waits() || !self.goals.is_empty();
        let is_direct = self.roster.kind == ConversationKind::Direct;
        if !wanted && !is_direct && self.roster.cut_off.is_empty() {
            return Ok(None);
        }
        self.settle_goals(cx);
        let leaves = self.leaves();
        if self.held_at.is_some() && self.held_at == self.roster.at {
            return self.due_message(cx, &leaves);
        }
        let mut remove: BTreeSet<_> =
            self.roster.cut_off.iter().copied().filter(|leaf| leaves.contains(leaf)).collect();
        let forced = !remove.is_empty();
        // The first of those who stay does it at once, and the others when they have something to say.
        let first = leaves.iter().find(|leaf| !remove.contains(leaf));
        if forced && first != Some(&cx.me) && !wanted {
            return Ok(None);
        }
        let users: BTreeSet<_> = self.users_to_add(cx, &leaves);
        if let Some(claim) = self.claim(cx, users.iter().map(|user| (*user, None))) {
            return Ok(Some(claim));
        }
        let goes = self.goals.iter().filter_map(|goal| match goal {
            Goal::Remove(user) => Some(*user),
            _ => None,
        });
        let goes: BTreeSet<_> = goes.collect();
        remove.extend(leaves.iter().copied().filter(|leaf| goes.contains(&leaf.user)));
        remove.remove(&cx.me);
        let packages = self.usable(cx, Some(&leaves), |owner| users.contains(&owner.user))?;
        self.give_up_on(cx, |user| packages.iter().any(|(owner, _)| owner.user == user));
        if !remove.is_empty() || !packages.is_empty() || self.goals.contains(&Goal::Renew) {
            return self.make_commit(cx, packages, remove);
        }
        self.name_again(cx);
        self.due_message(cx, &leaves)
    }

    /// Whom somebody wants in, and the other one of a DIRECT.
    fn users_to_add(&self, cx: &Context<'_>, leaves: &BTreeSet<Owner>) -> BTreeSet<UserId> {
        let mut users: BTreeSet<_> = self.added_users().collect();
        // Of a GROUP, who was put out must not be let in again by itself.
        users.extend(self.peer(cx.me.user));
        users.retain(|user| leaves.iter().all(|leaf| leaf.user != *user));
        users
    }

    fn added_users(&self) -> impl Iterator<Item = UserId> {
        self.goals.iter().filter_map(|goal| match goal {
            Goal::Add(user) => Some(*user),
            _ => None,
        })
    }

    fn waits(&self) -> bool {
        self.outgoing.iter().any(|it| it.sent.is_none())
    }

    /// A claim for those that were not asked for yet.
    fn claim(
        &mut self,
        cx: &mut Context<'_>,
        targets: impl Iterator<Item = (UserId, Option<DeviceId>)>,
    ) -> Option<Request> {
        let suite = self.suite();
        let missing: Vec<_> = targets
            .filter(|target| !self.hand.asked.contains_key(target))
            .take(cx.limits.max_page_items.max(1) as usize)
            .collect();
        if missing.is_empty() {
            return None;
        }
        let targets = missing.iter().map(|(user, device)| v1::ClaimTarget {
            user_id: user.to_bytes(),
            device_id: device.map(DeviceId::to_bytes).unwrap_or_default(),
        });
        let claim =
            v1::ClaimKeyPackages { suite: suite.number().into(), targets: targets.collect() };
        Some(Request {
            step: Step::Claim,
            key: Some(cx.idempotency_key()),
            body: Body::ClaimKeyPackages(claim),
        })
    }

    fn suite(&self) -> Suite {
        let group = self.group.as_ref().map(Group::suite);
        group.or(self.roster.suite).unwrap_or(Suite::P256Aes128)
    }

    /// KeyPackages that were claimed, of devices that are wanted and no leaves yet, once their users' logs are there.
    fn usable(
        &mut self,
        cx: &Context<'_>,
        leaves: Option<&BTreeSet<Owner>>,
        wanted: impl Fn(&Owner) -> bool,
    ) -> Result<Vec<(Owner, Bytes)>, Hold> {
        let is_leaf = |owner: &Owner| leaves.is_some_and(|leaves| leaves.contains(owner));
        let usable: Vec<_> = self
            .hand
            .packages
            .iter()
            .filter(|(owner, _)| wanted(owner) && !is_leaf(owner) && **owner != cx.me)
            .map(|(owner, package)| (*owner, package.clone()))
            .collect();
        self.need_logs(cx, usable.iter().map(|(owner, _)| owner.user))?;
        // A log that is behind does not know the newest device, which the server says is approved.
        let unknown = usable.iter().filter(|(owner, _)| {
            let active = cx.logs.with(owner.user, |log| {
                log.active().any(|certificate| certificate.device() == owner.device)
            });
            active != Some(true)
        });
        self.refresh_logs(unknown.map(|(owner, _)| owner.user))?;
        Ok(usable)
    }

    /// Says of those who were to be added and can't be that they can't.
    fn give_up_on(&mut self, cx: &mut Context<'_>, is_coming: impl Fn(UserId) -> bool) {
        for user in self.added_users().collect::<Vec<_>>() {
            if is_coming(user) {
                continue;
            }
            let why = self.hand.asked.get(&(user, None)).copied().flatten();
            let refused = self.hand.refused.iter().find(|(owner, _)| owner.user == user);
            let error = match (why, refused) {
                (Some(why), _) => GoalError::NoDevice(why),
                (None, Some((_, reason))) => GoalError::Device(*reason),
                (None, None) => continue,
            };
            let goal = Goal::Add(user);
            self.goals.remove(&goal);
            self.is_dirty = true;
            cx.tell(self.id, Event::Done { goal, outcome: Err(error) });
        }
    }

    fn tell_waiting(&mut self, cx: &mut Context<'_>, users: &BTreeSet<UserId>) {
        let me = cx.me.user;
        for user in users.iter().filter(|user| **user != me) {
            if let Some(Some(why)) = self.hand.asked.get(&(*user, None))
                && self.hand.told.insert(*user)
            {
                cx.tell(self.id, Event::Waiting { user: *user, why: *why });
            }
        }
    }

    fn make_commit(
        &mut self,
        cx: &mut Context<'_>,
        packages: Vec<(Owner, Bytes)>,
        remove: BTreeSet<Owner>,
    ) -> Made {
        let Some(mut group) = self.group.take() else { return Ok(None) };
        let (change, leaves) = self.change(&group, packages, remove);
        let key = cx.idempotency_key();
        let claim = group.claim(&change);
        let header = v1::CommitHeader {
            conversation_id: self.id.to_bytes(),
            message_id: key.to_bytes(),
            generation: group.id().generation.into(),
            epoch: claim.epoch,
            added: claim.added.iter().map(|it| leaf(*it)).collect(),
            removed: claim.removed.iter().map(|it| leaf(*it)).collect(),
            is_external: false,
        };
        let header = header.encode_to_vec();
        if group.has_pending() {
            // Of an attempt that was not kept.
            group.clear_pending();
        }
        let made = group.commit(&change, &header, cx.now_ms / 1000);
        self.group = Some(group);
        let commit = match made {
            Ok(commit) => commit,
            Err(MlsError::NotApproved(gone)) if !gone.is_subset(&change.remove) => {
                let remove = change.remove.union(&gone).copied().collect();
                let packages = leaves.iter().filter_map(|it| self.hand.packages.get_key_value(it));
                let packages = packages.map(|(it, bytes)| (*it, bytes.clone())).collect();
                return self.make_commit(cx, packages, remove);
            }
            Err(error) => return self.unmade(cx, &change, error),
        };
        self.group_is_dirty = true;
        let payload = v1::CommitPayload { header: header.into(), commit: commit.commit.into() };
        let submit = v1::SubmitCommit {
            payload: payload.encode_to_vec().into(),
            salt: Bytes::copy_from_slice(&cx.bytes::<32>()),
            welcomes: welcomes(commit.welcome, &leaves),
            group_info: commit.group_info.into(),
        };
        let body = Body::SubmitCommit(submit);
        Ok(Some(self.submit(Submitted { key, body, group: None, candidate: None, repair: None })))
    }

    /// The oldest message that waits, encrypted for the epoch that is.
    fn due_message(&mut self, cx: &mut Context<'_>, leaves: &BTreeSet<Owner>) -> Made {
        let Some(at) = self.outgoing.iter().position(|it| it.sent.is_none()) else {
            return Ok(None);
        };
        // What was refused as things are is refused again.
        if self.sent_in_vain == Some((self.outgoing[at].message_id, self.cursor)) {
            return Ok(None);
        }
        let alone = self.roster.kind == ConversationKind::Direct
            && leaves.iter().all(|leaf| leaf.user == cx.me.user);
        if alone && self.outgoing[at].payload.is_none() {
            let users = self.roster.members.keys().copied().collect();
            self.tell_waiting(cx, &users);
            return Ok(None);
        }
        if self.outgoing[at].payload.is_none()
            && let Some(wanted) = self.encrypt(cx, at)?
        {
            return Ok(wanted);
        }
        let outgoing = &self.outgoing[at];
        let send = v1::SendPrivate {
            payload: outgoing.payload.clone().unwrap_or_default(),
            salt: Bytes::copy_from_slice(&outgoing.salt),
        };
        Ok(Some(Request {
            step: Step::Send(outgoing.message_id),
            key: Some(outgoing.message_id),
            body: Body::SendPrivate(send),
        }))
    }

    /// Encrypts a message; or says what is to be done before.
    #[allow(clippy::option_option, reason = "the outer one: instead; the inner one: a request")]
    fn encrypt(
        &mut self,
        cx: &mut Context<'_>,
        at: usize,
    ) -> Result<Option<Option<Request>>, Hold> {
        let Some(group) = &mut self.group else { return Ok(Some(None)) };
        let outgoing = &mut self.outgoing[at];
        let head = cx.logs.with(cx.me.user, |log| log.head());
        let head = head.ok_or(Hold::Stall(Stall::Logs([cx.me.user].into())))?;
        let random = &mut *cx.random;
        let (envelope, tag) = Envelope::seal(&outgoing.content, head, random);
        let key = Envelope::open(&envelope, &tag).map(|envelope| *envelope.key.as_bytes());
        outgoing.franking_key = key.unwrap_or([0; FRANKING_KEY_BYTES]);
        let header = v1::PrivateHeader {
            conversation_id: self.id.to_bytes(),
            message_id: outgoing.message_id.to_bytes(),
            generation: group.id().generation.into(),
            epoch: group.epoch(),
            franking_tag: Bytes::copy_from_slice(&tag),
        };
        let header = header.encode_to_vec();
        let ciphertext = match group.encrypt(&envelope, &header) {
            Ok(ciphertext) => ciphertext,
            Err(MlsError::NotApproved(gone)) => {
                return self.make_commit(cx, Vec::new(), gone).map(Some);
            }
            Err(MlsError::TooLong) => {
                let limit = u64::from(cx.limits.max_payload_bytes);
                let error = v1::Error {
                    code: v1::ErrorCode::PayloadTooLarge.into(),
                    message: format!("a message is at most {limit} bytes long"),
                    ..v1::Error::default()
                };
                let message_id = outgoing.message_id;
                self.fail(cx, message_id, error);
                return Ok(Some(None));
            }
            Err(_) => return Ok(Some(None)),
        };
        let payload = v1::PrivatePayload { header: header.into(), ciphertext: ciphertext.into() };
        outgoing.payload = Some(payload.encode_to_vec().into());
        self.group_is_dirty = true;
        let (message_id, record) = (outgoing.message_id, outgoing.record());
        cx.conversation(self.id).outgoing.insert(message_id, Some(record));
        Ok(None)
    }

    /// A message will not be sent.
    pub(super) fn fail(
        &mut self,
        cx: &mut Context<'_>,
        message_id: aside_proto::id::IdempotencyKey,
        error: v1::Error,
    ) {
        let Some(at) = self.outgoing.iter().position(|it| it.message_id == message_id) else {
            return;
        };
        self.outgoing.remove(at);
        cx.conversation(self.id).outgoing.insert(message_id, None);
        cx.tell(self.id, Event::Failed { message_id, error: Box::new(error) });
    }

    /// Not in the group, or not at its epoch: come in, or begin it anew.
    fn due_outside(&mut self, cx: &mut Context<'_>) -> Made {
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
        let stuck = self.refused.is_some() && (self.repair.is_none() || broken.is_some());
        if stuck && !self.may_reset(cx) {
            // Others will say whether the commit holds: a reset comes, or they go on from it.
            return Ok(None);
        }
        if self.held_at.is_some() && self.held_at == self.roster.at {
            return Ok(None);
        }
        let Some(Info { info, asked_at }) = self.info.clone() else {
            self.info_asked_at = self.cursor;
            let body = v1::GetGroupInfo { conversation_id: self.id.to_bytes() };
            return Ok(Some(Request {
                step: Step::Info,
                key: None,
                body: Body::GetGroupInfo(body),
            }));
        };
        if asked_at < self.cursor {
            // Of before what was taken in since, perhaps.
            self.info = None;
            return self.due_outside(cx);
        }
        let leaves: Option<BTreeSet<_>> = info.leaves.iter().map(owner).collect();
        let cut_off: Option<BTreeSet<_>> = info.pending_removals.iter().map(owner).collect();
        let (Some(leaves), Some(cut_off), Ok(generation)) =
            (leaves, cut_off, u32::try_from(info.generation))
        else {
            self.info = None;
            return Err(Hold::Contradiction("what there is to know of a group"));
        };
        let at = (generation, info.epoch);
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
            return self.begin(cx);
        }
        if stuck {
            // Nobody but those whom this device knows to have been there; and only what no other can have meant otherwise makes a
            // culprit of its maker: logs may be known to some and not yet to others.
            let before = self.leaves();
            let stay = leaves.intersection(&before).copied().collect();
            let refused = self.refused.filter(|it| it.reason != Reason::CredentialRefused);
            return self.reset(cx, &info, &stay, refused.map(|refused| refused.by));
        }
        self.come_in(cx, &info, &leaves, &cut_off)
    }

    /// The commit that led to where the log is left no GroupInfo that this device can come in by: all are told, once (DS-020).
    fn accuse(&mut self, cx: &Context<'_>, reason: Reason) {
        // Logs may be known to some and not yet to others; and what this device lacks is nobody's fault.
        let is_evidence = !matches!(
            reason,
            Reason::NotAMember | Reason::CredentialRefused | Reason::UnknownKeyPackage
        );
        let Some((seq, by)) = self.roster.makers.last_key_value() else { return };
        let is_new = !self.roster.rejected.contains(seq) && self.accused != Some(*seq);
        if is_evidence && *by != cx.me && is_new {
            self.accused = Some(*seq);
            self.reject = Some((*seq, v1::RejectCode::WelcomeInvalid));
        }
    }

    /// DS-022: whether this device may begin the group anew, since it can't follow a commit that was rejected.
    fn may_reset(&self, cx: &Context<'_>) -> bool {
        let Some(refused) = self.refused.filter(|_| self.group.is_some()) else { return false };
        if !self.roster.rejected.contains(&refused.seq) || refused.by == cx.me {
            return false;
        }
        let roster = &self.roster;
        let gave_cause = |user: UserId| {
            roster.makers.iter().any(|(seq, by)| roster.rejected.contains(seq) && by.user == user)
        };
        let leaves = self.leaves();
        let mut owners = leaves.iter().map(|leaf| leaf.user).filter(|user| roster.is_owner(*user));
        roster.is_owner(cx.me.user)
            || roster.kind == ConversationKind::Direct
            || owners.all(gave_cause)
    }

    /// The same devices in a new group, but the one whose commit can't be followed: an OWNER's leaf is an OWNER's alone to leave
    /// out, and so are devices that can't be added (DS-023).
    fn reset(
        &mut self,
        cx: &mut Context<'_>,
        info: &v1::GroupInfo,
        leaves: &BTreeSet<Owner>,
        culprit: Option<Owner>,
    ) -> Made {
        let roster = &self.roster;
        let is_owner = roster.is_owner(cx.me.user) || roster.kind == ConversationKind::Direct;
        let may_go = |leaf: &Owner| is_owner || !roster.is_owner(leaf.user);
        let culprit = culprit.filter(|leaf| leaves.contains(leaf) && may_go(leaf));
        let stays = |leaf: &Owner| Some(*leaf) != culprit && *leaf != cx.me;
        let stay: BTreeSet<_> = leaves.iter().copied().filter(stays).collect();
        let suite = u16::try_from(info.suite).ok().and_then(Suite::from_number);
        self.roster.suite = suite.or(self.roster.suite);
        if let Some(claim) = self.claim(cx, stay.iter().map(|it| (it.user, Some(it.device)))) {
            return Ok(Some(claim));
        }
        let packages = self.usable(cx, None, |owner| stay.contains(owner))?;
        if packages.len() < stay.len() && !is_owner {
            return Ok(self.break_down(cx, (Repair::Behind, Reason::UnknownKeyPackage), leaves));
        }
        self.info = None;
        self.establish(cx, self.suite(), packages, culprit)
    }

    fn break_down(
        &mut self,
        cx: &mut Context<'_>,
        (why, reason): (Repair, Reason),
        leaves: &BTreeSet<Owner>,
    ) -> Option<Request> {
        self.broken = Some((why, reason, self.roster.at));
        self.info = None;
        if self.told_broken != self.broken {
            self.told_broken = self.broken;
            let suspects = super::intake::suspects(cx, leaves);
            cx.tell(self.id, Event::RepairFailed { why, reason, suspects });
        }
        None
    }

    /// An external commit, if a device of this user's is in the group (MLS-012).
    fn come_in(
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
            return self.reset(cx, info, leaves, None);
        }
        if leaves.iter().chain(cut_off).all(|leaf| leaf.user != cx.me.user) {
            // Somebody has to let this user in.
            self.info = None;
            self.broken = Some((repair, Reason::NotAMember, self.roster.at));
            return Ok(None);
        }
        let users: BTreeSet<_> = leaves.iter().chain(cut_off).map(|leaf| leaf.user).collect();
        self.need_logs(cx, users.iter().copied())?;
        let Some((generation, epoch)) = self.roster.at else { return Ok(None) };
        let id = self.group_id(generation);
        let listed = leaves.union(cut_off).copied().collect();
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
            };
            let header = header.encode_to_vec();
            let (group, commit) = rejoin.commit(&header)?;
            Ok((key, header, group, commit))
        });
        let (key, header, mut group, commit) = match made {
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

    /// There is no way in. Where none but this user's devices are left, this one begins anew; else others may leave another way.
    fn shut_out(
        &mut self,
        cx: &mut Context<'_>,
        why: (Repair, Reason),
        info: &v1::GroupInfo,
        leaves: &BTreeSet<Owner>,
    ) -> Made {
        let me = cx.me;
        let is_alone = leaves.iter().all(|leaf| leaf.user == me.user) && leaves.contains(&me);
        let last = self.roster.makers.last_key_value().map(|(seq, _)| *seq);
        if let Some(seq) = last.filter(|_| is_alone) {
            if self.roster.rejected.contains(&seq) {
                return self.reset(cx, info, leaves, None);
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

    /// What claims say is forgotten where it may be otherwise by now.
    pub(super) fn ask_again_for(&mut self, user: UserId) {
        self.hand.asked.retain(|(of, _), _| *of != user);
        self.hand.refused.retain(|owner, _| owner.user != user);
    }

    /// KeyPackages were claimed.
    pub(super) fn claimed(
        &mut self,
        request: &v1::ClaimKeyPackages,
        reply: v1::KeyPackagesClaimed,
    ) {
        let Hand { packages, asked, told, .. } = &mut self.hand;
        told.clear();
        for target in &request.targets {
            let Ok(user) = UserId::try_from(&target.user_id[..]) else { continue };
            let device = DeviceId::try_from(&target.device_id[..]).ok();
            asked.insert((user, device), None);
        }
        for claimed in reply.claimed {
            let Ok(user) = UserId::try_from(&claimed.user_id[..]) else { continue };
            let device = DeviceId::try_from(&claimed.device_id[..]).ok();
            match device.filter(|_| !claimed.key_package.is_empty()) {
                Some(device) => {
                    packages.insert(Owner { user, device }, claimed.key_package);
                }
                None => {
                    let has_one = packages.keys().any(|owner| owner.user == user);
                    for (_, why) in asked.iter_mut().filter(|((of, it), _)| {
                        *of == user && (*it == device || (it.is_none() && !has_one))
                    }) {
                        *why = Some(claimed.reason());
                    }
                }
            }
        }
    }
}

impl Submitted {
    pub(super) fn request(&self) -> Request {
        Request { step: Step::Submit, key: Some(self.key), body: self.body.clone() }
    }
}

/// One Welcome for all who come in.
fn welcomes(welcome: Option<Vec<u8>>, leaves: &[Owner]) -> Vec<v1::Welcome> {
    let device_ids = leaves.iter().map(|leaf| leaf.device.to_bytes()).collect();
    welcome.map(|welcome| v1::Welcome { welcome: welcome.into(), device_ids }).into_iter().collect()
}
