//! Watermarks: how far this user has got, told to the server; and how far the others have, heard from it.
//!
//! What reached this device is marked by itself, what the user has read by the program. Both only ever rise, and each Mark says
//! where both are by now, so that any number of moves costs one request (MARK-014).

use std::time::Duration;

use aside_proto::{
    id::{ConversationId, UserId},
    v1::{self, client_frame::Body},
};
use aside_session::client::{Violation, Watermark, Watermarks};
use tokio::time::Instant;

use super::{Asked, Room, Sync};
use crate::{Error, Event, Person, driver::outlet::Outlet, progress, store::Progress};

/// Marks of one conversation follow each other no faster (MARK-014).
const PACE: Duration = Duration::from_millis(500);
/// The same where no other member is told of them (MARK-010), unless the user has read something.
const SLOW_PACE: Duration = Duration::from_secs(60);
/// How long moves of the others are gathered: in a group of many, one message lets every member's watermark move. They are kept in
/// one transaction, and told.
const GATHER: Duration = Duration::from_millis(100);
/// Marks under way at once.
const MAX_MARKS: usize = 4;

/// The user's own watermarks in a conversation.
#[derive(Debug, Default)]
pub(super) struct Own {
    /// As the server has them; none until it told.
    confirmed: Option<Watermarks>,
    /// How far the user has read.
    read: u64,
    in_flight: bool,
    /// The server does not take them: not asked again on this connection.
    refused: bool,
    last_sent: Option<Instant>,
}

/// Whether the other members' watermarks are known.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Others {
    /// Nobody wants to know.
    Unwatched,
    Due(bytes::Bytes),
    Asked,
    /// What is told since then keeps them so.
    Known,
}

impl Own {
    pub(super) fn restore(progress: Option<&Progress>) -> Self {
        Self {
            confirmed: progress.and_then(|progress| progress.confirmed),
            read: progress.map_or(0, Progress::read),
            ..Self::default()
        }
    }

    fn disconnected(&mut self) {
        (self.in_flight, self.refused, self.last_sent) = (false, false, None);
    }
}

impl Room {
    /// What there is to mark, and when.
    fn due(&self, own_store: bool) -> Option<(Watermarks, Option<Instant>)> {
        let own = &self.own;
        let confirmed =
            own.confirmed.filter(|_| !own.in_flight && !own.refused && !self.tampered)?;
        let kept = self.follower.place().filter(|_| self.accepted.is_empty())?.seq;
        let read_seq = own.read.min(kept);
        // What is kept in a copy of the state is lost with it.
        let delivered_seq = if own_store { kept } else { read_seq };
        let reads = read_seq > confirmed.read_seq;
        if !reads && delivered_seq <= confirmed.delivered_seq {
            return None;
        }
        let pace = if reads || self.live { PACE } else { SLOW_PACE };
        let at = own.last_sent.map(|last_sent| last_sent + pace);
        Some((Watermarks { delivered_seq, read_seq }, at))
    }
}

impl Sync {
    pub(super) fn poll_mark(&mut self, now: Instant) -> Option<(Asked, Body)> {
        if !self.in_force || self.marks >= MAX_MARKS {
            return None;
        }
        let own_store = self.store.dir().is_some();
        let (conversation, room, at) = self.rooms.iter_mut().find_map(|(conversation, room)| {
            let (at, due) = room.due(own_store)?;
            due.is_none_or(|due| due <= now).then_some((*conversation, room, at))
        })?;
        (room.own.in_flight, room.own.last_sent) = (true, Some(now));
        self.marks += 1;
        let mark = v1::Mark {
            conversation_id: conversation.to_bytes(),
            delivered_seq: at.delivered_seq,
            read_seq: at.read_seq,
        };
        Some((Asked::Mark(conversation), Body::Mark(mark)))
    }

    /// When there is a Mark to send, if not now.
    pub(super) fn mark_at(&self) -> Option<Instant> {
        if !self.in_force || self.marks >= MAX_MARKS {
            return None;
        }
        let own_store = self.store.dir().is_some();
        self.rooms.values().filter_map(|room| room.due(own_store)?.1).min()
    }

