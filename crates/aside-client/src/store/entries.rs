//! Entries that were taken in. An entry, the cursor past it and the handles heard in it are one transaction.

use aside_crypto::Hash;
use aside_proto::{
    id::{ConversationId, DeviceId, IdempotencyKey, UserId},
    v1,
};
use aside_session::client::{
    SignatureStatus,
    log::{Accepted, Remembered, Sender},
    room::MAX_TRACKED,
    timeline::{Body, MAX_ENTRIES},
};
use sqlx::{Row as _, Sqlite, Transaction, sqlite::SqliteRow};

use super::{StateError, Store, account::UPSERT_HANDLE, array, redactions, signed, unsigned};

/// An entry to keep.
#[derive(Debug)]
pub(crate) struct NewEntry {
    pub(crate) accepted: Accepted,
    pub(crate) signature: StoredSignature,
}

/// How many messages are looked at, at once and in all, for the last one that is said by itself.
const PAGE_BACK: u32 = 16;
const MOST_PAGES_BACK: usize = 64;

/// What is known of an entry's signature.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum StoredSignature {
    Unsigned = 0,
    Verified = 1,
    Invalid = 2,
    /// The sender's device is being looked up.
    Pending = 3,
    /// A private message that was not read yet: what is read says who its sender is.
    Unread = 4,
}

impl StoredSignature {
    /// Whether it is known what the entry is worth.
    pub(crate) const fn is_settled(self) -> bool {
        !matches!(self, Self::Pending | Self::Unread)
    }
}

/// An entry that was kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Kept {
    pub(crate) conversation: ConversationId,
    pub(crate) seq: u64,
    pub(crate) header: Vec<u8>,
    pub(crate) salt: Vec<u8>,
    pub(crate) payload: Vec<u8>,
    /// Of an entry that was redacted: then salt and payload are empty.
    pub(crate) payload_hash: Option<Hash>,
    pub(crate) chain_before: Hash,
    pub(crate) signature: StoredSignature,
}

impl From<SignatureStatus> for StoredSignature {
    fn from(status: SignatureStatus) -> Self {
        match status {
            SignatureStatus::Unsigned => Self::Unsigned,
            SignatureStatus::Verified => Self::Verified,
            SignatureStatus::Invalid => Self::Invalid,
            SignatureStatus::KeyUnknown => Self::Pending,
        }
    }
}

/// Entries with the columns that [`kept`] reads; what follows says which.
macro_rules! kept_entries {
    ($which:literal) => {
        concat!(
            "SELECT conversation_id, e.seq, header, salt, payload, payload_hash, chain_before, signature \
             FROM entries e JOIN conversations c ON c.id = e.conversation ",
            $which
        )
    };
}

impl Store {
    /// Keeps entries of one conversation, what is to be remembered after them if `cursor` says it, and the handles heard in them.
    pub(crate) async fn keep(
        &self,
        conversation: ConversationId,
        entries: &[NewEntry],
        cursor: Option<&Remembered>,
        handles: &[(UserId, String)],
    ) -> Result<(), StateError> {
        let mut transaction = self.pool.begin().await?;
        for entry in entries {
            insert(&mut transaction, conversation, entry).await?;
        }
        redactions::note(&mut transaction, conversation, entries).await?;
        self.note_read_before(&mut transaction, conversation, entries).await?;
        if let Some(Remembered { place, time_ms, head, missing, anchor }) = cursor {
            redactions::set_missing(&mut transaction, conversation, missing).await?;
            let sql = "UPDATE conversations SET seq = ?, chain = ?, time_ms = ?, statement = ?, statement_signature = ?, \
                       anchor_seq = ?, anchor = ? WHERE conversation_id = ?";
            sqlx::query(sql)
                .bind(signed(place.seq))
                .bind(&place.chain[..])
                .bind(signed(*time_ms))
                .bind(head.as_ref().map(|head| &head.statement[..]))
                .bind(head.as_ref().map(|head| &head.signature[..]))
                .bind(anchor.map(|anchor| signed(anchor.seq)))
                .bind(anchor.as_ref().map(|anchor| &anchor.chain[..]))
                .bind(&conversation.as_bytes()[..])
                .execute(&mut *transaction)
                .await?;
        }
        for (user, handle) in handles {
            sqlx::query(UPSERT_HANDLE)
                .bind(&user.as_bytes()[..])
                .bind(handle)
                .execute(&mut *transaction)
                .await?;
        }
        Ok(transaction.commit().await?)
    }

