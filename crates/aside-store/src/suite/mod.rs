//! The tests that every database must pass, written against [`Store`] alone: `tests/suite.rs` runs them, each against a
//! database of its own.
//!
//! They panic when an expectation fails, as tests do.

mod accounts;
mod device_logs;
mod devices;
mod fetch;
mod groups;
mod heads;
mod idempotency;
mod invitations;
mod journal;
mod log;
mod marks;
mod messages;
mod model;
mod pins;
mod presence;
mod private;
mod private_bounds;
mod private_model;
mod redaction;
mod retention;
mod room_settings;
mod rooms;
pub(crate) mod search;
mod tokens;

use std::{
    fmt::Debug,
    future::Future,
    pin::Pin,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use aside_crypto::{Hash, chain_next, chain_start, payload_hash};
use aside_proto::{
    id::{ConversationId, DeviceId, IdempotencyKey, UserId, uuid_v7},
    limits,
    name::Name,
    v1,
};
use bytes::Bytes;
use prost::Message as _;

use crate::{
    Append, CreateRoom, Effect, HeadState, Join, Leave, ListRooms, Observer, Options, Register,
    Rename, Store,
};

/// A test. It ends, or panics.
pub type Run = fn(Lab) -> Pin<Box<dyn Future<Output = ()>>>;
/// What a test shows, in words joined by `_`, and the test.
pub type Case = (&'static str, Run);

/// All of them.
#[must_use]
pub fn cases() -> Vec<Case> {
    [
        accounts::CASES,
        device_logs::CASES,
        devices::CASES,
        fetch::CASES,
        groups::CASES,
        heads::CASES,
        idempotency::CASES,
        invitations::CASES,
        journal::CASES,
        log::CASES,
        marks::CASES,
        messages::CASES,
        model::CASES,
        pins::CASES,
        presence::CASES,
        private::CASES,
        private_bounds::CASES,
        private_model::CASES,
        redaction::CASES,
        retention::CASES,
        room_settings::CASES,
        rooms::CASES,
        search::CASES,
        tokens::CASES,
    ]
    .concat()
}

/// Lists the cases of a file; a function that is forgotten is dead code.
macro_rules! list {
    ($($name:ident),* $(,)?) => {
        pub(super) const CASES: &[super::Case] = &[$((stringify!($name), |lab| Box::pin($name(lab)))),*];
    };
}
use list;

/// Asserts that a request is refused in this way.
macro_rules! assert_refused {
    ($answer:expr, $refusal:pat) => {{
        let answer = $answer;
        assert!(
            matches!(answer, Err($refusal)),
            "{} expected, not {answer:?}",
            stringify!($refusal)
        );
    }};
}
use assert_refused;

/// When every test begins: milliseconds since 1970.
const EPOCH_MS: u64 = 1_700_000_000_000;

/// A store on a database of its own, with a clock and a randomness that the test holds, and a record of effects.
pub struct Lab {
    /// The store under test.
    pub(crate) store: Store,
    pub(crate) url: String,
    pub(crate) limits: v1::Limits,
    retention: v1::Retention,
    clock: Arc<AtomicU64>,
    random: Arc<AtomicU64>,
    /// How many members may still be made.
    pub(crate) newcomers: Arc<AtomicU64>,
    effects: Arc<Record>,
}

#[derive(Default)]
struct Record(Mutex<Vec<Effect>>);

impl Observer for Record {
    fn committed(&self, effects: &[Effect]) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(effects);
    }
}

/// An account with the device that it acts by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Actor {
    pub(crate) user: UserId,
    pub(crate) device: DeviceId,
}

/// An entry, taken apart.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Read {
    pub(crate) header: v1::EntryHeader,
    pub(crate) entry: v1::Entry,
    pub(crate) chain: Hash,
}

impl Lab {
    /// A lab on an empty database, with the default limits.
    ///
    /// # Panics
    /// If the database can't be opened.
    pub async fn new(url: String) -> Self {
        Self::with_limits(url, limits::DEFAULT).await
    }

    async fn with_limits(url: String, limits: v1::Limits) -> Self {
        let clock = Arc::new(AtomicU64::new(EPOCH_MS));
        let random = Arc::new(AtomicU64::new(1));
        let effects = Arc::new(Record::default());
        let newcomers = Arc::new(AtomicU64::new(u64::MAX));
        let retention = aside_proto::retention::NONE;
        let options = options(&limits, &retention, (&clock, &random, &newcomers), &effects);
        Self {
            store: Store::open(&url, options).await.must(),
            url,
            limits,
            retention,
            clock,
            random,
            newcomers,
            effects,
        }
    }

