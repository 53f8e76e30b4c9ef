//! Retention: the beginning of a log goes, for good. What is left is told by `first_seq` and the anchor of the log.

use aside_crypto::payload_hash;
use aside_proto::{
    id::IdempotencyKey,
    retention::{exceeds, stricter},
    v1,
};
use bytes::Bytes;
use prost::Message as _;

use super::{Context, entries::Sealed};
use crate::{
    db::{Columns as _, Row, decode_error, signed},
    error::Stop,
    rooms,
    sql::{Listing, rows},
};

/// Entries taken away by one operation: few enough that messages need not wait for it. An UpdateRoom takes away as many at once
/// (RET-006).
const PART: u64 = 512;
/// Bytes of payloads among them that are enough for one operation.
const PART_BYTES: u64 = 4 * 1024 * 1024;

const _: () = assert!(PART >= 500);

/// The oldest entries of a log. How long a payload is, SQLite knows without reading it.
pub(crate) const OLDEST: &str = "SELECT e.seq, e.chain, e.header, LENGTH(e.payload) FROM entries e
     WHERE e.conversation = ? ORDER BY e.seq LIMIT ?";
/// Messages up to one that may be sent again.
pub(crate) const YOUNG: &str =
    "SELECT e.seq, e.device, e.message_id, e.header, e.salt, e.payload, e.payload_hash FROM entries e
     WHERE e.conversation = ? AND e.seq <= ? AND e.device IS NOT NULL AND e.message_id >= ?";

/// How many columns a row of `trimmed` has.
const TRIMMED_COLUMNS: usize = 6;

static KEEP_ANSWERS: Listing = Listing::new(|count| {
    format!(
        "INSERT INTO trimmed (message_id, device, conversation, seq, time_ms, payload_hash) VALUES {}",
        rows(count, TRIMMED_COLUMNS)
    )
});

/// A log from whose beginning is to be taken what is no longer kept, as far as one operation goes.
pub(crate) struct Trim {
    /// The conversation's surrogate key.
    pub(crate) conversation: i64,
}

/// The beginning of a log that goes.
struct Prefix {
    entries: u64,
    /// Its last entry, with its chain value: the anchor from now on.
    last: u64,
    anchor: Bytes,
    /// Whether it may be followed by more that goes.
    more: bool,
}

