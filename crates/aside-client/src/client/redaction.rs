//! Taking back what was said.

use aside_proto::{
    id::ConversationId,
    v1::{self, client_frame, server_frame::Body},
};

use super::Client;
use crate::{Entry, Error, MessageRef};

impl Client {
    /// Takes a message away for good, with the edits of it that are known here: the server deletes what it says, and so do the
    /// clients of all who are shown that it was redacted. A user may do so with messages of the user's own, the owner of a room
    /// with all of them (REDACT-005).
    ///
    /// # Errors
    /// NOT_PERMITTED and NO_SUCH_ENTRY among others; and [`Error::State`].
    pub async fn redact(
        &self,
        conversation: ConversationId,
        message: MessageRef,
    ) -> Result<(), Error> {
        // The message goes with the first, so that no edit is shown without it.
        let mut seqs = vec![message.seq];
        seqs.extend(self.store.edits_of(conversation, message).await?);
        let most = self.limits().max_redactions.max(1) as usize;
        for seqs in seqs.chunks(most) {
            let redact =
                v1::Redact { conversation_id: conversation.to_bytes(), seqs: seqs.to_vec() };
            match self.call(client_frame::Body::Redact(redact)).await? {
                Body::Redacted(_) => {}
                _ => return Err(Error::Gone),
            }
        }
        Ok(())
    }

    /// The last message of the user's own in a conversation, among those that are kept.
    ///
    /// # Errors
    /// [`Error::State`], [`Error::NotFollowed`].
    pub async fn own_last(&self, conversation: ConversationId) -> Result<Option<Entry>, Error> {
        let me = self.identity().user;
        let recent = self.history(conversation, None, RECENT).await?;
        let own = |entry: &Entry| {
            entry.as_message().is_some() && entry.by.as_ref().is_some_and(|by| by.user == me)
        };
        Ok(recent.into_iter().rev().find(own))
    }
}

/// How far back [`Client::own_last`] looks.
const RECENT: u32 = 200;
