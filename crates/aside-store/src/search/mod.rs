//! Search in public rooms: how messages are found. How they get into the index is in `write::search`.
//!
//! The index follows the logs lazily: nothing about it is done while a message is appended. Whoever searches first brings it up
//! to where the logs ended when the search began, so that what was acknowledged is found (SEARCH-001). What is redacted goes at
//! once, or as soon as the writer can be kept from messages so long; it is not found meanwhile.
//!
//! A search that takes too long is ended, and few are made at a time (SEARCH-018).

pub(crate) mod index;
mod query;

use std::time::Duration;

use aside_proto::{
    id::{ConversationId, UserId},
    v1,
};
use bytes::{BufMut as _, Bytes, BytesMut};
use prost::Message as _;
use sqlx::Acquire as _;

pub(crate) use self::query::Query;
use crate::{
    db::{Columns as _, Connection, Pool, is_too_long, searcher},
    error::{Refused, Stop},
    logs,
    page::{self, List},
    request::Search,
    rooms,
};

/// Bytes of SearchResults besides its items: a page token, its key and length.
const RESULTS_OVERHEAD_BYTES: usize = 96;
/// Bytes of a result in SearchResults besides those of the result: a key and a length.
const RESULT_OVERHEAD_BYTES: usize = 1 + 5;

/// Public rooms of a user of whose log not all that there is to be found is indexed as it should be, and where each ends.
pub(crate) const BEHIND_OF_USER: &str = "SELECT b.id, b.head FROM (
         SELECT c.id AS id, c.first_seq AS first_seq, COALESCE(i.seq, 0) AS done,
             COALESCE((SELECT MAX(seq) FROM entries e WHERE e.conversation = c.id), 0) AS head
         FROM members m JOIN conversations c ON c.id = m.conversation
         LEFT JOIN indexed_logs i ON i.conversation = c.id WHERE m.user_id = ? AND c.kind = ?) b
     WHERE b.head > b.done OR EXISTS (SELECT 1 FROM stale s WHERE s.conversation = b.id AND s.gone = 0)
         OR EXISTS (SELECT 1 FROM indexed x WHERE x.conversation = b.id AND x.changes = 1 AND x.edit_of < b.first_seq)";
/// The same of all users, and those of which words are left behind. It looks at each log's end, and is for a job.
const BEHIND: &str = "SELECT b.id, b.head FROM (
         SELECT c.id AS id, c.first_seq AS first_seq, COALESCE(i.seq, 0) AS done,
             COALESCE((SELECT MAX(seq) FROM entries e WHERE e.conversation = c.id), 0) AS head
         FROM conversations c LEFT JOIN indexed_logs i ON i.conversation = c.id WHERE c.kind = ?) b
     WHERE b.head > b.done OR EXISTS (SELECT 1 FROM stale s WHERE s.conversation = b.id)
         OR EXISTS (SELECT 1 FROM indexed x WHERE x.conversation = b.id AND x.changes = 1 AND x.edit_of < b.first_seq)
     LIMIT ?";
/// Logs that a job is told of at once.
const BEHIND_AT_ONCE: i64 = 64;

/// The public rooms that a user is a member of.
pub(crate) const ROOMS: &str = "SELECT c.id, c.conversation_id FROM members m
     JOIN conversations c ON c.id = m.conversation WHERE m.user_id = ? AND c.kind = ?";
/// A message that was found. One that is gone, or without a payload, must not be shown even if the index still has it.
pub(crate) const MESSAGE: &str = "SELECT c.conversation_id, e.seq, e.header, e.salt, e.payload, e.payload_hash
     FROM entries e JOIN conversations c ON c.id = e.conversation WHERE e.id = ? AND e.payload IS NOT NULL";
/// The edit that is shown in its place.
pub(crate) const EDIT: &str = "SELECT e.header, e.salt, e.payload, e.payload_hash FROM indexed i
     JOIN indexed x ON x.conversation = i.conversation AND x.edit_of = i.seq AND x.changes = 1
     JOIN entries e ON e.conversation = x.conversation AND e.seq = x.seq AND e.payload IS NOT NULL
     WHERE i.id = ? ORDER BY x.seq DESC LIMIT 1";
/// Where a page goes on. If what was there is no longer kept, it can't be said which messages are older (SEARCH-020).
pub(crate) const PLACE: &str =
    "SELECT e.id, c.id FROM entries e JOIN conversations c ON c.id = e.conversation
     WHERE c.conversation_id = ? AND e.seq = ?";

/// A log that is not indexed to its end, or not as it should be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Behind {
    pub(crate) conversation: i64,
    /// Where it ends.
    pub(crate) head_seq: u64,
}

/// A search whose asker may make it.
pub(crate) struct Judged {
    query: Query,
    /// The conversations' surrogate keys.
    conversations: Vec<i64>,
    /// The entry before which the page begins.
    before: i64,
    /// What has to be indexed first.
    pub(crate) behind: Vec<Behind>,
}

/// SEARCH-002, SEARCH-006, SEARCH-007: whether the asker may search there, by membership now.
pub(crate) async fn judge(pool: &Pool, user: UserId, search: &Search) -> Result<Judged, Stop> {
    let query = Query::parse(&search.query)?;
    let conversations = conversations(pool, user, search.conversation).await?;
    let before = before(pool, &conversations, &search.page_token).await?;
    let rows = sqlx::query(BEHIND_OF_USER)
        .bind(user.as_bytes().as_slice())
        .bind(v1::ConversationKind::PublicRoom as i32)
        .fetch_all(pool)
        .await?;
    let mut behind = Vec::new();
    for row in rows {
        let conversation = row.key(0)?;
        if conversations.contains(&conversation) {
            behind.push(Behind { conversation, head_seq: row.number(1)? });
        }
    }
    Ok(Judged { query, conversations, before, behind })
}

