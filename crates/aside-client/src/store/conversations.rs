//! Conversations: which there are, and how far each was read.

use aside_proto::{id::ConversationId, v1};
use aside_session::client::log::{Place, Remembered};
use sqlx::{Row as _, sqlite::SqliteRow};

use super::{StateError, Store, array, unsigned};

/// A conversation as it is remembered.
#[derive(Debug, Clone)]
pub(crate) struct Followed {
    pub(crate) conversation: ConversationId,
    pub(crate) name: String,
    pub(crate) joined: bool,
    /// How far it was read.
    pub(crate) cursor: Option<Remembered>,
    pub(crate) tampering: Option<String>,
}

impl Store {
    /// Every conversation remembered.
    pub(crate) async fn conversations(&self) -> Result<Vec<Followed>, StateError> {
        let sql = "SELECT * FROM conversations";
        sqlx::query(sql).fetch_all(&self.pool).await?.iter().map(followed).collect()
    }

    /// One conversation, if it is remembered.
    pub(crate) async fn conversation(
        &self,
        conversation: ConversationId,
    ) -> Result<Option<Followed>, StateError> {
        let sql = "SELECT * FROM conversations WHERE conversation_id = ?";
        let row =
            sqlx::query(sql).bind(&conversation.as_bytes()[..]).fetch_optional(&self.pool).await?;
        row.as_ref().map(followed).transpose()
    }

    /// Remembers a conversation, its name and whether the user is a member.
    pub(crate) async fn set_conversation(
        &self,
        conversation: ConversationId,
        name: &str,
        joined: bool,
    ) -> Result<(), StateError> {
        let sql = "INSERT INTO conversations (conversation_id, name, joined) VALUES (?, ?, ?) \
                   ON CONFLICT (conversation_id) DO UPDATE SET name = excluded.name, joined = excluded.joined";
        sqlx::query(sql)
            .bind(&conversation.as_bytes()[..])
            .bind(name)
            .bind(joined)
            .execute(&self.pool)
            .await?;
        Ok(())
    }

    /// Remembers what was found wrong, for good.
    pub(crate) async fn set_tampering(
        &self,
        conversation: ConversationId,
        tampering: &str,
    ) -> Result<(), StateError> {
        let sql = "UPDATE conversations SET tampering = ? WHERE conversation_id = ?";
        sqlx::query(sql)
            .bind(tampering)
            .bind(&conversation.as_bytes()[..])
            .execute(&self.pool)
            .await?;
        Ok(())
    }

    /// Forgets a conversation, its entries and what was found wrong with them.
    pub(crate) async fn forget(&self, conversation: ConversationId) -> Result<(), StateError> {
        let sql = "DELETE FROM conversations WHERE conversation_id = ?";
        sqlx::query(sql).bind(&conversation.as_bytes()[..]).execute(&self.pool).await?;
        Ok(())
    }
}

fn followed(row: &SqliteRow) -> Result<Followed, StateError> {
    let seq: Option<i64> = row.try_get("seq")?;
    let chain: Option<&[u8]> = row.try_get("chain")?;
    let cursor = match (seq, chain) {
        (Some(seq), Some(chain)) => {
            let place = Place { seq: unsigned(seq), chain: array(chain, "a chain value")? };
            Some(Remembered { place, time_ms: unsigned(row.try_get("time_ms")?), head: head(row)? })
        }
        _ => None,
    };
    Ok(Followed {
        conversation: ConversationId::new(array(row.try_get("conversation_id")?, "an id")?),
        name: row.try_get("name")?,
        joined: row.try_get("joined")?,
        cursor,
        tampering: row.try_get("tampering")?,
    })
}

fn head(row: &SqliteRow) -> Result<Option<v1::SignedHead>, StateError> {
    let statement: Option<Vec<u8>> = row.try_get("statement")?;
    let signature: Option<Vec<u8>> = row.try_get("statement_signature")?;
    Ok(statement.zip(signature).map(|(statement, signature)| v1::SignedHead {
        statement: statement.into(),
        signature: signature.into(),
    }))
}
