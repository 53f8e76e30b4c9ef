//! Private conversations: an engine without sockets, clock or database. The driver moves it, and so does the simulation.
//!
//! ```text
//!   log entries ─ entries() ──►┌────────┐── take_writes() ──► one transaction, then written()
//!   replies ───── replied() ──►│ Engine │── poll_request() ──► the server
//!   device logs ─ learn() ────►│        │── poll_log() ──────► FetchDeviceLogs, held against what is pinned
//!   the program ─ send(), …  ─►└────────┘── poll_event() ────► the program
//! ```
//!
//! - **The log drives it.** Entries are taken in in order, each once, from those that the client has kept; a commit of this
//!   device's counts when its entry comes, not when its reply does (MLS-019). An entry that needs a device log, or a Welcome,
//!   waits for it, and what is behind it waits too.
//! - **Durable before sent.** Nothing that was encrypted or committed is given by [`Engine::poll_request`] before the state that it
//!   was made in is written: see [`Engine::take_writes`].
//! - **One request a conversation** is in flight, so that each is made of all that came before.
//! - **Repairs are made by themselves**: see [`Repair`], and [`Unreadable`] for what can't be read. What does not work is told
//!   once, and shown by [`Engine::health`].

mod claims;
mod commits;
mod conversation;
mod event;
mod inbox;
mod intake;
mod judge;
mod making;
mod messages;
mod naming;
mod outside;
mod packages;
mod reading;
mod record;
mod replies;
mod roster;
#[cfg(test)]
mod tests;
mod writes;

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    fmt,
    sync::Arc,
};

use aside_crypto::{Certificate, DeviceLog};
use aside_mls::{Device, Judge, SigningKey};
use aside_proto::{
    id::{ConversationId, IdempotencyKey, UserId},
    limits, v1,
};
use bytes::Bytes;

use self::{
    conversation::{Context, Conversation, Outgoing},
    inbox::Inbox,
    judge::Logs,
    packages::Packages,
};
use crate::{GroupProfile, StateError};

pub use aside_mls::{Owner, Reason};
pub use conversation::Entry;
pub use event::{Event, Goal, GoalError, Health, How, Repair, Told};
pub use reading::{Reading, Said, Unreadable};
pub use replies::Asked;
pub use writes::{ConversationWrites, Stored, StoredConversation, Writes};

pub use crate::trust::{KnownLog, Received};

/// Entries that are read ahead of those that are taken in.
const READ_AHEAD: usize = 64;
/// Messages that may wait in a conversation.
const MAX_WAITING: usize = 1024;

/// Fills from a cryptographic random source.
pub type Random = Box<dyn FnMut(&mut [u8]) + Send + Sync>;

/// All private conversations of a device.
pub struct Engine {
    me: Owner,
    device: Device,
    logs: Arc<Logs>,
    random: Random,
    conversations: BTreeMap<ConversationId, Conversation>,
    inbox: Inbox,
    packages: Packages,
    limits: v1::Limits,
    now_ms: u64,
    is_online: bool,
    /// Nothing is asked before: milliseconds since 1970.
    not_before_ms: u64,
    /// Users whose device logs are to be fetched, and those that are being.
    wanted: BTreeSet<UserId>,
    fetching: BTreeSet<UserId>,
    told: VecDeque<Told>,
    writes: Writes,
    /// Whether writes were taken that are not written yet.
    is_writing: bool,
    /// Whether this device is one of its user's, as the user's device log says; and whether that is news.
    is_approved: bool,
    was_approved: bool,
    /// The conversation that was asked for last, for the others to have their turn.
    last_polled: Option<ConversationId>,
}

/// Who this device is, to others.
pub struct Identity {
    /// The certificate in its user's device log.
    pub certificate: Certificate,
    /// The keys that it names.
    pub keys: Vec<SigningKey>,
}

/// A conversation can't take another message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SendError {
    /// It is not one of this device's.
    #[error("not a private conversation of this device")]
    Unknown,
    /// As many wait as may.
    #[error("{MAX_WAITING} messages wait already")]
    Full,
    /// The server contradicted itself there.
    #[error("the conversation is not trusted any more")]
    Contradicted,
}

