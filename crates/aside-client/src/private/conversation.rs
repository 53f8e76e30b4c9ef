//! One private conversation: what is known of it, and what is under way.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use aside_crypto::{FRANKING_KEY_BYTES, Hash, payload_hash};
use aside_mls::{Device, Group, GroupId, Owner, Reason, Secret, Suite};
use aside_proto::{
    id::{ConversationId, DeviceId, IdempotencyKey, UserId, uuid_v7},
    v1::{self, client_frame::Body},
};
use bytes::Bytes;
use prost::Message as _;

use super::{
    Random, Told, Writes,
    event::{Event, Goal, GoalError, Health, Repair},
    guests::Named,
    history::History,
    inbox::Inbox,
    judge::Logs,
    left_behind::LeftBehind,
    naming::Naming,
    reading::Reading,
    roster::Roster,
};
use crate::StateError;

/// An entry of a private conversation, in the order of the log.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    /// Its place.
    pub seq: u64,
    /// Its header.
    pub header: v1::EntryHeader,
    /// Its payload; empty if it was redacted.
    pub payload: Bytes,
    /// The chain value at it.
    pub chain: Hash,
}

/// What the whole engine has, lent to a conversation.
pub(super) struct Context<'a> {
    pub(super) me: Owner,
    pub(super) device: &'a Device,
    pub(super) logs: &'a Logs,
    pub(super) inbox: &'a mut Inbox,
    pub(super) told: &'a mut VecDeque<Told>,
    pub(super) writes: &'a mut Writes,
    pub(super) random: &'a mut Random,
    pub(super) limits: &'a v1::Limits,
    /// The suite that its user prefers.
    pub(super) preferred: Suite,
    /// Milliseconds since 1970, as the server has them.
    pub(super) now_ms: u64,
    /// Whether this device is one of its user's, as the user's device log says.
    pub(super) approved: bool,
}

/// What entries wait for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Stall {
    /// The device logs of these users, as they are now.
    Logs(BTreeSet<UserId>),
    /// What came into the inbox by now.
    Inbox,
}

/// A message of this device, until its entry was taken in.
#[derive(Clone)]
pub(super) struct Outgoing {
    pub(super) message_id: IdempotencyKey,
    pub(super) content: Bytes,
    pub(super) salt: [u8; 32],
    /// What is sent, once it is encrypted: the same until the server says that its epoch is over.
    pub(super) payload: Option<Bytes>,
    pub(super) franking_key: [u8; FRANKING_KEY_BYTES],
    /// Its entry, once the server has said that it is durable.
    pub(super) sent: Option<u64>,
    /// Its place among those that wait.
    pub(super) order: u64,
    /// Why it will not be sent.
    pub(super) failed: Option<v1::Error>,
}

impl Outgoing {
    /// Up to where its device had seen the log when it was encrypted.
    pub(super) fn head_seq(&self) -> Option<u64> {
        let payload = v1::PrivatePayload::decode(self.payload.clone()?).ok()?;
        Some(v1::PrivateHeader::decode(payload.header).ok()?.head_seq)
    }

    /// What the chain has for it.
    pub(super) fn payload_hash(&self) -> Hash {
        payload_hash(&self.salt, self.payload.as_deref().unwrap_or_default())
    }
}

/// A commit, or the beginning of a group, of which the server's word is awaited. What the log says counts, and not the reply.
pub(super) struct Submitted {
    pub(super) key: IdempotencyKey,
    pub(super) body: Body,
    /// The group that it leads to, if that is not the one that is: begun by this device, or joined from outside.
    pub(super) group: Option<Group>,
    /// That group's state, as it is kept.
    pub(super) candidate: Option<Secret>,
    /// Why this device comes in from outside.
    pub(super) repair: Option<Repair>,
}

/// A message that was opened, and whose sender can't be judged yet.
#[derive(Clone)]
pub(super) struct Opened {
    pub(super) seq: u64,
    pub(super) content: Bytes,
    pub(super) franking_key: [u8; FRANKING_KEY_BYTES],
    /// The head of the sender's device log, as it states.
    pub(super) position: u32,
    pub(super) hash: Hash,
}

/// A message that was opened, and is not shown: the log by which its sender is judged was not to be had.
pub(super) struct Doubted {
    pub(super) by: Owner,
    pub(super) opened: Opened,
}

