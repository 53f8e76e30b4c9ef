//! Who is connected, and who is pushed what.
//!
//! The store calls the hub once for each batch, after the batch is durable and before any of it is acknowledged, in the order
//! of the log. Memberships change in that same order, so a connection is pushed exactly what its user was a member for
//! (PUSH-001, PUSH-002, ROOM-009, PUSH-006).

mod frames;
mod presence;
mod private;
mod relay;

use std::{
    collections::{BTreeSet, HashMap, HashSet, hash_map::Entry},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Instant,
};

use aside_proto::{
    PRIVATE, SYNC,
    id::{ConversationId, DeviceId, UserId},
    v1::{self, server_frame::Body},
};
use aside_store::{AttachedPrivate, Effect, Observer, PresenceSettings};
use bytes::Bytes;
use tokio::sync::Notify;

use self::{
    frames::{entry_frame, event_frame, notice_frame, watermark_frame},
    presence::People,
    private::{Private, low_event},
};
use crate::{
    push::{CloseSignal, PushQueue},
    typing::Typing,
};

/// All connections of this server.
#[derive(Debug)]
pub(crate) struct Hub {
    next_attachment: AtomicU64,
    state: Mutex<State>,
    /// Somebody's last connection has ended.
    departures: Notify,
}

#[derive(Debug)]
struct State {
    /// Every connection by its number, those not yet logged in included: they are closed when the server stops.
    connections: HashMap<u64, Connection>,
    attached_by_user: HashMap<UserId, HashSet<u64>>,
    attached_by_device: HashMap<DeviceId, HashSet<u64>>,
    subscribers: Subscribers,
    people: People,
    typing: Typing,
    /// What each connection is told when it has logged in (NOTE-002).
    greeting: Option<Bytes>,
    /// Connections that come now, from a handshake that was under way, are told at once.
    stopping: bool,
}

#[derive(Debug)]
struct Connection {
    queue: Arc<PushQueue>,
    /// Whether the capability `sync` is in force, which its events need (EXT-006).
    sync: bool,
    /// The same of the capability `private`.
    private: bool,
    attached: Option<Attached>,
}

#[derive(Debug)]
struct Attached {
    user: UserId,
    device: DeviceId,
    /// Whatever its user is a member of.
    conversations: HashSet<ConversationId>,
    private: Private,
}

/// A conversation that somebody who is connected is a member of.
#[derive(Debug, Default)]
struct Subscribed {
    /// How many members it has, connected or not.
    members: u64,
    queues: HashMap<u64, Arc<PushQueue>>,
    /// Connections of members that are pushed nothing: their devices are no leaves (PRIV-008).
    silent: HashSet<u64>,
}

impl Connection {
    /// Whether it is told of another user's coming, going and writing.
    fn hears_of(&self, user: UserId) -> bool {
        self.sync && self.attached.as_ref().is_some_and(|attached| attached.user != user)
    }
}

/// A connection's place in the hub; left on drop.
#[derive(Debug)]
pub(crate) struct Attachment {
    hub: Arc<Hub>,
    /// The connection's number.
    pub(crate) id: u64,
    /// What is pushed to it.
    pub(crate) queue: Arc<PushQueue>,
}

impl Hub {
    /// A hub without connections; `greeting` is what each is told when it has logged in.
    pub(crate) fn new(limits: &v1::Limits, greeting: Option<v1::Notice>) -> Self {
        let state = State {
            connections: HashMap::new(),
            attached_by_user: HashMap::new(),
            attached_by_device: HashMap::new(),
            subscribers: Subscribers::new(),
            people: People::new(limits),
            typing: Typing::default(),
            greeting: greeting.map(notice_frame),
            stopping: false,
        };
        let next_attachment = AtomicU64::default();
        Self { next_attachment, state: Mutex::new(state), departures: Notify::new() }
    }

