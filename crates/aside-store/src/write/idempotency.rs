//! A mutating request that succeeded is answered the same way again (IDEM-006 to IDEM-008).

use aside_proto::id::IdempotencyKey;
use prost::Message;

use super::{Context, Who};
use crate::{
    error::Stop,
    journal::Prune,
    recall::{self, Kind},
};

/// How much longer than `idempotency_window_s` a key is kept: longer than a request can be between the check of its
/// key's time (IDEM-004) and its transaction.
const PRUNE_MARGIN_MS: u64 = 3600 * 1000;

impl Context<'_> {
    /// The reply that this device was given to a request of this kind and key, if it succeeded before.
    pub(super) async fn recall<M: Message + Default>(
        &mut self,
        who: &Who,
        key: IdempotencyKey,
        kind: Kind,
    ) -> Result<Option<M>, Stop> {
        recall::reply(&mut *self.connection, key, who.device_key, kind).await
    }

    /// Keeps the reply to a request that succeeded.
    pub(super) async fn remember(
        &mut self,
        who: &Who,
        key: IdempotencyKey,
        kind: Kind,
        reply: &impl Message,
    ) -> Result<(), sqlx::Error> {
        sqlx::query("INSERT INTO requests (key, device, kind, reply) VALUES (?, ?, ?, ?)")
            .bind(key.as_bytes().as_slice())
            .bind(who.device_key)
            .bind(kind as i64)
            .bind(reply.encode_to_vec())
            .execute(&mut *self.connection)
            .await?;
        Ok(())
    }

    /// Forgets replies whose keys no server would take any more, and Welcomes that nobody has come for.
    pub(crate) async fn prune(&mut self, _: &Prune) -> Result<u64, Stop> {
        let mut pruned = 0;
        for sql in
            ["DELETE FROM requests WHERE key < ?", "DELETE FROM trimmed WHERE message_id < ?"]
        {
            let done =
                sqlx::query(sql).bind(&self.first_key()[..]).execute(&mut *self.connection).await?;
            pruned += done.rows_affected();
        }
        self.prune_inboxes().await?;
        Ok(pruned)
    }

    /// What the keys begin with from which on replies are kept: a UUIDv7 begins with its time.
    pub(super) fn first_key(&self) -> [u8; 6] {
        let window = self.surroundings.limits.idempotency_window_s.saturating_mul(1000);
        let oldest = self.now.saturating_sub(window).saturating_sub(PRUNE_MARGIN_MS);
        let [_, _, key @ ..] = oldest.to_be_bytes();
        key
    }
}
