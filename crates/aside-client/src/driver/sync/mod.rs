//! Keeping up with every conversation of the user: what to ask the server for, and what to make of the answers.
//!
//! After each connection: the user's rooms are listed; those not followed yet begin with a little history; those known are
//! fetched from their cursors, with a signed head. Messages whose sender's device is not known wait until it was looked up.

mod devices;
mod entries;
mod marks;
mod private;
mod read_back;
mod rooms;
mod sent;

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    sync::Arc,
    time::Duration,
};

use aside_crypto::PublicKey;
use aside_proto::{
    SYNC,
    id::{ConversationId, DeviceId, UserId},
    limits,
    v1::{self, client_frame::Body},
};
use aside_session::{
    Now,
    client::{
        DeviceKey, Greeting, Watermarks,
        log::{Accepted, Follower},
    },
};
use bytes::Bytes;
use tokio::{sync::oneshot, time::Instant};

use self::{
    marks::{Others, Own},
    read_back::ReadBack,
    sent::Awaited,
};
use super::outlet::Outlet;
use crate::{
    Error, Event, Kind, Person,
    backoff::retry_after,
    store::{StateError, Store},
};

/// Fetches under way at once.
const MAX_FETCHES: usize = 4;
/// Followers are told the time so often.
const TICK: Duration = Duration::from_secs(5 * 60);
/// Pages of members read to learn the handles of a room that is new: enough for any but the largest.
const MAX_MEMBER_PAGES: u32 = 10;

pub(super) type Waiter = oneshot::Sender<Result<(), Error>>;

/// What a request of this module was for.
#[derive(Debug)]
pub(super) enum Asked {
    Rooms,
    Summaries,
    Members(ConversationId),
    Devices(Vec<DeviceId>),
    Fetch(ConversationId),
    ReadBack(u64),
    Mark(ConversationId),
    Watermarks(ConversationId),
}

/// The state of all conversations.
#[derive(Debug)]
pub(super) struct Sync {
    store: Arc<Store>,
    me: UserId,
    history: u32,
    replay: u32,
    log_key: Option<PublicKey>,
    limits: v1::Limits,
    /// Whether the capability `sync` is.
    in_force: bool,
    rooms: BTreeMap<ConversationId, Room>,
    listing: Listing,
    listed: BTreeSet<ConversationId>,
    fetches: usize,
    marks: usize,
    /// How far others have got, to be kept and told at `moves_at`.
    moves: BTreeMap<(ConversationId, UserId), Watermarks>,
    moves_at: Option<Instant>,
    devices: HashMap<DeviceId, DeviceKey>,
    look_ups: BTreeSet<DeviceId>,
    /// Those that are asked for now.
    looking_up: Vec<DeviceId>,
    /// Devices asked for since the connection stands (DEV-012), and those asked for again since a signature did not verify.
    rechecked: HashSet<(DeviceId, bool)>,
    read_backs: Vec<ReadBack>,
    last_read_back: u64,
    not_before: Option<Instant>,
    /// When the time was first told, and when it is told next.
    epoch: Instant,
    next_tick: Instant,
    waiters: Vec<(ConversationId, Waiter)>,
    /// Callers to be told once every signature is settled.
    settling: Vec<Waiter>,
    tampered: Vec<ConversationId>,
    /// Messages that are durable and were not seen in the log yet (MSG-015).
    awaited: BTreeMap<(ConversationId, u64), Awaited>,
    my_handle: Option<String>,
    /// Whether private conversations are followed.
    private: bool,
    /// Whether this device is known to be one of its user's, or nobody knows.
    approved: bool,
    /// That this device was removed, of conversations of which it is not known yet whether the user was.
    removals: Vec<(ConversationId, Event)>,
    /// Those that were listed, and are not followed yet.
    deferred: Vec<v1::Summary>,
    /// Those that are followed no longer.
    left: Vec<(ConversationId, Departure)>,
}

/// How it is known that the user is in a conversation no longer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Departure {
    /// The user left, or its log says so.
    Left,
    /// The server does not list it, or refuses to read it, which may be a lie.
    Unlisted,
}

#[derive(Debug)]
struct Room {
    kind: Kind,
    /// Up to where a private one was read.
    taken_in: u64,
    follower: Follower,
    name: String,
    members: Members,
    /// Whose commit has removed this device from a private one.
    removed_by: Option<Person>,
    /// The first entry that was missed and is being fetched.
    gap: Option<u64>,
    /// Let through and not kept yet.
    accepted: Vec<Accepted>,
    /// Whether there may be more to keep than these.
    advanced: bool,
    tampered: bool,
    /// How many members there are, and the last entry that is counted in.
    member_count: u32,
    counted_seq: u64,
    /// Whether members hear of each other's watermarks (MARK-010).
    live: bool,
    own: Own,
    others: Others,
}

