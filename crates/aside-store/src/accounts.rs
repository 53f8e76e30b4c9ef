//! Accounts, devices and log keys as they are read.

use std::collections::HashMap;

use aside_proto::{
    id::{DeviceId, IdempotencyKey, UserId},
    name::Name,
    v1,
};
use sqlx::Row as _;
use zeroize::Zeroizing;

use crate::{
    db::{Columns as _, Pool},
    error::Stop,
    recall::{self, Kind},
    request::{DeviceRecord, LogKey, LogKeys, LoggedIn, PublicKeyBytes},
    sql::{Listing, MAX_LENGTH, placeholders},
};

pub(crate) static DEVICE_KEYS: Listing = Listing::new(|count| {
    format!(
        "SELECT device_id, user_id, public_key, revoked_ms FROM devices WHERE device_id IN ({})",
        placeholders(count)
    )
});

/// The account that has a handle now (ACCT-002), and its PHC string.
pub(crate) async fn password_hash(
    pool: &Pool,
    handle: &Name,
) -> Result<Option<(UserId, String)>, sqlx::Error> {
    let row = sqlx::query("SELECT user_id, password_hash FROM users WHERE handle = ?")
        .bind(handle.as_str())
        .fetch_optional(pool)
        .await?;
    row.map(|row| Ok((UserId::new(row.array(0)?), row.text(1)?))).transpose()
}

pub(crate) async fn password_hash_of(
    pool: &Pool,
    user: UserId,
) -> Result<Option<String>, sqlx::Error> {
    let row = sqlx::query("SELECT password_hash FROM users WHERE user_id = ?")
        .bind(user.as_bytes().as_slice())
        .fetch_optional(pool)
        .await?;
    row.map(|row| row.text(0)).transpose()
}

pub(crate) async fn registered_before(
    pool: &Pool,
    public_key: &PublicKeyBytes,
    key: IdempotencyKey,
) -> Result<Option<LoggedIn>, Stop> {
    let row = sqlx::query("SELECT id, user_id, device_id FROM devices WHERE public_key = ?")
        .bind(public_key.as_slice())
        .fetch_optional(pool)
        .await?;
    let Some(row) = row else { return Ok(None) };
    let before: Option<v1::Authenticated> =
        recall::reply(pool, key, row.key(0)?, Kind::Register).await?;
    let logged_in =
        LoggedIn { user: UserId::new(row.array(1)?), device: DeviceId::new(row.array(2)?) };
    Ok(before.map(|_| logged_in))
}

pub(crate) async fn password_changed_before(
    pool: &Pool,
    device: DeviceId,
    key: IdempotencyKey,
) -> Result<Option<v1::PasswordChanged>, Stop> {
    let row = sqlx::query("SELECT id FROM devices WHERE device_id = ?")
        .bind(device.as_bytes().as_slice())
        .fetch_optional(pool)
        .await?;
    let Some(row) = row else { return Ok(None) };
    recall::reply(pool, key, row.key(0)?, Kind::ChangePassword).await
}

pub(crate) async fn device(
    pool: &Pool,
    device: DeviceId,
) -> Result<Option<DeviceRecord>, sqlx::Error> {
    let row = sqlx::query(
        "SELECT d.user_id, d.public_key, d.revoked_ms, d.last_seen_ms, t.device
         FROM devices d LEFT JOIN tokens t ON t.device = d.id WHERE d.device_id = ?",
    )
    .bind(device.as_bytes().as_slice())
    .fetch_optional(pool)
    .await?;
    row.map(|row| {
        Ok(DeviceRecord {
            user: UserId::new(row.array(0)?),
            public_key: row.array(1)?,
            revoked_ms: row.try_get::<Option<i64>, _>(2)?.map(|_| row.number(2)).transpose()?,
            is_token: row.key_or_null(4)?.is_some(),
            last_seen_ms: row.number(3)?,
        })
    })
    .transpose()
}

/// DEV-001, but for which are online.
pub(crate) async fn devices(
    pool: &Pool,
    user: UserId,
    current: DeviceId,
) -> Result<v1::Devices, sqlx::Error> {
    let rows = sqlx::query(
        "SELECT d.device_id, d.name, d.created_ms, d.last_seen_ms, t.device
         FROM devices d LEFT JOIN tokens t ON t.device = d.id
         WHERE d.user_id = ? AND d.revoked_ms IS NULL ORDER BY d.id",
    )
    .bind(user.as_bytes().as_slice())
    .fetch_all(pool)
    .await?;
    let devices = rows
        .iter()
        .map(|row| {
            let device_id = row.bytes(0)?;
            Ok(v1::Device {
                current: device_id[..] == current.as_bytes()[..],
                device_id,
                name: row.text(1)?,
                created_ms: row.number(2)?,
                last_seen_ms: row.number(3)?,
                online: false,
                token: row.key_or_null(4)?.is_some(),
            })
        })
        .collect::<Result<_, sqlx::Error>>()?;
    Ok(v1::Devices { devices })
}

/// DEV-008.
pub(crate) async fn device_keys(
    pool: &Pool,
    ids: &[DeviceId],
) -> Result<v1::DeviceKeys, sqlx::Error> {
    let mut found: HashMap<DeviceId, v1::DeviceKey> = HashMap::with_capacity(ids.len());
    for ids in ids.chunks(MAX_LENGTH) {
        let (sql, length) = DEVICE_KEYS.at_least(ids.len());
        let mut query = sqlx::query(sql);
        for index in 0..length {
            query = query.bind(ids.get(index).map(|id| id.as_bytes().as_slice()));
        }
        for row in query.fetch_all(pool).await? {
            let key = v1::DeviceKey {
                device_id: row.bytes(0)?,
                user_id: row.bytes(1)?,
                public_key: row.bytes(2)?,
                revoked_ms: row.number(3)?,
            };
            found.insert(DeviceId::new(row.array(0)?), key);
        }
    }
    Ok(v1::DeviceKeys { keys: ids.iter().filter_map(|id| found.get(id).cloned()).collect() })
}

/// HEAD-007: each key's signature is by the one before.
pub(crate) async fn log_keys(pool: &Pool) -> Result<Option<LogKeys>, sqlx::Error> {
    let rows = sqlx::query("SELECT public_key, private_key, signature FROM log_keys ORDER BY id")
        .fetch_all(pool)
        .await?;
    let Some(last) = rows.last() else { return Ok(None) };
    let current =
        LogKey { public_key: last.array(0)?, private_key: Zeroizing::new(last.array(1)?) };
    let rotations = rows
        .windows(2)
        .map(|pair| {
            let [old, new] = [pair[0].bytes(0)?, pair[1].bytes(0)?];
            Ok(v1::LogKeyRotation { old_key: old, new_key: new, signature: pair[1].bytes(2)? })
        })
        .collect::<Result<_, sqlx::Error>>()?;
    Ok(Some(LogKeys { current, rotations }))
}