    /// Takes in a new connection, whose queue holds at most `bound` bytes.
    pub(crate) fn connect(self: &Arc<Self>, bound: usize) -> Attachment {
        let id = self.next_attachment.fetch_add(1, Ordering::Relaxed);
        let queue = Arc::new(PushQueue::new(bound));
        let mut state = self.lock();
        if state.stopping {
            queue.signal(CloseSignal::ShuttingDown);
        }
        let connection =
            Connection { queue: Arc::clone(&queue), sync: false, private: false, attached: None };
        state.connections.insert(id, connection);
        drop(state);
        Attachment { hub: Arc::clone(self), id, queue }
    }

    /// Notes which capabilities are in force on a connection, before it is attached.
    pub(crate) fn agree(&self, id: u64, capabilities: &[String]) {
        if let Some(connection) = self.lock().connections.get_mut(&id) {
            let is_in_force = |capability| capabilities.iter().any(|name| name == capability);
            connection.sync = is_in_force(SYNC);
            connection.private = is_in_force(PRIVATE);
        }
    }

    /// Lets a connection be pushed nothing, whatever happens: its token has not the scope READ (TOKEN-010).
    pub(crate) fn deafen(&self, id: u64) {
        if let Some(connection) = self.lock().connections.get(&id) {
            connection.queue.deafen();
        }
    }

    /// The devices of the user with an authenticated connection.
    pub(crate) fn online_devices(&self, user: UserId) -> HashSet<DeviceId> {
        let state = self.lock();
        let ids = state.attached_by_user.get(&user).into_iter().flatten();
        ids.filter_map(|id| Some(state.connections.get(id)?.attached.as_ref()?.device)).collect()
    }

    /// The members of a conversation that the asker sees online, above `after`, in order; at most `limit`.
    pub(crate) fn online_members(
        &self,
        asker: UserId,
        conversation: ConversationId,
        after: Option<UserId>,
        limit: usize,
    ) -> Vec<UserId> {
        let state = self.lock();
        let rooms = state.subscribers.get(&conversation).into_iter();
        let ids = rooms.flat_map(|room| room.queues.keys().chain(&room.silent));
        let users = ids.filter_map(|id| Some(state.connections.get(id)?.attached.as_ref()?.user));
        let users: BTreeSet<UserId> = users
            .filter(|user| Some(*user) > after && state.appears_online(asker, *user))
            .collect();
        users.into_iter().take(limit).collect()
    }

    /// Every device with an authenticated connection.
    pub(crate) fn all_online_devices(&self) -> Vec<DeviceId> {
        self.lock().attached_by_device.keys().copied().collect()
    }

    /// Says something to every connection that has logged in and can hear it (NOTE-003); gives how many these are.
    pub(crate) fn notify(&self, notice: v1::Notice) -> usize {
        let frame = notice_frame(notice);
        let state = self.lock();
        let hears = |connection: &&Connection| connection.sync && connection.attached.is_some();
        let mut heard = 0;
        for connection in state.connections.values().filter(hears) {
            connection.queue.hint(&frame);
            heard += 1;
        }
        heard
    }

