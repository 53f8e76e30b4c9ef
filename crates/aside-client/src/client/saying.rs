//! Saying things: texts, replies, reactions and edits.

use std::collections::HashMap;

use aside_proto::id::{ConversationId, IdempotencyKey, UserId};
use bytes::Bytes;
use tokio::sync::oneshot;

use super::{Client, Queued};
use crate::{
    Entry, Error, MessageRef, Outgoing, Receipt, State, Text, content,
    driver::{Command, Message},
    paths,
    private::Unseen,
    random,
    store::Filed,
};

impl Client {
    /// Says something, and waits until the server has made it durable: [`queue`](Self::queue), then [`Queued::receipt`].
    ///
    /// # Errors
    /// As both; it is not left in the [`outbox`](Self::outbox) then.
    pub async fn send(
        &self,
        conversation: ConversationId,
        text: impl Into<Text>,
    ) -> Result<Receipt, Error> {
        let queued = self.queue(conversation, text).await?;
        let message_id = queued.message_id();
        let outcome = queued.receipt().await;
        // Once the client is closed the message is the next run's to send.
        if !matches!(outcome, Ok(_) | Err(Error::Gone)) {
            // It may be that it was not even kept.
            let _ = self.discard(message_id).await;
        }
        outcome
    }

    /// Says something without waiting for the server. The message is signed and kept, then sent until the server has made it
    /// durable, once, over as many connections and runs of the program as that takes. Messages to a conversation arrive in the
    /// order in which they were queued.
    ///
    /// # Errors
    /// [`Error::Gone`].
    pub async fn queue(
        &self,
        conversation: ConversationId,
        text: impl Into<Text>,
    ) -> Result<Queued, Error> {
        self.queue_payload(conversation, content::text(text, None)).await
    }

    /// Answers a message (CONT-006), as [`queue`](Self::queue) does.
    ///
    /// # Errors
    /// [`Error::Gone`].
    pub async fn reply(
        &self,
        conversation: ConversationId,
        to: MessageRef,
        text: impl Into<Text>,
    ) -> Result<Queued, Error> {
        self.queue_payload(conversation, content::text(text, Some(to))).await
    }

    /// Reacts to a message, or takes a reaction back (CONT-010), as [`queue`](Self::queue) does.
    ///
    /// # Errors
    /// [`Error::NotAnEmoji`], [`Error::Gone`].
    pub async fn react(
        &self,
        conversation: ConversationId,
        to: MessageRef,
        emoji: &str,
        remove: bool,
    ) -> Result<Queued, Error> {
        self.queue_payload(conversation, content::reaction(to, emoji, remove)?).await
    }

    /// Gives a message of the user's another text (CONT-011), as [`queue`](Self::queue) does. Nobody shows an edit of what somebody
    /// else said as one.
    ///
    /// # Errors
    /// [`Error::Gone`].
    pub async fn edit(
        &self,
        conversation: ConversationId,
        to: MessageRef,
        text: impl Into<Text>,
    ) -> Result<Queued, Error> {
        self.queue_payload(conversation, content::edit(to, text.into())).await
    }

    /// A text in which each `@handle` of a member asks for that member's attention: the longest that ends where a word does. `\@handle`
    /// does not, and loses the backslash. Who is a member is told without asking the server, as far as it is known here.
    ///
    /// # Errors
    /// [`Error::State`].
    pub async fn addressed(&self, conversation: ConversationId, text: &str) -> Result<Text, Error> {
        if !text.contains('@') {
            return Ok(text.into());
        }
        let members = self.store.member_handles(conversation).await?;
        let members: HashMap<_, _> = members.into_iter().collect();
        Ok(Text::addressed(text, |handle| members.get(handle).copied()))
    }

    /// The member with this handle, in any spelling that means the same, as far as it is known here.
    ///
    /// # Errors
    /// [`Error::State`].
    pub async fn member_called(
        &self,
        conversation: ConversationId,
        handle: &str,
    ) -> Result<Option<UserId>, Error> {
        let members = self.store.member_handles(conversation).await?;
        let called = |(member, _): &(String, UserId)| paths::is_same(member, handle);
        Ok(members.into_iter().find(called).map(|(_, user)| user))
    }

