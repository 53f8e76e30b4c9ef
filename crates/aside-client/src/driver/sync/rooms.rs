//! Which conversations are followed, and who is in them.

use aside_proto::{
    id::{ConversationId, UserId},
    v1::{self, client_frame::Body},
};
use aside_session::client::{
    Violation, Watermark,
    log::{Follower, Start},
};
use bytes::Bytes;

use super::{Asked, Departure, Listing, MAX_MEMBER_PAGES, Members, Others, Own, Room, Sync};
use crate::{
    Error, Event,
    driver::outlet::Outlet,
    model::{Kind, is_private},
    store::{Followed, MAX_UNREAD, Progress},
};

impl Sync {
    pub(super) fn poll_rooms(&mut self) -> Option<(Asked, Body)> {
        let Listing::Due(page_token) = &mut self.listing else { return None };
        let page_token = std::mem::take(page_token);
        if page_token.is_empty() {
            self.listed.clear();
        }
        self.listing = Listing::Asked;
        if self.in_force {
            let list = v1::ListSummaries { page_token, page_size: 0 };
            return Some((Asked::Summaries, Body::ListSummaries(list)));
        }
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
            self.follow(room, None, out).await?;
        }
        self.listed_page(&rooms.next_page_token, out).await
    }

    /// A page of the user's conversations, with what there is to know of them.
    pub(in crate::driver) async fn summaries(
        &mut self,
        summaries: &v1::Summaries,
        out: &mut Outlet,
    ) -> Result<(), Error> {
        for summary in &summaries.summaries {
            match &summary.room {
                Some(room) if is_private(room) => self.defer(summary.clone()),
                Some(room) => self.follow(room, Some(summary), out).await?,
                None => {}
            }
        }
        self.listed_page(&summaries.next_page_token, out).await
    }

    async fn listed_page(
        &mut self,
        next_page_token: &Bytes,
        out: &mut Outlet,
    ) -> Result<(), Error> {
        if !next_page_token.is_empty() {
            self.listing = Listing::Due(next_page_token.clone());
            return Ok(());
        }
        self.listing = Listing::Done;
        // Rooms that were left on another device while this one was away.
        let gone: Vec<_> =
            self.rooms.keys().filter(|room| !self.listed.contains(room)).copied().collect();
        for conversation in gone {
            self.lose(conversation, None, out).await?;
        }
        self.tell_removals(out);
        self.wake_waiters();
        Ok(())
    }

    /// Follows a room of which the user is a member, or notes how far it and its members go by now.
    pub(in crate::driver) async fn follow(
        &mut self,
        room: &v1::Room,
        summary: Option<&v1::Summary>,
        out: &mut Outlet,
    ) -> Result<(), Error> {
        let conversation = room.conversation_id[..].try_into()?;
        self.store.set_conversation(conversation, &room.name, true).await?;
        // A listing under way may be older than this.
        self.listed.insert(conversation);
        if !self.rooms.contains_key(&conversation) {
            let known = self.store.conversation(conversation).await?;
            let progress = self.store.progress(conversation).await?;
            let from = self.first_wanted(room, summary);
            self.begin(conversation, (&room.name, Kind::PublicRoom), (known, progress), from, out);
        }
        self.count_members(conversation, room).await?;
        if let Some(summary) = summary {
            self.summed_up(conversation, summary, out).await?;
        }
        self.settings(room, out).await?;
        let Some(followed) = self.rooms.get_mut(&conversation) else { return Ok(()) };
        followed.follower.handle_head_seq(room.head_seq);
        if summary.is_some() {
            followed.follower.rest();
        }
        if let (Some(place), false) = (followed.follower.place(), followed.follower.is_caught_up())
            && place.seq > 0
        {
            followed.gap.get_or_insert(place.seq + 1);
        }
        Ok(())
    }

    /// Where to begin with a room that is new here: with a little history, but before what reached no device of the user's yet,
    /// and what is counted as unread.
    pub(super) fn first_wanted(&self, room: &v1::Room, summary: Option<&v1::Summary>) -> u64 {
        let end = room.head_seq.saturating_add(1);
        let history = end.saturating_sub(self.history.into());
        let watermark = summary.and_then(|summary| summary.watermark.as_ref());
        let missing = watermark.map_or(history, |watermark| {
            let unread =
                watermark.read_seq.saturating_add(1).max(end.saturating_sub(MAX_UNREAD.into()));
            unread.min(watermark.delivered_seq.saturating_add(1))
        });
        history.min(missing).max(room.first_seq.min(end)).max(1)
    }

    pub(super) async fn summed_up(
        &mut self,
        conversation: ConversationId,
        summary: &v1::Summary,
        out: &mut Outlet,
    ) -> Result<(), Error> {
        let watermark = summary.watermark.clone().unwrap_or_default();
        let watermark = Watermark::try_from(watermark).map_err(Violation::from)?;
        self.moved(conversation, watermark, out).await?;
        Ok(self.store.set_unread(conversation, summary.unread.min(MAX_UNREAD)).await?)
    }

    /// MARK-010: as the room says; entries after it tell of changes.
    pub(super) async fn count_members(
        &mut self,
        conversation: ConversationId,
        listed: &v1::Room,
    ) -> Result<(), Error> {
        let Some(room) = self.rooms.get_mut(&conversation) else { return Ok(()) };
        if listed.head_seq >= room.counted_seq {
            (room.member_count, room.counted_seq) = (listed.member_count, listed.head_seq);
        }
        self.judge_size(conversation).await
    }

    pub(super) async fn judge_size(&mut self, conversation: ConversationId) -> Result<(), Error> {
        let Some(room) = self.rooms.get_mut(&conversation) else { return Ok(()) };
        let live = self.in_force && room.member_count <= self.limits.max_live_members;
        if room.live != live {
            room.live = live;
            self.store.set_live(conversation, live).await?;
        }
        Ok(())
    }

    /// Begins to follow: after what is known, or at `from`.
    pub(super) fn begin(
        &mut self,
        conversation: ConversationId,
        (name, kind): (&str, Kind),
        (known, progress): (Option<Followed>, Option<Progress>),
        from: u64,
        out: &mut Outlet,
    ) {
        let has_members = known.as_ref().is_some_and(|known| known.has_members);
        let (cursor, tampering) =
            known.map_or((None, None), |known| (known.cursor, known.tampering));
        let replay = u64::from(self.replay);
        let tell_from =
            cursor.as_ref().map_or(0, |known| (known.place.seq + 1).saturating_sub(replay));
        let members = match cursor {
            // Handles come with the entries, or came with earlier ones.
            None if from > 1 || kind.is_private() => Members::Due { token: Bytes::new(), page: 0 },
            // A run that did not keep who is there took it up.
            Some(_) if !has_members => Members::Due { token: Bytes::new(), page: 0 },
            _ => Members::Known,
        };
        let follower = match cursor {
            Some(known) => Follower::resume(conversation, known),
            None => Follower::new(conversation, Start::At(from)),
        };
        let room = Room {
            kind,
            taken_in: 0,
            follower,
            name: name.to_owned(),
            members,
            removed_by: None,
            gap: None,
            accepted: Vec::new(),
            advanced: false,
            tampered: tampering.is_some(),
            member_count: 0,
            counted_seq: 0,
            live: progress.is_some_and(|progress| progress.live),
            own: Own::restore(progress.as_ref()),
            others: Others::Unwatched,
        };
        self.rooms.insert(conversation, room);
        out.follow(conversation, name, tell_from);
        if let Some(what) = tampering {
            out.tell(Event::Tampering { conversation, room: name.to_owned(), kind, what });
        }
    }

    /// What a room says of itself, as of its head.
    pub(in crate::driver) async fn settings(
        &mut self,
        room: &v1::Room,
        out: &mut Outlet,
    ) -> Result<(), Error> {
        let conversation = room.conversation_id[..].try_into()?;
        // The log has to get there: what is settled as of an entry stays so until a later one says otherwise.
        if let Some(followed) = self.rooms.get_mut(&conversation) {
            followed.follower.handle_seq(room.head_seq);
        }
        self.set_settings(conversation, room.head_seq, (&room.name, &room.topic), out).await
    }

    /// ROOM-029: the name and the topic of the room as of an entry, unless a later one is known.
    pub(super) async fn set_settings(
        &mut self,
        conversation: ConversationId,
        seq: u64,
        settings: (&str, &str),
        out: &mut Outlet,
    ) -> Result<(), Error> {
        let known = self.store.set_settings(conversation, seq, settings).await?;
        if let (Some(known), Some(room)) = (known, self.rooms.get_mut(&conversation)) {
            out.rename(conversation, &known.name);
            room.name = known.name;
        }
        Ok(())
    }

    /// A conversation is not among the user's any more, as far as the server says: the user is told, since that may be false.
    pub(super) async fn lose(
        &mut self,
        conversation: ConversationId,
        reason: Option<Error>,
        out: &mut Outlet,
    ) -> Result<(), Error> {
        if let Some(room) = self.rooms.get(&conversation) {
            let (room, by) = (room.name.clone(), room.removed_by.clone());
            let known = self.store.conversation(conversation).await?;
            let kind = known.map_or(Kind::PublicRoom, |known| known.kind);
            let reason = reason.or_else(|| (kind.is_private() && !self.approved).then(unapproved));
            out.tell(Event::Unfollowed { conversation, room, kind, by, reason });
        }
        self.unfollow(conversation, Departure::Unlisted).await
    }

    /// The user is not a member any more.
    pub(in crate::driver) async fn unfollow(
        &mut self,
        conversation: ConversationId,
        departure: Departure,
    ) -> Result<(), Error> {
        self.left.push((conversation, departure));
        if let Some(room) = self.rooms.remove(&conversation) {
            self.store.set_conversation(conversation, &room.name, false).await?;
        }
        self.await_nothing(conversation).await?;
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
        self.await_nothing(conversation).await?;
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
        out: &mut Outlet,
    ) -> Result<(), Error> {
        let mut handles = Vec::with_capacity(members.members.len());
        for member in members.members {
            handles.push((UserId::try_from(&member.user_id[..])?, member.handle));
        }
        self.store.keep(conversation, &[], None, &handles).await?;
        let listed: Vec<_> = handles.into_iter().map(|(user, _)| (user, true)).collect();
        self.store.set_members(conversation, &listed).await?;
        let Some(room) = self.rooms.get_mut(&conversation) else { return Ok(()) };
        let Members::Asked { page } = room.members else { return Ok(()) };
        let last = members.next_page_token.is_empty() || page + 1 >= MAX_MEMBER_PAGES;
        room.members = match last {
            true => Members::Known,
            false => Members::Due { token: members.next_page_token, page: page + 1 },
        };
        self.name_private(conversation, out).await
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

/// Why no private conversation is listed to this device.
fn unapproved() -> Error {
    v1::Error { code: v1::ErrorCode::DeviceNotApproved.into(), ..Default::default() }.into()
}
