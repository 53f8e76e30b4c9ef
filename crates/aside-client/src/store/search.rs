//! The index that searches use. Searches fill it too, so that taking entries in costs nothing more.

use aside_proto::id::ConversationId;
use sqlx::{QueryBuilder, Row as _, Sqlite, sqlite::SqliteRow};

use super::{Kept, StateError, Store, StoredSignature, entries, signed, unsigned};

/// A message that may hold what is looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Hit {
    pub(crate) conversation: ConversationId,
    pub(crate) seq: u64,
    pub(crate) at: HitAt,
}

/// Where a hit stands among all, the newest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct HitAt {
    pub(crate) time_ms: u64,
    pub(crate) id: i64,
}

/// The text of a message, as it is to be found.
#[derive(Debug)]
pub(crate) struct Searchable {
    pub(crate) seq: u64,
    pub(crate) time_ms: u64,
    /// None: nothing of it is shown.
    pub(crate) text: Option<String>,
}

/// Entries that no search has been through.
#[derive(Debug)]
pub(crate) struct Unsearched {
    pub(crate) kept: Kept,
    /// Whether another entry refers to it.
    pub(crate) referred: bool,
}

impl Store {
    /// The next messages that no search has been through, in order: first those after the last that one has, then those before the
    /// first. Not those whose signature is not settled, nor what comes after them.
    pub(crate) async fn unsearched(
        &self,
        conversation: ConversationId,
        limit: u32,
    ) -> Result<Vec<Unsearched>, StateError> {
        let sql = "SELECT searched_from, searched_to FROM conversations WHERE conversation_id = ?";
        let row =
            sqlx::query(sql).bind(&conversation.as_bytes()[..]).fetch_optional(&self.pool).await?;
        let Some(row) = row else { return Ok(Vec::new()) };
        let from: Option<i64> = row.try_get("searched_from")?;
        let to: Option<i64> = row.try_get("searched_to")?;
        let newer = self.between(conversation, to.map_or(0, |to| to + 1), i64::MAX, limit).await?;
        match from {
            Some(from) if newer.is_empty() => self.between(conversation, 0, from - 1, limit).await,
            _ => Ok(newer),
        }
    }

    async fn between(
        &self,
        conversation: ConversationId,
        from: i64,
        to: i64,
        limit: u32,
    ) -> Result<Vec<Unsearched>, StateError> {
        let sql = "SELECT conversation_id, e.seq, header, salt, payload, payload_hash, chain_before, signature, \
                   EXISTS (SELECT 1 FROM entries r WHERE r.conversation = e.conversation AND r.refers = e.seq) AS referred \
                   FROM entries e JOIN conversations c ON c.id = e.conversation \
                   WHERE conversation_id = ? AND e.seq BETWEEN ? AND ? ORDER BY e.seq LIMIT ?";
        let rows = sqlx::query(sql)
            .bind(&conversation.as_bytes()[..])
            .bind(from)
            .bind(to)
            .bind(limit)
            .fetch_all(&self.pool)
            .await?;
        let mut unsearched = Vec::with_capacity(rows.len());
        for row in &rows {
            let kept = entries::kept(row)?;
            if matches!(kept.signature, StoredSignature::Pending | StoredSignature::Unread) {
                break;
            }
            unsearched.push(Unsearched { kept, referred: row.try_get("referred")? });
        }
        Ok(unsearched)
    }

    /// Makes these findable by their texts as they are now, and notes which entries have been gone through.
    pub(crate) async fn index(
        &self,
        conversation: ConversationId,
        texts: &[Searchable],
        (from, to): (u64, u64),
    ) -> Result<(), StateError> {
        let mut transaction = self.pool.begin().await?;
        for Searchable { seq, time_ms, text } in texts {
            let sql = "DELETE FROM searched WHERE seq = ? AND conversation = \
                       (SELECT id FROM conversations WHERE conversation_id = ?)";
            sqlx::query(sql)
                .bind(signed(*seq))
                .bind(&conversation.as_bytes()[..])
                .execute(&mut *transaction)
                .await?;
            let Some(text) = text else { continue };
            let sql = "INSERT INTO searched (conversation, seq, time_ms) \
                       SELECT id, ?, ? FROM conversations WHERE conversation_id = ? RETURNING id";
            let row = sqlx::query(sql)
                .bind(signed(*seq))
                .bind(signed(*time_ms))
                .bind(&conversation.as_bytes()[..])
                .fetch_optional(&mut *transaction)
                .await?;
            let Some(row) = row else { continue };
            sqlx::query("INSERT INTO search (rowid, text) VALUES (?, ?)")
                .bind(row.try_get::<i64, _>("id")?)
                .bind(text)
                .execute(&mut *transaction)
                .await?;
        }
        let sql = "UPDATE conversations SET searched_from = min(coalesce(searched_from, ?1), ?1), \
                   searched_to = max(coalesce(searched_to, ?2), ?2) WHERE conversation_id = ?3";
        sqlx::query(sql)
            .bind(signed(from))
            .bind(signed(to))
            .bind(&conversation.as_bytes()[..])
            .execute(&mut *transaction)
            .await?;
        Ok(transaction.commit().await?)
    }

    /// What holds all of `words`, the newest first, after `after`.
    pub(crate) async fn hits(
        &self,
        words: &str,
        conversation: Option<ConversationId>,
        after: Option<HitAt>,
        limit: u32,
    ) -> Result<Vec<Hit>, StateError> {
        let mut query = QueryBuilder::<Sqlite>::new(
            "SELECT conversation_id, s.seq, s.time_ms, s.id FROM search \
             JOIN searched s ON s.id = search.rowid JOIN conversations c ON c.id = s.conversation WHERE search MATCH ",
        );
        query.push_bind(words);
        if let Some(conversation) = conversation {
            query.push(" AND conversation_id = ").push_bind(conversation.as_bytes().to_vec());
        }
        if let Some(HitAt { time_ms, id }) = after {
            query.push(" AND (s.time_ms, s.id) < (").push_bind(signed(time_ms));
            query.push(", ").push_bind(id).push(")");
        }
        query.push(" ORDER BY s.time_ms DESC, s.id DESC LIMIT ").push_bind(limit);
        query.build().fetch_all(&self.pool).await?.iter().map(hit).collect()
    }
}

fn hit(row: &SqliteRow) -> Result<Hit, StateError> {
    let conversation = super::array(row.try_get("conversation_id")?, "an id")?;
    let time_ms = unsigned(row.try_get("time_ms")?);
    Ok(Hit {
        conversation: ConversationId::new(conversation),
        seq: unsigned(row.try_get("seq")?),
        at: HitAt { time_ms, id: row.try_get("id")? },
    })
}
