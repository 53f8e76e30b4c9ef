//! Entries: pushed or fetched, checked by the follower, kept, then told.

use aside_proto::{
    id::ConversationId,
    v1::{self, client_frame::Body},
};
use aside_session::client::{
    log::{Accepted, Membership, Refusal, Tampering},
    room::Settings,
};
use bytes::Bytes;
use prost::Message as _;

use super::{Asked, Departure, Listing, MAX_FETCHES, Members, Sync};
use crate::{Error, Event, backoff::retry_after, driver::outlet::Outlet, store::NewEntry};

impl Sync {
    /// An entry was pushed. It is kept by the next [`flush`](Self::flush).
    pub(in crate::driver) async fn pushed(
        &mut self,
        entry: &v1::Entry,
        out: &mut Outlet,
    ) -> Result<(), Error> {
        let header = v1::EntryHeader::decode(&entry.header[..]).unwrap_or_default();
        let conversation = header.conversation_id[..].try_into()?;
        let Some(room) = self.rooms.get_mut(&conversation) else {
            // Another device of the user joined it.
            self.listing = Listing::Due(Bytes::new());
            return Ok(());
        };
        if room.tampered {
            return Ok(());
        }
        match room.follower.handle_pushed(entry) {
            Ok(accepted) => {
                room.accepted.extend(accepted);
                room.note_gap();
                Ok(())
            }
            Err(what) => self.tamper(conversation, &what, out).await,
        }
    }

    /// Entries were not pushed.
    pub(in crate::driver) fn gap(&mut self, conversation: ConversationId, head_seq: u64) {
        if let Some(room) = self.rooms.get_mut(&conversation) {
            room.follower.handle_head_seq(head_seq);
            room.note_gap();
        } else {
            // Another device of the user joined it, and its entry was left out too.
            self.listing = Listing::Due(Bytes::new());
        }
        self.watermarks_missed(conversation);
    }

    pub(super) fn poll_fetch(&mut self) -> Option<(Asked, Body)> {
        if self.fetches >= MAX_FETCHES {
            return None;
        }
        let (conversation, fetch) = self
            .rooms
            .iter_mut()
            .filter(|(_, room)| !room.tampered && matches!(room.members, Members::Known))
            .find_map(|(conversation, room)| Some((*conversation, room.follower.poll_fetch()?)))?;
        self.fetches += 1;
        let fetch = v1::Fetch {
            conversation_id: conversation.to_bytes(),
            from_seq: fetch.from_seq,
            max_entries: 0,
            signed_head: fetch.signed_head,
        };
        Some((Asked::Fetch(conversation), Body::Fetch(fetch)))
    }

    /// Entries were fetched. They are kept by the next [`flush`](Self::flush).
    pub(in crate::driver) async fn fetched(
        &mut self,
        conversation: ConversationId,
        fetched: &v1::Fetched,
        out: &mut Outlet,
    ) -> Result<(), Error> {
        self.fetches = self.fetches.saturating_sub(1);
        let Some(room) = self.rooms.get_mut(&conversation) else { return Ok(()) };
        let Some(log_key) = self.log_key.as_ref().filter(|_| !room.tampered) else { return Ok(()) };
        match room.follower.handle_fetched(log_key, fetched) {
            Ok(accepted) => {
                room.accepted.extend(accepted);
                room.advanced = true;
                Ok(())
            }
            Err(what) => self.tamper(conversation, &what, out).await,
        }
    }

    pub(super) async fn fetch_refused(
        &mut self,
        conversation: ConversationId,
        error: &v1::Error,
        out: &mut Outlet,
    ) -> Result<(), Error> {
        self.fetches = self.fetches.saturating_sub(1);
        let Some(room) = self.rooms.get_mut(&conversation) else { return Ok(()) };
        match room.follower.handle_refused(error) {
            Ok(Refusal::Trimmed { from_seq, first_seq }) => {
                // The anchor is to be remembered, though no entry came with it.
                room.advanced = true;
                let room = room.name.clone();
                out.tell(Event::Trimmed { room, from_seq, first_seq });
                Ok(())
            }
            Ok(Refusal::Other) if retry_after(error).is_some() => Ok(()),
            // Not a member any more, most likely: the list of rooms says so, or this one is left out of it.
            Ok(Refusal::Other) => self.lose(conversation, Some(error.clone().into()), out).await,
            Err(what) => self.tamper(conversation, &what, out).await,
        }
    }

