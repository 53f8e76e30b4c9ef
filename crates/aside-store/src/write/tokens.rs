//! Tokens: issued, revoked.

use aside_proto::{
    id::{DeviceId, UserId},
    v1,
};

use super::Context;
use crate::{
    db::{Columns as _, signed},
    effect::Effect,
    error::{Refused, Stop},
    recall::Kind,
    request::{IssueToken, RevokeToken},
};

/// How many tokens an account has that are not revoked.
pub(crate) const COUNT_TOKENS: &str =
    "SELECT COUNT(*) FROM devices d JOIN tokens t ON t.device = d.id
     WHERE d.user_id = ? AND d.revoked_ms IS NULL";

/// A token of an account with a name, that has neither ended nor been revoked.
pub(crate) const NAMED_TOKEN: &str = "SELECT 1 FROM devices d JOIN tokens t ON t.device = d.id
     WHERE d.user_id = ? AND d.revoked_ms IS NULL AND d.name = ? AND t.expires_ms > ?";

impl Context<'_> {
    /// TOKEN-001 to TOKEN-004, TOKEN-011, TOKEN-020.
    pub(crate) async fn issue_token(
        &mut self,
        issue: &IssueToken,
    ) -> Result<v1::TokenIssued, Stop> {
        let who = self.who(issue.user, issue.device).await?;
        if let Some(reply) = self.recall(&who, issue.key, Kind::IssueToken).await? {
            return Ok(reply);
        }
        if self.device_of_key(&issue.public_key).await?.is_some() {
            return Err(Refused::PublicKeyBound.into());
        }
        self.check_token_count(who.user).await?;
        self.check_token_name(who.user, &issue.name).await?;
        let token = DeviceId::new(self.uuid());
        let key = self.insert_device(token, who.user, &issue.public_key, &issue.name).await?;
        // Not seen before it has logged in.
        sqlx::query("UPDATE devices SET last_seen_ms = 0 WHERE id = ?")
            .bind(key)
            .execute(&mut *self.connection)
            .await?;
        let expires_ms = self.token_end(issue.expires_ms);
        sqlx::query(
            "INSERT INTO tokens (device, token_hash, scopes, expires_ms) VALUES (?, ?, ?, ?)",
        )
        .bind(key)
        .bind(issue.token_hash.as_slice())
        .bind(i64::from(issue.scopes.bits()))
        .bind(signed(expires_ms))
        .execute(&mut *self.connection)
        .await?;
        let reply = v1::TokenIssued { token_id: token.to_bytes(), expires_ms };
        self.remember(&who, issue.key, Kind::IssueToken, &reply).await?;
        Ok(reply)
    }

    /// TOKEN-012, TOKEN-013.
    pub(crate) async fn revoke_token(
        &mut self,
        revoke: &RevokeToken,
    ) -> Result<v1::TokenRevoked, Stop> {
        let who = self.who(revoke.user, revoke.device).await?;
        if let Some(reply) = self.recall(&who, revoke.key, Kind::RevokeToken).await? {
            return Ok(reply);
        }
        let revoked = sqlx::query(
            "UPDATE devices SET revoked_ms = ? WHERE device_id = ? AND user_id = ? AND revoked_ms IS NULL
             AND EXISTS (SELECT 1 FROM tokens t WHERE t.device = devices.id)",
        )
        .bind(signed(self.now))
        .bind(revoke.token.as_bytes().as_slice())
        .bind(who.user.as_bytes().as_slice())
        .execute(&mut *self.connection)
        .await?;
        if revoked.rows_affected() == 0 {
            return Err(Refused::NoSuchToken.into());
        }
        self.effects.push(Effect::DeviceRevoked { device: revoke.token });
        let reply = v1::TokenRevoked {};
        self.remember(&who, revoke.key, Kind::RevokeToken, &reply).await?;
        Ok(reply)
    }

    /// TOKEN-004.
    fn token_end(&self, asked_ms: u64) -> u64 {
        let most_ms = self.surroundings.limits.max_token_lifetime_s.saturating_mul(1000);
        // What the database can't hold is as good as never.
        let latest_ms = self.now.saturating_add(most_ms).min(i64::MAX as u64);
        if asked_ms == 0 { latest_ms } else { asked_ms.min(latest_ms) }
    }

    /// TOKEN-020.
    async fn check_token_name(&mut self, user: UserId, name: &str) -> Result<(), Stop> {
        let named = sqlx::query(NAMED_TOKEN)
            .bind(user.as_bytes().as_slice())
            .bind(name)
            .bind(signed(self.now))
            .fetch_optional(&mut *self.connection)
            .await?;
        if named.is_some() { Err(Refused::TokenNameTaken.into()) } else { Ok(()) }
    }

    /// TOKEN-011.
    async fn check_token_count(&mut self, user: UserId) -> Result<(), Stop> {
        let row = sqlx::query(COUNT_TOKENS)
            .bind(user.as_bytes().as_slice())
            .fetch_one(&mut *self.connection)
            .await?;
        if row.number(0)? >= u64::from(self.surroundings.limits.max_tokens_per_user) {
            return Err(Refused::TooManyTokens.into());
        }
        Ok(())
    }
}
