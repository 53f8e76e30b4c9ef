//! Device logs as they were seen, and what makes this device one of its user's: its certificate, and the MLS keys in it.

use aside_crypto::{Certificate, DeviceLog};
use aside_mls::{DefaultCrypto, SigningKey, Suite};
use aside_proto::{id::UserId, v1::DeviceLogPart};
use prost::Message as _;
use sqlx::{Row as _, Sqlite, Transaction, sqlite::SqliteRow};

use super::{Home, StateError, Store, seal::Place};
use crate::trust::{KnownLog, MAX_FORMER};

impl Store {
    /// What is known of a user's device log (TRUST-001).
    pub(crate) async fn device_log(&self, user: UserId) -> Result<Option<KnownLog>, StateError> {
        let sql = "SELECT log, verified FROM device_logs WHERE user_id = ?";
        let row = sqlx::query(sql).bind(&user.as_bytes()[..]).fetch_optional(&self.pool).await?;
        row.as_ref().map(known_log).transpose()
    }

    /// The device logs that are known. Of each user the last is the one that is pinned; before it come those in whose place it came,
    /// the oldest first.
    pub(crate) async fn device_logs(&self) -> Result<Vec<DeviceLog>, StateError> {
        let sql = "SELECT user_id, log, 0 AS verified, id FROM former_device_logs \
                   UNION ALL SELECT user_id, log, verified, NULL FROM device_logs ORDER BY id NULLS LAST";
        let log = |row: &SqliteRow| {
            let user = UserId::new(super::array(row.try_get("user_id")?, "a user id")?);
            known_log(row)?.replay(user)
        };
        sqlx::query(sql).fetch_all(&self.pool).await?.iter().map(log).collect()
    }

    /// Keeps `now` of a user's device log if `was` is what is kept still; whether it was. What was judged on what another call has
    /// replaced meanwhile has to be judged anew. One of another identity stays, for what it approved (MLS-025).
    pub(crate) async fn keep_device_log(
        &self,
        user: UserId,
        was: Option<&KnownLog>,
        now: &KnownLog,
    ) -> Result<bool, StateError> {
        let Some(was) = was else {
            let sql = "INSERT INTO device_logs (log, verified, user_id) VALUES (?, ?, ?) \
                       ON CONFLICT DO NOTHING";
            let kept = bind_log(sqlx::query(sql), user, now).execute(&self.pool).await?;
            return Ok(kept.rows_affected() > 0);
        };
        let mut transaction = self.pool.begin_with("BEGIN IMMEDIATE").await?;
        let sql = "UPDATE device_logs SET log = ?, verified = ? WHERE user_id = ? \
                   AND log = ? AND verified = ?";
        let kept = bind_log(sqlx::query(sql), user, now)
            .bind(encode(user, was))
            .bind(was.verified)
            .execute(&mut *transaction)
            .await?;
        if kept.rows_affected() == 0 {
            return Ok(false);
        }
        if was.entries.first() != now.entries.first() {
            keep_former(&mut transaction, user, was).await?;
        }
        transaction.commit().await?;
        Ok(true)
    }

    /// This device's certificate, if one was made.
    pub(crate) async fn device_certificate(&self) -> Result<Option<Certificate>, StateError> {
        let sql = "SELECT device_certificate FROM account";
        let Some(row) = sqlx::query(sql).fetch_optional(&self.pool).await? else { return Ok(None) };
        let kept: Option<&[u8]> = row.try_get("device_certificate")?;
        let certificate = kept.map(Certificate::decode).transpose();
        certificate.map_err(|_| StateError::Damaged("the certificate of this device"))
    }