/// A commit that can't be followed.
#[derive(Debug, Clone, Copy)]
pub(super) struct Refused {
    pub(super) seq: u64,
    pub(super) by: Owner,
    pub(super) reason: Reason,
    /// Whether it was to remove this device.
    pub(super) removes_us: bool,
}

/// A commit that removed this device, of which it is not known yet whether the others took it (MLS-036).
#[derive(Debug, Clone, Copy)]
pub(super) struct Removal {
    pub(super) seq: u64,
    pub(super) by: Owner,
}

/// A request of a conversation. There is one at a time, so that each is made of what came before.
#[derive(Debug, Clone)]
pub(super) struct Request {
    pub(super) step: Step,
    pub(super) key: Option<IdempotencyKey>,
    pub(super) body: Body,
}

/// What a request is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    Claim,
    Submit,
    Send(IdempotencyKey),
    Reject,
    Report,
    Info,
}

/// A GroupInfo that was asked for.
#[derive(Debug, Clone)]
pub(super) struct Info {
    pub(super) info: v1::GroupInfo,
    /// The last entry that was taken in by then: it is of that moment, or a later one.
    pub(super) asked_at: u64,
}

/// How far the KeyPackages of a user, or of devices, were claimed.
#[derive(Debug, Default)]
pub(super) struct Hand {
    /// Claimed, and not used yet.
    pub(super) packages: BTreeMap<Owner, Bytes>,
    /// What claims have said: of users, or of single devices.
    pub(super) asked: BTreeMap<(UserId, Option<DeviceId>), Option<v1::NoKeyPackage>>,
    /// Where the leaves were looked through for who is missing, and nobody could be added.
    pub(super) looked_at: Option<(u32, u64)>,
    /// Users of whom it was told that they have no device.
    pub(super) told: BTreeSet<UserId>,
    /// How many that were claimed were too old.
    pub(super) expired: usize,
    /// Devices whose KeyPackages were refused here.
    pub(super) refused: BTreeMap<Owner, Reason>,
    /// Those of them of which it was told.
    pub(super) left_out: BTreeSet<Owner>,
}

impl Hand {
    /// What claims have said may be otherwise by now.
    pub(super) fn ask_again(&mut self) {
        self.asked.clear();
        self.looked_at = None;
    }

    /// Of one user.
    pub(super) fn ask_again_for(&mut self, user: UserId) {
        self.asked.retain(|(of, _), _| *of != user);
        self.looked_at = None;
    }
}

/// What did not work, why, and where the log was.
pub(super) type Broken = (Repair, Reason, Option<(u32, u64)>);

