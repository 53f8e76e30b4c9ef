//! Conversations: which there are, and how far each was read.

use aside_proto::{id::ConversationId, v1};
use aside_session::client::log::{Place, Remembered};
use sqlx::{Row as _, sqlite::SqliteRow};

use super::{StateError, Store, array, seal, signed, unsigned};
use crate::Kind;

/// A conversation as it is remembered.
#[derive(Debug, Clone)]
pub(crate) struct Followed {
    pub(crate) conversation: ConversationId,
    pub(crate) kind: Kind,
    pub(crate) name: String,
    pub(crate) topic: String,
    pub(crate) joined: bool,
    /// How far it was read.
    pub(crate) cursor: Option<Remembered>,
    pub(crate) tampering: Option<String>,
    /// Whether it is known who is in it, as far as that was ever told.
    pub(crate) has_members: bool,
}

/// The columns that [`followed`] reads; what follows says which.
macro_rules! conversations {
    ($which:literal) => {
        concat!(
            "SELECT *, EXISTS (SELECT 1 FROM members m WHERE m.conversation = c.id) AS has_members \
             FROM conversations c",
            $which
        )
    };
}

impl Store {
    /// Every conversation remembered.
    pub(crate) async fn conversations(&self) -> Result<Vec<Followed>, StateError> {
        let sql = conversations!("");
        let rows = sqlx::query(sql).fetch_all(&self.pool).await?;
        let mut all: Vec<_> =
            rows.iter().map(|row| self.followed(row)).collect::<Result<_, _>>()?;
        for known in &mut all {
            self.add_missing(known).await?;
        }
        Ok(all)
    }

    /// One conversation, if it is remembered.
    pub(crate) async fn conversation(
        &self,
        conversation: ConversationId,
    ) -> Result<Option<Followed>, StateError> {
        let sql = conversations!(" WHERE conversation_id = ?");
        let row =
            sqlx::query(sql).bind(&conversation.as_bytes()[..]).fetch_optional(&self.pool).await?;
        let mut known = row.as_ref().map(|row| self.followed(row)).transpose()?;
        if let Some(known) = &mut known {
            self.add_missing(known).await?;
        }
        Ok(known)
    }

    /// Remembers a conversation and whether the user is a member; its name only if it is new.
    pub(crate) async fn set_conversation(
        &self,
        conversation: ConversationId,
        name: &str,
        joined: bool,
    ) -> Result<(), StateError> {
        let sql = "INSERT INTO conversations (conversation_id, name, joined) VALUES (?, ?, ?) \
                   ON CONFLICT (conversation_id) DO UPDATE SET joined = excluded.joined";
        sqlx::query(sql)
            .bind(&conversation.as_bytes()[..])
            .bind(name)
            .bind(joined)
            .execute(&self.pool)
            .await?;
        Ok(())
    }

    /// As [`set_conversation`](Self::set_conversation), of a private one of which the user is a member.
    pub(crate) async fn set_private_conversation(
        &self,
        conversation: ConversationId,
        name: &str,
        kind: Kind,
    ) -> Result<(), StateError> {
        let kind = match kind {
            Kind::PublicRoom => v1::ConversationKind::PublicRoom,
            Kind::Group => v1::ConversationKind::Group,
            Kind::Direct => v1::ConversationKind::Direct,
        };
        let sql = "INSERT INTO conversations (conversation_id, name, private_name, joined, conversation_kind) VALUES (?, '', ?, 1, ?) \
                   ON CONFLICT (conversation_id) DO UPDATE SET joined = 1, name = '', \
                   private_name = coalesce(private_name, excluded.private_name), conversation_kind = excluded.conversation_kind";
        sqlx::query(sql)
            .bind(&conversation.as_bytes()[..])
            .bind(self.sealer.seal(seal::Place::Name(conversation), name.as_bytes()))
            .bind(i32::from(kind))
            .execute(&self.pool)
            .await?;
        Ok(())
    }