    /// The user's messages that are not among the entries taken in, in order: those on their way, those that are durable but did
    /// not come back yet, and those that will not be sent, until they are discarded or sent anew.
    ///
    /// # Errors
    /// [`Error::State`].
    pub async fn outbox(&self) -> Result<Vec<Outgoing>, Error> {
        let outgoing = |Filed { posting, state, seq }| Outgoing::new(&posting.draft, state, seq);
        let mut all: Vec<_> = self.store.outgoing().await?.into_iter().map(outgoing).collect();
        for (conversation, message_id, Unseen { content, seq, failed }) in
            self.store.unseen().await?
        {
            let state = match (failed, seq) {
                (Some(error), _) => State::failed(&error.into()),
                (None, Some(_)) => State::Sent,
                (None, None) => State::Queued,
            };
            all.push(Outgoing::of((message_id, conversation), &content, state, seq));
        }
        // Those of one moment stay as they were put.
        all.sort_by_key(|outgoing| outgoing.message_id.time_ms());
        Ok(all)
    }

    /// Says once more, as a new message, what was not sent: the one takes the place of the other, or nothing changes. Whether it is
    /// wise the reason says: after [`Error::DeviceReplaced`] the first may be there.
    ///
    /// # Errors
    /// [`Error::NotInOutbox`], [`Error::OutboxFull`], [`Error::Tampered`], [`Error::Gone`], [`Error::State`].
    pub async fn retry(&self, message_id: IdempotencyKey) -> Result<Queued, Error> {
        let (conversation, content) = match self.store.failed(message_id).await? {
            Some(draft) => (draft.conversation, draft.payload),
            None => match self.store.unseen_one(message_id).await? {
                Some((conversation, Unseen { content, failed: Some(_), .. })) => {
                    (conversation, content)
                }
                _ => return Err(Error::NotInOutbox),
            },
        };
        let (message, queued) = self.compose(conversation, content);
        let (done, replaced) = oneshot::channel();
        self.command(Command::Retry { failed: message_id, message, done }).await?;
        replaced.await.map_err(|_| Error::Gone)??;
        Ok(queued)
    }

    /// Takes a message out of the outbox: one that will not be sent, or that no connection has carried yet. Whoever waits for the
    /// latter's receipt is told [`Error::Withdrawn`].
    ///
    /// # Errors
    /// [`Error::MayHaveArrived`]: it is being sent, and stays. [`Error::NotInOutbox`], [`Error::Gone`].
    pub async fn discard(&self, message_id: IdempotencyKey) -> Result<(), Error> {
        let (done, discarded) = oneshot::channel();
        self.command(Command::Discard { message_id, done }).await?;
        discarded.await.map_err(|_| Error::Gone)?
    }

    /// The message at `seq`, to refer to: one that was just said, too, if the connection stands.
    ///
    /// # Errors
    /// [`Error::NoSuchMessage`]; and as [`history`](Self::history), from which it is read, and [`catch_up`](Self::catch_up).
    pub async fn message(&self, conversation: ConversationId, seq: u64) -> Result<Entry, Error> {
        let kept = self.entry_at(conversation, seq).await?;
        let entry = match kept {
            None if self.is_online() => {
                self.catch_up(conversation).await?;
                self.entry_at(conversation, seq).await?
            }
            kept => kept,
        };
        entry.filter(|entry| entry.as_message().is_some()).ok_or(Error::NoSuchMessage(seq))
    }

    async fn entry_at(
        &self,
        conversation: ConversationId,
        seq: u64,
    ) -> Result<Option<Entry>, Error> {
        let Some(before) = seq.checked_add(1) else { return Ok(None) };
        let found = self.history(conversation, Some(before), 1).await?.pop();
        Ok(found.filter(|entry| entry.seq == seq))
    }

    pub(super) async fn queue_payload(
        &self,
        conversation: ConversationId,
        payload: Bytes,
    ) -> Result<Queued, Error> {
        let (message, queued) = self.compose(conversation, payload);
        let (kept, is_kept) = oneshot::channel();
        self.command(Command::Send { message, kept }).await?;
        is_kept.await.map_err(|_| Error::Gone)?;
        self.writing().sent(conversation);
        Ok(queued)
    }

    fn compose(&self, conversation: ConversationId, payload: Bytes) -> (Message, Queued) {
        let (receipt, outcome) = oneshot::channel();
        let message_id = random::idempotency_key(self.status.borrow().server_unix_ms());
        let message = Message { conversation, message_id, payload, receipt };
        (message, Queued { message_id, outcome })
    }
}