impl Engine {
    /// Takes up what was kept.
    ///
    /// # Errors
    /// [`StateError::Damaged`].
    pub fn new(
        identity: Identity,
        stored: Stored,
        logs: impl IntoIterator<Item = DeviceLog>,
        random: Random,
    ) -> Result<Self, StateError> {
        let known = Arc::new(Logs::default());
        logs.into_iter().for_each(|log| known.learn(log));
        let Identity { certificate, keys } = identity;
        let me = Owner { user: certificate.user(), device: certificate.device() };
        let suites: Vec<_> = keys.iter().map(SigningKey::suite).collect();
        let judge: Arc<dyn Judge> = Arc::<Logs>::clone(&known);
        let certificate = certificate.as_bytes().to_vec();
        let device = Device::new(certificate, keys, judge, stored.key_packages)
            .map_err(|_| StateError::Damaged("a KeyPackage"))?;
        let packages = Packages::new(suites.into_iter(), stored.device.as_ref().map(|it| &it[..]))?;
        let mut engine = Self {
            me,
            device,
            logs: known,
            random,
            conversations: BTreeMap::new(),
            inbox: Inbox::default(),
            packages,
            limits: limits::DEFAULT,
            now_ms: 0,
            is_online: false,
            not_before_ms: 0,
            wanted: BTreeSet::new(),
            fetching: BTreeSet::new(),
            told: VecDeque::new(),
            writes: Writes::default(),
            is_writing: false,
            is_approved: false,
            was_approved: false,
            last_polled: None,
        };
        engine.judge_own();
        engine.was_approved = engine.is_approved;
        for (id, kept) in stored.conversations {
            let conversation = engine.restore(id, kept)?;
            engine.conversations.insert(id, conversation);
        }
        Ok(engine)
    }

    fn restore(
        &self,
        id: ConversationId,
        kept: StoredConversation,
    ) -> Result<Conversation, StateError> {
        let mut conversation = Conversation::new(id);
        if let Some(record) = &kept.record {
            conversation.restore(&self.device, record)?;
        }
        if let Some((_, state)) = kept.groups.last_key_value() {
            // A leaf of whom no log is known any more: the state is of no use, and the device joins anew.
            match self.device.load(state) {
                Ok(group) => conversation.group = Some(group),
                Err(_) => conversation.repair = Some(Repair::StateLost),
            }
        }
        for (message_id, bytes) in kept.outgoing {
            let outgoing = Outgoing::read(message_id, &bytes)?;
            if outgoing.failed.is_none() {
                conversation.outgoing.push_back(outgoing);
            }
        }
        conversation.outgoing.make_contiguous().sort_by_key(|it| it.order);
        conversation.next_order = conversation.outgoing.back().map_or(0, |last| last.order + 1);
        Ok(conversation)
    }

    /// Who this device is.
    #[must_use]
    pub const fn me(&self) -> Owner {
        self.me
    }

    /// A connection stands.
    pub fn online(&mut self, limits: v1::Limits, now_ms: u64) {
        (self.limits, self.now_ms, self.is_online) = (limits, now_ms, true);
        self.wanted.insert(self.me.user);
        // Who was revoked meanwhile is to be known before anything is encrypted.
        for conversation in self.conversations.values() {
            self.wanted.extend(conversation.roster.members.keys());
        }
    }

    /// The connection is lost: what was asked is asked again on the next.
    pub fn disconnected(&mut self) {
        self.is_online = false;
        self.not_before_ms = 0;
        self.inbox.disconnected();
        self.packages.disconnected();
        self.wanted.append(&mut self.fetching);
        for conversation in self.conversations.values_mut() {
            conversation.disconnected();
        }
    }

    /// The server's time.
    pub fn tick(&mut self, now_ms: u64) {
        self.now_ms = self.now_ms.max(now_ms);
        for conversation in self.conversations.values_mut() {
            conversation.retry(self.now_ms);
        }
    }

    /// When something is due by time alone.
    #[must_use]
    pub fn wake_at(&self) -> Option<u64> {
        let retries =
            self.conversations.values().flat_map(|it| [it.retry_at_ms, it.ask_at_ms]).flatten();
        let due = [self.not_before_ms].into_iter().chain(retries).filter(|at| *at > self.now_ms);
        due.min().filter(|_| self.is_online)
    }

