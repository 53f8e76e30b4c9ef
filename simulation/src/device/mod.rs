//! One device of a user: the real session, followers and timelines, and around them what a client keeps.
//!
//! What is on its disk survives a crash; all else is made anew from that. What it has to say goes into the outbox, and leaves for the
//! server only once that is on disk.

mod replies;
mod rooms;
pub(crate) use rooms::said;
mod turn;

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use anyhow::Result;
use aside_crypto::{PublicKey, SigningKey};
use aside_proto::{
    id::{ConversationId, DeviceId, IdempotencyKey, UserId, uuid_v7},
    v1::client_frame::Body,
};
use aside_session::client::{
    DeviceKey, Draft, RequestId, Session, Watermarks,
    log::{Accepted, Follower, Remembered, Start},
    timeline::Timeline,
};
use bytes::Bytes;

use crate::{clock::Clock, rng::Rng, sabotage::Sabotage, talk, truth::Truth};

/// One device.
pub(crate) struct Device {
    /// Such as `alice-2`.
    pub(crate) name: String,
    /// The handle its user registers with.
    pub(crate) first_handle: String,
    /// Whether it makes the account; the others log in by password.
    pub(crate) registers: bool,
    key: SigningKey,
    disk: Kept,
    /// What is on disk, and what is not there yet.
    pub(crate) kept: Kept,
    pub(crate) dirty: bool,
    /// None after a crash.
    pub(crate) running: Option<Running>,
    /// Nothing gets through until then.
    pub(crate) partitioned_until_ms: u64,
}

/// What survives a crash once it is on disk.
#[derive(Clone)]
pub(crate) struct Kept {
    register_key: IdempotencyKey,
    pub(crate) identity: Option<(UserId, DeviceId)>,
    pub(crate) handle: Option<String>,
    log_key: Option<PublicKey>,
    pub(crate) rooms: BTreeMap<ConversationId, Room>,
    keys: BTreeMap<DeviceId, DeviceKey>,
    pub(crate) outbox: VecDeque<Effect>,
    /// Every message ever queued, in order.
    pub(crate) said: Vec<(ConversationId, IdempotencyKey)>,
    /// The seqs of those that were acknowledged.
    pub(crate) acknowledged: BTreeMap<IdempotencyKey, u64>,
    /// Those that were refused for good.
    pub(crate) refused: BTreeSet<IdempotencyKey>,
}

/// An intended effect that was not acknowledged yet.
#[derive(Clone)]
pub(crate) struct Effect {
    pub(crate) key: IdempotencyKey,
    body: Body,
    /// Whether it is on disk.
    saved: bool,
}

/// A conversation that is, or was, followed.
#[derive(Clone)]
pub(crate) struct Room {
    pub(crate) is_member: bool,
    /// The first entry wanted.
    pub(crate) from_seq: u64,
    remembered: Option<Remembered>,
    pub(crate) entries: BTreeMap<u64, Accepted>,
}

/// What a crash takes.
#[derive(Default)]
pub(crate) struct Running {
    pub(crate) followers: BTreeMap<ConversationId, Follower>,
    pub(crate) timelines: BTreeMap<ConversationId, Timeline>,
    /// Messages that wait for the key of their device.
    unjudged: BTreeMap<DeviceId, Vec<(ConversationId, u64)>>,
    pub(crate) online: Option<Online>,
}

/// A connection.
pub(crate) struct Online {
    pub(crate) link: u64,
    pub(crate) session: Session,
    pub(crate) authenticated: bool,
    asked: BTreeMap<RequestId, Asked>,
    listing: Listing,
    /// As they were told last.
    told: BTreeMap<(ConversationId, UserId), Watermarks>,
}

/// The list of the rooms that the user is a member of.
#[derive(Default)]
struct Listing {
    /// The page to ask for.
    due: Option<Bytes>,
    under_way: bool,
    /// To be asked for once more: something has changed meanwhile.
    again: bool,
    seen: BTreeSet<ConversationId>,
}

/// What a reply is to.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Asked {
    Rooms,
    Keys,
    Fetch(ConversationId),
    Effect(IdempotencyKey),
    /// Something whose reply is judged at the server, and matters to nobody here.
    Anything,
}

/// What a device is surrounded by.
pub(crate) struct Scene<'a> {
    pub(crate) clock: &'a Clock,
    pub(crate) rng: &'a mut Rng,
    pub(crate) truth: &'a Truth,
    pub(crate) sabotage: Option<Sabotage>,
    /// The handle under which the user's first device knows the account now.
    pub(crate) handle: Option<String>,
}

impl Scene<'_> {
    /// A key for an effect.
    pub(crate) fn new_key(&mut self) -> IdempotencyKey {
        IdempotencyKey::new(uuid_v7(self.clock.now().unix_ms, self.rng.bytes()))
    }
}

