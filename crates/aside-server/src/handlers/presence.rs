//! Presence and writing: what is known is in the hub; what lasts goes through the store.

use std::sync::Arc;

use aside_proto::{
    id::{ConversationId, UserId},
    v1::{self, server_frame::Body},
};
use aside_store::{Reader, SetPresence};

use super::{PLAIN, refusal};
use crate::app::{Answer, App};

impl App {
    pub(crate) async fn set_presence(self: Arc<Self>, set: SetPresence) -> Answer {
        self.store.set_presence(set).await.map_err(|r| refusal(r, PLAIN))?;
        Ok(Body::PresenceSet(v1::PresenceSet {}))
    }

    /// The hub is asked about one user after another, so that nobody waits long for it.
    pub(crate) fn get_presence(&self, asker: Reader, user_ids: Vec<UserId>) -> Answer {
        let presences = user_ids.into_iter().filter_map(|user| self.hub.presence_of(asker, user));
        let presences = presences.collect();
        let settings = Some(self.hub.settings_of(asker.user));
        Ok(Body::Presences(v1::Presences { presences, settings }))
    }

    pub(crate) async fn set_typing(
        self: Arc<Self>,
        reader: Reader,
        attachment: u64,
        conversation: ConversationId,
        typing: bool,
    ) -> Answer {
        let now_ms = self.now().monotonic_ms;
        if !self.hub.set_typing(reader.user, attachment, conversation, typing, now_ms) {
            // Not a member, no such conversation, or a device that is not approved: the store says which. To a member whose
            // device is no leaf it says none of these.
            self.store.head(reader, conversation).await.map_err(|r| refusal(r, PLAIN))?;
        }
        Ok(Body::TypingSet(v1::TypingSet {}))
    }
}