    /// The user is a member of this conversation, the server says, which ends at `head`; `after`: the entries up to there are not
    /// looked at, if it is new here.
    pub fn follow(
        &mut self,
        id: ConversationId,
        kind: v1::ConversationKind,
        head: u64,
        after: u64,
    ) {
        let conversation = self.conversations.entry(id).or_insert_with(|| Conversation {
            cursor: after,
            head: after,
            is_dirty: true,
            ..Conversation::new(id)
        });
        if conversation.roster.kind == v1::ConversationKind::Unspecified {
            conversation.roster.kind = kind;
        }
        let known = conversation.server_head.unwrap_or_default();
        conversation.server_head = Some(known.max(head));
    }

    /// All members of a conversation, as the server lists them.
    pub fn members(
        &mut self,
        id: ConversationId,
        members: impl IntoIterator<Item = (UserId, v1::Role)>,
    ) {
        let Some(conversation) = self.conversations.get_mut(&id) else { return };
        conversation.roster.members = members.into_iter().collect();
        conversation.is_dirty = true;
        let unknown = conversation.roster.members.keys().filter(|user| !self.logs.has(**user));
        self.wanted.extend(unknown);
    }

    /// The user is no member of the conversation any more: nothing more comes of it, and its MLS state is deleted.
    pub fn lose(&mut self, id: ConversationId) {
        if let Some(mut conversation) = self.conversations.remove(&id) {
            let writes = self.writes.conversations.entry(id).or_default();
            if let Some(group) = conversation.group.take() {
                writes.groups.insert(group.id().generation, None);
            }
            for mut outgoing in conversation.outgoing.drain(..) {
                if outgoing.sent.is_some() {
                    writes.outgoing.insert(outgoing.message_id, None);
                    continue;
                }
                let error = v1::Error {
                    code: v1::ErrorCode::NoSuchConversation.into(),
                    message: "this user is not in the conversation any more".to_owned(),
                    ..v1::Error::default()
                };
                outgoing.failed = Some(error.clone());
                writes.outgoing.insert(outgoing.message_id, Some(outgoing.record()));
                let (message_id, error) = (outgoing.message_id, Box::new(error));
                self.told.push_back((id, Event::Failed { message_id, error }));
            }
            writes.record = Some(conversation.record());
            self.inbox.taken_in(id, u64::MAX);
        }
    }

    /// Whether it is one that is followed.
    #[must_use]
    pub fn follows(&self, id: ConversationId) -> bool {
        self.conversations.contains_key(&id)
    }

    /// Whether the inbox was read on this connection, and all that was told of since: only then is it known where new
    /// conversations begin.
    #[must_use]
    pub const fn is_inbox_known(&self) -> bool {
        self.inbox.is_known && !self.inbox.is_due && !self.inbox.is_asked
    }

    /// The entry by which this device comes into a conversation, if a Welcome waits.
    #[must_use]
    pub fn welcomed_at(&self, id: ConversationId) -> Option<u64> {
        self.inbox.first(id)
    }

    /// Something came into the inbox.
    pub fn inbox_item(&mut self) {
        self.inbox.is_due = true;
    }

    /// Few KeyPackages are left.
    pub fn key_packages_low(&mut self, suite: u32) {
        self.packages.low(suite);
    }

    /// The server heard of different states at one epoch.
    pub fn fork_found(&mut self, id: ConversationId, epoch: u64) {
        let Some(conversation) = self.conversations.get_mut(&id) else { return };
        if conversation.forked_at != Some(epoch) {
            (conversation.forked_at, conversation.is_dirty) = (Some(epoch), true);
            self.told.push_back((id, Event::ForkFound { epoch }));
        }
    }

    /// A user's device log has changed: it is fetched.
    pub fn log_changed(&mut self, user: UserId) {
        self.wanted.insert(user);
    }

    /// Entries up to this one are kept.
    pub fn kept(&mut self, id: ConversationId, seq: u64) {
        if let Some(conversation) = self.conversations.get_mut(&id) {
            conversation.head = conversation.head.max(seq);
            let known = conversation.server_head;
            conversation.server_head = known.map(|head| head.max(seq));
        }
    }

