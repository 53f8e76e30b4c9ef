//! Being there, and writing.

use std::sync::{MutexGuard, PoisonError};

use aside_proto::{
    id::{ConversationId, UserId},
    v1::{self, client_frame, server_frame::Body},
};
use aside_session::client::Writing;

use super::Client;
use crate::{Error, Person, Presence, PresenceSettings, driver::Command};

impl Client {
    /// Sets what others may see of the user, on all devices: all of it, whatever it was before (PRES-001).
    ///
    /// # Errors
    /// INVALID_ARGUMENT for a status that is too long or has control characters (PRES-002), among others.
    pub async fn set_presence(&self, settings: &PresenceSettings) -> Result<(), Error> {
        let set = v1::SetPresence { settings: Some(settings.into()) };
        self.call(client_frame::Body::SetPresence(set)).await.map(drop)
    }

    /// What the user lets others see. What another device sets [`Event::PresenceSettings`](crate::Event::PresenceSettings) tells.
    ///
    /// # Errors
    /// As every request.
    pub async fn presence_settings(&self) -> Result<PresenceSettings, Error> {
        Ok(self.ask_presence(&[]).await?.settings.unwrap_or_default().into())
    }

    /// Who of some users is online, in the order given. Whoever is hidden, shares no conversation with the user, or does not
    /// exist is offline here (PRES-005). From then on [`Event::Presence`](crate::Event::Presence) tells what changes; in
    /// conversations with more than `max_live_members` members, only what is found anew after a lost connection.
    ///
    /// # Errors
    /// As every request.
    pub async fn presence(&self, users: &[UserId]) -> Result<Vec<Presence>, Error> {
        let mut found = Vec::with_capacity(users.len());
        let page = self.limits().max_page_items.max(1) as usize;
        for users in users.chunks(page) {
            let online = self.ask_presence(users).await?.presences;
            for user in users {
                let theirs = online.iter().find(|it| it.user_id[..] == user.as_bytes()[..]);
                let who = Person { user: *user, handle: self.store.handle_of(*user).await? };
                let status = theirs.map(|it| it.status_text.clone()).unwrap_or_default();
                found.push(Presence { who, online: theirs.is_some(), status });
            }
        }
        Ok(found)
    }

    /// The user writes in a conversation, to be called at every key if it likes, or has given up. It is said to the others now and
    /// then (TYPE-007), dropped while there is no connection, and needs no taking back when a message is sent.
    ///
    /// # Errors
    /// [`Error::Gone`].
    pub async fn typing(&self, conversation: ConversationId, typing: bool) -> Result<(), Error> {
        if !self.is_online() || !self.has_watermarks() {
            self.writing().disconnected();
            return Ok(());
        }
        let now_ms = u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX);
        let is_due = self.writing().changes(conversation, typing, now_ms);
        if is_due {
            self.command(Command::Typing { conversation, typing }).await?;
        }
        Ok(())
    }

    pub(super) fn writing(&self) -> MutexGuard<'_, Writing> {
        self.writing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The driver takes note of the reply as it comes by.
    async fn ask_presence(&self, users: &[UserId]) -> Result<v1::Presences, Error> {
        let user_ids = users.iter().map(|user| user.to_bytes()).collect();
        let get = v1::GetPresence { user_ids };
        match self.call(client_frame::Body::GetPresence(get)).await? {
            Body::Presences(presences) => Ok(presences),
            _ => Err(Error::Gone),
        }
    }
}
