//! Messages on their way: each is sent, the same to the bit, until the server acknowledges it. In each conversation one is in
//! flight at a time, so that a wait the server asks for can't change their order.

use std::{
    collections::{HashSet, VecDeque},
    time::Duration,
};

use aside_proto::{
    id::{ConversationId, IdempotencyKey},
    v1,
};
use aside_session::client::Draft;
use tokio::{sync::oneshot, time::Instant};

use crate::{Error, Receipt, backoff::retry_after, store::Posting};

/// Messages that may wait.
const MAX_MESSAGES: usize = 1024;

pub(super) type Waiter = oneshot::Sender<Result<Receipt, Error>>;

/// The messages that were not acknowledged yet, oldest first.
#[derive(Debug, Default)]
pub(super) struct Outbox {
    messages: VecDeque<Message>,
    not_before: Option<Instant>,
}

#[derive(Debug)]
struct Message {
    posting: Posting,
    waiter: Option<Waiter>,
    in_flight: bool,
}

/// What became of a message that is not in the outbox any more.
#[derive(Debug)]
pub(super) struct Done {
    pub(super) posting: Posting,
    pub(super) waiter: Option<Waiter>,
}

impl Outbox {
    /// What an earlier run left.
    pub(super) fn restore(postings: Vec<Posting>) -> Self {
        let message = |posting| Message { posting, waiter: None, in_flight: false };
        Self { messages: postings.into_iter().map(message).collect(), not_before: None }
    }

    pub(super) fn has_room(&self) -> bool {
        self.messages.len() < MAX_MESSAGES
    }

    /// Takes a message that no connection has carried.
    pub(super) fn push(&mut self, posting: Posting, waiter: Waiter) {
        let posting = Posting { carried: false, ..posting };
        self.messages.push_back(Message { posting, waiter: Some(waiter), in_flight: false });
    }

    /// The next to send: the oldest of a conversation in which none is in flight.
    pub(super) fn poll(&mut self, now: Instant) -> Option<&Draft> {
        if self.not_before.is_some_and(|at| at > now) {
            return None;
        }
        self.not_before = None;
        let mut busy = HashSet::new();
        let message = self.messages.iter_mut().find(|message| {
            let first = busy.insert(message.posting.draft.conversation);
            first && !message.in_flight
        })?;
        (message.in_flight, message.posting.carried) = (true, true);
        Some(&message.posting.draft)
    }

    /// When [`poll`](Self::poll) may have one, if not now.
    pub(super) fn wake_at(&self) -> Option<Instant> {
        self.not_before.filter(|_| !self.messages.is_empty())
    }

    /// The server refused one. `Some`: how long it asks to wait; the message stays.
    pub(super) fn put_off(
        &mut self,
        message_id: IdempotencyKey,
        error: &v1::Error,
        now: Instant,
    ) -> Option<Duration> {
        let wait = retry_after(error)?;
        self.not_before = Some(now + wait);
        self.message(message_id)?.in_flight = false;
        Some(wait)
    }

    /// One was acknowledged, or refused for good.
    pub(super) fn take(&mut self, message_id: IdempotencyKey) -> Option<Done> {
        let at = self.messages.iter().position(|it| it.is(message_id))?;
        let message = self.messages.remove(at)?;
        Some(Done { posting: message.posting, waiter: message.waiter })
    }

    /// Takes one back; none if it is not here.
    ///
    /// # Errors
    /// [`Error::MayHaveArrived`]: then it stays.
    pub(super) fn withdraw(&mut self, message_id: IdempotencyKey) -> Result<Option<Done>, Error> {
        match self.message(message_id) {
            Some(message) if message.posting.carried => Err(Error::MayHaveArrived),
            _ => Ok(self.take(message_id)),
        }
    }

    /// A conversation is taken up anew: nothing is known of what was there before.
    pub(super) fn forget(&mut self, conversation: ConversationId) {
        for message in &mut self.messages {
            if message.posting.draft.conversation == conversation {
                message.posting.after = None;
            }
        }
    }