    /// Conversations whose logs go further than what is kept, and how far at least: to be fetched, since to a device outside of a
    /// group nothing is pushed (PRIV-008).
    pub fn heads(&self) -> impl Iterator<Item = (ConversationId, u64)> {
        let ahead = |it: &Conversation| it.server_head.filter(|head| *head > it.head);
        self.conversations.values().filter_map(move |it| Some((it.id, ahead(it)?)))
    }

    /// From which entry on, of which conversation, entries are wanted: at most 64 at once.
    #[must_use]
    pub fn wants_entries(&self) -> Option<(ConversationId, u64)> {
        self.conversations.values().find_map(|it| Some((it.id, it.wants()?)))
    }

    /// Entries that were wanted, in order. What is missing among them was trimmed, and is passed over.
    pub fn entries(&mut self, id: ConversationId, entries: impl IntoIterator<Item = Entry>) {
        let Some(conversation) = self.conversations.get_mut(&id) else { return };
        let mut last = conversation.queue.back().map_or(conversation.cursor, |entry| entry.seq);
        let mut any = false;
        for entry in entries {
            if entry.seq <= last {
                continue;
            }
            (last, any) = (entry.seq, true);
            conversation.queue.push_back(entry);
            if conversation.queue.len() >= READ_AHEAD {
                return;
            }
        }
        if !any && conversation.queue.is_empty() {
            conversation.skipped |= conversation.cursor < conversation.head;
            conversation.cursor = conversation.head;
        } else if !any {
            // There is nothing more before what waits is taken in.
            conversation.head = last;
        }
    }

    /// The user's conversations were listed, and those that are private are followed: Welcomes to others lead nowhere.
    pub fn listed(&mut self) {
        self.inbox.keep(&self.conversations);
    }

    /// Whose device log is to be fetched, and held against what is pinned of it. Then [`learn`](Self::learn), or
    /// [`no_log`](Self::no_log).
    pub fn poll_log(&mut self) -> Option<UserId> {
        if !self.is_online || self.now_ms < self.not_before_ms {
            return None;
        }
        // One that has changed while it is fetched is fetched once more after that.
        let user = *self.wanted.difference(&self.fetching).next()?;
        self.wanted.remove(&user);
        self.fetching.insert(user);
        Some(user)
    }

    /// A user's device log, as it is pinned now.
    pub fn learn(&mut self, log: DeviceLog) {
        let user = log.user();
        self.logs.learn(log);
        if user == self.me.user {
            self.judge_own();
        }
        self.logs_settled(user);
    }

    fn judge_own(&mut self) {
        let me = self.me;
        let is_active = self
            .logs
            .with(me.user, |log| log.active().any(|certificate| certificate.device() == me.device));
        self.is_approved = is_active == Some(true);
    }

    /// Whether this device was approved since the last call: its user's conversations are listed anew then.
    pub fn take_approval(&mut self) -> bool {
        let is_new = self.is_approved && !self.was_approved;
        self.was_approved = self.is_approved;
        if is_new {
            self.inbox.disconnected();
        }
        is_new
    }

    /// A user's device log was asked for, and there is none that may be used: what is known stays.
    pub fn no_log(&mut self, user: UserId) {
        self.logs_settled(user);
    }

    /// The server asks to wait before a user's device log is fetched.
    pub fn log_later(&mut self, user: UserId, wait_ms: u64) {
        self.fetching.remove(&user);
        self.wanted.insert(user);
        self.not_before_ms = self.not_before_ms.max(self.now_ms + wait_ms);
    }

    fn logs_settled(&mut self, user: UserId) {
        self.fetching.remove(&user);
        if self.wanted.contains(&user) {
            return;
        }
        for conversation in self.conversations.values_mut() {
            conversation.log_settled(user);
        }
    }

