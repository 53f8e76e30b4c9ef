//! Messages that were not acknowledged yet: kept to the bit, so that each is sent again as it was (IDEM-001). Those that will
//! not be sent stay for the user to see.

use aside_crypto::Signature;
use aside_proto::id::{ConversationId, IdempotencyKey};
use aside_session::client::Draft;
use sqlx::{Row as _, sqlite::SqliteRow};

use super::{StateError, Store, array, signed, unsigned};
use crate::State;

/// Messages that were not sent and are kept; the oldest go beyond.
const MAX_FAILED: u32 = 256;

impl Store {
    /// Keeps a message until it is removed.
    pub(crate) async fn add_to_outbox(&self, draft: &Draft) -> Result<(), StateError> {
        let sql = "INSERT INTO outbox (message_id, conversation_id, payload, salt, signature) VALUES (?, ?, ?, ?, ?)";
        sqlx::query(sql)
            .bind(&draft.message_id.as_bytes()[..])
            .bind(&draft.conversation.as_bytes()[..])
            .bind(&draft.payload[..])
            .bind(&draft.salt[..])
            .bind(&draft.signature.as_bytes()[..])
            .execute(&self.pool)
            .await?;
        Ok(())
    }

    /// A message was acknowledged, or the user has seen that it was not sent.
    pub(crate) async fn remove_from_outbox(
        &self,
        message_id: IdempotencyKey,
    ) -> Result<(), StateError> {
        let sql = "DELETE FROM outbox WHERE message_id = ?";
        sqlx::query(sql).bind(&message_id.as_bytes()[..]).execute(&self.pool).await?;
        Ok(())
    }

    /// A message will not be sent.
    pub(crate) async fn fail_in_outbox(
        &self,
        message_id: IdempotencyKey,
        reason: &str,
        remedy: Option<&str>,
    ) -> Result<(), StateError> {
        let sql = "UPDATE outbox SET failed = ?, remedy = ? WHERE message_id = ?";
        sqlx::query(sql)
            .bind(reason)
            .bind(remedy)
            .bind(&message_id.as_bytes()[..])
            .execute(&self.pool)
            .await?;
        let sql = "DELETE FROM outbox WHERE failed IS NOT NULL AND id NOT IN \
                   (SELECT id FROM outbox WHERE failed IS NOT NULL ORDER BY id DESC LIMIT ?)";
        sqlx::query(sql).bind(MAX_FAILED).execute(&self.pool).await?;
        Ok(())
    }

    /// A message was acknowledged as an entry that was not taken in yet (MSG-015).
    pub(crate) async fn set_sent(
        &self,
        message_id: IdempotencyKey,
        seq: u64,
    ) -> Result<(), StateError> {
        let sql = "UPDATE outbox SET seq = ? WHERE message_id = ?";
        sqlx::query(sql)
            .bind(signed(seq))
            .bind(&message_id.as_bytes()[..])
            .execute(&self.pool)
            .await?;
        Ok(())
    }

    /// The messages to be sent, in the order in which they are.
    pub(crate) async fn outbox(&self) -> Result<Vec<Draft>, StateError> {
        let sql = "SELECT message_id, conversation_id, payload, salt, signature FROM outbox \
                   WHERE failed IS NULL AND seq IS NULL ORDER BY id";
        sqlx::query(sql).fetch_all(&self.pool).await?.iter().map(draft).collect()
    }

    /// A message that will not be sent.
    pub(crate) async fn failed(
        &self,
        message_id: IdempotencyKey,
    ) -> Result<Option<Draft>, StateError> {
        let sql = "SELECT message_id, conversation_id, payload, salt, signature FROM outbox \
                   WHERE message_id = ? AND failed IS NOT NULL";
        let row =
            sqlx::query(sql).bind(&message_id.as_bytes()[..]).fetch_optional(&self.pool).await?;
        row.as_ref().map(draft).transpose()
    }

    /// All messages with how they stand and where, in order.
    pub(crate) async fn outgoing(&self) -> Result<Vec<(Draft, State, Option<u64>)>, StateError> {
        let rows = sqlx::query("SELECT * FROM outbox ORDER BY id").fetch_all(&self.pool).await?;
        let outgoing = |row: &SqliteRow| {
            let seq: Option<i64> = row.try_get("seq")?;
            let state = match (row.try_get("failed")?, seq) {
                (Some(reason), _) => State::Failed { reason, remedy: row.try_get("remedy")? },
                (None, Some(_)) => State::Sent,
                (None, None) => State::Queued,
            };
            Ok((draft(row)?, state, seq.map(unsigned)))
        };
        rows.iter().map(outgoing).collect()
    }
}

fn draft(row: &SqliteRow) -> Result<Draft, StateError> {
    let message_id = array(row.try_get("message_id")?, "a message id")?;
    let conversation = array(row.try_get("conversation_id")?, "a conversation id")?;
    Ok(Draft {
        conversation: ConversationId::new(conversation),
        message_id: IdempotencyKey::new(message_id),
        payload: row.try_get::<Vec<u8>, _>("payload")?.into(),
        salt: array(row.try_get("salt")?, "a salt")?,
        signature: Signature::try_from(row.try_get::<&[u8], _>("signature")?)
            .map_err(|_| StateError::Damaged("a signature"))?,
    })
}