pub(super) struct Conversation {
    pub(super) id: ConversationId,
    /// Each time that it is taken up anew it is another.
    pub(super) life: u64,
    pub(super) roster: Roster,
    pub(super) naming: Naming,
    /// The last entry that was taken in.
    pub(super) cursor: u64,
    pub(super) history: History,
    /// The last entry that is there to be read.
    pub(super) head: u64,
    /// The last entry that the server has, as it said on this connection; none until it did.
    pub(super) server_head: Option<u64>,
    pub(super) queue: VecDeque<Entry>,
    pub(super) stall: Option<Stall>,
    /// Whether what it waits for is not asked for yet.
    pub(super) stall_is_new: bool,
    /// Whose logs were fetched for the entry at the front, or for what is being made.
    pub(super) refreshed: BTreeSet<UserId>,
    /// The entry for which the inbox was looked through.
    pub(super) looked_for: u64,
    pub(super) group: Option<Group>,
    /// The users whom this device knew to be in the group that it was in last, and is no more; none if it was in none.
    pub(super) known_before: Option<BTreeSet<UserId>>,
    /// Who led this device into the group by a Welcome, whom it did not know in the one before: nothing is made there until its user
    /// says so (MLS-049).
    pub(super) led_by: Option<Owner>,
    /// Of whom its user was told last for that, or since a GroupInfo is of that one.
    pub(super) named: Option<Named>,
    /// The entry by which this device came into the group.
    pub(super) joined_at: u64,
    pub(super) submitted: Option<Submitted>,
    pub(super) opened: Option<Opened>,
    pub(super) repair: Option<Repair>,
    /// To be told to whoever has the KeyPackages.
    pub(super) packages_are_lost: bool,
    /// A repair that did not work, and at which epoch.
    pub(super) broken: Option<Broken>,
    /// When it is asked again whether somebody has a device by now: nobody is told of that before there is a group.
    pub(super) ask_at_ms: Option<u64>,
    /// When a repair that did not work is tried again: nothing is pushed to a device outside of a group (PRIV-008).
    pub(super) retry_at_ms: Option<u64>,
    /// By whose commits this device was left behind, and so came in anew.
    pub(super) left_behind: LeftBehind,
    /// For whose rejections this device has made a commit that leaves another way in (MLS-045).
    pub(super) renewed_for: LeftBehind,
    /// Whether the tree that a Welcome led to was not held yet against the leaves that the server lists (MLS-046).
    pub(super) is_tree_unproven: bool,
    /// Messages whose senders can't be judged, by seq.
    pub(super) doubted: BTreeMap<u64, Doubted>,
    /// Users whose device logs say more by now.
    pub(super) judge_again: BTreeSet<UserId>,
    /// What was told last of a repair that did not work.
    pub(super) told_broken: Option<Broken>,
    pub(super) refused: Option<Refused>,
    pub(super) removal: Option<Removal>,
    pub(super) reject: Option<(u64, v1::RejectCode)>,
    /// Whether this device was removed, and its user did not ask to come back.
    pub(super) is_removed: bool,
    /// Whether the server says that the user is not in it, and its log does not: it is left as it is.
    pub(super) is_unlisted: bool,
    /// Entries are gone that were not taken in.
    pub(super) skipped: bool,
    /// Where something was refused that would be refused again: nothing of it is made there.
    pub(super) held_at: Option<(u32, u64)>,
    /// When it comes in, or begins anew, by itself, after a member's commits have left it behind too often (MLS-044).
    pub(super) go_on_at_ms: Option<u64>,
    /// Nothing is asked before: the server has said that there is no such conversation, and may list it all the same, or it refuses
    /// again and again.
    pub(super) not_before_ms: u64,
    /// How often the server refused what would have been right, as far as the log says, since it said something new.
    pub(super) refused_in_vain: u32,
    /// When this device commits the removals that are pending at an epoch, if nobody has until then.
    pub(super) turn: Option<((u32, u64), u64)>,
    /// Where nobody was left in the group: nothing goes on from there but another group.
    pub(super) deserted_at: Option<(u32, u64)>,
    /// The message that was refused last for an epoch that the log is at, as far as it was taken in.
    pub(super) sent_in_vain: Option<(IdempotencyKey, u64)>,
    /// The last commit that was rejected since it leaves no way in, on this connection.
    pub(super) accused: Option<u64>,
    pub(super) report: Option<(u32, u64, [u8; 32])>,
    pub(super) info: Option<Info>,
    pub(super) info_asked_at: u64,
    pub(super) goals: BTreeSet<Goal>,
    pub(super) hand: Hand,
    pub(super) outgoing: VecDeque<Outgoing>,
    pub(super) next_order: u64,
    pub(super) next: Option<Request>,
    pub(super) in_flight: Option<Step>,
    pub(super) last_repair: Option<(Repair, u64)>,
    pub(super) forked_at: Option<u64>,
    /// The server contradicted itself: nothing is taken in any more.
    pub(super) contradicted: bool,
    /// Messages that will not be sent: kept as such from now on.
    pub(super) failed: Vec<Outgoing>,
    /// What has changed since it was last written.
    pub(super) is_dirty: bool,
    pub(super) group_is_dirty: bool,
    /// How often the leaves were listed.
    #[cfg(test)]
    pub(super) listings: std::sync::atomic::AtomicU32,
}

impl Conversation {
    pub(super) fn new(id: ConversationId) -> Self {
        Self {
            id,
            life: 0,
            roster: Roster::default(),
            naming: Naming::default(),
            cursor: 0,
            history: History::default(),
            head: 0,
            server_head: None,
            queue: VecDeque::new(),
            stall: None,
            stall_is_new: false,
            refreshed: BTreeSet::new(),
            looked_for: 0,
            group: None,
            known_before: None,
            led_by: None,
            named: None,
            joined_at: 0,
            submitted: None,
            opened: None,
            repair: None,
            packages_are_lost: false,
            broken: None,
            ask_at_ms: None,
            retry_at_ms: None,
            left_behind: LeftBehind::default(),
            renewed_for: LeftBehind::default(),
            is_tree_unproven: false,
            doubted: BTreeMap::new(),
            judge_again: BTreeSet::new(),
            told_broken: None,
            refused: None,
            removal: None,
            reject: None,
            accused: None,
            is_removed: false,
            is_unlisted: false,
            skipped: false,
            held_at: None,
            go_on_at_ms: None,
            not_before_ms: 0,
            refused_in_vain: 0,
            turn: None,
            deserted_at: None,
            sent_in_vain: None,
            report: None,
            info: None,
            info_asked_at: 0,
            goals: BTreeSet::new(),
            hand: Hand::default(),
            outgoing: VecDeque::new(),
            next_order: 0,
            next: None,
            in_flight: None,
            last_repair: None,
            forked_at: None,
            contradicted: false,
            failed: Vec::new(),
            is_dirty: false,
            group_is_dirty: false,
            #[cfg(test)]
            listings: std::sync::atomic::AtomicU32::new(0),
        }
    }