    /// Tells every connection that the server is being stopped.
    pub(crate) fn shut_down(&self) {
        let mut state = self.lock();
        state.stopping = true;
        for connection in state.connections.values() {
            connection.queue.signal(CloseSignal::ShuttingDown);
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Observer for Hub {
    fn committed(&self, effects: &[Effect]) {
        // Entries that follow each other in one conversation reach each queue together, and wake its connection once.
        for run in
            effects.chunk_by(|a, b| appended_to(a).is_some() && appended_to(a) == appended_to(b))
        {
            // Anew for each, so that nobody waits for more than one to be told of: only the store calls this, one batch after another.
            let mut state = self.lock();
            match run {
                [Effect::Appended { conversation, .. }, ..] => state.fan_out(*conversation, run),
                others => others.iter().for_each(|effect| state.apply(effect)),
            }
        }
    }
}

impl State {
    fn apply(&mut self, effect: &Effect) {
        match effect {
            Effect::Appended { conversation, .. } => {
                self.fan_out(*conversation, std::slice::from_ref(effect));
            }
            Effect::Joined { user, conversation, members } => {
                for id in self.attached_by_user.get(user).into_iter().flatten() {
                    if let Some(connection) = self.connections.get_mut(id) {
                        let conversation = (*conversation, *members);
                        subscribe(&mut self.subscribers, *id, connection, conversation);
                    }
                }
                self.count(*conversation, *members);
                if let Some(conversations) = self.people.conversations_of(*user) {
                    conversations.insert(*conversation);
                }
            }
            Effect::Left { user, conversation, members } => {
                for id in self.attached_by_user.get(user).into_iter().flatten() {
                    if let Some(attached) =
                        self.connections.get_mut(id).and_then(|c| c.attached.as_mut())
                    {
                        attached.conversations.remove(conversation);
                        attached.private.conversations.remove(conversation);
                        unsubscribe(&mut self.subscribers, *id, conversation);
                    }
                }
                self.count(*conversation, *members);
                if let Some(conversations) = self.people.conversations_of(*user) {
                    conversations.remove(conversation);
                }
            }
            Effect::DeviceRevoked { device } => {
                for id in self.attached_by_device.get(device).into_iter().flatten() {
                    if let Some(connection) = self.connections.get(id) {
                        connection.queue.signal(CloseSignal::DeviceRevoked);
                    }
                }
            }
            Effect::Invited { user, invitation } => {
                let invitation = v1::Invitation::clone(invitation);
                self.tell(*user, event_frame(Body::Invitation(invitation)));
            }
            Effect::WatermarkMoved { conversation, user, attachment, to_members, .. } => {
                if let Some(frame) = watermark_frame(effect) {
                    let whose = (!to_members).then_some(*user);
                    self.hint(*conversation, whose, *attachment, &frame);
                }
            }
            Effect::Attached { user, device, attachment, conversations, settings, private } => {
                self.attach((*user, *device), *attachment, conversations, private, settings);
            }
            Effect::JoinedPrivate { user, conversation, members } => {
                self.join_private(*user, *conversation, *members);
            }
            Effect::LeafAdded { device, conversation, members } => {
                self.add_leaf(*device, *conversation, *members);
            }
            Effect::LeafRemoved { device, conversation } => {
                self.remove_leaf(*device, *conversation);
            }
            Effect::DeviceLogChanged { user, length, approved } => {
                self.change_device_log(*user, *length, approved);
            }
            Effect::KeyPackagesLow { device, suite, available } => {
                self.tell_device(*device, low_event(*suite, *available));
            }
            Effect::InboxItem { device, position, conversation } => {
                let (position, conversation_id) = (*position, conversation.to_bytes());
                let item = v1::InboxItem { position, conversation_id };
                self.tell_device(*device, Body::InboxItem(item));
            }
            Effect::ForkCheckMismatch { conversation, epoch } => {
                self.tell_mismatch(*conversation, *epoch);
            }
            Effect::PresenceSet { user, attachment, settings } => {
                self.set_presence(*user, *attachment, settings);
            }
        }
    }

    /// Encodes each event once for all who get it.
    fn fan_out(&self, conversation: ConversationId, entries: &[Effect]) {
        let Some(subscribers) = self.subscribers.get(&conversation) else { return };
        let frames: Vec<(u64, Bytes)> = entries.iter().filter_map(entry_frame).collect();
        for queue in subscribers.queues.values() {
            queue.push(conversation, &frames);
        }
        let pushed = frames.len() * subscribers.queues.len();
        metrics::counter!("aside_entries_pushed_total").increment(pushed as u64);
    }

    /// Queues an event of `sync` for a conversation's connections, or those of one user, but for one connection.
    fn hint(&self, conversation: ConversationId, only: Option<UserId>, except: u64, frame: &Bytes) {
        let rooms = self.subscribers.get(&conversation).into_iter();
        let ids = rooms.flat_map(|room| room.queues.keys());
        for connection in ids.filter(|id| **id != except).filter_map(|id| self.connections.get(id))
        {
            let user = connection.attached.as_ref().map(|attached| attached.user);
            if connection.sync && (only.is_none() || only == user) {
                connection.queue.hint(frame);
            }
        }
    }

    /// Queues an event of `sync` for a user's connections.
    fn tell(&self, user: UserId, frame: Bytes) {
        let ids = self.attached_by_user.get(&user).into_iter().flatten();
        for connection in ids.filter_map(|id| self.connections.get(id)).filter(|c| c.sync) {
            connection.queue.hint(&frame);
        }
    }

    fn attach(
        &mut self,
        (user, device): (UserId, DeviceId),
        id: u64,
        conversations: &[(ConversationId, u64)],
        private: &AttachedPrivate,
        settings: &PresenceSettings,
    ) {
        let before = self.seen(user);
        // The connection may have ended while it was being attached.
        let Some(connection) = self.connections.get_mut(&id) else { return };
        connection.attached = Some(Attached {
            user,
            device,
            conversations: HashSet::new(),
            private: Private::default(),
        });
        for conversation in conversations {
            subscribe(&mut self.subscribers, id, connection, *conversation);
        }
        if let Some(greeting) = self.greeting.as_ref().filter(|_| connection.sync) {
            connection.queue.hint(greeting);
        }
        self.attached_by_user.entry(user).or_default().insert(id);
        self.attached_by_device.entry(device).or_default().insert(id);
        self.seat(id, private);
        self.people.arrive(user, settings.clone());
        self.tell_others(user, before.as_deref());
    }

    /// Notes how many members a conversation has now, if anyone of them is connected.
    fn count(&mut self, conversation: ConversationId, members: u64) {
        if let Some(room) = self.subscribers.get_mut(&conversation) {
            room.members = members;
        }
    }

    /// Ends a connection; gives whether it was its user's last.
    fn disconnect(&mut self, id: u64, now: Instant) -> bool {
        let attached = self.connections.remove(&id).and_then(|c| c.attached);
        let Some(attached) = attached else { return false };
        for conversation in &attached.conversations {
            unsubscribe(&mut self.subscribers, id, conversation);
        }
        if let Entry::Occupied(mut ids) = self.attached_by_device.entry(attached.device) {
            ids.get_mut().remove(&id);
            if ids.get().is_empty() {
                ids.remove();
            }
        }
        if let Some(ids) = self.attached_by_user.get_mut(&attached.user) {
            ids.remove(&id);
            if ids.is_empty() {
                self.attached_by_user.remove(&attached.user);
                self.people.depart(attached.user, attached.conversations, now);
                return true;
            }
        }
        false
    }
}

type Subscribers = HashMap<ConversationId, Subscribed>;

fn subscribe(
    subscribers: &mut Subscribers,
    id: u64,
    connection: &mut Connection,
    (conversation, members): (ConversationId, u64),
) {
    if let Some(attached) = &mut connection.attached {
        attached.conversations.insert(conversation);
        let room = subscribers.entry(conversation).or_default();
        room.members = members;
        room.silent.remove(&id);
        room.queues.insert(id, Arc::clone(&connection.queue));
    }
}

fn unsubscribe(subscribers: &mut Subscribers, id: u64, conversation: &ConversationId) {
    if let Some(room) = subscribers.get_mut(conversation) {
        room.queues.remove(&id);
        room.silent.remove(&id);
        if room.queues.is_empty() && room.silent.is_empty() {
            subscribers.remove(conversation);
        }
    }
}

fn appended_to(effect: &Effect) -> Option<ConversationId> {
    match effect {
        Effect::Appended { conversation, .. } => Some(*conversation),
        _ => None,
    }
}

impl Drop for Attachment {
    fn drop(&mut self) {
        if self.hub.lock().disconnect(self.id, Instant::now()) {
            self.hub.departures.notify_one();
        }
    }
}

#[cfg(test)]
impl Default for Hub {
    fn default() -> Self {
        Self::new(&aside_proto::limits::DEFAULT, None)
    }
}

#[cfg(test)]
mod tests;
