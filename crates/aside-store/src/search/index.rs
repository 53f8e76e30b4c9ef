//! The index itself, as this database has it: SQLite's FTS5. Another database has these functions in its own way; all else
//! about search is the same for each.

use super::query::Query;
use crate::db::{Columns as _, Connection, Executor, signed};

/// Entries with these words, newest first.
pub(crate) const FIND: &str =
    "SELECT rowid FROM texts WHERE texts MATCH ? AND rowid < ? ORDER BY rowid DESC LIMIT ?";

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

/// Lets an entry be found no more.
pub(crate) async fn remove(connection: &mut Connection, entry: i64) -> Result<(), sqlx::Error> {
    sqlx::query("DELETE FROM texts WHERE rowid = ?").bind(entry).execute(connection).await?;
    Ok(())
}

/// Lets all entries of a conversation up to one be found no more.
pub(crate) async fn remove_through(
    connection: &mut Connection,
    conversation: i64,
    last: i64,
) -> Result<(), sqlx::Error> {
    sqlx::query(
        "DELETE FROM texts WHERE rowid IN (
             SELECT id FROM indexed WHERE conversation = ? AND seq <= ?)",
    )
    .bind(conversation)
    .bind(last)
    .execute(connection)
    .await?;
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