    /// Up to `limit` entries from `from_seq` on.
    pub(crate) async fn entries_from(
        &self,
        conversation: ConversationId,
        from_seq: u64,
        limit: u32,
    ) -> Result<Vec<Kept>, StateError> {
        let sql = kept_entries!("WHERE conversation_id = ? AND e.seq >= ? ORDER BY e.seq LIMIT ?");
        let rows = self.page(sql, (conversation, from_seq), limit).await?;
        rows.iter().map(kept).collect()
    }

    /// Rows about a conversation, an entry of it, and how many at most: what a statement takes in this order.
    pub(super) async fn page(
        &self,
        sql: &'static str,
        (conversation, seq): (ConversationId, u64),
        limit: u32,
    ) -> Result<Vec<SqliteRow>, StateError> {
        let query = sqlx::query(sql).bind(&conversation.as_bytes()[..]).bind(signed(seq));
        Ok(query.bind(limit).fetch_all(&self.pool).await?)
    }

    /// The last `limit` entries below `before_seq`, oldest first.
    pub(crate) async fn entries_before(
        &self,
        conversation: ConversationId,
        before_seq: u64,
        limit: u32,
    ) -> Result<Vec<Kept>, StateError> {
        let sql =
            kept_entries!("WHERE conversation_id = ? AND e.seq < ? ORDER BY e.seq DESC LIMIT ?");
        let rows = self.page(sql, (conversation, before_seq), limit).await?;
        rows.iter().rev().map(kept).collect()
    }

    /// As [`entries_before`](Self::entries_before), without those at the end whose signature or text is still to be judged.
    pub(crate) async fn settled_before(
        &self,
        conversation: ConversationId,
        before_seq: u64,
        limit: u32,
    ) -> Result<Vec<Kept>, StateError> {
        let mut before = before_seq;
        loop {
            let kept = self.entries_before(conversation, before, limit).await?;
            match kept.iter().rev().take_while(|kept| !kept.signature.is_settled()).last() {
                Some(unsettled) => before = unsettled.seq,
                None => return Ok(kept),
            }
        }
    }

    /// The last message that is neither a reaction nor an edit, unless these are very many.
    pub(crate) async fn last_said(
        &self,
        conversation: ConversationId,
    ) -> Result<Option<Kept>, StateError> {
        let sql = kept_entries!(
            "WHERE conversation_id = ? AND e.seq < ? AND +message IS NOT NULL ORDER BY e.seq DESC LIMIT ?"
        );
        let mut before = u64::MAX;
        for _ in 0..MOST_PAGES_BACK {
            let page = self.page(sql, (conversation, before), PAGE_BACK).await?;
            for row in &page {
                let kept = kept(row)?;
                before = kept.seq;
                let content = self.content_of(&kept).await?;
                let body = content.and_then(|content| Body::read(&content));
                if !matches!(body, Some(Body::Reaction { .. } | Body::Edit { .. })) {
                    return Ok(Some(kept));
                }
            }
            if page.len() < PAGE_BACK as usize {
                break;
            }
        }
        Ok(None)
    }

