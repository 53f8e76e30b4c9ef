//! Accounts: made, renamed, given another password.

use aside_proto::{
    id::{DeviceId, IdempotencyKey, UserId},
    name::Name,
    v1,
};
use sqlx::Row as _;

use super::{Context, Who};
use crate::{
    db::{Columns as _, signed},
    effect::Effect,
    error::{Refused, Stop},
    recall::Kind,
    request::{ChangePassword, LoggedIn, Register, Rename},
};

impl Context<'_> {
    /// AUTH-011 to AUTH-015.
    pub(crate) async fn register(&mut self, register: &Register) -> Result<LoggedIn, Stop> {
        if let Some(bound) = self.device_of_key(&register.public_key).await? {
            let who = bound.who;
            let before = self.recall(&who, register.key, Kind::Register).await?;
            return match before {
                Some(v1::Authenticated { .. }) => {
                    Ok(LoggedIn { user: who.user, device: who.device })
                }
                None => Err(Refused::PublicKeyBound.into()),
            };
        }
        let user = UserId::new(self.uuid());
        let handle = self.choose_handle(user, &register.handle, register.on_conflict).await?;
        sqlx::query(
            "INSERT INTO users (user_id, handle, password_hash, created_ms) VALUES (?, ?, ?, ?)",
        )
        .bind(user.as_bytes().as_slice())
        .bind(handle.as_str())
        .bind(&register.password_hash)
        .bind(signed(self.now))
        .execute(&mut *self.connection)
        .await?;
        self.take_handle(user, &handle).await?;
        let device = DeviceId::new(self.uuid());
        let device_key =
            self.insert_device(device, user, &register.public_key, &register.device_name).await?;
        let reply = v1::Authenticated {
            user_id: user.to_bytes(),
            device_id: device.to_bytes(),
            handle: handle.as_str().to_owned(),
        };
        let who = Who { user, device, device_key, handle };
        self.remember(&who, register.key, Kind::Register, &reply).await?;
        Ok(LoggedIn { user, device })
    }

    /// ACCT-001 to ACCT-007.
    pub(crate) async fn rename(&mut self, rename: &Rename) -> Result<v1::Renamed, Stop> {
        let who = self.who(rename.user, rename.device).await?;
        if let Some(reply) = self.recall(&who, rename.key, Kind::Rename).await? {
            return Ok(reply);
        }
        let handle = self.choose_handle(who.user, &rename.handle, rename.on_conflict).await?;
        // ACCT-006
        if handle != who.handle {
            self.check_cooldown(who.user).await?;
            self.set_handle(who.user, &handle).await?;
            self.record_rename(&who, rename.key, &handle).await?;
        }
        let reply = v1::Renamed { handle: handle.as_str().to_owned() };
        self.remember(&who, rename.key, Kind::Rename, &reply).await?;
        Ok(reply)
    }

    /// PASS-005, PASS-006.
    pub(crate) async fn change_password(
        &mut self,
        change: &ChangePassword,
    ) -> Result<v1::PasswordChanged, Stop> {
        let who = self.who(change.user, change.device).await?;
        if let Some(reply) = self.recall(&who, change.key, Kind::ChangePassword).await? {
            return Ok(reply);
        }
        self.check_password(who.user, &change.verified_hash).await?;
        self.set_password_hash(who.user, &change.new_hash).await?;
        let revoked = self.revoke_others(&who, change.key).await?;
        let reply = v1::PasswordChanged { revoked_devices: revoked };
        self.remember(&who, change.key, Kind::ChangePassword, &reply).await?;
        Ok(reply)
    }

    /// Refuses what was verified against a password that is no longer the account's.
    pub(super) async fn check_password(
        &mut self,
        user: UserId,
        verified_hash: &str,
    ) -> Result<(), Stop> {
        sqlx::query("SELECT 1 FROM users WHERE user_id = ? AND password_hash = ?")
            .bind(user.as_bytes().as_slice())
            .bind(verified_hash)
            .fetch_optional(&mut *self.connection)
            .await?
            .map(|_| ())
            .ok_or_else(|| Refused::PasswordChanged.into())
    }

    pub(super) async fn set_password_hash(
        &mut self,
        user: UserId,
        hash: &str,
    ) -> Result<(), sqlx::Error> {
        sqlx::query("UPDATE users SET password_hash = ? WHERE user_id = ?")
            .bind(hash)
            .bind(user.as_bytes().as_slice())
            .execute(&mut *self.connection)
            .await?;
        Ok(())
    }

    /// ACCT-004: the first rename is free.
    async fn check_cooldown(&mut self, user: UserId) -> Result<(), Stop> {
        let row = sqlx::query("SELECT renamed_ms FROM users WHERE user_id = ?")
            .bind(user.as_bytes().as_slice())
            .fetch_one(&mut *self.connection)
            .await?;
        let cooldown_ms = self.surroundings.limits.rename_cooldown_s.saturating_mul(1000);
        let allowed = match row.try_get::<Option<i64>, _>(0)? {
            Some(_) => row.number(0)?.saturating_add(cooldown_ms),
            None => 0,
        };
        match allowed.saturating_sub(self.now) {
            0 => Ok(()),
            retry_after_ms => Err(Refused::RenameTooSoon { retry_after_ms }.into()),
        }
    }

    async fn set_handle(&mut self, user: UserId, handle: &Name) -> Result<(), sqlx::Error> {
        self.take_handle(user, handle).await?;
        sqlx::query("UPDATE users SET handle = ?, renamed_ms = ? WHERE user_id = ?")
            .bind(handle.as_str())
            .bind(signed(self.now))
            .bind(user.as_bytes().as_slice())
            .execute(&mut *self.connection)
            .await?;
        Ok(())
    }

    /// ACCT-005: everywhere the account is a member.
    async fn record_rename(
        &mut self,
        who: &Who,
        key: IdempotencyKey,
        handle: &Name,
    ) -> Result<(), Stop> {
        let payload = v1::MemberRenamedPayload {
            user_id: who.user.to_bytes(),
            old_handle: who.handle.as_str().to_owned(),
            new_handle: handle.as_str().to_owned(),
        };
        let places = self.memberships(who.user).await?;
        let places: Vec<_> = places.into_iter().map(|(place, _)| place).collect();
        let mut heads = self.heads(&places).await?;
        for place in places {
            let kind = v1::EntryKind::MemberRenamed;
            self.seal_record(place, heads.of(place)?, kind, Some(who.origin(key)), &payload);
        }
        Ok(self.flush().await?)
    }

    /// Revokes all active devices of an account but the one that asks; returns how many.
    async fn revoke_others(&mut self, who: &Who, key: IdempotencyKey) -> Result<u32, Stop> {
        let (user, spared) = (who.user, who.device_key);
        let others = sqlx::query(
            "SELECT device_id FROM devices WHERE user_id = ? AND id <> ? AND revoked_ms IS NULL ORDER BY id",
        )
        .bind(user.as_bytes().as_slice())
        .bind(spared)
        .fetch_all(&mut *self.connection)
        .await?;
        sqlx::query("UPDATE devices SET revoked_ms = ? WHERE user_id = ? AND id <> ? AND revoked_ms IS NULL")
            .bind(signed(self.now))
            .bind(user.as_bytes().as_slice())
            .bind(spared)
            .execute(&mut *self.connection)
            .await?;
        for row in &others {
            let device = DeviceId::new(row.array(0)?);
            self.effects.push(Effect::DeviceRevoked { device });
            self.end_revoked(who, key, device).await?;
        }
        Ok(others.len() as u32)
    }
}
