//! What an owner says of a room.

use aside_proto::{
    id::{ConversationId, UserId},
    retention, v1,
};

use super::{Context, Who, entries::Place};
use crate::{
    db::{Columns as _, signed},
    error::{Refused, Stop},
    recall::Kind,
    request::UpdateRoom,
    rooms,
};

impl Context<'_> {
    /// ROOM-022, ROOM-025 to ROOM-027, RET-006.
    pub(crate) async fn update_room(
        &mut self,
        update: &UpdateRoom,
    ) -> Result<v1::RoomUpdated, Stop> {
        let who = self.who(update.user, update.device).await?;
        if let Some(reply) = self.recall(&who, update.key, Kind::UpdateRoom).await? {
            return Ok(reply);
        }
        let place = self.owned(update.conversation, who.user).await?;
        let before = self.settings(place).await?;
        let after = changed(&before, update);
        if after != before {
            if after.name != before.name {
                self.check_room_name(&after.name).await?;
            }
            self.write_settings(place, &after).await?;
            let mut head = self.head(place).await?;
            let (kind, origin) = (v1::EntryKind::RoomUpdated, Some(who.origin(update.key)));
            self.seal_record(place, &mut head, kind, origin, &after);
            self.flush().await?;
            if after.retention != before.retention {
                self.trim_at_once(place.key).await?;
            }
        }
        let reply = v1::RoomUpdated { room: Some(self.room(place, who.user).await?) };
        self.remember(&who, update.key, Kind::UpdateRoom, &reply).await?;
        Ok(reply)
    }

    /// A room, for its owner (ROOM-010, ROOM-012, ROOM-022).
    pub(super) async fn owned(
        &mut self,
        conversation: ConversationId,
        user: UserId,
    ) -> Result<Place, Stop> {
        let standing = self.standing(conversation, user).await?.of_room()?;
        match (standing.is_member, standing.is_owner) {
            (false, _) => Err(Refused::NotAMember.into()),
            (true, false) => Err(Refused::NotPermitted.into()),
            (true, true) => Ok(Place { key: standing.key, id: conversation }),
        }
    }

    /// A conversation, for its members (ROOM-010, ROOM-012), and whether the user may redact what others said in it: who owns
    /// a room may, nobody in a private conversation (PRIV-012).
    pub(super) async fn membership(
        &mut self,
        conversation: ConversationId,
        who: &Who,
    ) -> Result<(Place, bool), Stop> {
        let standing = self.standing(conversation, who.user).await?;
        if !standing.is_member {
            return Err(Refused::NotAMember.into());
        }
        let is_room = standing.kind == v1::ConversationKind::PublicRoom;
        if !is_room {
            self.check_approved(who).await?;
        }
        Ok((Place { key: standing.key, id: conversation }, is_room && standing.is_owner))
    }

    /// All that UpdateRoom can change, as it is.
    async fn settings(&mut self, place: Place) -> Result<v1::RoomUpdatedPayload, sqlx::Error> {
        let row = sqlx::query(
            "SELECT name, topic, description, invite_only, max_age_s, max_entries
             FROM conversations WHERE id = ?",
        )
        .bind(place.key)
        .fetch_one(&mut *self.connection)
        .await?;
        Ok(v1::RoomUpdatedPayload {
            name: row.text(0)?,
            topic: row.text(1)?,
            description: row.text(2)?,
            invite_only: row.number(3)? == 1,
            retention: retention::announced(rooms::limits(&row, 4)?),
        })
    }

    async fn write_settings(
        &mut self,
        place: Place,
        settings: &v1::RoomUpdatedPayload,
    ) -> Result<(), sqlx::Error> {
        let retention = settings.retention.unwrap_or(retention::NONE);
        sqlx::query(
            "UPDATE conversations SET name = ?, topic = ?, description = ?, invite_only = ?,
             max_age_s = ?, max_entries = ? WHERE id = ?",
        )
        .bind(&settings.name)
        .bind(&settings.topic)
        .bind(&settings.description)
        .bind(i64::from(settings.invite_only))
        .bind(signed(retention.max_age_s))
        .bind(signed(retention.max_entries))
        .bind(place.key)
        .execute(&mut *self.connection)
        .await?;
        Ok(())
    }
}

/// The settings with what is to change (ROOM-025).
fn changed(before: &v1::RoomUpdatedPayload, update: &UpdateRoom) -> v1::RoomUpdatedPayload {
    let mut after = before.clone();
    if let Some(name) = &update.name {
        name.as_str().clone_into(&mut after.name);
    }
    if let Some(topic) = &update.topic {
        after.topic.clone_from(topic);
    }
    if let Some(description) = &update.description {
        after.description.clone_from(description);
    }
    after.invite_only = update.invite_only.unwrap_or(before.invite_only);
    if let Some(retention) = update.retention {
        after.retention = retention::announced(retention);
    }
    after
}