    /// Says something: it is encrypted once the conversation is caught up with, and sent until the server has it.
    ///
    /// # Errors
    /// [`SendError`]: it is not kept.
    pub fn send(
        &mut self,
        id: ConversationId,
        message_id: IdempotencyKey,
        content: Bytes,
    ) -> Result<(), SendError> {
        let salt = {
            let mut salt = [0; 32];
            (self.random)(&mut salt);
            salt
        };
        let conversation = self.conversations.get_mut(&id).ok_or(SendError::Unknown)?;
        if conversation.contradicted {
            return Err(SendError::Contradicted);
        }
        if conversation.outgoing.len() >= MAX_WAITING {
            return Err(SendError::Full);
        }
        let order = conversation.next_order;
        conversation.next_order += 1;
        let outgoing = Outgoing {
            message_id,
            content,
            salt,
            payload: None,
            franking_key: [0; 32],
            sent: None,
            order,
            failed: None,
        };
        let writes = self.writes.conversations.entry(id).or_default();
        writes.outgoing.insert(message_id, Some(outgoing.record()));
        conversation.outgoing.push_back(outgoing);
        Ok(())
    }

    /// Takes back a message that was not encrypted yet; whether it was there.
    pub fn withdraw(&mut self, id: ConversationId, message_id: IdempotencyKey) -> bool {
        let Some(conversation) = self.conversations.get_mut(&id) else { return false };
        let waits = |it: &Outgoing| it.message_id == message_id && it.payload.is_none();
        let Some(at) = conversation.outgoing.iter().position(waits) else { return false };
        conversation.outgoing.remove(at);
        let writes = self.writes.conversations.entry(id).or_default();
        writes.outgoing.insert(message_id, None);
        true
    }

    /// Forgets a message that will not be sent: the user has seen to it.
    pub fn forget_failed(&mut self, id: ConversationId, message_id: IdempotencyKey) {
        let conversation = self.conversations.get(&id);
        let is_to_be_sent = |it: &Conversation| {
            it.outgoing.iter().any(|outgoing| outgoing.message_id == message_id)
        };
        if !conversation.is_some_and(is_to_be_sent) {
            let writes = self.writes.conversations.entry(id).or_default();
            writes.outgoing.insert(message_id, None);
        }
    }

    /// Wants something done; [`Event::Done`] says when it is, or why it can't be. False if the conversation is not followed.
    pub fn want(&mut self, id: ConversationId, goal: Goal) -> bool {
        let Some(conversation) = self.conversations.get_mut(&id) else { return false };
        if let Goal::Add(user) = goal {
            conversation.ask_again_for(user);
            self.wanted.insert(user);
        }
        conversation.held_at = None;
        conversation.is_dirty |= conversation.goals.insert(goal);
        true
    }

    /// Comes into the conversation anew, as a lost device does. False if it is not followed.
    pub fn rejoin(&mut self, id: ConversationId) -> bool {
        let Some(conversation) = self.conversations.get_mut(&id) else { return false };
        (conversation.repair, conversation.broken) = (Some(Repair::Asked), None);
        (conversation.held_at, conversation.sent_in_vain) = (None, None);
        (conversation.is_removed, conversation.is_dirty) = (false, true);
        true
    }

    /// What is known of a conversation is forgotten, for its log is read anew; what was read of it stays.
    pub fn forget(&mut self, id: ConversationId) {
        if let Some(conversation) = self.conversations.get_mut(&id) {
            let writes = self.writes.conversations.entry(id).or_default();
            if let Some(group) = conversation.group.take() {
                writes.groups.insert(group.id().generation, None);
            }
            let outgoing = std::mem::take(&mut conversation.outgoing);
            let next_order = conversation.next_order;
            *conversation = Conversation { outgoing, next_order, ..Conversation::new(id) };
            conversation.is_dirty = true;
        }
    }

    /// How a conversation stands.
    #[must_use]
    pub fn health(&self, id: ConversationId) -> Option<Health> {
        self.conversations.get(&id).map(Conversation::health)
    }

    /// What a GROUP is called, as far as is known here (PRIV-017).
    #[must_use]
    pub fn profile(&self, id: ConversationId) -> Option<&GroupProfile> {
        self.conversations.get(&id)?.naming.profile()
    }

    /// Up to which entry each conversation was taken in; one of which nothing more is, wholly.
    pub fn taken_in(&self) -> impl Iterator<Item = (ConversationId, u64)> {
        let seq = |it: &Conversation| if it.contradicted { u64::MAX } else { it.cursor };
        self.conversations.iter().map(move |(id, it)| (*id, seq(it)))
    }

