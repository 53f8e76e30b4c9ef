//! How far the user and the other members have got.

use aside_proto::id::{ConversationId, UserId};
use aside_session::client::{Watermark, Watermarks};
use sqlx::Row as _;

use super::{StateError, Store, array, signed, unsigned};

/// Messages after the last one read that are looked at to count the unread ones (SUM-005).
pub(crate) const MAX_UNREAD: u32 = 1000;

/// How far the user has read, and what that leaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Progress {
    /// As the server has it; none if it never told.
    pub(crate) confirmed: Option<Watermarks>,
    /// How far the user has read here.
    pub(crate) marked: u64,
    pub(crate) live: bool,
}

impl Progress {
    /// How far the user has read, on any device.
    pub(crate) fn read(&self) -> u64 {
        self.marked.max(self.confirmed.unwrap_or_default().read_seq)
    }
}

impl Store {
    /// How far the user has got in a conversation that is remembered.
    pub(crate) async fn progress(
        &self,
        conversation: ConversationId,
    ) -> Result<Option<Progress>, StateError> {
        let sql = "SELECT delivered_seq, read_seq, marked_seq, live FROM conversations WHERE conversation_id = ?";
        let row =
            sqlx::query(sql).bind(&conversation.as_bytes()[..]).fetch_optional(&self.pool).await?;
        let Some(row) = row else { return Ok(None) };
        let seqs: (Option<i64>, Option<i64>) =
            (row.try_get("delivered_seq")?, row.try_get("read_seq")?);
        let confirmed = match seqs {
            (Some(delivered), Some(read)) => {
                Some(Watermarks { delivered_seq: unsigned(delivered), read_seq: unsigned(read) })
            }
            _ => None,
        };
        let marked = unsigned(row.try_get("marked_seq")?);
        Ok(Some(Progress { confirmed, marked, live: row.try_get("live")? }))
    }

    /// The server told the user's own watermarks.
    pub(crate) async fn set_confirmed(
        &self,
        conversation: ConversationId,
        at: Watermarks,
    ) -> Result<(), StateError> {
        let sql = "UPDATE conversations SET unread = CASE WHEN read_seq = ?2 THEN unread ELSE 0 END, \
                   delivered_seq = ?1, read_seq = ?2 WHERE conversation_id = ?3";
        sqlx::query(sql)
            .bind(signed(at.delivered_seq))
            .bind(signed(at.read_seq))
            .bind(&conversation.as_bytes()[..])
            .execute(&self.pool)
            .await?;
        Ok(())
    }

    /// The server counted what is unread, after the read watermark that it told with it.
    pub(crate) async fn set_unread(
        &self,
        conversation: ConversationId,
        unread: u32,
    ) -> Result<(), StateError> {
        let sql = "UPDATE conversations SET unread = ? WHERE conversation_id = ?";
        sqlx::query(sql)
            .bind(unread)
            .bind(&conversation.as_bytes()[..])
            .execute(&self.pool)
            .await?;
        Ok(())
    }

    /// The user has read up to here.
    pub(crate) async fn set_marked(
        &self,
        conversation: ConversationId,
        seq: u64,
    ) -> Result<(), StateError> {
        let sql =
            "UPDATE conversations SET marked_seq = max(marked_seq, ?) WHERE conversation_id = ?";
        sqlx::query(sql)
            .bind(signed(seq))
            .bind(&conversation.as_bytes()[..])
            .execute(&self.pool)
            .await?;
        Ok(())
    }

    /// Whether the members hear of each other's watermarks (MARK-010).
    pub(crate) async fn set_live(
        &self,
        conversation: ConversationId,
        live: bool,
    ) -> Result<(), StateError> {
        let sql = "UPDATE conversations SET live = ? WHERE conversation_id = ?";
        sqlx::query(sql).bind(live).bind(&conversation.as_bytes()[..]).execute(&self.pool).await?;
        Ok(())
    }

    /// How many messages of others the user has not read, at most 1000: of those that are kept, or as the server counted them
    /// if they are more. None if the server never told how far the user has read.
    pub(crate) async fn unread(
        &self,
        conversation: ConversationId,
    ) -> Result<Option<u32>, StateError> {
        let Some(progress) = self.progress(conversation).await? else { return Ok(None) };
        let Some(confirmed) = progress.confirmed else { return Ok(None) };
        // The plus keeps SQLite from walking through the index of all messages.
        let sql = "SELECT count(*) FILTER (WHERE device NOT IN \
                       (SELECT device_id FROM devices WHERE user_id = (SELECT user_id FROM account))) \
                   FROM (SELECT substr(message, 1, 16) AS device FROM entries \
                         WHERE conversation = (SELECT id FROM conversations WHERE conversation_id = ?1) \
                         AND seq > ?2 AND +message IS NOT NULL ORDER BY seq LIMIT ?3)";
        let row = sqlx::query(sql)
            .bind(&conversation.as_bytes()[..])
            .bind(signed(progress.read()))
            .bind(MAX_UNREAD)
            .fetch_one(&self.pool)
            .await?;
        let kept = u32::try_from(row.try_get::<i64, _>(0)?).unwrap_or(MAX_UNREAD);
        let counted = match progress.read() > confirmed.read_seq {
            true => 0,
            false => self.counted_unread(conversation).await?,
        };
        Ok(Some(kept.max(counted)))
    }