    /// An entry and those that refer to it, in order: the newest, if they are more than anything shows.
    pub(crate) async fn entries_about(
        &self,
        conversation: ConversationId,
        seq: u64,
    ) -> Result<Vec<Kept>, StateError> {
        let sql = kept_entries!(
            "WHERE conversation_id = ?1 AND (e.seq = ?2 OR e.refers IN (?2, ?3)) ORDER BY e.seq = ?2 DESC, e.seq DESC LIMIT ?4"
        );
        let rows = sqlx::query(sql)
            .bind(&conversation.as_bytes()[..])
            .bind(signed(seq))
            .bind(self.sealer.reference(conversation, seq))
            .bind(i64::try_from(MAX_ENTRIES).unwrap_or(i64::MAX))
            .fetch_all(&self.pool)
            .await?;
        rows.iter().rev().map(kept).collect()
    }

    /// The last entry before one that tells the settings.
    pub(crate) async fn settings_before(
        &self,
        conversation: ConversationId,
        before_seq: u64,
    ) -> Result<Option<Kept>, StateError> {
        let sql = kept_entries!(
            "WHERE conversation_id = ? AND kind IN (?, ?) AND e.seq < ? ORDER BY e.seq DESC LIMIT 1"
        );
        let row = sqlx::query(sql)
            .bind(&conversation.as_bytes()[..])
            .bind(v1::EntryKind::RoomCreated as i32)
            .bind(v1::EntryKind::RoomUpdated as i32)
            .bind(signed(before_seq))
            .fetch_optional(&self.pool)
            .await?;
        row.as_ref().map(kept).transpose()
    }

    /// The entries that pin messages or take their pins off, the last of them.
    pub(crate) async fn pin_changes(
        &self,
        conversation: ConversationId,
    ) -> Result<Vec<Kept>, StateError> {
        let sql =
            kept_entries!("WHERE conversation_id = ? AND kind = ? ORDER BY e.seq DESC LIMIT ?");
        let rows = sqlx::query(sql)
            .bind(&conversation.as_bytes()[..])
            .bind(v1::EntryKind::MessagePinned as i32)
            .bind(i64::try_from(MAX_TRACKED).unwrap_or(i64::MAX))
            .fetch_all(&self.pool)
            .await?;
        rows.iter().map(kept).collect()
    }

    /// The entries whose sender's device is not known yet.
    pub(crate) async fn entries_pending(&self) -> Result<Vec<Kept>, StateError> {
        let sql = kept_entries!("WHERE signature = 3 ORDER BY conversation, e.seq");
        sqlx::query(sql).fetch_all(&self.pool).await?.iter().map(kept).collect()
    }

    /// The entry that a message repeats: an earlier one of the same device and id that was verified (MSG-013).
    pub(crate) async fn repeated_by(
        &self,
        conversation: ConversationId,
        seq: u64,
        (device, message_id): (DeviceId, IdempotencyKey),
    ) -> Result<Option<u64>, StateError> {
        let sql = "SELECT min(e.seq) AS seq FROM entries e JOIN conversations c ON c.id = e.conversation \
                   WHERE conversation_id = ? AND message = ? AND e.seq < ? AND signature = 1";
        let row = sqlx::query(sql)
            .bind(&conversation.as_bytes()[..])
            .bind(message(device, message_id))
            .bind(signed(seq))
            .fetch_one(&self.pool)
            .await?;
        Ok(row.try_get::<Option<i64>, _>("seq")?.map(unsigned))
    }

    /// Writes down what signatures turned out to be worth.
    pub(crate) async fn settle(
        &self,
        settled: &[(ConversationId, u64, StoredSignature)],
    ) -> Result<(), StateError> {
        let mut transaction = self.pool.begin().await?;
        for (conversation, seq, signature) in settled {
            let sql = "UPDATE entries SET signature = ? WHERE seq = ? AND conversation = \
                       (SELECT id FROM conversations WHERE conversation_id = ?)";
            sqlx::query(sql)
                .bind(*signature as i64)
                .bind(signed(*seq))
                .bind(&conversation.as_bytes()[..])
                .execute(&mut *transaction)
                .await?;
        }
        Ok(transaction.commit().await?)
    }

