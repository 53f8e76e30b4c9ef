//! Which conversations are followed, and who is in them.

use aside_proto::{
    id::{ConversationId, UserId},
    v1::{self, client_frame::Body},
};
use aside_session::client::log::{Follower, Start};
use bytes::Bytes;

use super::{Asked, Listing, MAX_MEMBER_PAGES, Members, Room, Sync};
use crate::{Error, Event, driver::outlet::Outlet, store::Followed};

impl Sync {
    pub(super) fn poll_rooms(&mut self) -> Option<(Asked, Body)> {
        let Listing::Due(page_token) = &mut self.listing else { return None };
        let page_token = std::mem::take(page_token);
        if page_token.is_empty() {
            self.listed.clear();
        }
        self.listing = Listing::Asked;
        let list = v1::ListRooms { joined_only: true, page_token, ..Default::default() };
        Some((Asked::Rooms, Body::ListRooms(list)))
    }

    /// A page of the user's rooms.
    pub(in crate::driver) async fn rooms(
        &mut self,
        rooms: &v1::Rooms,
        out: &mut Outlet,
    ) -> Result<(), Error> {
        for room in &rooms.rooms {
            self.follow(room, out).await?;
            self.listed.insert(room.conversation_id[..].try_into()?);
        }
        if !rooms.next_page_token.is_empty() {
            self.listing = Listing::Due(rooms.next_page_token.clone());
            return Ok(());
        }
        self.listing = Listing::Done;
        // Rooms that were left on another device while this one was away.
        let gone: Vec<_> =
            self.rooms.keys().filter(|room| !self.listed.contains(room)).copied().collect();
        for conversation in gone {
            self.unfollow(conversation).await?;
        }
        self.wake_waiters();
        Ok(())
    }

    /// Follows a room of which the user is a member, or notes how far it goes by now.
    pub(in crate::driver) async fn follow(
        &mut self,
        room: &v1::Room,
        out: &mut Outlet,
    ) -> Result<(), Error> {
        let conversation = room.conversation_id[..].try_into()?;
        self.store.set_conversation(conversation, &room.name, true).await?;
        // A listing under way may be older than this.
        self.listed.insert(conversation);
        if !self.rooms.contains_key(&conversation) {
            let known = self.store.conversation(conversation).await?;
            let history = u64::from(self.history);
            let from =
                room.head_seq.saturating_add(1).saturating_sub(history).max(room.first_seq).max(1);
            self.begin(conversation, &room.name, known, from, out);
        }
        let Some(followed) = self.rooms.get_mut(&conversation) else { return Ok(()) };
        followed.name.clone_from(&room.name);
        followed.follower.handle_head_seq(room.head_seq);
        if let (Some(place), false) = (followed.follower.place(), followed.follower.is_caught_up())
            && place.seq > 0
        {
            followed.gap.get_or_insert(place.seq + 1);
        }
        Ok(())
    }

    /// Begins to follow: after what is known, or at `from`.
    pub(super) fn begin(
        &mut self,
        conversation: ConversationId,
        name: &str,
        known: Option<Followed>,
        from: u64,
        out: &mut Outlet,
    ) {
        let (cursor, tampering) =
            known.map_or((None, None), |known| (known.cursor, known.tampering));
        let replay = u64::from(self.replay);
        let tell_from =
            cursor.as_ref().map_or(0, |known| (known.place.seq + 1).saturating_sub(replay));
        let members = match cursor {
            // Handles come with the entries, or came with earlier ones.
            None if from > 1 => Members::Due { token: Bytes::new(), page: 0 },
            _ => Members::Known,
        };
        let follower = match cursor {
            Some(known) => Follower::resume(conversation, known),
            None => Follower::new(conversation, Start::At(from)),
        };
        let room = Room {
            follower,
            name: name.to_owned(),
            members,
            gap: None,
            accepted: Vec::new(),
            advanced: false,
            tampered: tampering.is_some(),
        };
        self.rooms.insert(conversation, room);
        out.follow(conversation, name, tell_from);
        if let Some(what) = tampering {
            out.tell(Event::Tampering { conversation, room: name.to_owned(), what });
        }
    }

    /// The user is not a member any more.
    pub(in crate::driver) async fn unfollow(
        &mut self,
        conversation: ConversationId,
    ) -> Result<(), Error> {
        if let Some(room) = self.rooms.remove(&conversation) {
            self.store.set_conversation(conversation, &room.name, false).await?;
        }
        self.wake_waiters();
        Ok(())
    }

    /// Forgets what is known of a conversation, and follows it anew if the user is a member.
    pub(in crate::driver) async fn forget(
        &mut self,
        conversation: ConversationId,
        out: &mut Outlet,
    ) -> Result<(), Error> {
        self.rooms.remove(&conversation);
        self.store.forget(conversation).await?;
        out.forget(conversation);
        self.listing = Listing::Due(Bytes::new());
        Ok(())
    }

    pub(super) fn poll_members(&mut self) -> Option<(Asked, Body)> {
        let due = |room: &Room| !room.tampered && matches!(room.members, Members::Due { .. });
        let (conversation, room) = self.rooms.iter_mut().find(|(_, room)| due(room))?;
        let Members::Due { token, page } = &mut room.members else { return None };
        let list = v1::ListMembers {
            conversation_id: conversation.to_bytes(),
            page_token: std::mem::take(token),
            ..Default::default()
        };
        room.members = Members::Asked { page: *page };
        Some((Asked::Members(*conversation), Body::ListMembers(list)))
    }

    /// A page of a room's members: the handles of those who speak.
    pub(in crate::driver) async fn members(
        &mut self,
        conversation: ConversationId,
        members: v1::Members,
    ) -> Result<(), Error> {
        let mut handles = Vec::with_capacity(members.members.len());
        for member in members.members {
            handles.push((UserId::try_from(&member.user_id[..])?, member.handle));
        }
        self.store.keep(conversation, &[], None, &handles).await?;
        let Some(room) = self.rooms.get_mut(&conversation) else { return Ok(()) };
        let Members::Asked { page } = room.members else { return Ok(()) };
        let last = members.next_page_token.is_empty() || page + 1 >= MAX_MEMBER_PAGES;
        room.members = match last {
            true => Members::Known,
            false => Members::Due { token: members.next_page_token, page: page + 1 },
        };
        Ok(())
    }

    pub(super) fn members_refused(&mut self, conversation: ConversationId, again: bool) {
        if let Some(room) = self.rooms.get_mut(&conversation) {
            room.members = match again {
                true => Members::Due { token: Bytes::new(), page: 0 },
                // Names are a comfort; entries come without.
                false => Members::Known,
            };
        }
    }
}