    pub(super) fn group_id(&self, generation: u32) -> GroupId {
        GroupId { conversation: self.id, generation }
    }

    /// What this device knew was lost, and with it perhaps the secrets of its KeyPackages.
    pub(super) fn lost(&mut self) {
        (self.repair, self.packages_are_lost) = (Some(Repair::StateLost), true);
        self.is_dirty = true;
    }

    /// What did not work may by now.
    pub(super) fn retry(&mut self, now_ms: u64) {
        self.left_behind.forget(now_ms);
        self.renewed_for.forget(now_ms);
        if self.retry_at_ms.is_some_and(|at| at <= now_ms) {
            (self.retry_at_ms, self.broken, self.info) = (None, None, None);
            self.held_at = None;
        }
        if self.ask_at_ms.is_some_and(|at| at <= now_ms) {
            self.ask_at_ms = None;
            self.hand.ask_again();
        }
    }

    /// Nothing goes on before that is there.
    pub(super) fn wait_for(&mut self, stall: Stall) {
        (self.stall, self.stall_is_new) = (Some(stall), true);
    }

    /// Whether all that the server has was taken in.
    pub(super) fn is_caught_up(&self) -> bool {
        self.queue.is_empty()
            && self.stall.is_none()
            && self.server_head.is_some_and(|head| self.cursor >= head)
    }

    /// Whether the group is at the epoch that the log is at.
    pub(super) fn is_in_group(&self) -> bool {
        let at = self.group.as_ref().map(|group| (group.id().generation, group.epoch()));
        let is_certain = !self.roster.at_is_vague && !self.skipped;
        let holds = self.removal.is_none() && self.refused.is_none();
        at.is_some() && at == self.roster.at && is_certain && holds
    }

    /// Whether a repair was tried where the log is now, and did not work.
    pub(super) fn is_broken_here(&self) -> bool {
        self.broken.is_some_and(|(.., at)| at == self.roster.at)
    }

    /// Which from the entry on can be read from what is kept.
    pub(super) fn wants(&self) -> Option<u64> {
        let next = self.queue.back().map_or(self.cursor, |entry| entry.seq) + 1;
        let idle = self.queue.len() < super::READ_AHEAD && !self.contradicted;
        (idle && next <= self.head).then_some(next)
    }

    /// The connection is lost: what was in flight is made anew from what is kept.
    pub(super) fn disconnected(&mut self) {
        self.server_head = None;
        self.next = None;
        self.in_flight = None;
        self.info = None;
        self.broken = None;
        self.accused = None;
        (self.held_at, self.sent_in_vain, self.deserted_at) = (None, None, None);
        (self.turn, self.go_on_at_ms) = (None, None);
        self.hand.ask_again();
        self.stall = None;
        self.looked_for = 0;
        self.refreshed.clear();
    }

    /// The server says that the user is not in it: nothing is asked there before it is listed once more.
    pub(super) fn unlisted(&mut self) {
        let in_flight = self.in_flight;
        self.disconnected();
        (self.is_unlisted, self.in_flight) = (true, in_flight);
    }

    /// Whether its log says that this device is in it no longer: it was cut off, or a commit removed it.
    pub(super) fn is_gone(&self) -> bool {
        self.is_removed || self.removal.is_some()
    }

    /// Whether all is over, since the server does not list it either. What is contradicted stays so.
    pub(super) fn is_over(&self) -> bool {
        self.is_unlisted && self.is_gone() && !self.contradicted
    }

