//! What replies mean to a device.

use anyhow::{Context as _, Result, ensure};
use aside_proto::{
    id::{ConversationId, DeviceId, IdempotencyKey},
    v1::{self, ErrorCode, client_frame, server_frame::Body},
};
use aside_session::client::{DeviceKey, Pinning, log::Refusal};

use super::{Asked, Device, Scene};
use crate::server::is_ordinary;

impl Device {
    pub(super) fn handle_reply(
        &mut self,
        asked: Asked,
        result: Result<Body, v1::Error>,
        scene: &mut Scene<'_>,
    ) -> Result<()> {
        if let Err(error) = &result {
            ensure!(is_ordinary(error.code(), false), "{asked:?} is refused: {error:?}");
        }
        match (asked, result) {
            (Asked::Rooms, Ok(Body::Rooms(rooms))) => self.rooms_listed(rooms, scene),
            (Asked::Keys, Ok(Body::DeviceKeys(keys))) => self.keys_came(&keys),
            (Asked::Fetch(conversation), Ok(Body::Fetched(fetched))) => {
                let log_key = self.kept.log_key.context("a log key is known")?;
                let running = self.running.as_mut().context("it runs")?;
                let follower = running.followers.get_mut(&conversation);
                let follower = follower.context("what is fetched is followed")?;
                let accepted = follower.handle_fetched(&log_key, &fetched)?;
                self.keep(conversation, accepted, scene)
            }
            (Asked::Fetch(conversation), Err(error)) if error.code() == ErrorCode::Trimmed => {
                let running = self.running.as_mut().context("it runs")?;
                let follower = running.followers.get_mut(&conversation);
                let refusal = follower.context("it is followed")?.handle_refused(&error)?;
                ensure!(matches!(refusal, Refusal::Trimmed { .. }), "nothing was asked");
                self.begin_anew(conversation, error.first_seq)
            }
            (Asked::Fetch(conversation), Err(error)) => {
                let running = self.running.as_mut().context("it runs")?;
                if let Some(follower) = running.followers.get_mut(&conversation) {
                    follower.handle_refused(&error)?;
                }
                // Not a member any more, or once more since.
                self.unfollow(conversation);
                self.list_rooms();
                Ok(())
            }
            (Asked::Effect(key), result) => self.answered(key, result, scene),
            (Asked::Rooms | Asked::Keys, Err(error)) => anyhow::bail!("{asked:?}: {error:?}"),
            _ => Ok(()),
        }
    }

    fn rooms_listed(&mut self, rooms: v1::Rooms, scene: &mut Scene<'_>) -> Result<()> {
        for room in &rooms.rooms {
            self.found(room, scene)?;
        }
        let listing = &mut self.online().context("a reply without connection")?.listing;
        if !rooms.next_page_token.is_empty() {
            listing.due = Some(rooms.next_page_token);
            return Ok(());
        }
        listing.under_way = false;
        let seen = std::mem::take(&mut listing.seen);
        if std::mem::take(&mut listing.again) {
            listing.due = Some(Default::default());
        }
        for conversation in self.joined() {
            if !seen.contains(&conversation) {
                self.unfollow(conversation);
            }
        }
        Ok(())
    }

    /// A room that the user is a member of.
    fn found(&mut self, room: &v1::Room, scene: &mut Scene<'_>) -> Result<()> {
        let conversation: ConversationId = room.conversation_id[..].try_into()?;
        let listing = &mut self.online().context("a reply without connection")?.listing;
        listing.seen.insert(conversation);
        self.follow(conversation, room.head_seq, scene)
    }

    fn keys_came(&mut self, keys: &v1::DeviceKeys) -> Result<()> {
        for key in &keys.keys {
            let key = DeviceKey::try_from(key)?;
            match key.judge(self.kept.keys.get(&key.device)) {
                Pinning::New | Pinning::Same => self.kept.keys.insert(key.device, key),
                Pinning::Changed => anyhow::bail!("the key of {} has changed", key.device),
            };
            self.dirty = true;
            self.show_those_of(key.device)?;
        }
        Ok(())
    }

    fn show_those_of(&mut self, device: DeviceId) -> Result<()> {
        let running = self.running.as_mut().context("it runs")?;
        let waiting = running.unjudged.remove(&device).unwrap_or_default();
        waiting.into_iter().try_for_each(|(conversation, seq)| self.show(conversation, seq))
    }

    /// An effect was acknowledged, or refused for good.
    fn answered(
        &mut self,
        key: IdempotencyKey,
        result: Result<Body, v1::Error>,
        scene: &mut Scene<'_>,
    ) -> Result<()> {
        let at = self.kept.outbox.iter().position(|effect| effect.key == key);
        let effect = at.and_then(|at| self.kept.outbox.remove(at));
        let effect = effect.context("an effect is answered twice")?;
        self.dirty = true;
        match (effect.body, result) {
            (client_frame::Body::SendMessage(message), Ok(Body::Sent(sent))) => {
                let conversation = message.conversation_id[..].try_into()?;
                let place = scene.truth.place(conversation, &sent, key)?;
                let own = self.kept.identity.map(|(_, device)| device);
                ensure!(
                    place.is_some() && place == own,
                    "{key} was acknowledged as entry {}, and is not there",
                    sent.seq
                );
                let before = self.kept.acknowledged.insert(key, sent.seq);
                ensure!(before.is_none_or(|seq| seq == sent.seq), "{key} has two places");
                Ok(())
            }
            (client_frame::Body::Join(_), Ok(Body::Joined(joined))) => {
                self.found(&joined.room.context("joined, without a room")?, scene)?;
                // It may be the answer to the first try, and the user have left since.
                self.list_rooms();
                Ok(())
            }
            (client_frame::Body::CreateRoom(_), Ok(Body::RoomCreated(created))) => {
                self.found(&created.room.context("created, without a room")?, scene)?;
                self.list_rooms();
                Ok(())
            }
            (client_frame::Body::Leave(leave), Ok(Body::Left(_))) => {
                self.unfollow(leave.conversation_id[..].try_into()?);
                self.list_rooms();
                Ok(())
            }
            (client_frame::Body::Rename(_), Ok(Body::Renamed(renamed))) => {
                self.kept.handle = Some(renamed.handle);
                Ok(())
            }
            (_, Ok(_)) => Ok(()),
            (_, Err(_)) => {
                self.kept.refused.insert(key);
                Ok(())
            }
        }
    }
}
