//! What is indexed for search: of each message the text that clients show, as far as the server can tell (CONT-011 to
//! CONT-014). Signatures are for clients to verify.
//!
//! A log is taken in by its seqs, in order, a part at a time. A text is found under its own entry; an edit that changes a
//! message replaces what that one is found by; one that leads nowhere is a message of its own (CONT-013).

use std::ops::RangeInclusive;

use aside_proto::v1::{self, content::Body};
use prost::Message as _;

use super::Context;
use crate::{
    db::{Columns as _, Row, signed},
    error::Stop,
    search::index,
};

/// Entries taken in by one operation: few enough that messages need not wait for it.
const PART: i64 = 256;

/// Entries from one on.
pub(crate) const NEXT: &str = "SELECT e.id, e.seq, e.message_id, d.user_id, e.payload FROM entries e
     LEFT JOIN devices d ON d.id = e.device WHERE e.conversation = ? AND e.seq > ? ORDER BY e.seq LIMIT ?";
/// One entry.
pub(crate) const ENTRY: &str =
    "SELECT e.id, e.seq, e.message_id, d.user_id, e.payload FROM entries e
     LEFT JOIN devices d ON d.id = e.device WHERE e.conversation = ? AND e.seq = ?";
/// What is indexed of a range.
pub(crate) const INDEXED: &str = "SELECT id, seq, edit_of, changes FROM indexed
     WHERE conversation = ? AND seq BETWEEN ? AND ? ORDER BY seq";
/// The edits that name a message.
pub(crate) const EDITS: &str = "SELECT id, seq, changes FROM indexed
     WHERE conversation = ? AND edit_of = ? ORDER BY seq";

/// The edits of what is no longer kept.
pub(crate) const EDITS_AFTER: &str = "SELECT id, seq FROM indexed
     WHERE conversation = ? AND edit_of <= ? ORDER BY edit_of, seq";

/// A log to be taken in, as far as one operation goes.
pub(crate) struct Index {
    /// The conversation's surrogate key.
    pub(crate) conversation: i64,
}

/// An entry of a log.
struct Read {
    id: i64,
    seq: u64,
    message_id: bytes::Bytes,
    /// Whose message it is; empty if it is none.
    user: bytes::Bytes,
    payload: bytes::Bytes,
}

/// What an edit is to the message that it names.
struct EditOf {
    message: Read,
    /// Whether it is by the same user, and of a text.
    changes: bool,
}

