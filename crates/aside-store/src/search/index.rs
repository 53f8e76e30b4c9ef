//! The index itself, as this database has it: SQLite's FTS5. Another database has these functions in its own way; all else
//! about search is the same for each.

use super::query::Query;
use crate::db::{Columns as _, Connection, Executor, signed};

/// Entries with these words, newest first: not those that are out of date, nor edits of what was redacted (CONT-014, CONT-016). The
/// index is read first, whatever SQLite guesses about sizes.
pub(crate) const FIND: &str = "SELECT texts.rowid FROM texts CROSS JOIN indexed i ON i.id = texts.rowid
     WHERE texts MATCH ? AND texts.rowid < ?
         AND NOT EXISTS (SELECT 1 FROM redacted r WHERE r.conversation = i.conversation AND r.seq = i.edit_of)
         AND NOT EXISTS (SELECT 1 FROM stale s WHERE s.conversation = i.conversation AND s.id = i.id)
     ORDER BY texts.rowid DESC LIMIT ?";

/// Makes this the text under which an entry is found, in place of any before.
pub(crate) async fn put(
    connection: &mut Connection,
    entry: i64,
    conversation: i64,
    text: &str,
) -> Result<(), sqlx::Error> {
    sqlx::query("INSERT OR REPLACE INTO texts (rowid, room, body) VALUES (?, ?, ?)")
        .bind(entry)
        .bind(room(conversation))
        .bind(text)
        .execute(connection)
        .await?;
    Ok(())
}

/// How long the text is under which an entry is found, in bytes: what it costs to take it out is about in proportion.
pub(crate) async fn length(connection: &mut Connection, entry: i64) -> Result<u64, sqlx::Error> {
    let row = sqlx::query("SELECT OCTET_LENGTH(body) FROM texts WHERE rowid = ?")
        .bind(entry)
        .fetch_optional(connection)
        .await?;
    row.map_or(Ok(0), |row| row.number(0))
}

/// Lets an entry be found no more, and leaves none of its words behind.
pub(crate) async fn remove(connection: &mut Connection, entry: i64) -> Result<(), sqlx::Error> {
    sqlx::query("DELETE FROM texts WHERE rowid = ?").bind(entry).execute(connection).await?;
    Ok(())
}

/// The entries of these conversations that a query finds, newest first, before one of them; at most `limit`.
pub(crate) async fn find(
    executor: impl Executor<'_>,
    conversations: &[i64],
    query: &Query,
    before: i64,
    limit: u64,
) -> Result<Vec<i64>, sqlx::Error> {
    if conversations.is_empty() {
        return Ok(Vec::new());
    }
    let rows = sqlx::query(FIND)
        .bind(expression(conversations, query))
        .bind(before)
        .bind(signed(limit))
        .fetch_all(executor)
        .await?;
    rows.iter().map(|row| row.key(0)).collect()
}

/// In FTS5's language every word is quoted, so that none of it is taken for a part of that language. A quotation in which
/// FTS5 finds no word, since its Unicode is older than ours, counts for nothing as long as no AND stands before it.
fn expression(conversations: &[i64], query: &Query) -> String {
    let rooms: Vec<_> =
        conversations.iter().map(|&conversation| format!("\"{}\"", room(conversation))).collect();
    let terms: Vec<_> = query
        .terms()
        .iter()
        .map(|term| {
            let words: String =
                term.words.chars().map(|c| if matches!(c, '\0' | '"') { ' ' } else { c }).collect();
            format!("\"{words}\"{}", if term.is_prefix { "*" } else { "" })
        })
        .collect();
    format!("room : ({}) AND body : ({})", rooms.join(" OR "), terms.join(" "))
}

/// A conversation as a word.
fn room(conversation: i64) -> String {
    format!("c{conversation}")
}
