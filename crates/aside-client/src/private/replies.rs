//! Requests given to the driver, and what their replies mean.

use aside_mls::{Reason, Suite};
use aside_proto::{
    id::{ConversationId, IdempotencyKey},
    v1::{self, ErrorCode, client_frame::Body, server_frame},
};

use prost::Message as _;

use super::{
    Engine,
    conversation::{Conversation, Info, Outgoing, Request, Stall, Step, Submitted},
    event::{Event, GoalError, Repair},
};
use crate::{StateError, backoff::retry_after_ms};

/// How long to wait before a repair that did not work is tried again.
const BROKEN_WAIT_MS: u64 = 60_000;
/// How often it is tried at once to do better after a refusal, while the log says nothing new (MLS-051).
const IN_VAIN_AT_ONCE: u32 = 4;
/// How long to wait then, at first.
const IN_VAIN_WAIT_MS: u64 = 1_000;

/// What a request was for: to be given back with its reply.
#[derive(Debug, Clone)]
pub struct Asked(For);

#[derive(Debug, Clone)]
enum For {
    Publish(Suite),
    Inbox,
    Ack,
    /// And which of its lives it was for.
    Conversation(ConversationId, u64, Box<Request>),
}

impl Engine {
    /// The next request, with its idempotency key if it is mutating. It is in flight from then on.
    pub fn poll_request(&mut self) -> Option<(Asked, Option<IdempotencyKey>, Body)> {
        let waits = self.is_writing || !self.writes.is_empty();
        if waits || !self.is_online || self.now_ms < self.not_before_ms {
            return None;
        }
        if self.inbox.is_due && !self.inbox.is_asked {
            (self.inbox.is_due, self.inbox.is_asked) = (false, true);
            return Some((Asked(For::Inbox), None, Body::FetchInbox(self.inbox.request())));
        }
        if let Some((suite, key, body)) = self.packages.poll() {
            return Some((Asked(For::Publish(suite)), Some(key), body));
        }
        let last = self.last_polled.take();
        let is_next = |id: &ConversationId| last.is_none_or(|last| *id > last);
        let mut ids = self.conversations.keys().copied();
        let next = self
            .conversations
            .iter()
            .filter(|(id, _)| is_next(id))
            .find(|(_, it)| it.next.is_some())
            .map(|(id, _)| *id)
            .or_else(|| ids.find(|id| self.conversations[id].next.is_some()));
        if let Some(id) = next
            && let Some(conversation) = self.conversations.get_mut(&id)
            && let Some(request) = conversation.next.take()
        {
            self.last_polled = Some(id);
            conversation.in_flight = Some(request.step);
            let (key, body) = (request.key, request.body.clone());
            let asked = For::Conversation(id, conversation.life, Box::new(request));
            return Some((Asked(asked), key, body));
        }
        if let Some(up_to) = self.inbox.ack() {
            self.inbox.ack_in_flight = Some(up_to);
            let body = Body::AckInbox(v1::AckInbox { up_to });
            return Some((Asked(For::Ack), None, body));
        }
        None
    }

    /// The server replied, or refused.
    pub fn replied(&mut self, asked: Asked, result: Result<server_frame::Body, v1::Error>) {
        let again = result.as_ref().err().and_then(retry_after_ms);
        if let Some(wait) = again {
            self.not_before_ms = self.now_ms + wait;
        }
        match (asked.0, result) {
            (For::Inbox, Ok(server_frame::Body::Inbox(page))) => self.inbox_fetched(page),
            (For::Inbox, _) => {
                self.inbox.is_asked = false;
                self.inbox.is_due = again.is_some();
                // A device that is not approved has none: what waits for a Welcome goes on without.
                if again.is_none() {
                    self.inbox_fetched(v1::Inbox::default());
                }
            }
            (For::Ack, Ok(_)) => self.inbox.acked(),
            (For::Ack, Err(_)) => self.inbox.ack_in_flight = None,
            (For::Publish(suite), Ok(_)) => {
                self.packages.published(suite);
                self.writes.device = Some(self.packages.record());
            }
            (For::Publish(suite), Err(_)) => self.packages.refused(suite, again.is_some()),
            (For::Conversation(id, life, request), result) => {
                // What was asked for before it was forgotten, or left, says nothing of what it is now.
                let conversation = self.conversations.get_mut(&id).filter(|it| it.life == life);
                let Some(conversation) = conversation else { return };
                conversation.in_flight = None;
                match result {
                    Ok(body) => conversation.answered(&request, body, self.now_ms, &mut self.told),
                    // It is asked once more if it is listed once more.
                    Err(_) if conversation.is_unlisted => {}
                    Err(_) if again.is_some() => conversation.next = Some(*request),
                    // Its user left by another device, say: to one outside of a group nothing is pushed (PRIV-008).
                    Err(error) if error.code() == ErrorCode::NoSuchConversation => {
                        conversation.refused_by_server(&request, error, &mut self.told);
                        conversation.not_before_ms = self.now_ms + BROKEN_WAIT_MS;
                        self.unlisted(id);
                        self.is_listing_due = true;
                    }
                    Err(error) => {
                        if calls_for_more(error.code()) {
                            conversation.wait_in_vain(self.now_ms);
                        }
                        conversation.refused_by_server(&request, error, &mut self.told);
                    }
                }
            }
        }
    }