impl Context<'_> {
    /// Takes in the next part of a log. Answers up to which seq it is indexed now.
    pub(crate) async fn index(&mut self, index: &Index) -> Result<u64, Stop> {
        let key = index.conversation;
        let row = sqlx::query("SELECT seq FROM indexed_logs WHERE conversation = ?")
            .bind(key)
            .fetch_optional(&mut *self.connection)
            .await?;
        let from = row.map_or(Ok(0), |row| row.number(0))?;
        let rows = sqlx::query(NEXT)
            .bind(key)
            .bind(signed(from))
            .bind(PART)
            .fetch_all(&mut *self.connection)
            .await?;
        let mut done = from;
        for row in &rows {
            let entry = read(row)?;
            done = entry.seq;
            self.index_entry(key, entry).await?;
        }
        sqlx::query(
            "INSERT INTO indexed_logs (conversation, seq) VALUES (?, ?)
             ON CONFLICT (conversation) DO UPDATE SET seq = excluded.seq",
        )
        .bind(key)
        .bind(signed(done))
        .execute(&mut *self.connection)
        .await?;
        Ok(done)
    }

    /// Takes entries out of the index: they were redacted. To be called in the same transaction, after their payloads were deleted:
    /// what is left tells what becomes of edits (CONT-014).
    pub(crate) async fn forget_indexed(
        &mut self,
        conversation: i64,
        seqs: RangeInclusive<u64>,
    ) -> Result<(), sqlx::Error> {
        let rows = sqlx::query(INDEXED)
            .bind(conversation)
            .bind(signed(*seqs.start()))
            .bind(signed(*seqs.end()))
            .fetch_all(&mut *self.connection)
            .await?;
        for row in &rows {
            let (id, seq) = (row.key(0)?, row.number(1)?);
            index::remove(self.connection, id).await?;
            sqlx::query("DELETE FROM indexed WHERE id = ?")
                .bind(id)
                .execute(&mut *self.connection)
                .await?;
            match row.key_or_null(2)? {
                Some(_) if row.number(3)? == 0 => {}
                Some(_) => self.refold(conversation, row.number(2)?).await?,
                None => {
                    for (id, ..) in self.edits(conversation, seq).await? {
                        index::remove(self.connection, id).await?;
                    }
                }
            }
        }
        Ok(())
    }

    /// Takes all entries up to one out of the index: they are no longer kept. To be called in the same transaction. Edits of them
    /// that are kept are messages from now on (CONT-013); an edit comes after what it names, so none that goes changes one that stays.
    pub(super) async fn forget_indexed_through(
        &mut self,
        conversation: i64,
        last: u64,
    ) -> Result<(), sqlx::Error> {
        let last = signed(last);
        index::remove_through(self.connection, conversation, last).await?;
        sqlx::query("DELETE FROM indexed WHERE conversation = ? AND seq <= ?")
            .bind(conversation)
            .bind(last)
            .execute(&mut *self.connection)
            .await?;
        let freed = sqlx::query(EDITS_AFTER)
            .bind(conversation)
            .bind(last)
            .fetch_all(&mut *self.connection)
            .await?;
        for row in &freed {
            let (id, seq) = (row.key(0)?, row.number(1)?);
            sqlx::query("UPDATE indexed SET edit_of = NULL, changes = 0 WHERE id = ?")
                .bind(id)
                .execute(&mut *self.connection)
                .await?;
            let edit = self.entry(conversation, seq).await?;
            if let Some(text) = edit.and_then(|edit| edited_text(&edit.payload)) {
                index::put(self.connection, id, conversation, &text).await?;
            }
        }
        Ok(())
    }

    async fn index_entry(&mut self, conversation: i64, entry: Read) -> Result<(), sqlx::Error> {
        // Not a message, or redacted before it was looked at.
        if entry.user.is_empty() || entry.payload.is_empty() {
            return Ok(());
        }
        // Nobody vouches for what is in a payload (MSG-007).
        match v1::Content::decode(entry.payload.clone()).ok().and_then(|content| content.body) {
            Some(Body::Text(text)) => {
                self.note(conversation, &entry, None).await?;
                index::put(self.connection, entry.id, conversation, &text.body).await
            }
            Some(Body::Edit(v1::Edit { to, text: Some(text) })) => {
                let edit = self.edit_of(conversation, &entry, to.unwrap_or_default()).await?;
                self.note(conversation, &entry, edit.as_ref()).await?;
                match edit {
                    // CONT-014.
                    Some(EditOf { message, .. }) if message.payload.is_empty() => Ok(()),
                    Some(EditOf { message, changes: true }) => {
                        index::put(self.connection, message.id, conversation, &text.body).await
                    }
                    _ => index::put(self.connection, entry.id, conversation, &text.body).await,
                }
            }
            _ => Ok(()),
        }
    }

    async fn note(
        &mut self,
        conversation: i64,
        entry: &Read,
        edit: Option<&EditOf>,
    ) -> Result<(), sqlx::Error> {
        sqlx::query(
            "INSERT INTO indexed (id, conversation, seq, edit_of, changes) VALUES (?, ?, ?, ?, ?)",
        )
        .bind(entry.id)
        .bind(conversation)
        .bind(signed(entry.seq))
        .bind(edit.map(|edit| signed(edit.message.seq)))
        .bind(edit.is_some_and(|edit| edit.changes))
        .execute(&mut *self.connection)
        .await?;
        Ok(())
    }

    /// The message that an edit names, if there is one (CONT-002).
    async fn edit_of(
        &mut self,
        conversation: i64,
        edit: &Read,
        to: v1::MessageRef,
    ) -> Result<Option<EditOf>, sqlx::Error> {
        let found = match to.seq < edit.seq {
            true => self.entry(conversation, to.seq).await?,
            false => None,
        };
        Ok(found
            .filter(|message| !message.user.is_empty() && message.message_id == to.message_id)
            .map(|message| {
                let changes = message.user == edit.user && text_of(&message.payload).is_some();
                EditOf { message, changes }
            }))
    }

    async fn entry(&mut self, conversation: i64, seq: u64) -> Result<Option<Read>, sqlx::Error> {
        let row = sqlx::query(ENTRY)
            .bind(conversation)
            .bind(signed(seq))
            .fetch_optional(&mut *self.connection)
            .await?;
        row.as_ref().map(read).transpose()
    }

    /// One of a message's edits is gone: it is found by the greatest that is left, or by its own text.
    async fn refold(&mut self, conversation: i64, seq: u64) -> Result<(), sqlx::Error> {
        let Some(message) = self.entry(conversation, seq).await? else { return Ok(()) };
        let Some(mut text) = text_of(&message.payload) else { return Ok(()) };
        for (_, seq, changes) in self.edits(conversation, seq).await?.into_iter().rev() {
            let edit = if changes { self.entry(conversation, seq).await? } else { None };
            if let Some(edited) = edit.and_then(|edit| edited_text(&edit.payload)) {
                text = edited;
                break;
            }
        }
        index::put(self.connection, message.id, conversation, &text).await
    }

    /// The edits that name a message: surrogate key, seq, and whether each changes it.
    async fn edits(
        &mut self,
        conversation: i64,
        seq: u64,
    ) -> Result<Vec<(i64, u64, bool)>, sqlx::Error> {
        let rows = sqlx::query(EDITS)
            .bind(conversation)
            .bind(signed(seq))
            .fetch_all(&mut *self.connection)
            .await?;
        rows.iter().map(|row| Ok((row.key(0)?, row.number(1)?, row.number(2)? != 0))).collect()
    }
}

fn read(row: &Row) -> Result<Read, sqlx::Error> {
    Ok(Read {
        id: row.key(0)?,
        seq: row.number(1)?,
        message_id: row.bytes(2)?,
        user: row.bytes(3)?,
        payload: row.bytes(4)?,
    })
}

/// What a message says, if it is a text.
fn text_of(payload: &bytes::Bytes) -> Option<String> {
    match v1::Content::decode(payload.clone()).ok()?.body? {
        Body::Text(text) => Some(text.body),
        _ => None,
    }
}

/// What an edit puts in a text's place.
fn edited_text(payload: &bytes::Bytes) -> Option<String> {
    match v1::Content::decode(payload.clone()).ok()?.body? {
        Body::Edit(edit) => edit.text.map(|text| text.body),
        _ => None,
    }
}
