//! Device logs: appended, and what that makes of the user's devices. Entries were verified before they came here.

use aside_proto::{id::DeviceId, v1};
use bytes::Bytes;

use super::{Context, Who, removals::Ended};
use crate::{
    db::{Columns as _, signed},
    effect::Effect,
    error::{Refused, Stop},
    private,
    recall::Kind,
    request::{PublishDeviceLog, VerifiedLog},
};

/// A user's devices that are not revoked and no tokens, and whether each is approved.
pub(crate) const DEVICES: &str = "SELECT d.id, d.device_id, d.public_key, a.device FROM devices d
     LEFT JOIN approvals a ON a.device = d.id
     WHERE d.user_id = ? AND d.revoked_ms IS NULL
     AND NOT EXISTS (SELECT 1 FROM tokens t WHERE t.device = d.id) ORDER BY d.id";

impl Context<'_> {
    /// DEVLOG-001 to DEVLOG-006, DEVLOG-009.
    pub(crate) async fn publish_device_log(
        &mut self,
        publish: &PublishDeviceLog,
    ) -> Result<v1::DeviceLogPublished, Stop> {
        let who = self.who(publish.user, publish.device).await?;
        if let Some(reply) = self.recall(&who, publish.key, Kind::PublishDeviceLog).await? {
            return Ok(reply);
        }
        let log = private::device_log(&mut *self.connection, who.user, 0).await?;
        let mut length = log.len() as u32;
        if !is_there(&log, publish) {
            let conflict = Refused::DeviceLogConflict { length };
            let expected =
                if publish.replaces > 0 { publish.replaces } else { publish.from_position };
            let Some(verified) = publish.verified.as_ref().filter(|_| expected == length) else {
                return Err(conflict.into());
            };
            if publish.replaces > 0 {
                self.put_log_away(&who).await?;
            }
            let after = log.last().filter(|_| publish.replaces == 0);
            if verified.after.as_ref() != after {
                return Err(conflict.into());
            }
            length = self.append_log(&who, publish).await?;
            let approved = self.apply_log(&who, publish, verified).await?;
            self.effects.push(Effect::DeviceLogChanged { user: who.user, length, approved });
        }
        let reply = v1::DeviceLogPublished { length };
        self.remember(&who, publish.key, Kind::PublishDeviceLog, &reply).await?;
        Ok(reply)
    }

    async fn put_log_away(&mut self, who: &Who) -> Result<(), sqlx::Error> {
        sqlx::query("DELETE FROM device_log WHERE user_id = ?")
            .bind(who.user.as_bytes().as_slice())
            .execute(&mut *self.connection)
            .await?;
        Ok(())
    }

    async fn append_log(
        &mut self,
        who: &Who,
        publish: &PublishDeviceLog,
    ) -> Result<u32, sqlx::Error> {
        let mut position = if publish.replaces > 0 { 0 } else { publish.from_position };
        for entry in &publish.entries {
            sqlx::query("INSERT INTO device_log (user_id, position, entry) VALUES (?, ?, ?)")
                .bind(who.user.as_bytes().as_slice())
                .bind(position)
                .bind(&entry[..])
                .execute(&mut *self.connection)
                .await?;
            position += 1;
        }
        Ok(position)
    }

    /// Approves who is active at the head, takes it from all others, and revokes whom the log revokes (DEVLOG-005,
    /// DEVLOG-006). Gives who is approved now.
    async fn apply_log(
        &mut self,
        who: &Who,
        publish: &PublishDeviceLog,
        verified: &VerifiedLog,
    ) -> Result<Vec<DeviceId>, Stop> {
        let rows = sqlx::query(DEVICES)
            .bind(who.user.as_bytes().as_slice())
            .fetch_all(&mut *self.connection)
            .await?;
        let mut approved = Vec::new();
        for row in rows {
            let (key, device) = (row.key(0)?, DeviceId::new(row.array(1)?));
            let (login_key, was_approved): ([u8; 65], _) =
                (row.array(2)?, row.key_or_null(3)?.is_some());
            let is_revoked = verified.revoked.contains(&device);
            if !is_revoked && verified.active.contains(&(device, login_key)) {
                approved.push(device);
                if !was_approved {
                    self.approve(key).await?;
                }
                continue;
            }
            if was_approved || is_revoked {
                let ended = Ended { key, device, user: who.user };
                self.end_approval(who, publish.key, &ended).await?;
            }
            if is_revoked {
                self.revoke_by_log(key, device).await?;
            }
        }
        Ok(approved)
    }

    async fn approve(&mut self, device: i64) -> Result<(), sqlx::Error> {
        sqlx::query("INSERT INTO approvals (device) VALUES (?)")
            .bind(device)
            .execute(&mut *self.connection)
            .await?;
        Ok(())
    }

    async fn revoke_by_log(&mut self, key: i64, device: DeviceId) -> Result<(), sqlx::Error> {
        sqlx::query("UPDATE devices SET revoked_ms = ? WHERE id = ?")
            .bind(signed(self.now))
            .bind(key)
            .execute(&mut *self.connection)
            .await?;
        self.effects.push(Effect::DeviceRevoked { device });
        Ok(())
    }
}

/// Whether the log has these entries at their places already (DEVLOG-003).
fn is_there(log: &[Bytes], publish: &PublishDeviceLog) -> bool {
    let from = if publish.replaces > 0 { 0 } else { publish.from_position as usize };
    let place = log.get(from..).and_then(|rest| rest.get(..publish.entries.len()));
    place.is_some_and(|place| place == publish.entries)
}