    /// What is to be said and done there will not be: the user is told. Except of what the server may have, if its log is still to
    /// be read: that says what became of it.
    pub(super) fn give_up(
        &mut self,
        log_goes_on: bool,
        told: &mut VecDeque<Told>,
        writes: &mut Writes,
    ) {
        let error = v1::Error {
            code: v1::ErrorCode::NoSuchConversation.into(),
            message: "this user is not in the conversation any more".to_owned(),
            ..v1::Error::default()
        };
        let writes = writes.conversations.entry(self.id).or_default();
        for mut outgoing in std::mem::take(&mut self.outgoing) {
            if outgoing.sent.is_some() || (log_goes_on && outgoing.payload.is_some()) {
                self.outgoing.push_back(outgoing);
                continue;
            }
            outgoing.failed = Some(error.clone());
            let (message_id, error) = (outgoing.message_id, Box::new(error.clone()));
            writes.outgoing.insert(message_id, Some(outgoing.record()));
            told.push_back((self.id, Event::Failed { message_id, error }));
        }
        for goal in std::mem::take(&mut self.goals) {
            let outcome = Err(GoalError::Refused(Box::new(error.clone())));
            told.push_back((self.id, Event::Done { goal, outcome }));
        }
        self.is_dirty = true;
    }

    /// Its user asks for it to go on: what did not work may by now.
    pub(super) fn try_anew(&mut self) {
        (self.broken, self.not_before_ms) = (None, 0);
        (self.held_at, self.sent_in_vain) = (None, None);
        (self.is_removed, self.is_dirty) = (false, true);
    }

    pub(super) fn health(&self) -> Health {
        let group = self.group.as_ref();
        Health {
            at: self.roster.at.filter(|(generation, _)| *generation > 0),
            epoch: group.map(Group::epoch),
            suite: group.map(|group| group.suite().number()),
            leaves: self.known_leaves().unwrap_or_default().into_iter().collect(),
            is_tree_unproven: self.is_tree_unproven && self.group.is_some(),
            cut_off: self.roster.cut_off.clone(),
            members: self.roster.members.iter().map(|(user, role)| (*user, *role)).collect(),
            fork_check: group.and_then(|group| group.fork_check().ok()),
            forked_at: self.forked_at,
            diverged: self.history.diverged.iter().map(|(by, seq)| (*seq, *by)).collect(),
            last_repair: self.last_repair,
            broken: self.broken.map(|(repair, reason, _)| (repair, reason)),
            left_behind: self.left_behind.culprit(),
            led_by: self.led_by,
            stranger: self.stranger(),
            waiting: self.outgoing.iter().filter(|it| it.sent.is_none()).count(),
        }
    }

    /// Writes down what has changed, all that belongs together at once.
    pub(super) fn write(&mut self, cx: &mut Context<'_>) -> Result<(), StateError> {
        if std::mem::take(&mut self.group_is_dirty)
            && let Some(group) = &mut self.group
        {
            let id = group.id();
            let state = cx.save(group)?;
            if state.is_none() {
                self.note_known();
                self.group = None;
            }
            cx.conversation(self.id).groups.insert(id.generation, state);
            self.is_dirty = true;
        }
        for failed in self.failed.drain(..) {
            cx.conversation(self.id).outgoing.insert(failed.message_id, Some(failed.record()));
        }
        if std::mem::take(&mut self.is_dirty) {
            cx.conversation(self.id).record = Some(self.record());
        }
        Ok(())
    }
}

impl Context<'_> {
    pub(super) fn tell(&mut self, conversation: ConversationId, event: Event) {
        self.told.push_back((conversation, event));
    }

    pub(super) fn conversation(
        &mut self,
        conversation: ConversationId,
    ) -> &mut super::ConversationWrites {
        self.writes.conversations.entry(conversation).or_default()
    }

    pub(super) fn read(&mut self, conversation: ConversationId, seq: u64, reading: &Reading) {
        self.conversation(conversation).readings.insert(seq, reading.encode());
    }

    /// The state of a group, to be kept; none if the group is over.
    pub(super) fn save(&mut self, group: &mut Group) -> Result<Option<Secret>, StateError> {
        const DAMAGED: StateError = StateError::Damaged("the state of a private conversation");
        group.save().map_err(|_| DAMAGED)?;
        let mut changes = self.device.take_changes();
        self.writes.key_packages.append(&mut changes.key_packages);
        changes.groups.remove(&group.id()).ok_or(DAMAGED)
    }

    pub(super) fn bytes<const N: usize>(&mut self) -> [u8; N] {
        let mut bytes = [0; N];
        (self.random)(&mut bytes);
        bytes
    }

    pub(super) fn idempotency_key(&mut self) -> IdempotencyKey {
        let random = self.bytes();
        IdempotencyKey::new(uuid_v7(self.now_ms, random))
    }
}