    /// Keeps what was let through, and tells of it.
    pub(in crate::driver) async fn flush(&mut self, out: &mut Outlet) -> Result<(), Error> {
        let fresh: Vec<_> = self.rooms.keys().copied().collect();
        for conversation in fresh {
            let Some(room) = self.rooms.get_mut(&conversation) else { continue };
            let accepted = std::mem::take(&mut room.accepted);
            // A fetch without entries may have brought a signed head.
            if std::mem::take(&mut room.advanced) || !accepted.is_empty() {
                let told = told(&accepted);
                self.keep(conversation, accepted, out).await?;
                if let Some((seq, Settings { name, topic, .. })) = told {
                    self.set_settings(conversation, seq, (&name, &topic), out).await?;
                }
                out.refresh(conversation);
            }
            self.tell_repaired(conversation, out);
        }
        self.wake_waiters();
        Ok(())
    }

    async fn keep(
        &mut self,
        conversation: ConversationId,
        accepted: Vec<Accepted>,
        out: &mut Outlet,
    ) -> Result<(), Error> {
        let mut handles = Vec::new();
        let mut changes = Vec::new();
        let mut left = false;
        for entry in &accepted {
            match Membership::of(&entry.header, &entry.entry.payload) {
                Some(Membership::Joined { user, handle }) => {
                    left &= user != self.me;
                    handles.push((user, handle));
                    changes.push((entry.seq, user, true));
                }
                Some(Membership::Left { user }) => {
                    left |= user == self.me;
                    changes.push((entry.seq, user, false));
                }
                Some(Membership::Renamed { user, new, .. }) => {
                    if user == self.me {
                        self.my_handle = Some(new.clone());
                    }
                    handles.push((user, new));
                }
                None => {}
            }
        }
        self.note_private(conversation, &accepted);
        // Whoever has said something, by whichever device, wants to know who has read it.
        let is_message = |entry: &Accepted| {
            matches!(entry.kind(), v1::EntryKind::Message | v1::EntryKind::PrivateMessage)
        };
        let is_mine = |entry: &Accepted| entry.sender.is_some_and(|sender| sender.user == self.me);
        if accepted.iter().any(|entry| is_message(entry) && is_mine(entry)) {
            self.watch(conversation);
        }
        let awaited = self.awaited_among(&accepted);
        let entries = self.judged(accepted).await?;
        let room = self.rooms.get(&conversation);
        let cursor = room.and_then(|room| room.follower.remembered());
        let caught_up = room.is_some_and(|room| room.follower.is_caught_up());
        // Of a private one its log says so by REMOVAL_PENDING, and MLS.
        let is_public = room.is_some_and(|room| !room.kind.is_private());
        self.store.keep(conversation, &entries, cursor.as_ref(), &handles).await?;
        self.members_changed(conversation, &changes).await?;
        self.check_sent(conversation, &awaited, out).await?;
        if left && caught_up && is_public {
            self.unfollow(conversation, Departure::Left).await?;
        }
        Ok(())
    }

    /// Entries with what their signatures are worth.
    pub(super) async fn judged(&mut self, accepted: Vec<Accepted>) -> Result<Vec<NewEntry>, Error> {
        let mut entries = Vec::with_capacity(accepted.len());
        for accepted in accepted {
            let signature = self.judge(&accepted).await?;
            entries.push(NewEntry { accepted, signature });
        }
        Ok(entries)
    }

    fn tell_repaired(&mut self, conversation: ConversationId, out: &mut Outlet) {
        let Some(room) = self.rooms.get_mut(&conversation) else { return };
        let Some(place) = room.follower.place() else { return };
        if let Some(from_seq) = room.gap.take_if(|_| room.follower.is_caught_up())
            && place.seq >= from_seq
        {
            let to_seq = place.seq;
            let (room, kind) = (room.name.clone(), room.kind);
            out.tell(Event::GapRepaired { room, kind, from_seq, to_seq });
        }
    }

    /// LOG-011: warns, for good.
    pub(super) async fn tamper(
        &mut self,
        conversation: ConversationId,
        what: &Tampering,
        out: &mut Outlet,
    ) -> Result<(), Error> {
        let Some(room) = self.rooms.get_mut(&conversation) else { return Ok(()) };
        room.tampered = true;
        room.gap = None;
        let (room, kind, what) = (room.name.clone(), room.kind, what.to_string());
        self.store.set_tampering(conversation, &what).await?;
        self.tampered.push(conversation);
        self.await_nothing(conversation).await?;
        out.tell(Event::Tampering { conversation, room, kind, what });
        self.wake_waiters();
        Ok(())
    }
}

/// The last settings that these entries tell, and the entry.
fn told(accepted: &[Accepted]) -> Option<(u64, Settings)> {
    let settings = |entry: &Accepted| {
        let told = Settings::of(&entry.header, &entry.entry.payload)?;
        Some((entry.seq, told))
    };
    accepted.iter().rev().find_map(settings)
}

impl super::Room {
    fn note_gap(&mut self) {
        // Whoever has nothing yet misses nothing.
        if let (Some(place), false) = (self.follower.place(), self.follower.is_caught_up())
            && place.seq > 0
        {
            self.gap.get_or_insert(place.seq + 1);
        }
    }
}