impl Device {
    pub(crate) fn new(user: &str, number: usize, clock: &Clock, rng: &mut Rng) -> Self {
        let kept = Kept {
            register_key: IdempotencyKey::new(uuid_v7(clock.now().unix_ms, rng.bytes())),
            identity: None,
            handle: None,
            log_key: None,
            rooms: BTreeMap::new(),
            keys: BTreeMap::new(),
            outbox: VecDeque::new(),
            said: Vec::new(),
            acknowledged: BTreeMap::new(),
            refused: BTreeSet::new(),
        };
        Self {
            name: format!("{user}-{number}"),
            first_handle: user.to_owned(),
            registers: number == 1,
            key: SigningKey::generate(&mut |bytes| rng.fill(bytes)),
            disk: kept.clone(),
            kept,
            dirty: false,
            running: None,
            partitioned_until_ms: 0,
        }
    }

    /// Starts the program, from what is on disk.
    pub(crate) fn start(&mut self, rng: &mut Rng) -> Result<()> {
        self.running = Some(Running::default());
        let rooms: Vec<ConversationId> = self.kept.rooms.keys().copied().collect();
        for conversation in rooms {
            self.open_room(conversation, rng)?;
        }
        Ok(())
    }

    /// Loses everything that is not on disk.
    pub(crate) fn crash(&mut self, sabotage: Option<Sabotage>) {
        self.running = None;
        self.kept = self.disk.clone();
        self.dirty = false;
        if sabotage == Some(Sabotage::ForgetOutbox) {
            self.kept.outbox.clear();
        }
    }

    /// Puts everything on disk, at once or not at all.
    pub(crate) fn save(&mut self) {
        self.kept.outbox.iter_mut().for_each(|effect| effect.saved = true);
        self.disk = self.kept.clone();
        self.dirty = false;
    }

    /// Opens a connection: its TLS handshake is done.
    pub(crate) fn connect(&mut self, link: u64, binding: [u8; 32], scene: &mut Scene<'_>) {
        let of = (scene.clock, &mut *scene.rng);
        let session = talk::open(&["talk", "sync"], self.kept.log_key, binding, of);
        if let Some(running) = &mut self.running {
            running.online = Some(Online {
                link,
                session,
                authenticated: false,
                asked: BTreeMap::new(),
                listing: Listing::default(),
                told: BTreeMap::new(),
            });
        }
    }

    /// The connection, if there is one.
    pub(crate) fn online(&mut self) -> Option<&mut Online> {
        self.running.as_mut()?.online.as_mut()
    }

    /// The connection's link.
    pub(crate) fn link(&self) -> Option<u64> {
        Some(self.running.as_ref()?.online.as_ref()?.link)
    }

    /// Whether it waits for nothing, and has nothing to do.
    pub(crate) fn is_at_rest(&self) -> bool {
        let online = self.running.as_ref().and_then(|running| running.online.as_ref());
        online.is_some_and(|online| online.authenticated && online.asked.is_empty())
            && !self.dirty
            && self.kept.outbox.is_empty()
    }

    /// The rooms that it takes the user to be a member of.
    pub(crate) fn joined(&self) -> Vec<ConversationId> {
        let rooms = self.kept.rooms.iter().filter(|(_, room)| room.is_member);
        rooms.map(|(conversation, _)| *conversation).collect()
    }

    /// Intends an effect: it is asked for until it is answered, over as many connections and runs as that takes.
    pub(crate) fn intend(&mut self, key: IdempotencyKey, body: Body) {
        self.kept.outbox.push_back(Effect { key, body, saved: false });
        self.dirty = true;
    }

    /// Queues a message. None without an account.
    pub(crate) fn say(
        &mut self,
        conversation: ConversationId,
        payload: Bytes,
        scene: &mut Scene<'_>,
    ) -> Option<IdempotencyKey> {
        let identity = self.kept.identity?;
        let key = scene.new_key();
        let salt = scene.rng.bytes();
        let draft = Draft::sign(identity, &self.key, (conversation, key), salt, payload);
        self.kept.said.push((conversation, key));
        self.intend(key, Body::SendMessage(draft.request()));
        Some(key)
    }

    /// Asks for something whose reply the truth judges at the server. False if it can't be asked now.
    pub(crate) fn ask(&mut self, body: Body, scene: &mut Scene<'_>) -> Result<bool> {
        self.request(Asked::Anything, None, body, scene.clock)
    }

    fn request(
        &mut self,
        asked: Asked,
        key: Option<IdempotencyKey>,
        body: Body,
        clock: &Clock,
    ) -> Result<bool> {
        let Some(online) = self.online().filter(|online| online.session.may_request()) else {
            return Ok(false);
        };
        let id = online.session.request(clock.now(), key, body)?;
        online.asked.insert(id, asked);
        Ok(true)
    }
}

impl Room {
    fn start(&self) -> Start {
        if self.from_seq > 1 { Start::At(self.from_seq) } else { Start::Beginning }
    }
}
