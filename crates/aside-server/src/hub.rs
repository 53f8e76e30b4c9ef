//! Who is connected, and who is pushed what.
//!
//! The store calls the hub once for each batch, after the batch is durable and before any of it is acknowledged, in the order
//! of the log. Memberships change in that same order, so a connection is pushed exactly what its user was a member for
//! (PUSH-001, PUSH-002, ROOM-009, PUSH-006).

use std::{
    collections::{BTreeSet, HashMap, HashSet},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use aside_proto::{
    SYNC, frame,
    id::{ConversationId, DeviceId, UserId},
    v1,
};
use aside_store::{Effect, Observer};
use bytes::Bytes;

use crate::push::{CloseSignal, PushQueue};

/// All connections of this server.
#[derive(Debug, Default)]
pub(crate) struct Hub {
    next_attachment: AtomicU64,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// Every connection by its number, those not yet logged in included: they are closed when the server stops.
    connections: HashMap<u64, Connection>,
    attached_by_user: HashMap<UserId, HashSet<u64>>,
    subscribers: Subscribers,
    /// Connections that come now, from a handshake that was under way, are told at once.
    stopping: bool,
}

#[derive(Debug)]
struct Connection {
    queue: Arc<PushQueue>,
    /// Whether the capability `sync` is in force, which its events need (EXT-006).
    sync: bool,
    attached: Option<Attached>,
}

#[derive(Debug)]
struct Attached {
    user: UserId,
    device: DeviceId,
    conversations: HashSet<ConversationId>,
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
    /// Takes in a new connection, whose queue holds at most `bound` bytes.
    pub(crate) fn connect(self: &Arc<Self>, bound: usize) -> Attachment {
        let id = self.next_attachment.fetch_add(1, Ordering::Relaxed);
        let queue = Arc::new(PushQueue::new(bound));
        let mut state = self.lock();
        if state.stopping {
            queue.signal(CloseSignal::ShuttingDown);
        }
        let connection = Connection { queue: Arc::clone(&queue), sync: false, attached: None };
        state.connections.insert(id, connection);
        drop(state);
        Attachment { hub: Arc::clone(self), id, queue }
    }

    /// Notes which capabilities are in force on a connection, before it is attached.
    pub(crate) fn agree(&self, id: u64, capabilities: &[String]) {
        if let Some(connection) = self.lock().connections.get_mut(&id) {
            connection.sync = capabilities.iter().any(|name| name == SYNC);
        }
    }

    /// Whether the user has an authenticated connection (ROOM-020).
    pub(crate) fn is_online(&self, user: UserId) -> bool {
        self.lock().attached_by_user.contains_key(&user)
    }

    /// The devices of the user with an authenticated connection.
    pub(crate) fn online_devices(&self, user: UserId) -> HashSet<DeviceId> {
        let state = self.lock();
        let ids = state.attached_by_user.get(&user).into_iter().flatten();
        ids.filter_map(|id| Some(state.connections.get(id)?.attached.as_ref()?.device)).collect()
    }

    /// The members of a conversation that are online, above `after`, in order; at most `limit`.
    pub(crate) fn online_members(
        &self,
        conversation: ConversationId,
        after: Option<UserId>,
        limit: usize,
    ) -> Vec<UserId> {
        let state = self.lock();
        let ids = state.subscribers.get(&conversation).into_iter().flat_map(HashMap::keys);
        let users = ids.filter_map(|id| Some(state.connections.get(id)?.attached.as_ref()?.user));
        let users: BTreeSet<UserId> = users.filter(|user| Some(*user) > after).collect();
        users.into_iter().take(limit).collect()
    }

    /// Every device with an authenticated connection.
    pub(crate) fn all_online_devices(&self) -> Vec<DeviceId> {
        let state = self.lock();
        state.connections.values().filter_map(|c| Some(c.attached.as_ref()?.device)).collect()
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
        let mut state = self.lock();
        // Entries that follow each other in one conversation reach each queue together, and wake its connection once.
        for run in
            effects.chunk_by(|a, b| appended_to(a).is_some() && appended_to(a) == appended_to(b))
        {
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
            Effect::Joined { user, conversation } => {
                for id in self.attached_by_user.get(user).into_iter().flatten() {
                    if let Some(connection) = self.connections.get_mut(id) {
                        subscribe(&mut self.subscribers, *id, connection, *conversation);
                    }
                }
            }
            Effect::Left { user, conversation } => {
                for id in self.attached_by_user.get(user).into_iter().flatten() {
                    if let Some(attached) =
                        self.connections.get_mut(id).and_then(|c| c.attached.as_mut())
                    {
                        attached.conversations.remove(conversation);
                        unsubscribe(&mut self.subscribers, *id, conversation);
                    }
                }
            }
            Effect::DeviceRevoked { device } => {
                let revoked =
                    |c: &&Connection| c.attached.as_ref().is_some_and(|a| a.device == *device);
                for connection in self.connections.values().filter(revoked) {
                    connection.queue.signal(CloseSignal::DeviceRevoked);
                }
            }
            Effect::WatermarkMoved { conversation, user, attachment, to_members, .. } => {
                if let Some(frame) = watermark_frame(effect) {
                    let whose = (!to_members).then_some(*user);
                    self.hint(*conversation, whose, *attachment, &frame);
                }
            }
            Effect::Attached { user, device, attachment, conversations } => {
                self.attach(*user, *device, *attachment, conversations);
            }
        }
    }

    /// Encodes each event once for all who get it.
    fn fan_out(&self, conversation: ConversationId, entries: &[Effect]) {
        let Some(subscribers) = self.subscribers.get(&conversation) else { return };
        let frames: Vec<(u64, Bytes)> = entries.iter().filter_map(entry_frame).collect();
        for queue in subscribers.values() {
            queue.push(conversation, &frames);
        }
        let pushed = frames.len() * subscribers.len();
        metrics::counter!("aside_entries_pushed_total").increment(pushed as u64);
    }

    /// Queues an event of `sync` for a conversation's connections, or those of one user, but for one connection.
    fn hint(&self, conversation: ConversationId, only: Option<UserId>, except: u64, frame: &Bytes) {
        let ids = self.subscribers.get(&conversation).into_iter().flat_map(HashMap::keys);
        for connection in ids.filter(|id| **id != except).filter_map(|id| self.connections.get(id))
        {
            let user = connection.attached.as_ref().map(|attached| attached.user);
            if connection.sync && (only.is_none() || only == user) {
                connection.queue.hint(frame);
            }
        }
    }

    fn attach(
        &mut self,
        user: UserId,
        device: DeviceId,
        id: u64,
        conversations: &[ConversationId],
    ) {
        // The connection may have ended while it was being attached.
        let Some(connection) = self.connections.get_mut(&id) else { return };
        connection.attached = Some(Attached { user, device, conversations: HashSet::new() });
        for conversation in conversations {
            subscribe(&mut self.subscribers, id, connection, *conversation);
        }
        self.attached_by_user.entry(user).or_default().insert(id);
    }

    fn disconnect(&mut self, id: u64) {
        let Some(attached) = self.connections.remove(&id).and_then(|c| c.attached) else { return };
        for conversation in &attached.conversations {
            unsubscribe(&mut self.subscribers, id, conversation);
        }
        if let Some(ids) = self.attached_by_user.get_mut(&attached.user) {
            ids.remove(&id);
            if ids.is_empty() {
                self.attached_by_user.remove(&attached.user);
            }
        }
    }
}

type Subscribers = HashMap<ConversationId, HashMap<u64, Arc<PushQueue>>>;

fn subscribe(
    subscribers: &mut Subscribers,
    id: u64,
    connection: &mut Connection,
    conversation: ConversationId,
) {
    if let Some(attached) = &mut connection.attached {
        attached.conversations.insert(conversation);
        subscribers.entry(conversation).or_default().insert(id, Arc::clone(&connection.queue));
    }
}

fn unsubscribe(subscribers: &mut Subscribers, id: u64, conversation: &ConversationId) {
    if let Some(ids) = subscribers.get_mut(conversation) {
        ids.remove(&id);
        if ids.is_empty() {
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

/// An entry's seq, and the event that tells of it.
fn entry_frame(effect: &Effect) -> Option<(u64, Bytes)> {
    let Effect::Appended { seq, entry, .. } = effect else { return None };
    let event = v1::EntryAppended { entry: Some(entry.clone()) };
    let body = v1::server_frame::Body::EntryAppended(event);
    Some((*seq, frame::encode(&v1::ServerFrame { reply_to: 0, body: Some(body) })))
}

/// The event that says how far a user has got.
fn watermark_frame(effect: &Effect) -> Option<Bytes> {
    let Effect::WatermarkMoved { conversation, user, delivered_seq, read_seq, .. } = effect else {
        return None;
    };
    let watermark = v1::Watermark {
        user_id: user.to_bytes(),
        delivered_seq: *delivered_seq,
        read_seq: *read_seq,
    };
    let event =
        v1::WatermarkMoved { conversation_id: conversation.to_bytes(), watermark: Some(watermark) };
    let body = Some(v1::server_frame::Body::WatermarkMoved(event));
    Some(frame::encode(&v1::ServerFrame { reply_to: 0, body }))
}

impl Drop for Attachment {
    fn drop(&mut self) {
        self.hub.lock().disconnect(self.id);
    }
}

#[cfg(test)]
mod tests {
    use std::task::Waker;

    use super::*;

    const ALICE: UserId = UserId::new([1; 16]);
    const PHONE: DeviceId = DeviceId::new([2; 16]);
    const ROOM: ConversationId = ConversationId::new([3; 16]);

    fn appended(seq: u64) -> Effect {
        let entry = v1::Entry { payload: seq.to_be_bytes().to_vec().into(), ..Default::default() };
        Effect::Appended { conversation: ROOM, seq, entry }
    }

    fn attached(attachment: &Attachment, conversations: &[ConversationId]) -> Effect {
        let conversations = conversations.to_vec();
        Effect::Attached { user: ALICE, device: PHONE, attachment: attachment.id, conversations }
    }

    fn pushed(attachment: &Attachment) -> usize {
        std::iter::from_fn(|| attachment.queue.pop(Waker::noop())).count()
    }

    // cites: PUSH-001, PUSH-002, ROOM-009, ROOM-014
    #[test]
    fn membership_and_entries_follow_one_order() {
        let hub = Arc::new(Hub::default());
        let (one, two) = (hub.connect(1 << 20), hub.connect(1 << 20));
        hub.committed(&[appended(1), attached(&one, &[]), attached(&two, &[]), appended(2)]);
        assert_eq!((pushed(&one), pushed(&two)), (0, 0));
        let joined = Effect::Joined { user: ALICE, conversation: ROOM };
        let left = Effect::Left { user: ALICE, conversation: ROOM };
        hub.committed(&[joined, appended(3), appended(4), left, appended(5)]);
        assert_eq!((pushed(&one), pushed(&two)), (2, 2));
    }

    // cites: EXT-006, MARK-009, MARK-010
    #[test]
    fn watermarks_are_told_to_those_who_understand_and_do_not_know() {
        let hub = Arc::new(Hub::default());
        let own = [hub.connect(1 << 20), hub.connect(1 << 20), hub.connect(1 << 20)];
        let other = hub.connect(1 << 20);
        for connection in [&own[0], &own[1], &other] {
            hub.agree(connection.id, &["sync".to_owned(), "talk".to_owned()]);
        }
        hub.agree(own[2].id, &["talk".to_owned()]);
        hub.committed(&own.each_ref().map(|connection| attached(connection, &[ROOM])));
        let bob = UserId::new([4; 16]);
        let conversations = vec![ROOM];
        let attachment = other.id;
        hub.committed(&[Effect::Attached { user: bob, device: PHONE, attachment, conversations }]);
        for to_members in [true, false] {
            let moved = Effect::WatermarkMoved {
                conversation: ROOM,
                user: ALICE,
                delivered_seq: 3,
                read_seq: 2,
                attachment: own[0].id,
                to_members,
            };
            hub.committed(&[moved]);
            assert_eq!(own.each_ref().map(pushed), [0, 1, 0]);
            assert_eq!(pushed(&other), usize::from(to_members));
        }
    }

    // cites: ROOM-020
    #[test]
    fn the_last_connection_to_end_takes_everything_with_it() {
        let hub = Arc::new(Hub::default());
        let (one, two) = (hub.connect(1), hub.connect(1));
        hub.committed(&[attached(&one, &[ROOM]), attached(&two, &[ROOM])]);
        drop(one);
        assert!(hub.is_online(ALICE));
        assert_eq!(hub.online_devices(ALICE), HashSet::from([PHONE]));
        drop(two);
        assert!(!hub.is_online(ALICE));
        let state = hub.lock();
        assert!(state.connections.is_empty() && state.subscribers.is_empty());
    }

    // cites: CLOSE-004
    #[test]
    fn a_stopping_server_tells_those_that_come_late_too() {
        let hub = Arc::new(Hub::default());
        let early = hub.connect(1);
        hub.shut_down();
        let late = hub.connect(1);
        for attachment in [early, late] {
            let signal = attachment.queue.signalled(Waker::noop());
            assert_eq!(signal, Some(CloseSignal::ShuttingDown));
        }
    }

    // cites: DEV-004
    #[test]
    fn only_the_revoked_devices_connections_are_told() {
        let hub = Arc::new(Hub::default());
        let (phone, laptop) = (hub.connect(1), hub.connect(1));
        let laptop_attached = Effect::Attached {
            user: ALICE,
            device: DeviceId::new([9; 16]),
            attachment: laptop.id,
            conversations: Vec::new(),
        };
        let revoked = Effect::DeviceRevoked { device: PHONE };
        hub.committed(&[attached(&phone, &[]), laptop_attached, revoked]);
        assert_eq!(phone.queue.signalled(Waker::noop()), Some(CloseSignal::DeviceRevoked));
        assert_eq!(laptop.queue.signalled(Waker::noop()), None);
    }
}