    /// Keeps this device's certificate, and the private keys to it, if `was` is the one that is kept still; whether it was.
    pub(crate) async fn keep_device_certificate(
        &self,
        was: Option<&Certificate>,
        now: &Certificate,
        mls_keys: &[SigningKey],
    ) -> Result<bool, StateError> {
        // Others will hold this device to its certificate: its keys are on the disk before anyone sees it (STORE-002).
        let mut transaction = self.durable.begin_with("BEGIN IMMEDIATE").await?;
        let sql = "UPDATE account SET device_certificate = ? WHERE device_certificate IS ?";
        let kept = sqlx::query(sql)
            .bind(&now.as_bytes()[..])
            .bind(was.map(|was| was.as_bytes().to_vec()))
            .execute(&mut *transaction)
            .await?;
        if kept.rows_affected() == 0 {
            return Ok(false);
        }
        sqlx::query("DELETE FROM mls_keys").execute(&mut *transaction).await?;
        for key in mls_keys {
            let suite = key.suite().number();
            sqlx::query("INSERT INTO mls_keys (suite, private_key) VALUES (?, ?)")
                .bind(suite)
                .bind(self.sealer.seal(Place::MlsKey(suite), &key.to_bytes()))
                .execute(&mut *transaction)
                .await?;
        }
        transaction.commit().await?;
        Ok(true)
    }

    /// The private keys to this device's certificate, in the order of their suites; none if none was made.
    pub(crate) async fn mls_keys(&self) -> Result<Vec<SigningKey>, StateError> {
        let rows = sqlx::query("SELECT suite, private_key FROM mls_keys ORDER BY suite");
        let key = |row: &SqliteRow| {
            let number = row.try_get("suite")?;
            let key = self.sealer.open(Place::MlsKey(number), row.try_get("private_key")?)?;
            let suite = Suite::from_number(number);
            let key =
                suite.and_then(|suite| SigningKey::from_bytes::<DefaultCrypto>(suite, &key).ok());
            key.ok_or(StateError::Damaged("an MLS key"))
        };
        rows.fetch_all(&self.pool).await?.iter().map(key).collect()
    }

    /// The user who was last heard to go by this handle; none if nobody was, or several were.
    pub(crate) async fn user_called(&self, handle: &str) -> Result<Option<UserId>, StateError> {
        let sql = "SELECT user_id FROM people WHERE handle = ? LIMIT 2";
        let rows = sqlx::query(sql).bind(handle).fetch_all(&self.pool).await?;
        let [row] = &rows[..] else { return Ok(None) };
        Ok(Some(UserId::new(super::array(row.try_get("user_id")?, "a user id")?)))
    }

    /// Refuses to write what must not be lost into a copy that is thrown away.
    pub(crate) fn check_own(&self) -> Result<(), StateError> {
        match self.home {
            Home::Own { .. } => Ok(()),
            Home::Copy { .. } => Err(StateError::Copy),
        }
    }
}

/// Keeps a log in whose place another came; no more than the last few of a user.
async fn keep_former(
    transaction: &mut Transaction<'_, Sqlite>,
    user: UserId,
    was: &KnownLog,
) -> Result<(), StateError> {
    sqlx::query("INSERT INTO former_device_logs (user_id, log) VALUES (?, ?)")
        .bind(&user.as_bytes()[..])
        .bind(encode(user, was))
        .execute(&mut **transaction)
        .await?;
    let sql = "DELETE FROM former_device_logs WHERE user_id = ?1 AND id NOT IN \
               (SELECT id FROM former_device_logs WHERE user_id = ?1 ORDER BY id DESC LIMIT ?2)";
    sqlx::query(sql)
        .bind(&user.as_bytes()[..])
        .bind(i64::try_from(MAX_FORMER).unwrap_or(i64::MAX))
        .execute(&mut **transaction)
        .await?;
    Ok(())
}

fn known_log(row: &SqliteRow) -> Result<KnownLog, StateError> {
    let part = DeviceLogPart::decode(row.try_get::<&[u8], _>("log")?)
        .map_err(|_| StateError::Damaged("a kept device log"))?;
    Ok(KnownLog { entries: part.entries, verified: row.try_get("verified")? })
}

type Query<'q> = sqlx::query::Query<'q, Sqlite, sqlx::sqlite::SqliteArguments>;

fn bind_log<'q>(query: Query<'q>, user: UserId, log: &KnownLog) -> Query<'q> {
    query.bind(encode(user, log)).bind(log.verified).bind(user.as_bytes().to_vec())
}

fn encode(user: UserId, log: &KnownLog) -> Vec<u8> {
    let length = u32::try_from(log.entries.len()).unwrap_or(u32::MAX);
    let part = DeviceLogPart { user_id: user.to_bytes(), entries: log.entries.clone(), length };
    part.encode_to_vec()
}
