//! What was redacted: named by entries that were taken in, and deleted here too.

use aside_proto::{id::ConversationId, v1};
use aside_session::client::{
    log::{Missing, redacted_by},
    timeline::Body,
};
use prost::Message as _;
use sqlx::{Row as _, Sqlite, Transaction};

use super::{
    Followed, NewEntry, StateError, Store, StoredSignature, array, private, signed, unsigned,
};
use crate::MessageRef;

/// The statements of this module name the conversation by its id.
macro_rules! conversation {
    () => {
        "(SELECT id FROM conversations WHERE conversation_id = ?1)"
    };
}

impl Store {
    /// The entry that redacts another, if it was taken in.
    pub(crate) async fn redaction_of(
        &self,
        conversation: ConversationId,
        seq: u64,
    ) -> Result<Option<u64>, StateError> {
        let sql = concat!(
            "SELECT by_seq FROM redactions WHERE seq = ?2 AND conversation = ",
            conversation!()
        );
        let row = sqlx::query(sql)
            .bind(&conversation.as_bytes()[..])
            .bind(signed(seq))
            .fetch_optional(&self.pool)
            .await?;
        Ok(row.map(|row| row.try_get("by_seq")).transpose()?.map(unsigned))
    }

    /// The edits of a message that are kept, as the server will want them named (REDACT-010): those by its own sender that
    /// verify.
    pub(crate) async fn edits_of(
        &self,
        conversation: ConversationId,
        message: MessageRef,
    ) -> Result<Vec<u64>, StateError> {
        let mut edits = Vec::new();
        let mut author = None;
        for kept in self.entries_about(conversation, message.seq).await? {
            let header = v1::EntryHeader::decode(&kept.header[..]);
            let user = header.map(|header| header.sender_user_id).unwrap_or_default();
            if kept.seq == message.seq {
                author = Some(user);
                continue;
            }
            let content = self.content_of(&kept).await?;
            let of = match content.and_then(|content| Body::read(&content)) {
                Some(Body::Edit { to, .. }) => to.message_id,
                _ => None,
            };
            let verified = kept.signature == StoredSignature::Verified;
            if verified && of == Some(message.message_id) {
                edits.push((kept.seq, user));
            }
        }
        let own = edits.into_iter().filter(|(_, user)| author.as_ref() == Some(user));
        Ok(own.map(|(seq, _)| seq).collect())
    }

    /// Reads what is missing of a conversation.
    pub(super) async fn add_missing(&self, known: &mut Followed) -> Result<(), StateError> {
        let Some(cursor) = &mut known.cursor else { return Ok(()) };
        let sql =
            concat!("SELECT seq, head_seq FROM missing WHERE conversation = ", conversation!());
        let rows =
            sqlx::query(sql).bind(&known.conversation.as_bytes()[..]).fetch_all(&self.pool).await?;
        for row in rows {
            let (seq, head_seq) = (row.try_get("seq")?, row.try_get("head_seq")?);
            cursor.missing.push(Missing { seq: unsigned(seq), head_seq: unsigned(head_seq) });
        }
        Ok(())
    }
}

/// Writes down what entries that were just kept redact, and deletes it: of what was kept before, and of what was kept with them
/// (REDACT-016).
pub(super) async fn note(
    transaction: &mut Transaction<'_, Sqlite>,
    conversation: ConversationId,
    entries: &[NewEntry],
) -> Result<(), StateError> {
    let (Some(first), Some(last)) = (entries.first(), entries.last()) else { return Ok(()) };
    let range = (first.accepted.seq, last.accepted.seq);
    for NewEntry { accepted, .. } in entries {
        for seq in redacted_by(&accepted.header, &accepted.entry.payload) {
            let sql = concat!(
                "INSERT INTO redactions (conversation, seq, by_seq) VALUES (",
                conversation!(),
                ", ?2, ?3) ON CONFLICT (conversation, seq) DO UPDATE SET by_seq = min(by_seq, excluded.by_seq)"
            );
            sqlx::query(sql)
                .bind(&conversation.as_bytes()[..])
                .bind(signed(seq))
                .bind(signed(accepted.seq))
                .execute(&mut **transaction)
                .await?;
            forget(transaction, conversation, (seq, seq)).await?;
            private::forget_reading(transaction, conversation, seq).await?;
        }
    }
    // What was fetched before it was redacted, and is kept only now.
    forget(transaction, conversation, range).await
}

/// Deletes the payloads of messages in a range that are known to be redacted.
async fn forget(
    transaction: &mut Transaction<'_, Sqlite>,
    conversation: ConversationId,
    (first, last): (u64, u64),
) -> Result<(), StateError> {
    let sql = concat!(
        "SELECT e.seq, salt, payload, refers FROM redactions r
         JOIN entries e ON e.conversation = r.conversation AND e.seq = r.seq
         WHERE r.seq BETWEEN ?2 AND ?3 AND e.message IS NOT NULL AND e.payload_hash IS NULL AND r.conversation = ",
        conversation!()
    );
    let rows = sqlx::query(sql)
        .bind(&conversation.as_bytes()[..])
        .bind(signed(first))
        .bind(signed(last))
        .fetch_all(&mut **transaction)
        .await?;
    for row in rows {
        let (seq, salt): (i64, &[u8]) = (row.try_get("seq")?, row.try_get("salt")?);
        let (payload, refers): (&[u8], Option<i64>) =
            (row.try_get("payload")?, row.try_get("refers")?);
        let hash = aside_crypto::payload_hash(&array(salt, "a salt")?, payload);
        let sql = concat!(
            "UPDATE entries SET salt = x'', payload = x'', refers = NULL, payload_hash = ?3
             WHERE seq = ?2 AND conversation = ",
            conversation!()
        );
        sqlx::query(sql)
            .bind(&conversation.as_bytes()[..])
            .bind(seq)
            .bind(&hash[..])
            .execute(&mut **transaction)
            .await?;
        // What was found by its words: the message itself, or the one whose text an edit gave.
        let sql = concat!(
            "DELETE FROM searched WHERE seq IN (?2, ?3) AND conversation = ",
            conversation!()
        );
        sqlx::query(sql)
            .bind(&conversation.as_bytes()[..])
            .bind(seq)
            .bind(refers)
            .execute(&mut **transaction)
            .await?;
    }
    Ok(())
}

/// Writes down what is missing in place of what was.
pub(super) async fn set_missing(
    transaction: &mut Transaction<'_, Sqlite>,
    conversation: ConversationId,
    missing: &[Missing],
) -> Result<(), StateError> {
    let sql = concat!("DELETE FROM missing WHERE conversation = ", conversation!());
    sqlx::query(sql).bind(&conversation.as_bytes()[..]).execute(&mut **transaction).await?;
    for Missing { seq, head_seq } in missing {
        let sql = concat!(
            "INSERT INTO missing (conversation, seq, head_seq) VALUES (",
            conversation!(),
            ", ?2, ?3)"
        );
        sqlx::query(sql)
            .bind(&conversation.as_bytes()[..])
            .bind(signed(*seq))
            .bind(signed(*head_seq))
            .execute(&mut **transaction)
            .await?;
    }
    Ok(())
}
