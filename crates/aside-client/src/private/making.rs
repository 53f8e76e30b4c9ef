//! What is to be done next in a conversation, and the request that does it: one at a time.

use std::collections::BTreeSet;

use aside_crypto::Envelope;
use aside_mls::{Change, Error as MlsError, Owner, Reason, Suite};
use aside_proto::{
    id::{IdempotencyKey, UserId},
    v1::{self, ConversationKind, client_frame::Body},
};
use bytes::Bytes;
use prost::Message as _;

use super::{
    conversation::{Context, Conversation, Request, Stall, Step, Submitted},
    event::{Event, Goal, Repair},
    intake::Hold,
    record::leaf,
};
use crate::StateError;

/// How long each leaf waits for the one before it to commit a removal that is pending.
const TURN_MS: u64 = 10_000;

/// What came of an attempt to make something.
pub(super) type Made = Result<Option<Request>, Hold>;

impl Conversation {
    /// Makes the next request, if one is due. What has to be durable before it is sent is among the writes.
    pub(super) fn decide(&mut self, cx: &mut Context<'_>) -> Result<(), StateError> {
        let idle = self.next.is_none() && self.in_flight.is_none();
        let waits = cx.now_ms < self.not_before_ms;
        if !idle || waits || self.contradicted || !cx.approved || !self.is_caught_up() {
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

    pub(super) fn due(&mut self, cx: &mut Context<'_>) -> Made {
        if self.reject.is_some() {
            return self.due_rejection(cx);
        }
        let asked = self.repair == Some(Repair::Asked);
        if let Some(submitted) = self.submitted.as_ref().filter(|_| !self.is_removed || asked) {
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

    pub(super) fn due_rejection(&self, cx: &mut Context<'_>) -> Made {
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
    pub(super) fn begin(&mut self, cx: &mut Context<'_>) -> Made {
        let wanted = !self.goals.is_empty() || self.waits();
        let is_held = self.held_at.is_some() && self.held_at == self.roster.at;
        if !wanted || is_held || !self.roster.members.contains_key(&cx.me.user) {
            return Ok(None);
        }
        let mut users: BTreeSet<UserId> = [cx.me.user].into();
        match (self.roster.kind, self.peer(cx.me.user)) {
            (ConversationKind::Direct, Some(peer)) => drop(users.insert(peer)),
            // Its id says that it is another's.
            (ConversationKind::Direct, None) => return Ok(None),
            _ => users.extend(self.added_users()),
        }
        let suite = self.suite_for(cx, &users)?;
        if self.roster.suite.replace(suite) != Some(suite) {
            // What was claimed is of the other.
            self.hand.packages.clear();
            self.hand.ask_again();
            self.is_dirty = true;
        }
        if let Some(claim) = self.claim(cx, suite, users.iter().map(|user| (*user, None))) {
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
        self.establish(cx, suite, packages, None)
    }

    /// A group with these devices and this one.
    pub(super) fn establish(
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
        let wanted = packages.len();
        let (change, leaves) = self.change(cx, &group, packages, BTreeSet::new());
        if leaves.len() < wanted {
            // Those that are refused are in the hand no more: perhaps there is nothing to be made without them.
            return self.due(cx);
        }
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

    pub(super) fn submit(&mut self, submitted: Submitted) -> Request {
        let request = submitted.request();
        self.submitted = Some(submitted);
        self.is_dirty = true;
        request
    }

    /// A commit could not be made: what stands in its way is left out of the next.
    pub(super) fn unmade(
        &mut self,
        cx: &mut Context<'_>,
        change: &Change,
        error: MlsError,
    ) -> Made {
        match error {
            MlsError::KeyPackages(refused) => {
                for (at, reason) in refused {
                    if let Some(package) = change.add.get(at) {
                        self.leave_out(cx, package.owner(), reason);
                    }
                }
                self.due(cx)
            }
            // Said by `health` too; a later commit or log may change it.
            MlsError::NotApproved(_) | MlsError::Refused(_) | MlsError::NotInGroup(_) => Ok(None),
            _ => Err(StateError::Damaged("the state of a private conversation").into()),
        }
    }

    pub(super) fn due_in_group(&mut self, cx: &mut Context<'_>) -> Made {
        if self.led_by.is_some() {
            // Its user was told.
            return Ok(None);
        }
        self.name_again(cx);
        let wanted = self.waits() || !self.goals.is_empty();
        let is_held = self.held_at.is_some() && self.held_at == self.roster.at;
        let may_lack = self.roster.kind == ConversationKind::Direct
            && !is_held
            && self.hand.looked_at != self.roster.at;
        let is_turn_to_come =
            self.turn.is_some_and(|(at, due)| Some(at) == self.roster.at && cx.now_ms < due);
        if !wanted && (is_turn_to_come || (!may_lack && self.roster.cut_off.is_empty())) {
            return Ok(None);
        }
        let Some(leaves) = self.known_leaves() else {
            // The log of a leaf's user was replaced, and is not kept: nothing that could be made is sure.
            self.refresh_logs(cx.logs.take_unknown().into_iter())?;
            let why = (Repair::Behind, Reason::CredentialRefused);
            return Ok(self.break_down(cx, why, &BTreeSet::new()));
        };
        if !self.may_be_leaves(&leaves) {
            let why = (Repair::NoWelcome, Reason::ClaimMismatch);
            return Ok(self.break_down(cx, why, &leaves));
        }
        self.settle_goals(cx);
        if self.is_tree_unproven {
            return self.prove_tree(cx, &leaves);
        }
        if is_held {
            return self.due_message(cx, &leaves);
        }
        let mut remove: BTreeSet<_> =
            self.roster.cut_off.iter().copied().filter(|leaf| leaves.contains(leaf)).collect();
        let forced = !remove.is_empty();
        if forced && !wanted && !self.takes_its_turn(cx, leaves.difference(&remove)) {
            return Ok(None);
        }
        let users: BTreeSet<_> = self.users_to_add(cx, &leaves);
        let suite = self.suite();
        if let Some(claim) = self.claim(cx, suite, users.iter().map(|user| (*user, None))) {
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
        self.hand.looked_at = self.roster.at;
        self.due_message(cx, &leaves)
    }

    /// Whether a removal that is pending is this device's to commit, though it has nothing to say: the first of those who stay does
    /// so at once, and each after it when those before have had their time, for they may be away, or not know how to come in.
    fn takes_its_turn<'a>(
        &mut self,
        cx: &Context<'_>,
        mut stay: impl Iterator<Item = &'a Owner>,
    ) -> bool {
        let Some(at) = self.roster.at else { return false };
        let before = stay.position(|leaf| *leaf == cx.me).unwrap_or_default() as u64;
        let turn = self.turn.filter(|(of, _)| *of == at);
        let (_, due_ms) = *self.turn.insert(turn.unwrap_or((at, cx.now_ms + before * TURN_MS)));
        due_ms <= cx.now_ms
    }

    /// Whom somebody wants in, and the other one of a DIRECT.
    pub(super) fn users_to_add(
        &self,
        cx: &Context<'_>,
        leaves: &BTreeSet<Owner>,
    ) -> BTreeSet<UserId> {
        let mut users: BTreeSet<_> = self.added_users().collect();
        // Of a GROUP, who was put out must not be let in again by itself.
        users.extend(self.peer(cx.me.user));
        users.retain(|user| leaves.iter().all(|leaf| leaf.user != *user));
        users
    }

    pub(super) fn added_users(&self) -> impl Iterator<Item = UserId> {
        self.goals.iter().filter_map(|goal| match goal {
            Goal::Add(user) => Some(*user),
            _ => None,
        })
    }

    pub(super) fn waits(&self) -> bool {
        self.outgoing.iter().any(|it| it.sent.is_none())
    }

    pub(super) fn make_commit(
        &mut self,
        cx: &mut Context<'_>,
        packages: Vec<(Owner, Bytes)>,
        remove: BTreeSet<Owner>,
    ) -> Made {
        let Some(mut group) = self.group.take() else { return Ok(None) };
        let wanted = packages.len();
        let (change, leaves) = self.change(cx, &group, packages, remove);
        if leaves.len() < wanted {
            // As above.
            self.group = Some(group);
            return self.due(cx);
        }
        let key = cx.idempotency_key();
        let claim = group.claim(&change);
        let (head_seq, chain) = self.history.head();
        let header = v1::CommitHeader {
            conversation_id: self.id.to_bytes(),
            message_id: key.to_bytes(),
            generation: group.id().generation.into(),
            epoch: claim.epoch,
            added: claim.added.iter().map(|it| leaf(*it)).collect(),
            removed: claim.removed.iter().map(|it| leaf(*it)).collect(),
            is_external: false,
            head_seq,
            chain,
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
    pub(super) fn due_message(&mut self, cx: &mut Context<'_>, leaves: &BTreeSet<Owner>) -> Made {
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
    pub(super) fn encrypt(
        &mut self,
        cx: &mut Context<'_>,
        at: usize,
    ) -> Result<Option<Option<Request>>, Hold> {
        let Some(group) = &mut self.group else { return Ok(Some(None)) };
        let outgoing = &mut self.outgoing[at];
        let head = cx.logs.with(cx.me.user, |log| log.head());
        let head = head.ok_or(Hold::Stall(Stall::Logs([cx.me.user].into())))?;
        let random = &mut *cx.random;
        let (envelope, tag, key) = Envelope::seal(&outgoing.content, head, random);
        outgoing.franking_key = *key.as_bytes();
        let (head_seq, chain) = self.history.head();
        let header = v1::PrivateHeader {
            conversation_id: self.id.to_bytes(),
            message_id: outgoing.message_id.to_bytes(),
            generation: group.id().generation.into(),
            epoch: group.epoch(),
            franking_tag: Bytes::copy_from_slice(&tag),
            head_seq,
            chain,
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
        message_id: IdempotencyKey,
        error: v1::Error,
    ) {
        let Some(at) = self.outgoing.iter().position(|it| it.message_id == message_id) else {
            return;
        };
        self.outgoing.remove(at);
        cx.conversation(self.id).outgoing.insert(message_id, None);
        cx.tell(self.id, Event::Failed { message_id, error: Box::new(error) });
    }
}

impl Submitted {
    pub(super) fn request(&self) -> Request {
        Request { step: Step::Submit, key: Some(self.key), body: self.body.clone() }
    }

    /// Whether it is this commit, to the bit.
    pub(super) fn is_commit(&self, payload: &v1::CommitPayload) -> bool {
        let Body::SubmitCommit(submit) = &self.body else { return false };
        v1::CommitPayload::decode(submit.payload.clone()).is_ok_and(|mine| mine == *payload)
    }

    /// Whether it began this group.
    pub(super) fn is_beginning(&self, header: &v1::EstablishHeader) -> bool {
        let Body::EstablishGroup(establish) = &self.body else { return false };
        v1::EstablishHeader::decode(establish.header.clone()).is_ok_and(|mine| mine == *header)
    }
}

/// One Welcome for all who come in.
pub(super) fn welcomes(welcome: Option<Vec<u8>>, leaves: &[Owner]) -> Vec<v1::Welcome> {
    let device_ids = leaves.iter().map(|leaf| leaf.device.to_bytes()).collect();
    welcome.map(|welcome| v1::Welcome { welcome: welcome.into(), device_ids }).into_iter().collect()
}
