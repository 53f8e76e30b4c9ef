//! The queue of events waiting for one connection to take them.
//!
//! It is bounded in bytes. Past the bound entries are left out, and the connection is told by Gap where to fetch up to: memory
//! stays bounded and nothing is lost (PUSH-003, PUSH-004, PUSH-005).

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{Mutex, MutexGuard, PoisonError},
    task::Waker,
};

use aside_proto::{
    frame,
    id::{ConversationId, UserId},
    v1,
};
use bytes::Bytes;

/// Frames that an idle connection keeps room for.
const IDLE_FRAMES: usize = 4;

/// Why a connection is to be closed from outside.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum CloseSignal {
    /// Its device was revoked (DEV-004).
    DeviceRevoked,
    /// The server is being stopped (CLOSE-004).
    ShuttingDown,
}

/// The queue of one connection: the hub pushes, the connection pops.
#[derive(Debug)]
pub(crate) struct PushQueue {
    bound: usize,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    frames: VecDeque<Waiting>,
    bytes: usize,
    /// The last that is to be said of each user whose presence waits.
    presence: BTreeMap<UserId, Bytes>,
    /// Conversations with entries left out since the last Gap, and the last of these.
    gaps: BTreeMap<ConversationId, u64>,
    signal: Option<CloseSignal>,
    /// Nothing is to be queued.
    deaf: bool,
    waker: Option<Waker>,
}

/// What waits at a place in the queue.
#[derive(Debug)]
enum Waiting {
    Frame(Bytes),
    /// What there is to be said of a user by then.
    Presence(UserId),
}

impl PushQueue {
    /// A queue that holds at most `bound` bytes of frames.
    pub(crate) fn new(bound: usize) -> Self {
        Self { bound, state: Mutex::default() }
    }

    /// Queues the frames of entries, each with its seq; or notes that they were left out.
    pub(crate) fn push(&self, conversation: ConversationId, entries: &[(u64, Bytes)]) {
        let mut state = self.lock();
        if state.deaf {
            return;
        }
        for (seq, frame) in entries {
            if state.bytes >= self.bound {
                state.gaps.insert(conversation, *seq);
                metrics::counter!("aside_entries_left_out_total").increment(1);
                continue;
            }
            if let Some(head_seq) = state.gaps.remove(&conversation) {
                state.add(gap(conversation, head_seq));
            }
            state.add(frame.clone());
        }
        state.wake();
    }

    /// Queues a frame that may be left out without a word when there is no room: a later one, or asking, makes up for it (MARK-013,
    /// INV-009). Gives whether it was queued.
    pub(crate) fn hint(&self, frame: &Bytes) -> bool {
        let mut state = self.lock();
        if state.deaf {
            return false;
        }
        if state.bytes >= self.bound {
            metrics::counter!("aside_hints_left_out_total").increment(1);
            return false;
        }
        state.add(frame.clone());
        state.wake();
        true
    }

    /// Queues what is seen of a user, in the place of what still waits to be said of the same user (PRES-014). Left out when there
    /// is no room.
    pub(crate) fn presence(&self, user: UserId, frame: &Bytes) {
        let mut state = self.lock();
        if state.deaf {
            return;
        }
        if let Some(waiting) = state.presence.get_mut(&user) {
            let before = std::mem::replace(waiting, frame.clone());
            state.bytes = state.bytes + frame.len() - before.len();
            return;
        }
        if state.bytes >= self.bound {
            metrics::counter!("aside_hints_left_out_total").increment(1);
            return;
        }
        state.bytes += frame.len();
        state.presence.insert(user, frame.clone());
        state.frames.push_back(Waiting::Presence(user));
        state.wake();
    }

    /// Queues nothing from now on.
    pub(crate) fn deafen(&self) {
        self.lock().deaf = true;
    }

    /// Asks the connection to close.
    pub(crate) fn signal(&self, signal: CloseSignal) {
        let mut state = self.lock();
        state.signal.get_or_insert(signal);
        state.wake();
    }

    /// The next frame to send, the Gaps once all others are gone; else `None`, and the waker is called when that changes.
    pub(crate) fn pop(&self, waker: &Waker) -> Option<Bytes> {
        let mut state = self.lock();
        while let Some(waiting) = state.frames.pop_front() {
            let frame = match waiting {
                Waiting::Frame(frame) => Some(frame),
                Waiting::Presence(user) => state.presence.remove(&user),
            };
            if let Some(frame) = frame {
                state.bytes -= frame.len();
                return Some(frame);
            }
        }
        // An idle connection keeps room for a few frames, so that a message now and then allocates nothing.
        state.frames.shrink_to(IDLE_FRAMES);
        if let Some((conversation, head_seq)) = state.gaps.pop_first() {
            return Some(gap(conversation, head_seq));
        }
        state.register(waker);
        None
    }

