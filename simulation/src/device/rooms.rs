//! Rooms on a device: followers, entries as they are accepted, and timelines.

use anyhow::{Context as _, Result, bail};
use aside_proto::{id::ConversationId, v1};
use aside_session::client::{
    SignatureStatus,
    log::{Accepted, Follower, Membership, redacted_by},
    timeline::{Said, Timeline},
};
use prost::Message as _;

use super::{Device, Room, Scene};
use crate::{rng::Rng, truth::bury};

impl Device {
    /// Makes follower and timeline from what is kept, its pages in any order.
    pub(super) fn open_room(&mut self, conversation: ConversationId, rng: &mut Rng) -> Result<()> {
        let room = self.kept.rooms.get(&conversation).context("the room is kept")?;
        let follower = match room.remembered.clone() {
            Some(remembered) => Follower::resume(conversation, remembered),
            None => Follower::new(conversation, room.start()),
        };
        let mut seqs: Vec<u64> = room.entries.keys().copied().collect();
        if rng.one_in(2) {
            seqs.reverse();
        }
        let middle = rng.below(seqs.len() + 1);
        seqs.rotate_left(middle);
        let running = self.running.as_mut().context("it runs")?;
        running.followers.insert(conversation, follower);
        running.timelines.insert(conversation, Timeline::new());
        seqs.into_iter().try_for_each(|seq| self.show(conversation, seq))
    }

    /// The user is a member of a room that ends there.
    pub(super) fn follow(
        &mut self,
        conversation: ConversationId,
        head_seq: u64,
        scene: &mut Scene<'_>,
    ) -> Result<()> {
        if let Some(room) = self.kept.rooms.get_mut(&conversation) {
            room.is_member = true;
        } else {
            // One in four is not interested in what was before.
            let from_seq = if scene.rng.one_in(4) { head_seq.max(1) } else { 1 };
            let (remembered, entries) = Default::default();
            let room = Room { is_member: true, from_seq, remembered, entries };
            self.kept.rooms.insert(conversation, room);
            self.open_room(conversation, scene.rng)?;
        }
        self.dirty = true;
        self.note_head(conversation, head_seq);
        Ok(())
    }

    pub(super) fn unfollow(&mut self, conversation: ConversationId) {
        if let Some(room) = self.kept.rooms.get_mut(&conversation) {
            room.is_member = false;
            self.dirty = true;
        }
    }

    /// Asks for the list of rooms, again if it is under way.
    pub(super) fn list_rooms(&mut self) {
        if let Some(online) = self.online().filter(|online| online.authenticated) {
            match online.listing.under_way {
                true => online.listing.again = true,
                false => online.listing.due = Some(Default::default()),
            }
        }
    }

    /// A room was heard of: if it is not followed, another device of the user joined it.
    pub(super) fn look_for(&mut self, conversation: ConversationId) {
        if !self.kept.rooms.get(&conversation).is_some_and(|room| room.is_member) {
            self.list_rooms();
        }
    }

    /// A log goes that far.
    pub(super) fn note_head(&mut self, conversation: ConversationId, head_seq: u64) {
        let followers = self.running.as_mut().map(|running| &mut running.followers);
        if let Some(follower) = followers.and_then(|it| it.get_mut(&conversation)) {
            follower.handle_head_seq(head_seq);
        }
    }

    pub(super) fn handle_pushed(&mut self, entry: &v1::Entry, scene: &mut Scene<'_>) -> Result<()> {
        let header = v1::EntryHeader::decode(&entry.header[..])?;
        let conversation = header.conversation_id[..].try_into()?;
        self.look_for(conversation);
        let Some(running) = &mut self.running else { return Ok(()) };
        let Some(follower) = running.followers.get_mut(&conversation) else { return Ok(()) };
        let accepted = follower.handle_pushed(entry)?;
        self.keep(conversation, accepted.into_iter().collect(), scene)
    }