/// How far the user's rooms are listed.
#[derive(Debug, PartialEq, Eq)]
enum Listing {
    Due(Bytes),
    Asked,
    Done,
}

/// How far a room's members are known.
#[derive(Debug)]
enum Members {
    Due { token: Bytes, page: u32 },
    Asked { page: u32 },
    Known,
}

impl Sync {
    /// Takes up what is remembered.
    pub(super) async fn restore(
        store: Arc<Store>,
        me: UserId,
        (history, replay): (u32, u32),
        out: &mut Outlet,
    ) -> Result<Self, StateError> {
        let mut sync = Self {
            store: Arc::clone(&store),
            me,
            history,
            replay,
            log_key: None,
            limits: limits::DEFAULT,
            in_force: false,
            rooms: BTreeMap::new(),
            listing: Listing::Due(Bytes::new()),
            listed: BTreeSet::new(),
            fetches: 0,
            marks: 0,
            moves: BTreeMap::new(),
            moves_at: None,
            devices: HashMap::new(),
            look_ups: BTreeSet::new(),
            looking_up: Vec::new(),
            rechecked: HashSet::new(),
            read_backs: Vec::new(),
            last_read_back: 0,
            not_before: None,
            epoch: Instant::now(),
            next_tick: Instant::now(),
            waiters: Vec::new(),
            settling: Vec::new(),
            tampered: Vec::new(),
            awaited: BTreeMap::new(),
            my_handle: None,
            private: false,
            approved: true,
            removals: Vec::new(),
            deferred: Vec::new(),
            left: Vec::new(),
        };
        for known in store.conversations().await? {
            if known.joined && (known.cursor.is_some() || known.tampering.is_some()) {
                let progress = store.progress(known.conversation).await?;
                let begin = (Some(known.clone()), progress);
                sync.begin(known.conversation, (&known.name, known.kind), begin, 0, out);
                // It may have been read while nobody here was told.
                if store.awaits_reading(known.conversation).await? {
                    sync.watch(known.conversation);
                }
            }
        }
        sync.await_sent().await?;
        for kept in store.entries_pending().await? {
            sync.look_ups.extend(devices::sender_device(&kept));
        }
        Ok(sync)
    }

    /// A connection stands.
    pub(super) fn online(&mut self, greeting: &Greeting) {
        self.log_key = Some(greeting.log_key);
        self.limits = greeting.limits;
        self.in_force = greeting.capabilities.iter().any(|capability| capability == SYNC);
    }

    /// The connection is lost, and with it all that was asked.
    pub(super) fn disconnected(&mut self) {
        for room in self.rooms.values_mut() {
            room.follower.handle_disconnected();
            if let Members::Asked { .. } = room.members {
                room.members = Members::Due { token: Bytes::new(), page: 0 };
            }
        }
        for read_back in &mut self.read_backs {
            read_back.disconnected();
        }
        self.listing = Listing::Due(Bytes::new());
        self.deferred.clear();
        self.marks_disconnected();
        self.fetches = 0;
        self.look_ups.extend(self.looking_up.drain(..));
        self.rechecked.clear();
        self.not_before = None;
    }

    /// The next request to make. It is under way from then on.
    pub(super) fn poll(&mut self, now: Instant) -> Option<(Asked, Body)> {
        if self.not_before.is_some_and(|at| at > now) {
            return None;
        }
        self.not_before = None;
        self.poll_rooms()
            .or_else(|| self.poll_devices())
            .or_else(|| self.poll_members())
            .or_else(|| self.poll_fetch())
            .or_else(|| self.poll_mark(now))
            .or_else(|| self.poll_watermarks())
            .or_else(|| self.poll_read_back())
    }

    /// When [`poll`](Self::poll) may have one, if not now.
    pub(super) fn wake_at(&self) -> Option<Instant> {
        let marks =
            self.mark_at().map(|at| self.not_before.map_or(at, |not_before| at.max(not_before)));
        let times = self.not_before.into_iter().chain(self.moves_at).chain([self.next_tick]);
        times.chain(marks).min()
    }

