//! Tokens as they are read.

use aside_proto::{
    id::{DeviceId, UserId},
    token::TokenScopes,
    v1,
};

use crate::{
    db::{Columns as _, Pool, Row, decode_error},
    request::TokenRecord,
};

/// A token that wants to log in.
pub(crate) const FIND: &str = "SELECT d.user_id, t.token_hash, t.scopes, t.expires_ms, d.revoked_ms
     FROM devices d JOIN tokens t ON t.device = d.id WHERE d.device_id = ?";

/// An account's tokens.
pub(crate) const LIST: &str =
    "SELECT d.device_id, d.name, d.created_ms, d.last_seen_ms, t.scopes, t.expires_ms
     FROM devices d JOIN tokens t ON t.device = d.id
     WHERE d.user_id = ? AND d.revoked_ms IS NULL ORDER BY d.id";

/// What is known of a token, revoked ones included.
pub(crate) async fn find(pool: &Pool, token: DeviceId) -> Result<Option<TokenRecord>, sqlx::Error> {
    let row = sqlx::query(FIND).bind(token.as_bytes().as_slice()).fetch_optional(pool).await?;
    row.map(|row| {
        Ok(TokenRecord {
            user: UserId::new(row.array(0)?),
            token_hash: row.array(1)?,
            scopes: scopes(&row, 2)?,
            expires_ms: row.number(3)?,
            is_revoked: row.key_or_null(4)?.is_some(),
        })
    })
    .transpose()
}

/// TOKEN-014, but for which are online.
pub(crate) async fn list(pool: &Pool, user: UserId) -> Result<v1::Tokens, sqlx::Error> {
    let rows = sqlx::query(LIST).bind(user.as_bytes().as_slice()).fetch_all(pool).await?;
    let tokens = rows.iter().map(|row| {
        Ok(v1::Token {
            token_id: row.bytes(0)?,
            name: row.text(1)?,
            created_ms: row.number(2)?,
            last_used_ms: row.number(3)?,
            scopes: scopes(row, 4)?.iter().map(Into::into).collect(),
            expires_ms: row.number(5)?,
            online: false,
        })
    });
    Ok(v1::Tokens { tokens: tokens.collect::<Result<_, sqlx::Error>>()? })
}

fn scopes(row: &Row, column: usize) -> Result<TokenScopes, sqlx::Error> {
    let bits = row.number(column)?;
    let known = u32::try_from(bits).ok().and_then(TokenScopes::from_bits);
    known.ok_or_else(|| decode_error(column, UnknownScopes(bits)))
}

/// The database has scopes that this build does not know.
#[derive(Debug, thiserror::Error)]
#[error("{0:#b} are not the scopes of a token")]
struct UnknownScopes(u64);
