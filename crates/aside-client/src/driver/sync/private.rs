//! Private conversations among those that are followed: their logs are as any other's.

use aside_proto::{
    id::{ConversationId, UserId},
    v1,
};
use aside_session::client::log::Accepted;
use bytes::Bytes;
use prost::Message as _;

use super::{Departure, Listing, Members, Sync};
use crate::{
    Error, Event, Person,
    driver::outlet::Outlet,
    model::{Kind, unnamed},
};

impl Sync {
    /// Whether private conversations are followed from now on.
    pub(in crate::driver) fn take_private(&mut self, private: bool) {
        self.private = private;
    }

    /// Whether this device is one of its user's: to others no private conversation is listed (PRIV-006).
    pub(in crate::driver) fn take_approved(&mut self, approved: bool) {
        self.approved = approved;
    }

    /// A private conversation was listed: it waits until it is known where it begins for this device.
    pub(in crate::driver) fn defer(&mut self, summary: v1::Summary) {
        let id =
            summary.room.as_ref().map(|room| ConversationId::try_from(&room.conversation_id[..]));
        if let (true, Some(Ok(conversation))) = (self.private, id) {
            // A listing under way may be older than this.
            self.listed.insert(conversation);
            self.deferred.push(summary);
        }
    }

    /// Whether it is about to be followed.
    pub(super) fn is_deferred(&self, conversation: ConversationId) -> bool {
        self.deferred().any(|id| id == conversation)
    }

    /// Those that are about to be followed.
    pub(in crate::driver) fn deferred(&self) -> impl Iterator<Item = ConversationId> {
        let rooms = self.deferred.iter().filter_map(|summary| summary.room.as_ref());
        rooms.filter_map(|room| ConversationId::try_from(&room.conversation_id[..]).ok())
    }

    pub(in crate::driver) fn take_deferred(&mut self) -> Vec<v1::Summary> {
        std::mem::take(&mut self.deferred)
    }

    /// Those that are followed no longer, since the last call.
    pub(in crate::driver) fn poll_left(&mut self) -> Vec<(ConversationId, Departure)> {
        std::mem::take(&mut self.left)
    }

    /// How far each is kept.
    pub(in crate::driver) fn private_heads(&self) -> Vec<(ConversationId, u64)> {
        let private =
            self.rooms.iter().filter(|(_, room)| room.kind.is_private() && !room.tampered);
        let head = |(id, room): (&ConversationId, &super::Room)| {
            // What was let through is kept with the next flush.
            let place = room.follower.place().filter(|_| room.accepted.is_empty())?;
            Some((*id, place.seq))
        };
        private.filter_map(head).collect()
    }

    /// The server has an entry that it did not push: to a device outside of a group it pushes nothing (PRIV-008).
    pub(in crate::driver) fn heard_of(&mut self, conversation: ConversationId, head_seq: u64) {
        if let Some(room) = self.rooms.get_mut(&conversation) {
            room.follower.handle_head_seq(head_seq);
        }
    }

    /// None if it is not followed.
    pub(in crate::driver) fn is_private(&self, conversation: ConversationId) -> Option<bool> {
        self.rooms.get(&conversation).map(|room| room.kind.is_private())
    }

    pub(in crate::driver) fn name_of(&self, conversation: ConversationId) -> String {
        self.rooms.get(&conversation).map(|room| room.name.clone()).unwrap_or_default()
    }

    /// What a private conversation is.
    pub(in crate::driver) fn kind_of(&self, conversation: ConversationId) -> Kind {
        self.rooms.get(&conversation).map_or(Kind::Group, |room| room.kind)
    }

    /// A member has removed this device: the user's too, if the server does not list the conversation any more.
    pub(in crate::driver) fn removed(&mut self, conversation: ConversationId, by: Option<&Person>) {
        if let Some(room) = self.rooms.get_mut(&conversation) {
            room.removed_by = by.cloned();
        }
    }

    /// That a member has removed this device is told once the user is known to be in the conversation still: else it is told that
    /// the user is not, and by whom.
    pub(in crate::driver) fn hold_removal(&mut self, conversation: ConversationId, event: Event) {
        self.removals.push((conversation, event));
    }

    /// This device is in it, whatever was before.
    pub(in crate::driver) fn came_in(&mut self, conversation: ConversationId) {
        self.removals.retain(|(of, _)| *of != conversation);
        if let Some(room) = self.rooms.get_mut(&conversation) {
            room.removed_by = None;
        }
    }

    /// The user's conversations are listed.
    pub(super) fn tell_removals(&mut self, out: &mut Outlet) {
        for (conversation, event) in std::mem::take(&mut self.removals) {
            if self.rooms.contains_key(&conversation) {
                out.tell(event);
            }
        }
    }

