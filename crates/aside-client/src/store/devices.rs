//! The keys and accounts of devices, as they were first seen (DEV-010, DEV-011).

use aside_crypto::PublicKey;
use aside_proto::id::{DeviceId, UserId};
use aside_session::client::DeviceKey;
use sqlx::Row as _;

use super::{StateError, Store, array, signed, unsigned};

impl Store {
    /// The key remembered for a device.
    pub(crate) async fn device_key(
        &self,
        device: DeviceId,
    ) -> Result<Option<DeviceKey>, StateError> {
        let sql = "SELECT user_id, public_key, revoked_ms FROM devices WHERE device_id = ?";
        let row = sqlx::query(sql).bind(&device.as_bytes()[..]).fetch_optional(&self.pool).await?;
        let Some(row) = row else { return Ok(None) };
        let user = UserId::new(array(row.try_get("user_id")?, "a user id")?);
        let public_key = PublicKey::from_bytes(row.try_get("public_key")?)
            .map_err(|_| StateError::Damaged("the key of a device"))?;
        let revoked_ms = unsigned(row.try_get("revoked_ms")?);
        Ok(Some(DeviceKey { device, user, public_key, revoked_ms }))
    }

    /// Remembers a key, unless there is one for the device already.
    pub(crate) async fn add_device_key(&self, key: &DeviceKey) -> Result<(), StateError> {
        let sql = "INSERT INTO devices (device_id, user_id, public_key, revoked_ms) VALUES (?, ?, ?, ?) \
                   ON CONFLICT DO NOTHING";
        sqlx::query(sql)
            .bind(&key.device.as_bytes()[..])
            .bind(&key.user.as_bytes()[..])
            .bind(&key.public_key.as_bytes()[..])
            .bind(signed(key.revoked_ms))
            .execute(&self.pool)
            .await?;
        Ok(())
    }

    /// A device was revoked; the first time that was heard of stays.
    pub(crate) async fn set_revoked(&self, device: DeviceId, at_ms: u64) -> Result<(), StateError> {
        let sql = "UPDATE devices SET revoked_ms = ? WHERE device_id = ? AND revoked_ms = 0";
        sqlx::query(sql)
            .bind(signed(at_ms))
            .bind(&device.as_bytes()[..])
            .execute(&self.pool)
            .await?;
        Ok(())
    }
}