    /// The conversations that are followed.
    pub fn conversations(&self) -> impl Iterator<Item = ConversationId> {
        self.conversations.keys().copied()
    }

    /// What two members compare to know that they are in one state (RFC 9420, section 8.7), with generation and epoch; none of a
    /// conversation in whose group this device is not.
    #[must_use]
    pub fn epoch_authenticator(&self, id: ConversationId) -> Option<(u32, u64, aside_mls::Secret)> {
        let group = self.conversations.get(&id)?.group.as_ref()?;
        Some((group.id().generation, group.epoch(), group.epoch_authenticator().ok()?))
    }

    /// Takes in what there is, and makes what is due.
    ///
    /// # Errors
    /// [`StateError::Damaged`]: nothing can be relied on any more; begin anew with what is kept.
    pub fn work(&mut self) -> Result<(), StateError> {
        let mut conversations = std::mem::take(&mut self.conversations);
        let mut cx = Context {
            me: self.me,
            device: &self.device,
            logs: &self.logs,
            inbox: &mut self.inbox,
            told: &mut self.told,
            writes: &mut self.writes,
            random: &mut self.random,
            limits: &self.limits,
            now_ms: self.now_ms,
            approved: self.is_approved,
        };
        let mut outcome = Ok(());
        for conversation in conversations.values_mut() {
            outcome = conversation.work(&mut cx, self.is_online);
            if outcome.is_err() {
                break;
            }
            match &conversation.stall {
                // Those that are being fetched may be from before what is waited for.
                Some(conversation::Stall::Logs(users)) if conversation.stall_is_new => {
                    self.wanted.extend(users);
                }
                Some(conversation::Stall::Inbox) if !cx.inbox.is_asked => cx.inbox.is_due = true,
                _ => {}
            }
            conversation.stall_is_new = false;
            if std::mem::take(&mut conversation.packages_are_lost) {
                self.packages.lost();
            }
        }
        self.conversations = conversations;
        outcome?;
        if self.is_online {
            let (random, now_ms) = (&mut self.random, self.now_ms);
            let mut key = || {
                let mut bytes = [0; 10];
                random(&mut bytes);
                IdempotencyKey::new(aside_proto::id::uuid_v7(now_ms, bytes))
            };
            self.packages.make(&self.device, &self.limits, now_ms / 1000, &mut key);
            if self.inbox.is_empty() {
                let a_week_ago = (now_ms / 1000).saturating_sub(7 * 24 * 60 * 60);
                self.device.forget_expired_key_packages(a_week_ago);
            }
        }
        let mut changes = self.device.take_changes();
        self.writes.key_packages.append(&mut changes.key_packages);
        Ok(())
    }

    /// What has to be durable now, in one transaction, or nothing. Until [`written`](Self::written) no request is given.
    pub fn take_writes(&mut self) -> Option<Writes> {
        if self.writes.is_empty() || self.is_writing {
            return None;
        }
        self.is_writing = true;
        Some(std::mem::take(&mut self.writes))
    }

    /// What was taken is durable.
    pub fn written(&mut self) {
        self.is_writing = false;
    }

    /// What happened, in order.
    pub fn poll_event(&mut self) -> Option<Told> {
        self.told.pop_front()
    }
}

/// A message of this device that is among no entries taken in, as it was kept: what it says, its entry once there is one, and why it
/// will not be sent.
pub(crate) struct Unseen {
    pub(crate) content: Bytes,
    pub(crate) seq: Option<u64>,
    pub(crate) failed: Option<v1::Error>,
}

impl Unseen {
    pub(crate) fn read(message_id: IdempotencyKey, kept: &[u8]) -> Result<Self, StateError> {
        let Outgoing { content, sent, failed, .. } = Outgoing::read(message_id, kept)?;
        Ok(Self { content, seq: sent, failed })
    }
}

impl fmt::Debug for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Engine")
            .field("me", &self.me)
            .field("conversations", &self.conversations.len())
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Identity").finish_non_exhaustive()
    }
}