    /// The same database, opened again, perhaps with other limits.
    pub(crate) async fn reopen(self, limits: v1::Limits) -> Self {
        self.store.close().await;
        let lab = Self { limits, ..self };
        Self { store: Store::open(&lab.url, lab.options()).await.must(), ..lab }
    }

    /// What the store is opened with.
    fn options(&self) -> Options {
        let counts = (&self.clock, &self.random, &self.newcomers);
        options(&self.limits, &self.retention, counts, &self.effects)
    }

    /// The same with other limits of the server's to what is kept.
    async fn retaining(mut self, retention: v1::Retention) -> Self {
        self.retention = retention;
        let limits = self.limits;
        self.reopen(limits).await
    }

    /// The same with a limit changed.
    async fn limited(self, change: impl FnOnce(&mut v1::Limits)) -> Self {
        let mut limits = self.limits;
        change(&mut limits);
        self.reopen(limits).await
    }

    fn now(&self) -> u64 {
        self.clock.load(Ordering::SeqCst)
    }

    fn set_clock(&self, ms: u64) {
        self.clock.store(ms, Ordering::SeqCst);
    }

    fn advance(&self, ms: u64) {
        self.clock.fetch_add(ms, Ordering::SeqCst);
    }

    fn bytes<const N: usize>(&self) -> [u8; N] {
        let mut bytes = [0; N];
        fill(&self.random, &mut bytes);
        bytes
    }

    /// A fresh idempotency key.
    fn key(&self) -> IdempotencyKey {
        IdempotencyKey::new(uuid_v7(self.now(), self.bytes()))
    }