    /// All of one conversation: it is not trusted any more.
    pub(super) fn take_all(&mut self, conversation: ConversationId) -> Vec<Done> {
        let (gone, kept) = std::mem::take(&mut self.messages)
            .into_iter()
            .partition::<Vec<_>, _>(|message| message.posting.draft.conversation == conversation);
        self.messages = kept.into();
        gone.into_iter().map(|it| Done { posting: it.posting, waiter: it.waiter }).collect()
    }

    /// The connection is lost: all are sent again on the next.
    pub(super) fn disconnected(&mut self) {
        self.not_before = None;
        for message in &mut self.messages {
            message.in_flight = false;
        }
    }

    fn message(&mut self, message_id: IdempotencyKey) -> Option<&mut Message> {
        self.messages.iter_mut().find(|message| message.is(message_id))
    }
}

impl Message {
    fn is(&self, message_id: IdempotencyKey) -> bool {
        self.posting.draft.message_id == message_id
    }
}

#[cfg(test)]
mod tests {
    use aside_crypto::SigningKey;
    use aside_proto::id::{DeviceId, UserId};

    use super::*;

    fn draft(conversation: u8, id: u8) -> Draft {
        Draft::sign(
            (UserId::new([1; 16]), DeviceId::new([1; 16])),
            &SigningKey::from_bytes(&[1; 32]).unwrap(),
            (ConversationId::new([conversation; 16]), IdempotencyKey::new([id; 16])),
            [0; 32],
            "hi".into(),
        )
    }

    fn outbox(messages: &[(u8, u8)]) -> Outbox {
        let posting =
            |(room, id): &_| Posting { draft: draft(*room, *id), after: None, carried: false };
        Outbox::restore(messages.iter().map(posting).collect())
    }

    fn sent(outbox: &mut Outbox, now: Instant) -> Vec<u8> {
        std::iter::from_fn(|| outbox.poll(now).map(|draft| draft.message_id.as_bytes()[0]))
            .collect()
    }

    fn id(byte: u8) -> IdempotencyKey {
        IdempotencyKey::new([byte; 16])
    }

    #[test]
    fn one_message_a_conversation_is_in_flight() {
        let now = Instant::now();
        let mut outbox = outbox(&[(1, 1), (1, 2), (2, 3), (1, 4)]);
        assert_eq!(sent(&mut outbox, now), [1, 3]);
        outbox.take(id(1)).unwrap();
        assert_eq!(sent(&mut outbox, now), [2]);
        outbox.disconnected();
        assert_eq!(sent(&mut outbox, now), [2, 3], "again");
        assert_eq!(outbox.take_all(ConversationId::new([1; 16])).len(), 2);
        assert!(outbox.take(id(1)).is_none());
    }

    #[test]
    fn what_a_connection_may_have_carried_is_not_taken_back() {
        let now = Instant::now();
        let mut outbox = outbox(&[(1, 1), (1, 2)]);
        assert_eq!(sent(&mut outbox, now), [1]);
        outbox.disconnected();
        assert!(matches!(outbox.withdraw(id(1)), Err(Error::MayHaveArrived)));
        assert!(outbox.withdraw(id(2)).unwrap().is_some(), "it waited behind the first");
        assert!(outbox.withdraw(id(2)).unwrap().is_none());
        assert_eq!(sent(&mut outbox, now), [1], "it is sent all the same");
    }

    // cites: LIM-007
    #[test]
    fn a_wait_the_server_asks_for_does_not_change_the_order() {
        let now = Instant::now();
        let mut outbox = outbox(&[(1, 1), (1, 2)]);
        assert_eq!(sent(&mut outbox, now), [1]);
        let limited = v1::Error {
            code: v1::ErrorCode::RateLimited.into(),
            retry_after_ms: 500,
            ..Default::default()
        };
        let wait = Duration::from_millis(500);
        assert_eq!(outbox.put_off(id(1), &limited, now), Some(wait));
        assert_eq!(sent(&mut outbox, now), [0_u8; 0]);
        assert_eq!(outbox.wake_at(), Some(now + wait));
        assert_eq!(sent(&mut outbox, now + wait), [1]);
        let refused = v1::Error { code: v1::ErrorCode::NotAMember.into(), ..limited };
        assert_eq!(outbox.put_off(id(1), &refused, now), None);
    }
}
