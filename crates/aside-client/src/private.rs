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
mod feeding;
mod guests;
mod history;
mod inbox;
mod intake;
mod judge;
mod left_behind;
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
mod wishes;
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
    conversation::{Context, Conversation, Doubted, Outgoing},
    inbox::Inbox,
    judge::Logs,
    packages::Packages,
};
use crate::{GroupProfile, StateError};

pub use aside_mls::{Owner, Reason, Suite};
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
    /// Of groups that this device begins.
    preferred: Suite,
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
    /// Whether the server refuses something of a conversation that it listed.
    is_listing_due: bool,
    was_approved: bool,
    /// How often one was taken up on this run, at most.
    lives: u64,
    /// Conversations to which Welcomes lead that were not in the last list.
    strays: BTreeSet<ConversationId>,
    /// Whom this device knew in conversations that it was put out of, on this run.
    former: BTreeMap<ConversationId, BTreeSet<UserId>>,
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
    /// Takes up what was kept. Of each user the last of `logs` is the one that is pinned; before it may come those in whose place it
    /// came, the oldest first: what they approved was approved (MLS-025).
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
            preferred: Suite::P256Aes128,
            now_ms: 0,
            is_online: false,
            not_before_ms: 0,
            wanted: BTreeSet::new(),
            fetching: BTreeSet::new(),
            told: VecDeque::new(),
            writes: Writes::default(),
            is_writing: false,
            is_approved: false,
            is_listing_due: false,
            was_approved: false,
            lives: 0,
            strays: BTreeSet::new(),
            former: BTreeMap::new(),
            last_polled: None,
        };
        engine.is_approved = engine.logs.approves(me);
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
            // Of no use: the device joins anew.
            match self.device.load(state) {
                Ok(group) => conversation.group = Some(group),
                Err(_) => {
                    conversation.repair = Some(Repair::StateLost);
                    conversation.known_before.get_or_insert_default();
                }
            }
        }
        for (seq, bytes) in kept.doubted {
            let doubted = Doubted::read(&bytes)?;
            // Its user's log may have gone on since.
            conversation.judge_again.insert(doubted.by.user);
            conversation.doubted.insert(seq, doubted);
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

    /// The suite of groups that this device begins from now on, where all devices that are to come have a key for it (MLS-001); else,
    /// and before anything is preferred, it is 0x0002.
    pub fn prefer(&mut self, suite: Suite) {
        self.preferred = suite;
    }

    /// Who this device is.
    #[must_use]
    pub const fn me(&self) -> Owner {
        self.me
    }

    fn followed(&self, id: ConversationId) -> Option<&Conversation> {
        self.conversations.get(&id).filter(|it| !it.is_unlisted)
    }

    /// Whether this device is one of its user's, as far as the user's device log is known here.
    #[must_use]
    pub fn is_approved(&self) -> bool {
        self.is_approved
    }

    /// How a conversation stands.
    #[must_use]
    pub fn health(&self, id: ConversationId) -> Option<Health> {
        self.followed(id).map(Conversation::health)
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
        self.conversations.values().filter(|it| !it.is_unlisted).map(|it| it.id)
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
            preferred: self.preferred,
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
        let over = conversations.values().filter(|it| it.is_over());
        let over: Vec<_> = over.map(|it| it.id).collect();
        self.conversations = conversations;
        outcome?;
        over.into_iter().for_each(|id| self.over(id));
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
