//! Leaves that are cut off before a commit removes them: their user has left, or their device is approved no longer.

use aside_proto::{
    id::{ConversationId, DeviceId, IdempotencyKey, UserId},
    v1,
};

use super::{Context, Who, entries::Place};
use crate::{
    db::{Columns as _, Row},
    effect::Effect,
    error::Stop,
};

/// Where a device is a leaf.
pub(crate) const LEAF_OF: &str = "SELECT c.id, c.conversation_id FROM leaves l
     JOIN conversations c ON c.id = l.conversation
     WHERE l.device = ? AND l.pending = 0 ORDER BY l.conversation";
/// The leaves of a user in one conversation.
pub(crate) const LEAVES_OF_USER: &str = "SELECT d.device_id, d.id FROM devices d
     JOIN leaves l ON l.conversation = ? AND l.device = d.id
     WHERE d.user_id = ? ORDER BY d.id";

/// A device that is approved no longer.
pub(super) struct Ended {
    /// Its surrogate key.
    pub(super) key: i64,
    pub(super) device: DeviceId,
    pub(super) user: UserId,
}

impl Context<'_> {
    /// Takes from a device all that it has for being approved: what it left for others, and its leaves (PRIV-014). `who` asked
    /// for what led to it.
    pub(super) async fn end_approval(
        &mut self,
        who: &Who,
        key: IdempotencyKey,
        ended: &Ended,
    ) -> Result<(), Stop> {
        for sql in [
            "DELETE FROM approvals WHERE device = ?",
            "DELETE FROM key_packages WHERE device = ?",
            "DELETE FROM key_package_suites WHERE device = ?",
        ] {
            sqlx::query(sql).bind(ended.key).execute(&mut *self.connection).await?;
        }
        self.empty_inbox(ended.key, u64::MAX).await?;
        self.cut_off_device(who, key, ended).await
    }

    /// Cuts off the leaves of a device, with an entry in each conversation.
    async fn cut_off_device(
        &mut self,
        who: &Who,
        key: IdempotencyKey,
        ended: &Ended,
    ) -> Result<(), Stop> {
        let rows = sqlx::query(LEAF_OF).bind(ended.key).fetch_all(&mut *self.connection).await?;
        let places = rows.iter().map(place).collect::<Result<Vec<_>, _>>()?;
        let payload = v1::RemovalPendingPayload {
            user_id: ended.user.to_bytes(),
            device_ids: vec![ended.device.to_bytes()],
            left: false,
        };
        let mut heads = self.heads(&places).await?;
        for at in places {
            self.set_pending(at, ended.key).await?;
            self.effects.push(Effect::LeafRemoved { device: ended.device, conversation: at.id });
            let (kind, origin) = (v1::EntryKind::RemovalPending, Some(who.origin(key)));
            self.seal_record(at, heads.of(at)?, kind, origin, &payload);
        }
        Ok(self.flush().await?)
    }

    /// Cuts off the leaves of a user in one conversation; the caller says so by an entry. Gives which these are, those that were
    /// cut off before among them.
    pub(super) async fn cut_off_user(
        &mut self,
        place: Place,
        user: UserId,
    ) -> Result<Vec<DeviceId>, sqlx::Error> {
        let rows = sqlx::query(LEAVES_OF_USER)
            .bind(place.key)
            .bind(user.as_bytes().as_slice())
            .fetch_all(&mut *self.connection)
            .await?;
        let mut cut = Vec::with_capacity(rows.len());
        for row in rows {
            self.set_pending(place, row.key(1)?).await?;
            cut.push(DeviceId::new(row.array(0)?));
        }
        Ok(cut)
    }

    async fn set_pending(&mut self, place: Place, device: i64) -> Result<(), sqlx::Error> {
        sqlx::query("UPDATE leaves SET pending = 1 WHERE conversation = ? AND device = ?")
            .bind(place.key)
            .bind(device)
            .execute(&mut *self.connection)
            .await?;
        Ok(())
    }
}

fn place(row: &Row) -> Result<Place, sqlx::Error> {
    Ok(Place { key: row.key(0)?, id: ConversationId::new(row.array(1)?) })
}