    /// Whether all of the user's conversations are listed, and those that are private followed.
    pub(in crate::driver) fn is_listed(&self) -> bool {
        self.listing == Listing::Done && self.deferred.is_empty()
    }

    /// How far each was read: only then is it caught up with.
    pub(in crate::driver) fn taken_in(&mut self, all: impl Iterator<Item = (ConversationId, u64)>) {
        for (conversation, seq) in all {
            if let Some(room) = self.rooms.get_mut(&conversation) {
                room.taken_in = seq;
            }
        }
        self.wake_waiters();
    }

    /// The user's conversations are listed anew.
    pub(in crate::driver) fn list_anew(&mut self) {
        self.listing = Listing::Due(Bytes::new());
    }

    /// Follows a private conversation, from where this device comes in if that is known.
    pub(in crate::driver) async fn follow_private(
        &mut self,
        room: &v1::Room,
        summary: &v1::Summary,
        welcomed_at: Option<u64>,
        out: &mut Outlet,
    ) -> Result<(), Error> {
        let conversation = room.conversation_id[..].try_into()?;
        let kind = Kind::of(room.kind());
        self.store
            .set_private_conversation(conversation, &unnamed(conversation, kind), kind)
            .await?;
        if !self.rooms.contains_key(&conversation) {
            let known = self.store.conversation(conversation).await?;
            let progress = self.store.progress(conversation).await?;
            let name = known.as_ref().map(|known| known.name.clone()).unwrap_or_default();
            let first = self.first_wanted(room, Some(summary));
            let from = welcomed_at.map_or(first, |at| at.min(first));
            self.begin(conversation, (&name, kind), (known, progress), from, out);
        }
        self.count_members(conversation, room).await?;
        if summary.watermark.is_some() {
            self.summed_up(conversation, summary, out).await?;
        }
        if let Some(followed) = self.rooms.get_mut(&conversation) {
            followed.follower.handle_head_seq(room.head_seq);
            followed.follower.rest();
        }
        self.name_private(conversation, out).await?;
        self.wake_waiters();
        Ok(())
    }

    /// Who is there, as far as these entries change it, is asked for anew: they do not tell handles.
    pub(super) fn note_private(&mut self, conversation: ConversationId, accepted: &[Accepted]) {
        let Some(room) = self.rooms.get_mut(&conversation).filter(|room| room.kind.is_private())
        else {
            return;
        };
        let changes = |entry: &Accepted| match entry.kind() {
            v1::EntryKind::GroupEstablished => true,
            v1::EntryKind::Commit => {
                let payload = v1::CommitPayload::decode(entry.entry.payload.clone());
                let header = payload.and_then(|payload| v1::CommitHeader::decode(payload.header));
                header.is_ok_and(|header| header.added.len() + header.removed.len() > 0)
            }
            v1::EntryKind::RemovalPending => true,
            _ => false,
        };
        if accepted.iter().any(changes) {
            room.members = Members::Due { token: Bytes::new(), page: 0 };
        }
    }

    /// A DIRECT is called as the other user is.
    pub(super) async fn name_private(
        &mut self,
        conversation: ConversationId,
        out: &mut Outlet,
    ) -> Result<(), Error> {
        let is_private = self.rooms.get(&conversation).is_some_and(|room| room.kind.is_private());
        let known = self.store.conversation(conversation).await?.filter(|_| is_private);
        let Some(known) = known.filter(|known| known.kind == Kind::Direct) else { return Ok(()) };
        let members = self.store.member_handles(conversation).await?;
        let peer = members.into_iter().find(|(_, user): &(String, UserId)| *user != self.me);
        let Some((handle, _)) = peer.filter(|(handle, _)| *handle != known.name) else {
            return Ok(());
        };
        self.name(conversation, &handle, out).await
    }

    /// What a GROUP is called, as its members say it.
    pub(in crate::driver) async fn name_group(
        &mut self,
        conversation: ConversationId,
        name: &str,
        out: &mut Outlet,
    ) -> Result<(), Error> {
        match self.rooms.get(&conversation) {
            Some(room) if room.name != name => self.name(conversation, name, out).await,
            _ => Ok(()),
        }
    }

    async fn name(
        &mut self,
        conversation: ConversationId,
        name: &str,
        out: &mut Outlet,
    ) -> Result<(), Error> {
        self.store.rename_conversation(conversation, name).await?;
        out.rename(conversation, name);
        if let Some(room) = self.rooms.get_mut(&conversation) {
            name.clone_into(&mut room.name);
        }
        Ok(())
    }
}
