//! Pins: state beside the log, changed by entries of it.

use aside_proto::v1;
use bytes::Bytes;

use super::{Context, entries::Place};
use crate::{
    db::{Columns as _, signed},
    error::{Refused, Stop},
    recall::Kind,
    request::SetPin,
};

/// The id of a message that may be pinned: only messages have a device.
pub(crate) const PINNABLE: &str = "SELECT message_id FROM entries
     WHERE conversation = ? AND seq = ? AND device IS NOT NULL AND payload IS NOT NULL";
/// How many messages of a conversation are pinned, and whether this one is.
pub(crate) const PINNED: &str = "SELECT COUNT(*), COUNT(CASE WHEN seq = ? THEN 1 END)
     FROM pins WHERE conversation = ?";

impl Context<'_> {
    /// PIN-001 to PIN-005.
    pub(crate) async fn set_pin(&mut self, set: &SetPin) -> Result<v1::PinSet, Stop> {
        let who = self.who(set.user, set.device).await?;
        if let Some(reply) = self.recall(&who, set.key, Kind::SetPin).await? {
            return Ok(reply);
        }
        let place = self.owned(set.conversation, who.user).await?;
        let message_id = self.pinnable(place, set.seq).await?;
        let (pins, is_pinned) = self.pinned(place, set.seq).await?;
        if is_pinned != set.pinned {
            if set.pinned && pins >= u64::from(self.surroundings.limits.max_pins) {
                return Err(Refused::TooManyPins.into());
            }
            let (seq, pinned) = (set.seq, set.pinned);
            let payload = v1::MessagePinnedPayload { seq, message_id, pinned };
            let mut head = self.head(place).await?;
            let (kind, origin) = (v1::EntryKind::MessagePinned, Some(who.origin(set.key)));
            let sealed = self.seal_record(place, &mut head, kind, origin, &payload);
            self.flush().await?;
            if pinned {
                self.add_pin(place, seq, sealed.seq).await?;
            } else {
                self.end_pin(place, seq).await?;
            }
        }
        let reply = v1::PinSet {};
        self.remember(&who, set.key, Kind::SetPin, &reply).await?;
        Ok(reply)
    }

    /// Ends the pins of all messages up to one: they are no longer kept (PIN-007).
    pub(super) async fn end_pins(
        &mut self,
        conversation: i64,
        last: u64,
    ) -> Result<(), sqlx::Error> {
        sqlx::query("DELETE FROM pins WHERE conversation = ? AND seq <= ?")
            .bind(conversation)
            .bind(signed(last))
            .execute(&mut *self.connection)
            .await?;
        Ok(())
    }

    /// Ends the pin of a message, if it has one. Whatever takes a message's payload away does this too (PIN-007).
    pub(super) async fn end_pin(&mut self, place: Place, seq: u64) -> Result<(), sqlx::Error> {
        sqlx::query("DELETE FROM pins WHERE conversation = ? AND seq = ?")
            .bind(place.key)
            .bind(signed(seq))
            .execute(&mut *self.connection)
            .await?;
        Ok(())
    }

    async fn add_pin(&mut self, place: Place, seq: u64, pin_seq: u64) -> Result<(), sqlx::Error> {
        sqlx::query("INSERT INTO pins (conversation, seq, pin_seq) VALUES (?, ?, ?)")
            .bind(place.key)
            .bind(signed(seq))
            .bind(signed(pin_seq))
            .execute(&mut *self.connection)
            .await?;
        Ok(())
    }

    /// The id of the message at a seq (PIN-002).
    async fn pinnable(&mut self, place: Place, seq: u64) -> Result<Bytes, Stop> {
        let row = sqlx::query(PINNABLE)
            .bind(place.key)
            .bind(signed(seq))
            .fetch_optional(&mut *self.connection)
            .await?
            .ok_or(Refused::NoSuchEntry)?;
        Ok(row.bytes(0)?)
    }

    /// How many messages are pinned, and whether the one at a seq is.
    async fn pinned(&mut self, place: Place, seq: u64) -> Result<(u64, bool), sqlx::Error> {
        let row = sqlx::query(PINNED)
            .bind(signed(seq))
            .bind(place.key)
            .fetch_one(&mut *self.connection)
            .await?;
        Ok((row.number(0)?, row.number(1)? > 0))
    }
}