impl Context<'_> {
    /// Takes the next part away. Answers whether there is more.
    pub(crate) async fn trim(&mut self, trim: &Trim) -> Result<bool, Stop> {
        let gone = self.trim_part(trim.conversation).await?;
        self.clean_index(trim.conversation).await?;
        Ok(gone.is_some_and(|prefix| prefix.more))
    }

    /// RET-006: as much as one operation may, however large it is.
    pub(super) async fn trim_at_once(&mut self, conversation: i64) -> Result<(), sqlx::Error> {
        let mut gone = 0;
        while let Some(prefix) = self.trim_part(conversation).await? {
            gone += prefix.entries;
            if !prefix.more || gone >= PART {
                break;
            }
        }
        self.clean_index(conversation).await
    }

    /// RET-003, RET-004, RET-010, PIN-007, SEARCH-012.
    async fn trim_part(&mut self, conversation: i64) -> Result<Option<Prefix>, sqlx::Error> {
        let Some(prefix) = self.prefix(conversation).await? else { return Ok(None) };
        self.keep_answers(conversation, prefix.last).await?;
        let last = signed(prefix.last);
        sqlx::query("UPDATE conversations SET first_seq = ?, anchor = ? WHERE id = ?")
            .bind(last + 1)
            .bind(&prefix.anchor[..])
            .bind(conversation)
            .execute(&mut *self.connection)
            .await?;
        sqlx::query("DELETE FROM entries WHERE conversation = ? AND seq <= ?")
            .bind(conversation)
            .bind(last)
            .execute(&mut *self.connection)
            .await?;
        self.end_pins(conversation, prefix.last).await?;
        self.forget_indexed_through(conversation, prefix.last).await?;
        Ok(Some(prefix))
    }

    /// What exceeds the limits that are in force, as far as one operation goes.
    async fn prefix(&mut self, conversation: i64) -> Result<Option<Prefix>, sqlx::Error> {
        let row = sqlx::query(
            "SELECT c.max_age_s, c.max_entries, (SELECT MAX(seq) FROM entries e WHERE e.conversation = c.id)
             FROM conversations c WHERE c.id = ?",
        )
        .bind(conversation)
        .fetch_one(&mut *self.connection)
        .await?;
        let in_force = stricter(rooms::limits(&row, 0)?, self.surroundings.retention);
        let head_seq = row.number(2)?;
        let oldest = sqlx::query(OLDEST)
            .bind(conversation)
            .bind(signed(PART))
            .fetch_all(&mut *self.connection)
            .await?;
        let mut prefix = None;
        let (mut entries, mut bytes) = (0, 0);
        for row in &oldest {
            let seq = row.number(0)?;
            let age_ms = self.now.saturating_sub(time_ms(row.bytes(2)?)?);
            if !exceeds(&in_force, age_ms, head_seq.saturating_sub(seq)) {
                break;
            }
            entries += 1;
            bytes += row.number(3)?;
            let more = entries == PART || bytes >= PART_BYTES;
            prefix = Some(Prefix { entries, last: seq, anchor: row.bytes(1)?, more });
            if more {
                break;
            }
        }
        Ok(prefix)
    }

    /// Keeps what messages up to one were answered with, if they may be sent again (IDEM-005).
    async fn keep_answers(&mut self, conversation: i64, last: u64) -> Result<(), sqlx::Error> {
        let young = sqlx::query(YOUNG)
            .bind(conversation)
            .bind(signed(last))
            .bind(&self.first_key()[..])
            .fetch_all(&mut *self.connection)
            .await?;
        let mut rest = young.as_slice();
        while !rest.is_empty() {
            let (sql, length) = KEEP_ANSWERS.at_most(rest.len());
            let (rows, after) = rest.split_at(length);
            let mut query = sqlx::query(sql);
            for row in rows {
                query = query
                    .bind(row.bytes(2)?.to_vec())
                    .bind(row.key(1)?)
                    .bind(conversation)
                    .bind(signed(row.number(0)?))
                    .bind(signed(time_ms(row.bytes(3)?)?))
                    .bind(hash(row)?.to_vec());
            }
            query.execute(&mut *self.connection).await?;
            rest = after;
        }
        Ok(())
    }

    /// A message that is no longer kept, as it was made.
    pub(super) async fn trimmed(
        &mut self,
        (key, device): (IdempotencyKey, i64),
    ) -> Result<Sealed, sqlx::Error> {
        let row = sqlx::query(
            "SELECT seq, time_ms, payload_hash FROM trimmed WHERE message_id = ? AND device = ?",
        )
        .bind(key.as_bytes().as_slice())
        .bind(device)
        .fetch_one(&mut *self.connection)
        .await?;
        Ok(Sealed { seq: row.number(0)?, time_ms: row.number(1)?, payload_hash: row.array(2)? })
    }
}

/// The payload hash of a row of [`YOUNG`], redacted or not.
fn hash(row: &Row) -> Result<Bytes, sqlx::Error> {
    let kept = row.bytes(6)?;
    if !kept.is_empty() {
        return Ok(kept);
    }
    Ok(Bytes::copy_from_slice(&payload_hash(&row.array(4)?, &row.bytes(5)?)))
}

/// When the server accepted the entry of a header.
pub(crate) fn time_ms(header: Bytes) -> Result<u64, sqlx::Error> {
    let header = v1::EntryHeader::decode(header).map_err(|error| decode_error(2, error))?;
    Ok(header.time_ms)
}