    /// What was told to the observer since this was asked last.
    pub(crate) fn effects(&self) -> Vec<Effect> {
        std::mem::take(&mut *self.effects.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub(crate) fn registration(&self, handle: &str) -> Register {
        Register {
            key: self.key(),
            handle: name(handle),
            on_conflict: v1::OnConflict::Reject,
            password_hash: format!("$hash${handle}"),
            public_key: self.bytes(),
            device_name: format!("{handle}'s"),
        }
    }

    pub(crate) async fn register(&self, handle: &str) -> Actor {
        let logged_in = self.store.register(self.registration(handle)).await.must();
        Actor { user: logged_in.user, device: logged_in.device }
    }

    async fn lobby(&self) -> ConversationId {
        let rooms = self.rooms(UserId::new([0; 16])).await;
        let lobby = rooms.iter().find(|room| room.is_default).expect("there is a default room");
        id(&lobby.conversation_id)
    }

    async fn rooms(&self, user: UserId) -> Vec<v1::Room> {
        self.store.list_rooms(user, &any_rooms()).await.must().rooms
    }

    fn creation(&self, actor: Actor, room: &str) -> CreateRoom {
        CreateRoom { key: self.key(), user: actor.user, device: actor.device, name: name(room) }
    }

    pub(crate) async fn create(&self, actor: Actor, room: &str) -> ConversationId {
        let created = self.store.create_room(self.creation(actor, room)).await.must();
        id(&created.room.expect("a room").conversation_id)
    }

    pub(crate) fn joining(&self, actor: Actor, conversation: ConversationId) -> Join {
        Join { key: self.key(), user: actor.user, device: actor.device, conversation }
    }

    async fn join(&self, actor: Actor, conversation: ConversationId) -> v1::Room {
        let joined = self.store.join(self.joining(actor, conversation)).await.must();
        joined.room.expect("a room")
    }

    fn leaving(&self, actor: Actor, conversation: ConversationId) -> Leave {
        Leave { key: self.key(), user: actor.user, device: actor.device, conversation }
    }

    async fn leave(&self, actor: Actor, conversation: ConversationId) {
        self.store.leave(self.leaving(actor, conversation)).await.must();
    }

    pub(crate) fn renaming(&self, actor: Actor, handle: &str) -> Rename {
        Rename {
            key: self.key(),
            user: actor.user,
            device: actor.device,
            handle: name(handle),
            on_conflict: v1::OnConflict::Reject,
        }
    }

    pub(crate) fn message(&self, actor: Actor, conversation: ConversationId, text: &str) -> Append {
        Append {
            user: actor.user,
            device: actor.device,
            conversation,
            message_id: self.key(),
            payload: Bytes::copy_from_slice(text.as_bytes()),
            salt: self.bytes(),
            signature: Bytes::copy_from_slice(&self.bytes::<64>()),
        }
    }

    pub(crate) async fn send(
        &self,
        actor: Actor,
        conversation: ConversationId,
        text: &str,
    ) -> v1::Sent {
        self.store.append(self.message(actor, conversation, text)).await.must()
    }

    /// The whole log, of which nothing was removed, after checking what every log must be.
    pub(crate) async fn log(&self, reader: UserId, conversation: ConversationId) -> Vec<Read> {
        let head = self.store.head(reader, conversation).await.must();
        assert_eq!((head.first_seq, head.anchor), (1, chain_start(conversation)));
        self.kept(reader, conversation).await
    }

    /// What is kept of a log, after checking what every log must be (LOG-001 to LOG-007, LOG-010, LOG-012, HEAD-002).
    pub(crate) async fn kept(&self, reader: UserId, conversation: ConversationId) -> Vec<Read> {
        let begins = self.store.head(reader, conversation).await.must();
        let mut log: Vec<Read> = Vec::new();
        let mut chain = begins.anchor;
        let mut time_ms = 0;
        loop {
            let from = begins.first_seq + log.len() as u64;
            let page = self.store.fetch(reader, conversation, from, 7, usize::MAX).await.must();
            assert_eq!(page.prev_chain[..], chain, "prev_chain of {from}");
            assert_eq!(page.first_seq, begins.first_seq);
            if page.entries.is_empty() {
                assert_eq!(page.head_seq + 1, from);
                break;
            }
            for entry in page.entries {
                let read = check(&chain, entry);
                assert_eq!(read.header.conversation_id, conversation.to_bytes());
                assert_eq!(read.header.seq, begins.first_seq + log.len() as u64);
                assert!(read.header.time_ms >= time_ms, "time goes back at {}", read.header.seq);
                (chain, time_ms) = (read.chain, read.header.time_ms);
                log.push(read);
            }
        }
        let head_seq = begins.first_seq - 1 + log.len() as u64;
        let expected = HeadState { head_seq, chain, ..begins };
        assert_eq!(self.store.head(reader, conversation).await.must(), expected);
        log
    }
}

/// Checks an entry by itself and links it to the chain.
fn check(chain: &Hash, entry: v1::Entry) -> Read {
    let header = v1::EntryHeader::decode(&entry.header[..]).must();
    let from_server = header.sender_user_id.is_empty();
    let id_length = if from_server { 0 } else { 16 };
    for id in [&header.sender_user_id, &header.sender_device_id, &header.message_id] {
        assert_eq!(id.len(), id_length, "LOG-005, LOG-006: {header:?}");
    }
    let is_whole = !entry.payload.is_empty() && entry.payload_hash.is_empty();
    assert!(is_whole || (entry.payload.is_empty() && entry.salt.is_empty()), "LOG-012");
    let hash = if is_whole {
        let salt: [u8; 32] = entry.salt[..].try_into().expect("LOG-007: 32 bytes of salt");
        payload_hash(&salt, &entry.payload)
    } else {
        entry.payload_hash[..].try_into().expect("LOG-012: 32 bytes of hash")
    };
    let chain = chain_next(chain, &entry.header, &hash);
    Read { header, entry, chain }
}

fn options(
    limits: &v1::Limits,
    retention: &v1::Retention,
    (clock, random, newcomers): (&Arc<AtomicU64>, &Arc<AtomicU64>, &Arc<AtomicU64>),
    effects: &Arc<Record>,
) -> Options {
    let (clock, random) = (Arc::clone(clock), Arc::clone(random));
    let newcomers = Arc::clone(newcomers);
    Options {
        limits: *limits,
        retention: *retention,
        clock: Arc::new(move || clock.load(Ordering::SeqCst)),
        entropy: Arc::new(move |bytes| fill(&random, bytes)),
        default_room: name("lobby"),
        newcomers: Arc::new(move |_, count| {
            let take = |left: u64| left.checked_sub(count.into());
            newcomers
                .fetch_update(Ordering::SeqCst, Ordering::SeqCst, take)
                .map(drop)
                .map_err(|_| 7)
        }),
        observer: Arc::<Record>::clone(effects),
    }
}

/// Bytes that never come twice (SplitMix64), the same in every run.
fn fill(state: &AtomicU64, bytes: &mut [u8]) {
    for chunk in bytes.chunks_mut(8) {
        let mut z = state.fetch_add(0x9e37_79b9_7f4a_7c15, Ordering::SeqCst);
        z = (z ^ z >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        chunk.copy_from_slice(&(z ^ z >> 31).to_be_bytes()[..chunk.len()]);
    }
}

/// All rooms on one page.
fn any_rooms() -> ListRooms {
    ListRooms { page_size: 100, max_bytes: usize::MAX, ..ListRooms::default() }
}

fn name(text: &str) -> Name {
    Name::new(text, 64).must()
}

fn id(bytes: &[u8]) -> ConversationId {
    ConversationId::try_from(bytes).must()
}

/// What must succeed for a test to go on.
trait Must<T> {
    fn must(self) -> T;
}

impl<T, E: Debug> Must<T> for Result<T, E> {
    #[track_caller]
    fn must(self) -> T {
        self.expect("the suite asks for nothing impossible")
    }
}
