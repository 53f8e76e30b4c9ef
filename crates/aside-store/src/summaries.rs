//! Summaries and watermarks as they are read.

use std::sync::LazyLock;

use aside_proto::{id::UserId, limits::MAX_UNREAD, v1};
use bytes::Bytes;
use prost::Message as _;

use crate::{
    db::{Columns as _, Connection, Pool, signed},
    error::{Refused, Stop},
    logs,
    page::{self, List},
    request::{ListSummaries, ListWatermarks, Reader},
    rooms,
};

/// Bytes of Summaries besides its items: a page token, its key and length.
const SUMMARIES_OVERHEAD_BYTES: usize = 64;
/// Bytes of a summary in Summaries besides those of the summary: a key and a length.
const SUMMARY_OVERHEAD_BYTES: usize = 1 + 5;

/// A user's conversations in order: no more than a user may be in are sorted.
pub(crate) const PAGE: &str = "SELECT c.conversation_id FROM members m
     CROSS JOIN conversations c ON c.id = m.conversation
     WHERE m.user_id = ? AND c.conversation_id > ? AND (c.kind = 1 OR ?) ORDER BY c.conversation_id LIMIT ?";

/// One conversation as a member sees it. However much is unread, no more is counted than what is shown of it.
pub(crate) static SUMMARY: LazyLock<String> = LazyLock::new(|| {
    format!(
        "SELECT {columns}, w.delivered_seq, w.read_seq,
             (SELECT COUNT(*) FROM (
                  SELECT e.device FROM entries e
                  WHERE e.conversation = c.id AND e.seq > w.read_seq AND e.device IS NOT NULL
                  ORDER BY e.seq LIMIT {MAX_UNREAD}) n
              JOIN devices d ON d.id = n.device WHERE d.user_id <> m.user_id),
             l.seq, l.header, l.salt, l.payload, l.payload_hash
         FROM conversations c
         JOIN members m ON m.conversation = c.id AND m.user_id = ?
         LEFT JOIN invitations i ON i.conversation = c.id AND i.user_id = m.user_id
         JOIN watermarks w ON w.conversation = c.id AND w.user_id = m.user_id
         LEFT JOIN entries l ON l.conversation = c.id AND l.seq = (
             SELECT MAX(seq) FROM entries e WHERE e.conversation = c.id AND e.device IS NOT NULL)
         WHERE c.conversation_id = ?",
        columns = rooms::COLUMNS,
    )
});

/// A page of a conversation's watermarks, as one user may see them.
pub(crate) const WATERMARKS: &str =
    "SELECT m.user_id, m.delivered_seq, m.read_seq FROM watermarks m
     WHERE m.conversation = ? AND m.user_id > ? AND (m.user_id = ? OR NOT EXISTS (
         SELECT 1 FROM presence p WHERE p.user_id = m.user_id AND p.private_receipts = 1))
     ORDER BY m.user_id LIMIT ?";

/// SUM-001 to SUM-006. One transaction, so that all of it is of one moment.
pub(crate) async fn list(
    pool: &Pool,
    server: v1::Retention,
    user: UserId,
    list: &ListSummaries,
) -> Result<v1::Summaries, Stop> {
    let after =
        page::after(List::Summaries, &list.page_token).map_err(|_| Refused::PageTokenInvalid)?;
    let mut transaction = pool.begin().await?;
    let rows = sqlx::query(PAGE)
        .bind(user.as_bytes().as_slice())
        .bind(after.as_ref().map_or(&[][..], |id| &id[..]))
        .bind(list.private)
        .bind(signed(list.page_size.into()) + 1)
        .fetch_all(&mut *transaction)
        .await?;

    let mut summaries: Vec<v1::Summary> = Vec::new();
    let mut bytes = SUMMARIES_OVERHEAD_BYTES;
    let mut last = None;
    for row in rows.iter().take(list.page_size as usize) {
        let conversation: [u8; 16] = row.array(0)?;
        let mut next = summary(&mut transaction, server, user, &conversation).await?;
        if bytes + size(&next) > list.max_bytes {
            if !summaries.is_empty() {
                break;
            }
            // Alone, and still too large: shown without (SUM-004).
            next.last_message = None;
        }
        bytes += size(&next);
        last = Some(conversation);
        summaries.push(next);
    }
    let next_page_token = match last {
        Some(last) if rows.len() > summaries.len() => page::token(List::Summaries, &last),
        _ => Bytes::new(),
    };
    Ok(v1::Summaries { summaries, next_page_token })
}

/// MARK-012, PRES-017.
pub(crate) async fn watermarks(
    pool: &Pool,
    reader: Reader,
    list: &ListWatermarks,
) -> Result<v1::Watermarks, Stop> {
    let after =
        page::after(List::Watermarks, &list.page_token).map_err(|_| Refused::PageTokenInvalid)?;
    let key = rooms::membership(pool, list.conversation, reader).await?;
    let rows = sqlx::query(WATERMARKS)
        .bind(key)
        .bind(after.as_ref().map_or(&[][..], |id| &id[..]))
        .bind(reader.user.as_bytes().as_slice())
        .bind(signed(list.page_size.into()) + 1)
        .fetch_all(pool)
        .await?;
    let size = list.page_size as usize;
    let watermarks = rows.iter().take(size).map(|row| {
        Ok(v1::Watermark {
            user_id: row.bytes(0)?,
            delivered_seq: row.number(1)?,
            read_seq: row.number(2)?,
        })
    });
    let watermarks = watermarks.collect::<Result<_, sqlx::Error>>()?;
    let next_page_token = match rows.get(size.wrapping_sub(1)) {
        Some(last) if rows.len() > size => page::token(List::Watermarks, &last.array(0)?),
        _ => Bytes::new(),
    };
    Ok(v1::Watermarks { watermarks, next_page_token })
}

async fn summary(
    connection: &mut Connection,
    server: v1::Retention,
    user: UserId,
    conversation: &[u8; 16],
) -> Result<v1::Summary, sqlx::Error> {
    /// The first column after those of the room.
    const OWN: usize = rooms::COLUMN_COUNT;
    let row = sqlx::query(SUMMARY.as_str())
        .bind(user.as_bytes().as_slice())
        .bind(&conversation[..])
        .fetch_one(connection)
        .await?;
    let watermark = v1::Watermark {
        user_id: user.to_bytes(),
        delivered_seq: row.number(OWN)?,
        read_seq: row.number(OWN + 1)?,
    };
    let last_message = match row.key_or_null(OWN + 3)? {
        Some(_) => Some(logs::entry(&row, OWN + 4)?),
        None => None,
    };
    Ok(v1::Summary {
        room: Some(rooms::from_row(&row, server)?),
        watermark: Some(watermark),
        unread: row.number(OWN + 2)? as u32,
        last_message,
    })
}

fn size(summary: &v1::Summary) -> usize {
    SUMMARY_OVERHEAD_BYTES + summary.encoded_len()
}