/// SEARCH-001, SEARCH-008 to SEARCH-010; at most for this long (SEARCH-018).
pub(crate) async fn find(
    searchers: &Pool,
    judged: &Judged,
    search: &Search,
    time: Duration,
) -> Result<v1::SearchResults, Stop> {
    find_page(searchers, judged, search, time).await.map_err(|error| match is_too_long(&error) {
        true => Refused::Busy.into(),
        false => error.into(),
    })
}

async fn find_page(
    searchers: &Pool,
    judged: &Judged,
    search: &Search,
    time: Duration,
) -> Result<v1::SearchResults, sqlx::Error> {
    let Judged { query, conversations, before, .. } = judged;
    let mut connection = searcher(searchers, time).await?;
    let mut transaction = connection.begin().await?;
    let limit = u64::from(search.page_size) + 1;
    let found = index::find(&mut *transaction, conversations, query, *before, limit).await?;
    let mut results: Vec<v1::SearchResult> = Vec::new();
    let mut bytes = RESULTS_OVERHEAD_BYTES;
    let (mut last, mut looked_at) = (None, 0);
    for &id in found.iter().take(search.page_size as usize) {
        if let Some((place, mut next)) = result(&mut transaction, id).await? {
            if bytes + size(&next) > search.max_bytes {
                if !results.is_empty() {
                    break;
                }
                // Alone, and still too large: shown without (SEARCH-008).
                next.edit = None;
            }
            bytes += size(&next);
            last = Some(place);
            results.push(next);
        }
        looked_at += 1;
    }
    let next_page_token = match last {
        Some((conversation, seq)) if found.len() > looked_at => token(&conversation, seq),
        _ => Bytes::new(),
    };
    Ok(v1::SearchResults { results, next_page_token })
}

/// Logs that are behind, for a job: not all of them at once.
pub(crate) async fn behind(pool: &Pool) -> Result<Vec<Behind>, sqlx::Error> {
    let rows = sqlx::query(BEHIND)
        .bind(v1::ConversationKind::PublicRoom as i32)
        .bind(BEHIND_AT_ONCE)
        .fetch_all(pool)
        .await?;
    rows.iter()
        .map(|row| Ok(Behind { conversation: row.key(0)?, head_seq: row.number(1)? }))
        .collect()
}

async fn conversations(
    pool: &Pool,
    user: UserId,
    only: Option<ConversationId>,
) -> Result<Vec<i64>, Stop> {
    if let Some(conversation) = only {
        rooms::room_membership(pool, conversation, user).await?;
    }
    let rows = sqlx::query(ROOMS)
        .bind(user.as_bytes().as_slice())
        .bind(v1::ConversationKind::PublicRoom as i32)
        .fetch_all(pool)
        .await?;
    let mut keys = Vec::new();
    for row in rows {
        let conversation = ConversationId::new(row.array(1)?);
        if only.is_none_or(|only| only == conversation) {
            keys.push(row.key(0)?);
        }
    }
    Ok(keys)
}

/// A token counts only in the rooms searched (SEARCH-019): one that was made up, or made for another, tells nothing of others.
async fn before(pool: &Pool, conversations: &[i64], page_token: &[u8]) -> Result<i64, Stop> {
    let Some((tag, place)) = page_token.split_first() else { return Ok(i64::MAX) };
    let invalid = || Refused::PageTokenInvalid;
    let (conversation, seq) = place.split_first_chunk::<16>().ok_or_else(invalid)?;
    let seq = seq.try_into().map(u64::from_be_bytes).map_err(|_| invalid())?;
    if *tag != page::tag(List::Search) {
        return Err(invalid().into());
    }
    let row = sqlx::query(PLACE)
        .bind(&conversation[..])
        .bind(i64::try_from(seq).map_err(|_| invalid())?)
        .fetch_optional(pool)
        .await?
        .ok_or_else(invalid)?;
    if !conversations.contains(&row.key(1)?) {
        return Err(invalid().into());
    }
    Ok(row.key(0)?)
}

/// Says where a page ended by conversation and seq: a row's number would tell how much is said on the whole server.
fn token(conversation: &[u8; 16], seq: u64) -> Bytes {
    let mut token = BytesMut::with_capacity(25);
    token.put_u8(page::tag(List::Search));
    token.put_slice(conversation);
    token.put_u64(seq);
    token.freeze()
}

/// A message as it was found, and where it is; none if it is gone.
async fn result(
    connection: &mut Connection,
    id: i64,
) -> Result<Option<(([u8; 16], u64), v1::SearchResult)>, sqlx::Error> {
    let row = sqlx::query(MESSAGE).bind(id).fetch_optional(&mut *connection).await?;
    let Some(row) = row else { return Ok(None) };
    let edit = sqlx::query(EDIT).bind(id).fetch_optional(connection).await?;
    let message = Some(logs::entry(&row, 2)?);
    let edit = edit.map(|row| logs::entry(&row, 0)).transpose()?;
    Ok(Some(((row.array(0)?, row.number(1)?), v1::SearchResult { message, edit })))
}

fn size(result: &v1::SearchResult) -> usize {
    RESULT_OVERHEAD_BYTES + result.encoded_len()
}