    /// The handle a user was last known by.
    pub(crate) async fn handle_of(&self, user: UserId) -> Result<Option<String>, StateError> {
        let sql = "SELECT handle FROM people WHERE user_id = ?";
        let row = sqlx::query(sql).bind(&user.as_bytes()[..]).fetch_optional(&self.pool).await?;
        Ok(row.map(|row| row.try_get("handle")).transpose()?)
    }
}

/// Keeps an entry, unless it is kept: two calls that read back the same past meet here, each with what the chain allows only.
async fn insert(
    transaction: &mut Transaction<'_, Sqlite>,
    conversation: ConversationId,
    entry: &NewEntry,
) -> Result<(), StateError> {
    let sql = "INSERT INTO entries \
               (conversation, seq, header, salt, payload, payload_hash, chain_before, signature, message, refers, kind) \
               SELECT id, ?, ?, ?, ?, ?, ?, ?, ?, ?, ? FROM conversations WHERE conversation_id = ? \
               ON CONFLICT (conversation, seq) DO NOTHING";
    let kind = entry.accepted.kind();
    let kinds = [v1::EntryKind::Message, v1::EntryKind::PrivateMessage];
    let said = entry.accepted.sender.filter(|_| kinds.contains(&kind));
    // What a private one refers to, its ciphertext does not tell: see `references`.
    let refers = said
        .filter(|_| kind == v1::EntryKind::Message)
        .and_then(|_| Body::read(&entry.accepted.entry.payload)?.target())
        .and_then(|to| i64::try_from(to.seq).ok());
    sqlx::query(sql)
        .bind(signed(entry.accepted.seq))
        .bind(&entry.accepted.entry.header[..])
        .bind(&entry.accepted.entry.salt[..])
        .bind(&entry.accepted.entry.payload[..])
        .bind(entry.accepted.is_redacted().then_some(&entry.accepted.payload_hash[..]))
        .bind(&entry.accepted.chain_before[..])
        .bind(entry.signature as i64)
        .bind(said.map(|Sender { device, message_id, .. }| message(device, message_id)))
        .bind(refers)
        .bind(folded(kind))
        .bind(&conversation.as_bytes()[..])
        .execute(&mut **transaction)
        .await?;
    Ok(())
}

/// The kind of an entry that settings or pins are folded from.
fn folded(kind: v1::EntryKind) -> Option<i32> {
    let kinds =
        [v1::EntryKind::RoomCreated, v1::EntryKind::RoomUpdated, v1::EntryKind::MessagePinned];
    kinds.contains(&kind).then_some(kind.into())
}

/// What a message is known by.
fn message(device: DeviceId, message_id: IdempotencyKey) -> Vec<u8> {
    [&device.as_bytes()[..], &message_id.as_bytes()[..]].concat()
}

pub(super) fn kept(row: &SqliteRow) -> Result<Kept, StateError> {
    let value: i64 = row.try_get("signature")?;
    let signature = match value {
        0 => StoredSignature::Unsigned,
        1 => StoredSignature::Verified,
        2 => StoredSignature::Invalid,
        3 => StoredSignature::Pending,
        4 => StoredSignature::Unread,
        _ => return Err(StateError::Damaged("the state of a signature")),
    };
    let hash: Option<&[u8]> = row.try_get("payload_hash")?;
    Ok(Kept {
        conversation: ConversationId::new(array(row.try_get("conversation_id")?, "an id")?),
        seq: unsigned(row.try_get("seq")?),
        header: row.try_get("header")?,
        salt: row.try_get("salt")?,
        payload: row.try_get("payload")?,
        payload_hash: hash.map(|hash| array(hash, "a payload hash")).transpose()?,
        chain_before: array(row.try_get("chain_before")?, "a chain value")?,
        signature,
    })
}