    async fn counted_unread(&self, conversation: ConversationId) -> Result<u32, StateError> {
        let sql = "SELECT unread FROM conversations WHERE conversation_id = ?";
        let row = sqlx::query(sql).bind(&conversation.as_bytes()[..]).fetch_one(&self.pool).await?;
        Ok(u32::try_from(row.try_get::<i64, _>("unread")?).unwrap_or(MAX_UNREAD))
    }

    /// How far other members have got, in one transaction. Those that are news, with the member's handle.
    pub(crate) async fn set_watermarks(
        &self,
        watermarks: impl Iterator<Item = (ConversationId, Watermark)>,
    ) -> Result<Vec<(ConversationId, Watermark, Option<String>)>, StateError> {
        let sql = "INSERT INTO watermarks (conversation, user_id, delivered_seq, read_seq) \
                   SELECT id, ?, ?, ? FROM conversations WHERE conversation_id = ? \
                   ON CONFLICT (conversation, user_id) DO UPDATE SET \
                   delivered_seq = max(delivered_seq, excluded.delivered_seq), read_seq = max(read_seq, excluded.read_seq) \
                   WHERE excluded.delivered_seq > delivered_seq OR excluded.read_seq > read_seq \
                   RETURNING (SELECT handle FROM people WHERE people.user_id = watermarks.user_id) AS handle";
        let mut news = Vec::new();
        let mut transaction = self.pool.begin().await?;
        for (conversation, watermark) in watermarks {
            let row = sqlx::query(sql)
                .bind(&watermark.user.as_bytes()[..])
                .bind(signed(watermark.at.delivered_seq))
                .bind(signed(watermark.at.read_seq))
                .bind(&conversation.as_bytes()[..])
                .fetch_optional(&mut *transaction)
                .await?;
            if let Some(row) = row {
                news.push((conversation, watermark, row.try_get("handle")?));
            }
        }
        transaction.commit().await?;
        Ok(news)
    }

    /// A member left, and its watermarks with it (MARK-011).
    pub(crate) async fn remove_watermark(
        &self,
        conversation: ConversationId,
        user: UserId,
    ) -> Result<(), StateError> {
        let sql = "DELETE FROM watermarks WHERE user_id = ? AND conversation = \
                   (SELECT id FROM conversations WHERE conversation_id = ?)";
        sqlx::query(sql)
            .bind(&user.as_bytes()[..])
            .bind(&conversation.as_bytes()[..])
            .execute(&self.pool)
            .await?;
        Ok(())
    }

    /// How far the other members have got, in order of their ids.
    pub(crate) async fn watermarks(
        &self,
        conversation: ConversationId,
    ) -> Result<Vec<Watermark>, StateError> {
        let sql = "SELECT user_id, w.delivered_seq, w.read_seq FROM watermarks w \
                   JOIN conversations c ON c.id = w.conversation WHERE conversation_id = ? ORDER BY user_id";
        let rows =
            sqlx::query(sql).bind(&conversation.as_bytes()[..]).fetch_all(&self.pool).await?;
        let watermark = |row: &sqlx::sqlite::SqliteRow| {
            Ok(Watermark {
                user: UserId::new(array(row.try_get("user_id")?, "a user id")?),
                at: Watermarks {
                    delivered_seq: unsigned(row.try_get("delivered_seq")?),
                    read_seq: unsigned(row.try_get("read_seq")?),
                },
            })
        };
        rows.iter().map(watermark).collect()
    }

    /// The furthest that any other member has got; nothing where members do not hear of each other (MARK-010).
    pub(crate) async fn furthest(
        &self,
        conversation: ConversationId,
    ) -> Result<Watermarks, StateError> {
        let sql = "SELECT max(w.delivered_seq) AS delivered, max(w.read_seq) AS read FROM watermarks w \
                   JOIN conversations c ON c.id = w.conversation WHERE conversation_id = ? AND live";
        let row = sqlx::query(sql).bind(&conversation.as_bytes()[..]).fetch_one(&self.pool).await?;
        let seq = |name| {
            Ok::<_, StateError>(unsigned(row.try_get::<Option<i64>, _>(name)?.unwrap_or_default()))
        };
        Ok(Watermarks { delivered_seq: seq("delivered")?, read_seq: seq("read")? })
    }

    /// Whether the user has said something of late that no other member is known to have read.
    pub(crate) async fn awaits_reading(
        &self,
        conversation: ConversationId,
    ) -> Result<bool, StateError> {
        let read = self.furthest(conversation).await?.read_seq;
        let sql = "SELECT EXISTS (SELECT 1 FROM (SELECT substr(message, 1, 16) AS device FROM entries \
                       WHERE conversation = (SELECT id FROM conversations WHERE conversation_id = ?1) \
                       AND seq > ?2 AND +message IS NOT NULL ORDER BY seq DESC LIMIT ?3) \
                   WHERE device IN (SELECT device_id FROM devices WHERE user_id = (SELECT user_id FROM account)))";
        let row = sqlx::query(sql)
            .bind(&conversation.as_bytes()[..])
            .bind(signed(read))
            .bind(MAX_UNREAD)
            .fetch_one(&self.pool)
            .await?;
        Ok(row.try_get(0)?)
    }

    /// The account, once this device has logged in.
    pub(crate) async fn me(&self) -> Result<Option<UserId>, StateError> {
        let row = sqlx::query("SELECT user_id FROM account").fetch_optional(&self.pool).await?;
        let user = row.map(|row| row.try_get::<Option<Vec<u8>>, _>("user_id")).transpose()?;
        user.flatten().map(|user| Ok(UserId::new(array(&user, "a user id")?))).transpose()
    }
}
