//! Logs as they are read.

use aside_crypto::Hash;
use aside_proto::{id::ConversationId, v1};
use futures_util::TryStreamExt as _;
use prost::Message as _;

use crate::{
    db::{Columns as _, Pool, Row, signed},
    error::{Refused, Stop},
    request::{HeadState, Reader},
    rooms,
};

/// Bytes of Fetched besides its entries, without a signed head: a chain value, two numbers, their keys and lengths.
const FETCHED_OVERHEAD_BYTES: usize = 64;
/// Bytes of an entry in Fetched besides those of the entry: a key and a length.
const ENTRY_OVERHEAD_BYTES: usize = 1 + 5;

/// A log and a range of its entries, from the one before on: that tells prev_chain, its payload stays where it is.
pub(crate) const FETCH: &str = "SELECT c.first_seq, c.anchor,
         COALESCE((SELECT MAX(seq) FROM entries l WHERE l.conversation = c.id), c.first_seq - 1),
         m.role, c.kind, e.seq, e.chain, e.header, e.salt, CASE WHEN e.seq >= ? THEN e.payload END, e.payload_hash
     FROM conversations c
     LEFT JOIN members m ON m.conversation = c.id AND m.user_id = ?
     LEFT JOIN entries e ON e.conversation = c.id AND m.role IS NOT NULL AND e.seq BETWEEN ? AND ?
     WHERE c.conversation_id = ? AND (c.kind = 1 OR m.role IS NOT NULL) ORDER BY e.seq";

/// A log and its last entry.
pub(crate) const HEAD: &str =
    "SELECT c.first_seq, c.anchor, COALESCE(e.seq, c.first_seq - 1), m.role, c.kind,
         COALESCE(e.chain, c.anchor)
     FROM conversations c
     LEFT JOIN members m ON m.conversation = c.id AND m.user_id = ?
     LEFT JOIN entries e ON e.conversation = c.id
         AND e.seq = (SELECT MAX(seq) FROM entries l WHERE l.conversation = c.id)
     WHERE c.conversation_id = ? AND (c.kind = 1 OR m.role IS NOT NULL)";

/// A log as one statement saw it.
struct View {
    first_seq: u64,
    anchor: Hash,
    head_seq: u64,
}

/// FETCH-001 to FETCH-006, LOG-010. One statement, so that all of it is of one moment.
pub(crate) async fn fetch(
    pool: &Pool,
    reader: Reader,
    conversation: ConversationId,
    from_seq: u64,
    max_entries: u32,
    max_bytes: usize,
) -> Result<v1::Fetched, Stop> {
    let first = signed(from_seq);
    let mut rows = sqlx::query(FETCH)
        .bind(first)
        .bind(reader.user.as_bytes().as_slice())
        .bind(first.saturating_sub(1))
        .bind(first.saturating_add(i64::from(max_entries)).saturating_sub(1))
        .bind(conversation.as_bytes().as_slice())
        .fetch(pool);

    let mut fetched: Option<v1::Fetched> = None;
    let mut bytes = FETCHED_OVERHEAD_BYTES;
    while let Some(row) = rows.try_next().await? {
        let fetched = match &mut fetched {
            Some(fetched) => fetched,
            None => fetched.insert(begin(&row, reader, from_seq)?),
        };
        let Some(seq) = row.key_or_null(5)? else { break };
        if seq < first {
            fetched.prev_chain = row.bytes(6)?;
            continue;
        }
        let entry = entry(&row, 7)?;
        bytes += ENTRY_OVERHEAD_BYTES + entry.encoded_len();
        if bytes > max_bytes && !fetched.entries.is_empty() {
            break;
        }
        fetched.entries.push(entry);
    }
    fetched.ok_or_else(|| Refused::NoSuchConversation.into())
}

/// HEAD-002.
pub(crate) async fn head(
    pool: &Pool,
    reader: Reader,
    conversation: ConversationId,
) -> Result<HeadState, Stop> {
    let row = sqlx::query(HEAD)
        .bind(reader.user.as_bytes().as_slice())
        .bind(conversation.as_bytes().as_slice())
        .fetch_optional(pool)
        .await?
        .ok_or(Refused::NoSuchConversation)?;
    let View { first_seq, anchor, head_seq } = view(&row, reader)?;
    Ok(HeadState { first_seq, anchor, head_seq, chain: row.array(5)? })
}

/// The answer without entries, from its first row, if the range is one that there is.
fn begin(row: &Row, reader: Reader, from_seq: u64) -> Result<v1::Fetched, Stop> {
    let View { first_seq, anchor, head_seq } = view(row, reader)?;
    if from_seq == 0 || from_seq > head_seq + 1 {
        return Err(Refused::SeqOutOfRange { head_seq }.into());
    }
    if from_seq < first_seq {
        return Err(Refused::Trimmed { first_seq, anchor }.into());
    }
    Ok(v1::Fetched {
        entries: Vec::new(),
        // Right if the first entry that is kept is the one asked for; else the entry before it says.
        prev_chain: bytes::Bytes::copy_from_slice(&anchor),
        first_seq,
        head_seq,
        signed_head: None,
    })
}

/// The first five columns: ROOM-010 comes first.
fn view(row: &Row, reader: Reader) -> Result<View, Stop> {
    row.key_or_null(3)?.ok_or(Refused::NotAMember)?;
    reader.check(rooms::kind(row, 4)?)?;
    Ok(View { first_seq: row.number(0)?, anchor: row.array(1)?, head_seq: row.number(2)? })
}

/// The entry whose header, salt, payload and payload hash are the columns from `first` on. Every reader of entries comes by
/// here: what was redacted has neither salt nor payload in the database, and the hash alone has come in their place.
pub(crate) fn entry(row: &Row, first: usize) -> Result<v1::Entry, sqlx::Error> {
    Ok(v1::Entry {
        header: row.bytes(first)?,
        salt: row.bytes(first + 1)?,
        payload: row.bytes(first + 2)?,
        payload_hash: row.bytes(first + 3)?,
    })
}