    fn inbox_fetched(&mut self, page: v1::Inbox) {
        self.inbox.fetched(page);
        if !self.inbox.is_known || self.inbox.is_due {
            return;
        }
        for conversation in self.conversations.values_mut() {
            if conversation.stall == Some(Stall::Inbox) {
                conversation.stall = None;
                conversation.looked_for = conversation.queue.front().map_or(0, |entry| entry.seq);
            }
        }
    }
}

impl super::Writes {
    pub(super) fn is_empty(&self) -> bool {
        self.conversations.is_empty() && self.key_packages.is_empty() && self.device.is_none()
    }
}

impl Conversation {
    /// Takes in what there is, and makes what is due.
    pub(super) fn work(
        &mut self,
        cx: &mut super::Context<'_>,
        is_online: bool,
    ) -> Result<(), StateError> {
        self.take_in(cx)?;
        self.judge_doubted(cx);
        if is_online {
            self.decide(cx)?;
        }
        match self.broken {
            Some(_) => drop(self.retry_at_ms.get_or_insert(cx.now_ms + BROKEN_WAIT_MS)),
            None => self.retry_at_ms = None,
        }
        self.write(cx)?;
        cx.inbox.taken_in(self.id, self.cursor);
        Ok(())
    }

    /// A user's device log was fetched, and may say what it did before; or it can't be.
    pub(super) fn log_settled(&mut self, user: aside_proto::id::UserId, is_news: bool) {
        if is_news {
            self.ask_again_for(user);
            self.judge_again.insert(user);
            self.broken.take_if(|(_, reason, _)| *reason == Reason::CredentialRefused);
        }
        if let Some(Stall::Logs(users)) = &mut self.stall
            && users.remove(&user)
        {
            self.refreshed.insert(user);
            if users.is_empty() {
                self.stall = None;
            }
        }
    }

    fn answered(
        &mut self,
        request: &Request,
        body: server_frame::Body,
        now_ms: u64,
        told: &mut std::collections::VecDeque<super::Told>,
    ) {
        use server_frame::Body as Reply;
        match (request.step, &request.body, body) {
            (Step::Claim, Body::ClaimKeyPackages(claim), Reply::KeyPackagesClaimed(claimed)) => {
                self.claimed(claim, claimed);
            }
            // What the log says counts: the entry is awaited.
            (Step::Submit, _, Reply::Committed(v1::Committed { seq, .. }))
            | (Step::Submit, _, Reply::GroupEstablished(v1::GroupEstablished { seq, .. })) => {
                self.expect(seq);
                // What was taken in as that entry was something else.
                if seq <= self.cursor && self.drop_made().is_some() {
                    self.wait_in_vain(now_ms);
                }
            }
            (Step::Send(message_id), _, Reply::Sent(sent)) => self.sent(message_id, &sent, told),
            (Step::Reject, ..) => self.reject = None,
            (Step::Report, ..) => self.report = None,
            (Step::Info, _, Reply::GroupInfo(info)) => {
                self.info = Some(Info { info, asked_at: self.info_asked_at });
            }
            _ => {}
        }
    }

