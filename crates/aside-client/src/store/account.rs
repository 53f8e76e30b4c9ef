//! The account and this device of it.

use aside_crypto::{PublicKey, SigningKey};
use aside_proto::id::{DeviceId, IdempotencyKey, UserId};
use sqlx::{Row as _, Sqlite, Transaction};
use zeroize::Zeroizing;

use super::{
    StateError, Store, array, private,
    seal::{Place, Sealer},
};
use crate::Fingerprint;

/// The account's row.
#[derive(Debug, Clone)]
pub(crate) struct Account {
    pub(crate) device_key: SigningKey,
    /// A Register that was sent, or was about to be, and has no reply yet.
    pub(crate) register_key: Option<IdempotencyKey>,
    pub(crate) identity: Option<Identity>,
    pub(crate) log_key: Option<PublicKey>,
    pub(crate) certificate: Option<Fingerprint>,
}

/// Who this device is, once it has logged in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// The account.
    pub user: UserId,
    /// This device.
    pub device: DeviceId,
    /// The account's handle, as it was when last heard of.
    pub handle: String,
}

impl Store {
    /// The account; a device key is made at the first call.
    pub(crate) async fn account(&self) -> Result<Account, StateError> {
        let sql = "SELECT device_key, register_key, user_id, device_id, handle, log_key, certificate FROM account";
        let Some(row) = sqlx::query(sql).fetch_optional(&self.pool).await? else {
            return self.new_device_key().await;
        };
        let column = |name| row.try_get::<Option<Vec<u8>>, _>(name);
        let device_key = self.sealer.open(Place::DeviceKey, row.try_get("device_key")?)?;
        let device_key = Zeroizing::new(array(&device_key, "the device key")?);
        let identity = match (column("user_id")?, column("device_id")?, row.try_get("handle")?) {
            (Some(user), Some(device), Some(handle)) => Some(Identity {
                user: UserId::new(array(&user, "a user id")?),
                device: DeviceId::new(array(&device, "a device id")?),
                handle,
            }),
            _ => None,
        };
        let register_key = column("register_key")?.map(|key| array(&key, "a key")).transpose()?;
        let log_key = column("log_key")?.map(|key| PublicKey::from_bytes(&key)).transpose();
        let certificate = column("certificate")?.map(|pin| array(&pin, "a pin")).transpose()?;
        Ok(Account {
            device_key: SigningKey::from_bytes(&device_key)
                .map_err(|_| StateError::Damaged("the device key"))?,
            register_key: register_key.map(IdempotencyKey::new),
            identity,
            log_key: log_key.map_err(|_| StateError::Damaged("the log key"))?,
            certificate: certificate.map(Fingerprint),
        })
    }

    /// Makes another device key, and forgets which device this was: it was revoked, or never was one.
    pub(crate) async fn new_device_key(&self) -> Result<Account, StateError> {
        let device_key = SigningKey::generate(&mut crate::random::fill);
        let sql = "INSERT INTO account (id, device_key) VALUES (1, ?) ON CONFLICT (id) DO UPDATE \
                   SET device_key = excluded.device_key, register_key = NULL, user_id = NULL, device_id = NULL, \
                   device_certificate = NULL";
        let mut transaction = self.durable.begin_with("BEGIN IMMEDIATE").await?;
        sqlx::query(sql).bind(self.sealed(&device_key)).execute(&mut *transaction).await?;
        sqlx::query("DELETE FROM mls_keys").execute(&mut *transaction).await?;
        private::forget_device(&mut transaction).await?;
        transaction.commit().await?;
        Box::pin(self.account()).await
    }

    /// Takes a token's key for the device's.
    pub(crate) async fn adopt_device_key(&self, key: &SigningKey) -> Result<(), StateError> {
        let sql = "INSERT INTO account (id, device_key) VALUES (1, ?) ON CONFLICT (id) DO UPDATE \
                   SET device_key = excluded.device_key";
        sqlx::query(sql).bind(self.sealed(key)).execute(&self.pool).await?;
        Ok(())
    }

    fn sealed(&self, key: &SigningKey) -> Vec<u8> {
        self.sealer.seal(Place::DeviceKey, &key.to_bytes()[..])
    }

    /// Remembers the key of a Register before it is sent.
    pub(crate) async fn set_register_key(&self, key: IdempotencyKey) -> Result<(), StateError> {
        let sql = "UPDATE account SET register_key = ?";
        sqlx::query(sql).bind(&key.as_bytes()[..]).execute(&self.pool).await?;
        Ok(())
    }

    /// Remembers who this device is; a Register is done.
    pub(crate) async fn set_identity(&self, identity: &Identity) -> Result<(), StateError> {
        let sql = "UPDATE account SET user_id = ?, device_id = ?, handle = ?, register_key = NULL";
        sqlx::query(sql)
            .bind(&identity.user.as_bytes()[..])
            .bind(&identity.device.as_bytes()[..])
            .bind(&identity.handle)
            .execute(&self.pool)
            .await?;
        self.set_handle(identity.user, &identity.handle).await
    }

    /// HEAD-004.
    pub(crate) async fn set_log_key(&self, key: &PublicKey) -> Result<(), StateError> {
        let sql = "UPDATE account SET log_key = ?";
        sqlx::query(sql).bind(&key.as_bytes()[..]).execute(&self.pool).await?;
        Ok(())
    }

    /// TLS-006: what the user pinned, or that nothing is pinned.
    pub(crate) async fn set_certificate(&self, pin: Option<Fingerprint>) -> Result<(), StateError> {
        let sql = "UPDATE account SET certificate = ?";
        sqlx::query(sql).bind(pin.map(|pin| pin.0.to_vec())).execute(&self.pool).await?;
        Ok(())
    }

    /// The handle a user goes by, as last heard.
    pub(crate) async fn set_handle(&self, user: UserId, handle: &str) -> Result<(), StateError> {
        sqlx::query(UPSERT_HANDLE)
            .bind(&user.as_bytes()[..])
            .bind(handle)
            .execute(&self.pool)
            .await?;
        Ok(())
    }
}

pub(super) const UPSERT_HANDLE: &str = "INSERT INTO people (user_id, handle) VALUES (?, ?) ON CONFLICT (user_id) DO UPDATE SET handle = excluded.handle";

/// Seals the keys of a state that was kept by a version which did not.
pub(super) async fn seal_keys(
    transaction: &mut Transaction<'_, Sqlite>,
    sealer: &Sealer,
) -> Result<(), StateError> {
    let account = sqlx::query("SELECT device_key FROM account");
    if let Some(row) = account.fetch_optional(&mut **transaction).await? {
        let sealed = sealer.seal(Place::DeviceKey, row.try_get("device_key")?);
        let sql = "UPDATE account SET device_key = ?";
        sqlx::query(sql).bind(sealed).execute(&mut **transaction).await?;
    }
    let keys = sqlx::query("SELECT suite, private_key FROM mls_keys");
    for row in keys.fetch_all(&mut **transaction).await? {
        let suite: u16 = row.try_get("suite")?;
        let sealed = sealer.seal(Place::MlsKey(suite), row.try_get("private_key")?);
        let sql = "UPDATE mls_keys SET private_key = ? WHERE suite = ?";
        sqlx::query(sql).bind(sealed).bind(suite).execute(&mut **transaction).await?;
    }
    Ok(())
}