    /// The signal to close, if there was one; else the waker is called when there is.
    pub(crate) fn signalled(&self, waker: &Waker) -> Option<CloseSignal> {
        let mut state = self.lock();
        state.register(waker);
        state.signal
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn add(&mut self, frame: Bytes) {
        self.bytes += frame.len();
        self.frames.push_back(Waiting::Frame(frame));
    }

    fn register(&mut self, waker: &Waker) {
        match &mut self.waker {
            Some(registered) => registered.clone_from(waker),
            none => *none = Some(waker.clone()),
        }
    }

    fn wake(&mut self) {
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }
}

fn gap(conversation: ConversationId, head_seq: u64) -> Bytes {
    let gap = v1::Gap { conversation_id: conversation.to_bytes(), head_seq };
    frame::encode(&v1::ServerFrame { reply_to: 0, body: Some(v1::server_frame::Body::Gap(gap)) })
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROOM: ConversationId = ConversationId::new([1; 16]);
    const OTHER: ConversationId = ConversationId::new([2; 16]);

    fn drain(queue: &PushQueue) -> Vec<Bytes> {
        std::iter::from_fn(|| queue.pop(Waker::noop())).collect()
    }

    fn entry(n: u8) -> Bytes {
        Bytes::from(vec![n; 40])
    }

    // cites: PUSH-003, PUSH-004, PUSH-005, PUSH-010
    #[test]
    fn past_the_bound_entries_become_one_gap_a_conversation() {
        let queue = PushQueue::new(100);
        for n in 1..=3 {
            queue.push(ROOM, &[(u64::from(n), entry(n))]);
        }
        for seq in 4..1000 {
            queue.push(ROOM, &[(seq, entry(9))]);
            queue.push(OTHER, &[(seq + 1, entry(9))]);
        }
        let expected = [entry(1), entry(2), entry(3), gap(ROOM, 999), gap(OTHER, 1000)];
        assert_eq!(drain(&queue), expected);
    }

    // cites: PUSH-003, PUSH-004
    #[test]
    fn with_room_again_the_gap_comes_before_the_next_entry() {
        let queue = PushQueue::new(40);
        queue.push(ROOM, &[(1, entry(1))]);
        queue.push(ROOM, &[(2, entry(2))]);
        assert_eq!(queue.pop(Waker::noop()), Some(entry(1)));
        queue.push(ROOM, &[(3, entry(3))]);
        assert_eq!(drain(&queue), [gap(ROOM, 2), entry(3)]);
    }

    // cites: MARK-013, INV-009, TYPE-008, PUSH-005, INBOX-007
    #[test]
    fn past_the_bound_hints_are_left_out_without_a_gap() {
        let queue = PushQueue::new(40);
        for n in 1..100 {
            queue.hint(&entry(n));
        }
        assert_eq!(drain(&queue), [entry(1)]);
        queue.hint(&entry(100));
        assert_eq!(drain(&queue), [entry(100)]);
    }

    // cites: PRES-014, PUSH-005
    #[test]
    fn of_each_user_one_thing_waits_to_be_said() {
        let (alice, bob) = (UserId::new([1; 16]), UserId::new([2; 16]));
        let queue = PushQueue::new(100);
        queue.presence(alice, &entry(1));
        queue.push(ROOM, &[(1, entry(2))]);
        queue.presence(bob, &entry(3));
        let longer = Bytes::from(vec![4; 50]);
        for n in 0..100 {
            let frame = if n % 2 == 0 { entry(5) } else { longer.clone() };
            queue.presence(alice, &frame);
        }
        queue.presence(UserId::new([3; 16]), &entry(6));
        assert_eq!(drain(&queue), [longer, entry(2), entry(3)]);
        queue.presence(alice, &entry(7));
        assert_eq!(drain(&queue), [entry(7)]);
        let state = queue.lock();
        assert!(state.bytes == 0 && state.presence.is_empty());
    }

    #[test]
    fn the_first_signal_stays() {
        let queue = PushQueue::new(1);
        assert_eq!(queue.signalled(Waker::noop()), None);
        queue.signal(CloseSignal::DeviceRevoked);
        queue.signal(CloseSignal::ShuttingDown);
        assert_eq!(queue.signalled(Waker::noop()), Some(CloseSignal::DeviceRevoked));
    }
}