    /// The server says that a message is durable: which it must be, and where it can be (MSG-015, MSG-016).
    fn sent(
        &mut self,
        message_id: IdempotencyKey,
        sent: &v1::Sent,
        told: &mut std::collections::VecDeque<super::Told>,
    ) {
        let is_taken = self.outgoing.iter().any(|it| it.sent == Some(sent.seq));
        let waits = |it: &&mut Outgoing| it.message_id == message_id && it.sent.is_none();
        let Some(outgoing) = self.outgoing.iter_mut().find(waits) else { return };
        // It comes after what it builds on; and it is nothing of what was taken in, or it would wait no longer.
        let is_later = outgoing.head_seq().is_some_and(|head| sent.seq > head);
        let may_be = is_later && !is_taken && self.history.at(sent.seq).is_none();
        if !may_be || outgoing.payload_hash()[..] != sent.payload_hash[..] {
            (self.contradicted, self.is_dirty) = (true, true);
            let (seq, what) = (sent.seq, "a message that it acknowledged");
            told.push_back((self.id, Event::Contradiction { seq, what }));
            return;
        }
        outgoing.sent = Some(sent.seq);
        self.refused_in_vain = 0;
        let (seq, time_ms) = (sent.seq, sent.time_ms);
        self.expect(seq);
        told.push_back((self.id, Event::Sent { message_id, seq, time_ms }));
    }

    /// The server has this entry; it is to be fetched if it is not pushed.
    pub(super) fn expect(&mut self, seq: u64) {
        self.server_head = self.server_head.map(|head| head.max(seq));
    }

    /// MLS-051: what follows from a refusal is tried at once, unless the same was in vain before.
    fn wait_in_vain(&mut self, now_ms: u64) {
        self.refused_in_vain = self.refused_in_vain.saturating_add(1);
        if let Some(times) = self.refused_in_vain.checked_sub(IN_VAIN_AT_ONCE + 1) {
            let wait_ms = IN_VAIN_WAIT_MS << times.min(6);
            self.not_before_ms = now_ms + wait_ms.min(BROKEN_WAIT_MS);
        }
    }

    fn refused_by_server(
        &mut self,
        request: &Request,
        error: v1::Error,
        told: &mut std::collections::VecDeque<super::Told>,
    ) {
        let code = error.code();
        if matches!(code, ErrorCode::WrongEpoch | ErrorCode::StaleEpoch) {
            self.expect(error.head_seq);
        }
        match request.step {
            Step::Claim => {
                // Nothing is made without an answer.
                self.hold_back();
                self.fail_goals(error, told);
            }
            Step::Submit => self.submit_refused(error, told),
            Step::Send(message_id) => self.send_refused(message_id, &request.body, error, told),
            Step::Reject => self.reject = None,
            Step::Report => self.report = None,
            Step::Info => {
                // In the group it was to say whether a Welcome led to the group that is, for what is to be said there waits.
                if self.is_in_group() && code != ErrorCode::NoSuchConversation {
                    return self.shut_out_by_server(Repair::NoWelcome, told);
                }
                self.hold_back();
            }
        }
    }

    /// What was refused would be refused again here; outside of a group, where no entry may come, it is tried again after a while.
    fn hold_back(&mut self) {
        self.held_at = self.roster.at;
        if !self.is_in_group() {
            let repair = self.repair.unwrap_or(Repair::NewDevice);
            self.broken = Some((repair, Reason::NotAMember, self.roster.at));
        }
    }

    /// The server does not let this device in, or does not say how the group stands.
    fn shut_out_by_server(
        &mut self,
        why: Repair,
        told: &mut std::collections::VecDeque<super::Told>,
    ) {
        let reason = Reason::NotAMember;
        if self.note_broken(why, reason) {
            let suspects = Vec::new();
            told.push_back((self.id, Event::RepairFailed { why, reason, suspects }));
        }
    }

    /// What was made is not what the group goes on by.
    fn drop_made(&mut self) -> Option<Submitted> {
        let submitted = self.submitted.take()?;
        self.is_dirty = true;
        if submitted.group.is_none()
            && let Some(group) = &mut self.group
        {
            group.clear_pending();
            self.group_is_dirty = true;
        }
        Some(submitted)
    }