    /// The user has read up to here, as far as it is kept.
    pub(in crate::driver) async fn mark_read(
        &mut self,
        conversation: ConversationId,
        seq: u64,
    ) -> Result<(), Error> {
        let room = self.rooms.get_mut(&conversation).ok_or(Error::NotFollowed)?;
        let kept = room.follower.place().map_or(0, |place| place.seq);
        let seq = seq.min(kept);
        if seq > room.own.read {
            room.own.read = seq;
            self.store.set_marked(conversation, seq).await?;
        }
        Ok(())
    }

    /// A Mark was answered.
    pub(in crate::driver) async fn marked(
        &mut self,
        conversation: ConversationId,
        marked: v1::Marked,
        out: &mut Outlet,
    ) -> Result<(), Error> {
        self.mark_ended(conversation, false);
        let watermark = marked.watermark.unwrap_or_default();
        let watermark = Watermark::try_from(watermark).map_err(Violation::from)?;
        self.moved(conversation, watermark, out).await
    }

    /// A Mark was refused: sent again later, or given up until the next connection.
    pub(super) fn mark_ended(&mut self, conversation: ConversationId, refused: bool) {
        self.marks = self.marks.saturating_sub(1);
        if let Some(room) = self.rooms.get_mut(&conversation) {
            (room.own.in_flight, room.own.refused) = (false, refused);
        }
    }

    /// Somebody has got further, or the user has by another device.
    pub(in crate::driver) async fn moved(
        &mut self,
        conversation: ConversationId,
        watermark: Watermark,
        out: &mut Outlet,
    ) -> Result<(), Error> {
        let Some(room) = self.rooms.get_mut(&conversation) else { return Ok(()) };
        // MARK-004: where a watermark is there is an entry; it never falls, so a false one would stay for ever.
        room.follower.handle_seq(watermark.at.delivered_seq.max(watermark.at.read_seq));
        if watermark.user != self.me {
            let at = self.moves.entry((conversation, watermark.user)).or_default();
            *at = at.max(watermark.at);
            self.moves_at.get_or_insert_with(|| Instant::now() + GATHER);
            return Ok(());
        }
        let confirmed = room.own.confirmed;
        let at = confirmed.unwrap_or_default().max(watermark.at);
        room.own.confirmed = Some(at);
        room.own.read = room.own.read.max(at.read_seq);
        if confirmed != Some(at) {
            self.store.set_confirmed(conversation, at).await?;
        }
        if confirmed.is_none_or(|confirmed| confirmed.read_seq < at.read_seq) {
            let handle = self.store.handle_of(watermark.user).await?;
            tell(out, conversation, watermark, handle);
        }
        Ok(())
    }

    /// Keeps the moves of the others that were gathered, and tells them, if it is time.
    pub(in crate::driver) async fn tell_moves(
        &mut self,
        now: Instant,
        out: &mut Outlet,
    ) -> Result<(), Error> {
        match self.moves_at {
            Some(at) if at <= now => self.tell_all_moves(out).await,
            _ => Ok(()),
        }
    }

    /// The same at once.
    pub(in crate::driver) async fn tell_all_moves(
        &mut self,
        out: &mut Outlet,
    ) -> Result<(), Error> {
        self.moves_at = None;
        let moves: Vec<_> = std::mem::take(&mut self.moves).into_iter().collect();
        if moves.is_empty() {
            return Ok(());
        }
        let moves = moves.into_iter().map(|((of, user), at)| (of, Watermark { user, at }));
        for (conversation, watermark, handle) in self.store.set_watermarks(moves).await? {
            tell(out, conversation, watermark, handle);
        }
        Ok(())
    }

