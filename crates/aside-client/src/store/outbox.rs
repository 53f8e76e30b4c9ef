//! Messages that were not acknowledged yet: kept to the bit, so that each is sent again as it was (IDEM-001).

use aside_crypto::Signature;
use aside_proto::id::{ConversationId, IdempotencyKey};
use aside_session::client::Draft;
use sqlx::{Row as _, sqlite::SqliteRow};

use super::{StateError, Store, array};

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

    /// A message was acknowledged, or refused for good.
    pub(crate) async fn remove_from_outbox(
        &self,
        message_id: IdempotencyKey,
    ) -> Result<(), StateError> {
        let sql = "DELETE FROM outbox WHERE message_id = ?";
        sqlx::query(sql).bind(&message_id.as_bytes()[..]).execute(&self.pool).await?;
        Ok(())
    }

    /// All messages, in the order in which they are to be sent.
    pub(crate) async fn outbox(&self) -> Result<Vec<Draft>, StateError> {
        let sql =
            "SELECT message_id, conversation_id, payload, salt, signature FROM outbox ORDER BY id";
        sqlx::query(sql).fetch_all(&self.pool).await?.iter().map(draft).collect()
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
