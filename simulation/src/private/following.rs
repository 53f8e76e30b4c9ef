//! Which conversations a device follows, and from where.

use anyhow::{Context as _, Result};
use aside_proto::{id::ConversationId, v1};

use super::device::{Device, Room, Scene};

impl Device {
    /// The conversations of the user.
    pub(super) fn listed(
        &mut self,
        summaries: &v1::Summaries,
        scene: &mut Scene<'_>,
    ) -> Result<()> {
        let online = self.online().context("a reply without connection")?;
        online.listing.is_under_way = false;
        let is_stale = online.listing.is_due;
        let is_private = |it: &&v1::Room| {
            matches!(it.kind(), v1::ConversationKind::Direct | v1::ConversationKind::Group)
        };
        let rooms = summaries.summaries.iter().filter_map(|it| it.room.as_ref());
        let mut listed = Vec::new();
        for room in rooms.filter(is_private) {
            listed.push((ConversationId::try_from(&room.conversation_id[..])?, room));
        }
        let seen: Vec<_> = listed.iter().map(|(id, _)| *id).collect();
        if !self.engine().is_some_and(|engine| engine.knows_beginnings(seen.iter().copied())) {
            // It is listed once more when that is known; what is followed goes on.
            listed.retain(|(id, _)| self.seen().is_some_and(|engine| engine.follows(*id)));
            self.list();
        }
        for (id, room) in listed {
            self.found(id, room, scene)?;
        }
        for id in self.joined() {
            if !is_stale && !seen.contains(&id) {
                self.lose(id, scene)?;
            }
        }
        let is_whole = self.online().is_some_and(|online| !online.listing.is_due);
        if let Some(engine) = self.engine().filter(|_| is_whole) {
            engine.listed();
        }
        Ok(())
    }

    /// The user is a member of it.
    fn found(&mut self, id: ConversationId, room: &v1::Room, scene: &mut Scene<'_>) -> Result<()> {
        let running = self.running.as_mut().context("it runs")?;
        let Some(engine) = &mut running.engine else { return Ok(()) };
        let welcomed = engine.welcomed_at(id);
        let is_known = self.disk.rooms.contains_key(&id);
        let kept = self.disk.rooms.entry(id).or_insert_with(|| {
            // Some are not interested in what was before.
            let from_seq = match welcomed {
                Some(seq) => seq,
                None if scene.rng.one_in(3) => room.head_seq + 1,
                None => 1,
            };
            let kind = room.kind();
            Room { is_member: true, kind, from_seq, remembered: None, entries: Default::default() }
        });
        kept.is_member = true;
        let is_new = !engine.follows(id);
        if is_new && let Some(kept) = self.disk.vault.conversations.get_mut(&id) {
            kept.may_be_read_anew = true;
        }
        engine.follow(id, room.kind(), room.head_seq, 0);
        // What it does not want is as if it were gone.
        engine.kept(id, kept.last());
        let follower = running.followers.entry(id).or_insert_with(|| kept.follower(id));
        follower.handle_head_seq(room.head_seq);
        let online = running.online.as_mut().context("a reply without connection")?;
        if online.members_known.insert(id) {
            online.members_due.insert(id);
        }
        if is_new || !is_known {
            scene.notes.push(format!("{} follows {}", self.name, scene.witness.name(id)));
        }
        Ok(())
    }

    /// The user is a member of it no longer.
    pub(super) fn lose(&mut self, id: ConversationId, scene: &mut Scene<'_>) -> Result<()> {
        if let Some(room) = self.disk.rooms.get_mut(&id) {
            room.is_member = false;
        }
        if let Some(kept) = self.disk.vault.conversations.get_mut(&id) {
            kept.may_be_read_anew = true;
        }
        let running = self.running.as_mut().context("it runs")?;
        running.followers.remove(&id);
        if let Some(engine) = &mut running.engine
            && engine.follows(id)
        {
            engine.unlisted(id);
            scene.notes.push(format!("{} loses {}", self.name, scene.witness.name(id)));
        }
        Ok(())
    }
}