    /// Members came and left: seq, who, and whether it is there now.
    pub(super) async fn members_changed(
        &mut self,
        conversation: ConversationId,
        changes: &[(u64, UserId, bool)],
    ) -> Result<(), Error> {
        if changes.is_empty() {
            return Ok(());
        }
        let members: Vec<_> = changes.iter().map(|(_, user, joined)| (*user, *joined)).collect();
        self.store.set_members(conversation, &members).await?;
        for (seq, user, joined) in changes {
            let Some(room) = self.rooms.get_mut(&conversation) else { return Ok(()) };
            if *seq > room.counted_seq {
                room.counted_seq = *seq;
                room.member_count = match joined {
                    true => room.member_count.saturating_add(1),
                    false => room.member_count.saturating_sub(1),
                };
            }
            if !joined {
                // MARK-011
                self.moves.remove(&(conversation, *user));
                self.store.remove_watermark(conversation, *user).await?;
            } else if *user == self.me && self.in_force {
                // MARK-002
                let at = Watermarks { delivered_seq: *seq, read_seq: *seq };
                let at = room.own.confirmed.unwrap_or_default().max(at);
                room.own.confirmed = Some(at);
                room.own.read = room.own.read.max(at.read_seq);
                self.store.set_confirmed(conversation, at).await?;
            }
        }
        self.judge_size(conversation).await
    }

    /// The user has said something here: how far the others have got is wanted from now on, after each log-in anew.
    pub(in crate::driver) fn watch(&mut self, conversation: ConversationId) {
        if let Some(room) = self.rooms.get_mut(&conversation)
            && room.others == Others::Unwatched
        {
            room.others = Others::Due(bytes::Bytes::new());
        }
    }

    pub(super) fn poll_watermarks(&mut self) -> Option<(Asked, Body)> {
        if !self.in_force {
            return None;
        }
        let (conversation, token) = self.rooms.iter_mut().find_map(|(conversation, room)| {
            let Others::Due(token) = &mut room.others else { return None };
            // MARK-010: too many to follow.
            (room.live && !room.tampered).then(|| (*conversation, std::mem::take(token)))
        })?;
        if let Some(room) = self.rooms.get_mut(&conversation) {
            room.others = Others::Asked;
        }
        let conversation_id = conversation.to_bytes();
        let list = v1::ListWatermarks { conversation_id, page_token: token, page_size: 0 };
        Some((Asked::Watermarks(conversation), Body::ListWatermarks(list)))
    }

    /// A page of watermarks, asked for here or by the program.
    pub(in crate::driver) async fn watermarks(
        &mut self,
        conversation: ConversationId,
        page: &v1::Watermarks,
        out: &mut Outlet,
    ) -> Result<(), Error> {
        for watermark in &page.watermarks {
            let watermark = Watermark::try_from(watermark.clone()).map_err(Violation::from)?;
            self.moved(conversation, watermark, out).await?;
        }
        // Who asked for them looks at what is kept.
        self.tell_all_moves(out).await
    }

    /// A page of watermarks that was asked for here.
    pub(in crate::driver) fn watermarks_listed(
        &mut self,
        conversation: ConversationId,
        next: Option<bytes::Bytes>,
    ) {
        if let Some(room) = self.rooms.get_mut(&conversation) {
            room.others = match next {
                Some(token) if !token.is_empty() => Others::Due(token),
                _ => Others::Known,
            };
        }
    }

    /// MARK-013: after a Gap, or a lost connection, what is known of the others may be old.
    pub(super) fn watermarks_missed(&mut self, conversation: ConversationId) {
        if let Some(room) = self.rooms.get_mut(&conversation)
            && room.others != Others::Unwatched
        {
            room.others = Others::Due(bytes::Bytes::new());
        }
    }

    pub(super) fn marks_disconnected(&mut self) {
        self.marks = 0;
        for room in self.rooms.values_mut() {
            room.own.disconnected();
            if room.others != Others::Unwatched {
                room.others = Others::Due(bytes::Bytes::new());
            }
        }
    }
}

fn tell(
    out: &mut Outlet,
    conversation: ConversationId,
    Watermark { user, at }: Watermark,
    handle: Option<String>,
) {
    let who = Person { user, handle };
    let (delivered, read) = (at.delivered_seq, at.read_seq);
    let watermark = progress::Watermark { who, delivered, read };
    out.tell(Event::WatermarkMoved { conversation, watermark });
}