    fn submit_refused(
        &mut self,
        error: v1::Error,
        told: &mut std::collections::VecDeque<super::Told>,
    ) {
        let Some(submitted) = self.drop_made() else { return };
        match error.code() {
            // What came before is taken in, and then it is made anew.
            ErrorCode::WrongEpoch => {}
            ErrorCode::RemovalPending => self.note_cut_off(epoch_of(&submitted.body), &error),
            ErrorCode::NotInGroup => self.lost(),
            // Said for the whole conversation.
            ErrorCode::NoSuchConversation => {}
            _ if submitted.repair.is_some() => {
                // By the server, whose word is no evidence against whoever made the last commit.
                self.shut_out_by_server(submitted.repair.unwrap_or(Repair::Asked), told);
            }
            ErrorCode::DeviceNotApproved if !error.devices.is_empty() => {
                for owner in error.devices.iter().filter_map(super::record::owner) {
                    self.drop_package(owner, Reason::CredentialRefused);
                }
            }
            // Who came since, this device has not seen, and may not leave out (DS-023): it comes to them.
            ErrorCode::RosterMismatch if self.refused.is_some() && self.repair.is_none() => {
                self.repair = Some(Repair::Behind);
            }
            _ => {
                // The tree may be another than the server's list.
                self.is_tree_unproven |= error.code() == ErrorCode::RosterMismatch;
                // What was wanted is given up; without it, a removal that is pending may be permitted.
                if self.goals.is_empty() || self.roster.cut_off.is_empty() {
                    self.hold_back();
                }
                self.fail_goals(error, told);
            }
        }
    }

    /// Leaves that the next commit has to remove, the server says: its log may have told of them before what is kept here. One that
    /// is none in this group shows that the group is another than the log says, and no commit helps.
    fn note_cut_off(&mut self, of: Option<(u32, u64)>, error: &v1::Error) {
        if of.is_none() || of != self.roster.at {
            // It is over.
            return;
        }
        let named: Vec<_> = error.devices.iter().filter_map(super::record::owner).collect();
        let leaves = self.known_leaves();
        if leaves.is_some_and(|leaves| named.iter().any(|leaf| !leaves.contains(leaf))) {
            self.repair = Some(Repair::Behind);
            self.broken = Some((Repair::Behind, Reason::Invalid, self.roster.at));
        }
        self.roster.cut_off.extend(named);
        self.is_dirty = true;
    }

    fn fail_goals(&mut self, error: v1::Error, told: &mut std::collections::VecDeque<super::Told>) {
        for goal in std::mem::take(&mut self.goals) {
            let outcome = Err(GoalError::Refused(Box::new(error.clone())));
            told.push_back((self.id, Event::Done { goal, outcome }));
        }
        self.hand.packages.clear();
        self.hand.ask_again();
        self.is_dirty = true;
    }

    fn send_refused(
        &mut self,
        message_id: IdempotencyKey,
        request: &Body,
        error: v1::Error,
        told: &mut std::collections::VecDeque<super::Told>,
    ) {
        let Some(at) = self.outgoing.iter().position(|it| it.message_id == message_id) else {
            return;
        };
        match error.code() {
            // Encrypted anew, once what was missed is taken in.
            ErrorCode::StaleEpoch | ErrorCode::RemovalPending => {
                self.outgoing[at].payload = None;
                let knew = self.roster.cut_off.len();
                let of = epoch_of(request);
                self.note_cut_off(of, &error);
                let is_of_now = of.is_some() && of == self.roster.at;
                let is_news = self.roster.cut_off.len() > knew || error.head_seq > self.cursor;
                self.sent_in_vain = (is_of_now && !is_news).then_some((message_id, self.cursor));
            }
            ErrorCode::NotInGroup => {
                self.outgoing[at].payload = None;
                self.lost();
            }
            _ => {
                if let Some(mut failed) = self.outgoing.remove(at) {
                    failed.failed = Some(error.clone());
                    self.failed.push(failed);
                }
                let error = Box::new(error);
                told.push_back((self.id, Event::Failed { message_id, error }));
            }
        }
    }
}

/// Whether what is refused so is to be done otherwise, at once.
const fn calls_for_more(code: ErrorCode) -> bool {
    use ErrorCode::{DeviceNotApproved, NotInGroup, RemovalPending, StaleEpoch, WrongEpoch};
    matches!(code, DeviceNotApproved | NotInGroup | RemovalPending | StaleEpoch | WrongEpoch)
}

/// The generation and epoch that a message or commit was made for.
pub(super) fn epoch_of(request: &Body) -> Option<(u32, u64)> {
    let (generation, epoch) = match request {
        Body::SendPrivate(send) => {
            let payload = v1::PrivatePayload::decode(send.payload.clone()).ok()?;
            let header = v1::PrivateHeader::decode(payload.header).ok()?;
            (header.generation, header.epoch)
        }
        Body::SubmitCommit(submit) => {
            let payload = v1::CommitPayload::decode(submit.payload.clone()).ok()?;
            let header = v1::CommitHeader::decode(payload.header).ok()?;
            (header.generation, header.epoch)
        }
        _ => return None,
    };
    Some((u32::try_from(generation).ok()?, epoch))
}