    /// A private conversation is called so from now on.
    pub(crate) async fn rename_conversation(
        &self,
        conversation: ConversationId,
        name: &str,
    ) -> Result<(), StateError> {
        let sql = "UPDATE conversations SET private_name = ? WHERE conversation_id = ?";
        sqlx::query(sql)
            .bind(self.sealer.seal(seal::Place::Name(conversation), name.as_bytes()))
            .bind(&conversation.as_bytes()[..])
            .execute(&self.pool)
            .await?;
        Ok(())
    }

    /// Remembers the name and the topic as they are as of an entry, unless a later one is known; gives what holds then.
    pub(crate) async fn set_settings(
        &self,
        conversation: ConversationId,
        seq: u64,
        (name, topic): (&str, &str),
    ) -> Result<Option<Followed>, StateError> {
        let sql = "UPDATE conversations SET name = ?, topic = ?, settings_seq = ? \
                   WHERE conversation_id = ? AND settings_seq <= ?";
        sqlx::query(sql)
            .bind(name)
            .bind(topic)
            .bind(signed(seq))
            .bind(&conversation.as_bytes()[..])
            .bind(signed(seq))
            .execute(&self.pool)
            .await?;
        self.conversation(conversation).await
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

    /// Forgets a conversation, its entries and what was found wrong with them, and what messages to it were written after.
    pub(crate) async fn forget(&self, conversation: ConversationId) -> Result<(), StateError> {
        let mut transaction = self.pool.begin().await?;
        for sql in [
            "DELETE FROM conversations WHERE conversation_id = ?",
            "UPDATE outbox SET after_seq = NULL WHERE conversation_id = ?",
        ] {
            sqlx::query(sql).bind(&conversation.as_bytes()[..]).execute(&mut *transaction).await?;
        }
        Ok(transaction.commit().await?)
    }

    fn followed(&self, row: &SqliteRow) -> Result<Followed, StateError> {
        let conversation = ConversationId::new(array(row.try_get("conversation_id")?, "an id")?);
        let kind: i32 = row.try_get("conversation_kind")?;
        Ok(Followed {
            conversation,
            kind: Kind::of(v1::ConversationKind::try_from(kind).unwrap_or_default()),
            name: self.name(conversation, row)?,
            topic: row.try_get("topic")?,
            joined: row.try_get("joined")?,
            cursor: cursor(row)?,
            tampering: row.try_get("tampering")?,
            has_members: row.try_get("has_members")?,
        })
    }

    /// That of a private conversation is sealed (STORE-006).
    fn name(&self, conversation: ConversationId, row: &SqliteRow) -> Result<String, StateError> {
        let Some(sealed) = row.try_get::<Option<&[u8]>, _>("private_name")? else {
            return Ok(row.try_get("name")?);
        };
        let name = self.sealer.open(seal::Place::Name(conversation), sealed)?;
        let name = std::str::from_utf8(&name).map(str::to_owned);
        name.map_err(|_| StateError::Damaged("the name of a private conversation"))
    }
}

fn cursor(row: &SqliteRow) -> Result<Option<Remembered>, StateError> {
    let seq: Option<i64> = row.try_get("seq")?;
    let chain: Option<&[u8]> = row.try_get("chain")?;
    let (Some(seq), Some(chain)) = (seq, chain) else { return Ok(None) };
    let place = Place { seq: unsigned(seq), chain: array(chain, "a chain value")? };
    let time_ms = unsigned(row.try_get("time_ms")?);
    let (head, missing, anchor) = (head(row)?, Vec::new(), anchor(row)?);
    Ok(Some(Remembered { place, time_ms, head, missing, anchor }))
}

fn anchor(row: &SqliteRow) -> Result<Option<Place>, StateError> {
    let seq: Option<i64> = row.try_get("anchor_seq")?;
    let chain: Option<&[u8]> = row.try_get("anchor")?;
    let place = |(seq, chain)| Ok(Place { seq: unsigned(seq), chain: array(chain, "an anchor")? });
    seq.zip(chain).map(place).transpose()
}

fn head(row: &SqliteRow) -> Result<Option<v1::SignedHead>, StateError> {
    let statement: Option<Vec<u8>> = row.try_get("statement")?;
    let signature: Option<Vec<u8>> = row.try_get("statement_signature")?;
    Ok(statement.zip(signature).map(|(statement, signature)| v1::SignedHead {
        statement: statement.into(),
        signature: signature.into(),
    }))
}
