//! The key that signs heads (HEAD-007).

use super::Context;
use crate::{
    error::{Refused, Stop},
    request::SetLogKey,
};

impl Context<'_> {
    /// The first key comes without a signature, each later one with that of the key before, which is then forgotten.
    pub(crate) async fn set_log_key(&mut self, set: &SetLogKey) -> Result<(), Stop> {
        let current = sqlx::query("SELECT 1 FROM log_keys LIMIT 1")
            .fetch_optional(&mut *self.connection)
            .await?;
        if current.is_some() != set.rotation_signature.is_some() {
            return Err(Refused::LogKeyUnexpected.into());
        }
        sqlx::query("UPDATE log_keys SET private_key = NULL")
            .execute(&mut *self.connection)
            .await?;
        sqlx::query("INSERT INTO log_keys (public_key, private_key, signature) VALUES (?, ?, ?)")
            .bind(set.key.public_key.as_slice())
            .bind(set.key.private_key.as_slice())
            .bind(set.rotation_signature.as_ref().map(|signature| signature.as_slice()))
            .execute(&mut *self.connection)
            .await?;
        Ok(())
    }
}