    /// Keeps entries that were accepted, together with the cursor.
    pub(super) fn keep(
        &mut self,
        conversation: ConversationId,
        accepted: Vec<Accepted>,
        scene: &mut Scene<'_>,
    ) -> Result<()> {
        let running = self.running.as_ref().context("it runs")?;
        let follower = running.followers.get(&conversation).context("it is followed")?;
        let room = self.kept.rooms.get_mut(&conversation).context("the room is kept")?;
        room.remembered = follower.remembered();
        self.dirty = true;
        let own = self.kept.identity.map(|(user, _)| user);
        for entry in accepted {
            anyhow::ensure!(scene.truth.has(&entry), "entry {} is none", entry.seq);
            let membership = Membership::of(&entry.header, &entry.entry.payload);
            if let Some(Membership::Left { user }) = membership
                && Some(user) == own
            {
                self.list_rooms();
            }
            for seq in redacted_by(&entry.header, &entry.entry.payload) {
                self.redact(conversation, seq);
            }
            let seq = entry.seq;
            let room = self.kept.rooms.get_mut(&conversation).context("the room is kept")?;
            let known = room.entries.insert(seq, entry);
            anyhow::ensure!(known.is_none(), "entry {seq} is let through twice");
            self.show(conversation, seq)?;
        }
        Ok(())
    }

    /// REDACT-016.
    fn redact(&mut self, conversation: ConversationId, seq: u64) {
        let room = self.kept.rooms.get_mut(&conversation);
        if let Some(entry) = room.and_then(|room| room.entries.get_mut(&seq)) {
            bury(entry);
        }
        let timelines = self.running.as_mut().map(|running| &mut running.timelines);
        if let Some(timeline) = timelines.and_then(|it| it.get_mut(&conversation)) {
            timeline.redact(seq);
        }
    }

    /// The log begins later than what is kept here ends: that goes too, so that what is kept is whole.
    pub(super) fn begin_anew(
        &mut self,
        conversation: ConversationId,
        first_seq: u64,
    ) -> Result<()> {
        let running = self.running.as_mut().context("it runs")?;
        let follower = running.followers.get(&conversation).context("it is followed")?;
        let room = self.kept.rooms.get_mut(&conversation).context("the room is kept")?;
        room.remembered = follower.remembered();
        room.from_seq = room.from_seq.max(first_seq);
        room.entries.retain(|seq, _| *seq >= first_seq);
        running.timelines.insert(conversation, Timeline::new());
        for waiting in running.unjudged.values_mut() {
            waiting.retain(|(of, _)| *of != conversation);
        }
        running.unjudged.retain(|_, waiting| !waiting.is_empty());
        self.dirty = true;
        let seqs: Vec<u64> = room.entries.keys().copied().collect();
        seqs.into_iter().try_for_each(|seq| self.show(conversation, seq))
    }

    /// Puts a kept entry into the timeline, if its sender's key is known, and what it says to be redacted.
    pub(super) fn show(&mut self, conversation: ConversationId, seq: u64) -> Result<()> {
        let room = self.kept.rooms.get(&conversation).context("the room is kept")?;
        let entry = room.entries.get(&seq).context("the entry is kept")?;
        let running = self.running.as_mut().context("it runs")?;
        let timeline = running.timelines.get_mut(&conversation).context("it is open")?;
        for redacted in redacted_by(&entry.header, &entry.entry.payload) {
            timeline.redact(redacted);
        }
        let Some(sender) = entry.sender else { return Ok(()) };
        match SignatureStatus::of(entry, self.kept.keys.get(&sender.device)) {
            SignatureStatus::Unsigned => {}
            SignatureStatus::Invalid => bail!("entry {seq} of {conversation} is not its sender's"),
            SignatureStatus::KeyUnknown => {
                running.unjudged.entry(sender.device).or_default().push((conversation, seq));
            }
            SignatureStatus::Verified => {
                timeline.insert(said(entry).context("a message has a sender")?);
            }
        }
        Ok(())
    }
}

/// A message, for a timeline; none of an entry that is none.
pub(crate) fn said(entry: &Accepted) -> Option<Said> {
    let sender = entry.sender.filter(|_| entry.kind() == v1::EntryKind::Message)?;
    let payload = (!entry.entry.salt.is_empty()).then_some(&entry.entry.payload[..]);
    Some(Said::new(entry.seq, (sender.user, sender.device, sender.message_id), payload))
}
