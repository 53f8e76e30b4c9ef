//! Private messages on their way: kept until their entries came, or until the user has seen to what will not be sent.

use aside_proto::id::IdempotencyKey;

use crate::{
    Error, Event, Outgoing, State,
    driver::{Driver, Message},
    private::SendError,
};

/// With so many messages that are among no entries taken in, those that will not be sent counted, no other is taken.
const MAX_UNSEEN: u64 = 4096;

impl Driver {
    /// Keeps a private message until its entry came.
    pub(in crate::driver) async fn private_queue(&mut self, message: Message) -> Result<(), Error> {
        if let Err(error) = self.private_take(&message).await? {
            // The caller may have gone.
            let _ = message.receipt.send(Err(error));
            return Ok(());
        }
        self.private_taken(message);
        self.private_work().await
    }

    /// Says once more what will not be sent; that is gone with the same write, or stays.
    pub(in crate::driver) async fn private_retry(
        &mut self,
        failed: IdempotencyKey,
        message: Message,
    ) -> Result<Result<(), Error>, Error> {
        let conversation = message.conversation;
        let is_failed = match self.store.unseen_one(failed).await? {
            Some((of, unseen)) => of == conversation && unseen.failed.is_some(),
            None => false,
        };
        if !is_failed {
            return Ok(Err(Error::NotInOutbox));
        }
        if let Err(error) = self.private_take(&message).await? {
            return Ok(Err(error));
        }
        if let Some(engine) = &mut self.private.engine {
            engine.forget_failed(conversation, failed);
        }
        self.out.tell(Event::Discarded { message_id: failed, conversation });
        self.private_taken(message);
        self.private_work().await?;
        Ok(Ok(()))
    }

    async fn private_take(&mut self, message: &Message) -> Result<Result<(), Error>, Error> {
        if self.store.unseen_count().await? >= MAX_UNSEEN {
            return Ok(Err(Error::OutboxFull));
        }
        // What it is encrypted to is longer still: it need not wait for that to be refused.
        let (bytes, limit) =
            (message.payload.len(), self.status.borrow().limits.max_payload_bytes as usize);
        if bytes > limit {
            return Ok(Err(Error::MessageTooLong { bytes, limit }));
        }
        let sent = match &mut self.private.engine {
            Some(engine) => {
                engine.send(message.conversation, message.message_id, message.payload.clone())
            }
            None => Err(SendError::Unknown),
        };
        Ok(sent.map_err(|error| match error {
            SendError::Unknown => self.not_followed(),
            SendError::Full => Error::OutboxFull,
            SendError::Contradicted => Error::Tampered,
        }))
    }

    fn private_taken(&mut self, message: Message) {
        let Message { conversation, message_id, payload, receipt } = message;
        self.sync.watch(conversation);
        let of = (message_id, conversation);
        self.out.tell(Event::Outgoing(Outgoing::of(of, &payload, State::Queued, None)));
        self.private.receipts.insert(message_id, (conversation, receipt, payload));
    }

    /// Takes a private message out that will not be sent, or that was not encrypted yet; none if there is no such private message.
    pub(in crate::driver) async fn private_discard(
        &mut self,
        message_id: IdempotencyKey,
    ) -> Result<Option<Result<(), Error>>, Error> {
        let Some((conversation, unseen)) = self.store.unseen_one(message_id).await? else {
            return Ok(None);
        };
        let Some(engine) = &mut self.private.engine else {
            return Ok(Some(Err(self.not_followed())));
        };
        if unseen.failed.is_some() {
            engine.forget_failed(conversation, message_id);
        } else if !engine.withdraw(conversation, message_id) {
            let error = match unseen.seq {
                Some(_) => Error::NotInOutbox,
                None => Error::MayHaveArrived,
            };
            return Ok(Some(Err(error)));
        }
        if let Some((_, waiter, _)) = self.private.receipts.remove(&message_id) {
            // Whoever waited may have gone.
            let _ = waiter.send(Err(Error::Withdrawn));
        }
        self.private_work().await?;
        self.out.tell(Event::Discarded { message_id, conversation });
        Ok(Some(Ok(())))
    }
}