    /// Tells the followers the time (HEAD-009).
    pub(super) fn tick(&mut self, now: Instant) {
        if now < self.next_tick {
            return;
        }
        self.next_tick = now + TICK;
        self.ask_for_awaited();
        let elapsed = now.saturating_duration_since(self.epoch).as_millis();
        let now = Now { monotonic_ms: u64::try_from(elapsed).unwrap_or(u64::MAX), unix_ms: 0 };
        for room in self.rooms.values_mut() {
            room.follower.handle_time(now);
        }
    }

    /// A request failed. Those worth sending again become due again.
    pub(super) async fn refused(
        &mut self,
        asked: Asked,
        error: v1::Error,
        now: Instant,
        out: &mut Outlet,
    ) -> Result<(), Error> {
        let wait = retry_after(&error);
        if let Some(wait) = wait {
            self.not_before = Some(now + wait);
            out.tell(Event::Throttled { wait });
        }
        match asked {
            Asked::Rooms | Asked::Summaries if wait.is_some() => {
                self.listing = Listing::Due(Bytes::new());
            }
            Asked::Rooms | Asked::Summaries => self.listing = Listing::Done,
            Asked::Members(conversation) => self.members_refused(conversation, wait.is_some()),
            Asked::Devices(devices) => {
                self.looking_up.clear();
                match wait {
                    Some(_) => self.look_ups.extend(devices),
                    None => self.settle(&devices, out).await?,
                }
            }
            Asked::Fetch(conversation) => self.fetch_refused(conversation, &error, out).await?,
            Asked::Mark(conversation) => self.mark_ended(conversation, wait.is_none()),
            Asked::Watermarks(conversation) => match wait {
                Some(_) => self.watermarks_missed(conversation),
                None => self.watermarks_listed(conversation, None),
            },
            Asked::ReadBack(id) => self.read_back_refused(id, error, wait.is_some(), out).await?,
        }
        self.wake_waiters();
        Ok(())
    }

    /// Tells `waiter` when everything that the server has of the conversation by now was taken in and vouched for.
    pub(super) fn wait_for(&mut self, conversation: ConversationId, waiter: Waiter) {
        if let Some(room) = self.rooms.get_mut(&conversation) {
            room.follower.request_head();
        }
        self.waiters.push((conversation, waiter));
        self.wake_waiters();
    }

    /// The last entry that is known of a conversation, if any is.
    pub(super) fn known_to(&self, conversation: ConversationId) -> Option<u64> {
        Some(self.rooms.get(&conversation)?.follower.place()?.seq)
    }

    /// Whether nothing of the conversation is trusted any more.
    pub(super) fn is_tampered(&self, conversation: ConversationId) -> bool {
        self.rooms.get(&conversation).is_some_and(|room| room.tampered)
    }

    /// A conversation that was found tampered with since the last call.
    pub(super) fn poll_tampered(&mut self) -> Option<ConversationId> {
        self.tampered.pop()
    }

    /// The user's own handle, if it was changed since the last call.
    pub(super) fn poll_my_handle(&mut self) -> Option<String> {
        self.my_handle.take()
    }

    /// Tells those whose wait is over.
    fn wake_waiters(&mut self) {
        let settled = self.look_ups.is_empty() && self.looking_up.is_empty();
        if settled {
            for waiter in self.settling.drain(..) {
                // Whoever went away does not want to know.
                let _ = waiter.send(Ok(()));
            }
        }
        for (conversation, waiter) in std::mem::take(&mut self.waiters) {
            let is_deferred = self.is_deferred(conversation);
            let outcome = match self.rooms.get_mut(&conversation) {
                Some(room) if room.tampered => Some(Err(Error::Tampered)),
                Some(room) => {
                    let follower = &mut room.follower;
                    // What came since the last head is vouched for by the next, which nobody else may ask for soon.
                    if follower.is_caught_up() && !follower.is_vouched_for() {
                        follower.request_head();
                    }
                    let done = follower.is_caught_up() && follower.is_vouched_for();
                    let last = room.follower.place().map_or(0, |place| place.seq);
                    // A private one is called by its members' names, or by what was read in it.
                    let is_read = !room.kind.is_private()
                        || (room.taken_in >= last && matches!(room.members, Members::Known));
                    (done && settled && is_read && room.accepted.is_empty()).then_some(Ok(()))
                }
                None if is_deferred => None,
                None => (self.listing == Listing::Done).then_some(Err(Error::NotFollowed)),
            };
            match outcome {
                Some(outcome) => drop(waiter.send(outcome)),
                None => self.waiters.push((conversation, waiter)),
            }
        }
    }
}

#[cfg(test)]
mod tests;
