//! Messages that were not acknowledged yet: kept to the bit, so that each is sent again as it was (IDEM-001). Those that will
//! not be sent stay until the user has seen to them: none is dropped to make room.

use aside_crypto::Signature;
use aside_proto::id::{ConversationId, IdempotencyKey};
use aside_session::client::Draft;
use sqlx::{Row as _, Sqlite, Transaction, sqlite::SqliteRow};

use super::{StateError, Store, array, signed, unsigned};
use crate::State;

/// With so many that will not be sent, no other is taken in: so there are never more than these and those that wait.
const MAX_FAILED: u32 = 1024;

/// A message to be sent, and what is known of its way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Posting {
    pub(crate) draft: Draft,
    /// The last entry known of when it was written: it can stand only after that (MSG-016). None if none was.
    pub(crate) after: Option<u64>,
    /// Whether a connection may have carried it.
    pub(crate) carried: bool,
}

/// A message of the outbox, and how it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Filed {
    pub(crate) posting: Posting,
    pub(crate) state: State,
    /// Where it is, as the server says.
    pub(crate) seq: Option<u64>,
}

impl Store {
    /// Keeps a message until it is removed; `false` if there is no room, since too many are there that will not be sent.
    pub(crate) async fn add_to_outbox(&self, posting: &Posting) -> Result<bool, StateError> {
        let mut transaction = self.pool.begin().await?;
        let added = insert(&mut transaction, posting).await?;
        transaction.commit().await?;
        Ok(added)
    }

    /// Keeps a message in place of one that will not be sent; `false`, and nothing has changed, if that is no such message.
    pub(crate) async fn replace_failed(
        &self,
        failed: IdempotencyKey,
        posting: &Posting,
    ) -> Result<bool, StateError> {
        let mut transaction = self.pool.begin().await?;
        let sql = "DELETE FROM outbox WHERE message_id = ? AND failed IS NOT NULL";
        let removed =
            sqlx::query(sql).bind(&failed.as_bytes()[..]).execute(&mut *transaction).await?;
        let replaced = removed.rows_affected() > 0 && insert(&mut transaction, posting).await?;
        if replaced {
            transaction.commit().await?;
        }
        Ok(replaced)
    }

    /// Takes a message out that will not be sent; `false` if there is no such message.
    pub(crate) async fn discard_failed(
        &self,
        message_id: IdempotencyKey,
    ) -> Result<bool, StateError> {
        let sql = "DELETE FROM outbox WHERE message_id = ? AND failed IS NOT NULL";
        let done = sqlx::query(sql).bind(&message_id.as_bytes()[..]).execute(&self.pool).await?;
        Ok(done.rows_affected() > 0)
    }

    /// A connection stands: it may carry all that is to be sent.
    pub(crate) async fn note_carried(&self) -> Result<(), StateError> {
        sqlx::query("UPDATE outbox SET carried = 1 WHERE NOT carried").execute(&self.pool).await?;
        Ok(())
    }

    /// A message was acknowledged, or taken back before it was sent.
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
    pub(crate) async fn outbox(&self) -> Result<Vec<Posting>, StateError> {
        let sql = "SELECT * FROM outbox WHERE failed IS NULL AND seq IS NULL ORDER BY id";
        sqlx::query(sql).fetch_all(&self.pool).await?.iter().map(posting).collect()
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
    pub(crate) async fn outgoing(&self) -> Result<Vec<Filed>, StateError> {
        let rows = sqlx::query("SELECT * FROM outbox ORDER BY id").fetch_all(&self.pool).await?;
        let filed = |row: &SqliteRow| {
            let seq: Option<i64> = row.try_get("seq")?;
            let state = match (row.try_get("failed")?, seq) {
                (Some(reason), _) => State::Failed { reason, remedy: row.try_get("remedy")? },
                (None, Some(_)) => State::Sent,
                (None, None) => State::Queued,
            };
            Ok(Filed { posting: posting(row)?, state, seq: seq.map(unsigned) })
        };
        rows.iter().map(filed).collect()
    }
}

async fn insert(
    transaction: &mut Transaction<'_, Sqlite>,
    Posting { draft, after, carried }: &Posting,
) -> Result<bool, StateError> {
    let sql = "INSERT INTO outbox (message_id, conversation_id, payload, salt, signature, after_seq, carried) \
               SELECT ?, ?, ?, ?, ?, ?, ? WHERE (SELECT count(*) FROM outbox WHERE failed IS NOT NULL) < ?";
    let done = sqlx::query(sql)
        .bind(&draft.message_id.as_bytes()[..])
        .bind(&draft.conversation.as_bytes()[..])
        .bind(&draft.payload[..])
        .bind(&draft.salt[..])
        .bind(&draft.signature.as_bytes()[..])
        .bind(after.map(signed))
        .bind(*carried)
        .bind(MAX_FAILED)
        .execute(&mut **transaction)
        .await?;
    Ok(done.rows_affected() > 0)
}

fn posting(row: &SqliteRow) -> Result<Posting, StateError> {
    let after: Option<i64> = row.try_get("after_seq")?;
    let carried = row.try_get("carried")?;
    Ok(Posting { draft: draft(row)?, after: after.map(unsigned), carried })
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
