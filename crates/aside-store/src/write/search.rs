//! What is indexed for search: of each message the text that clients show, as far as the server can tell (CONT-011 to
//! CONT-014, CONT-016). Signatures are for clients to verify.
//!
//! A log is taken in by its seqs, in order, a part at a time. A text is found under its own entry; an edit that changes a
//! message replaces what that one is found by; one that leads nowhere is a message of its own (CONT-013).

use aside_proto::v1::{self, content::Body};
use prost::Message as _;

use super::Context;
use crate::{
    db::{Columns as _, Row, signed},
    error::Stop,
    search::{Behind, index},
};

/// Entries that one batch takes in or brings up to date: few enough that messages need not wait for it.
const PART_ENTRIES: u64 = 256;
/// And bytes of them, with which the work grows: an entry is begun below it. Texts of chosen nonsense take a second.
const PART_BYTES: u64 = 128 * 1024;

/// Entries from one on, with how large they are.
pub(crate) const SIZES: &str = "SELECT e.seq, OCTET_LENGTH(e.payload) FROM entries e
     WHERE e.conversation = ? AND e.seq > ? ORDER BY e.seq LIMIT ?";
/// Entries after one, up to another.
pub(crate) const NEXT: &str = "SELECT e.id, e.seq, e.message_id, d.user_id, e.payload FROM entries e
     LEFT JOIN devices d ON d.id = e.device WHERE e.conversation = ? AND e.seq > ? AND e.seq <= ? ORDER BY e.seq";
/// One entry.
pub(crate) const ENTRY: &str =
    "SELECT e.id, e.seq, e.message_id, d.user_id, e.payload FROM entries e
     LEFT JOIN devices d ON d.id = e.device WHERE e.conversation = ? AND e.seq = ?";
/// What is indexed of an entry.
pub(crate) const INDEXED: &str =
    "SELECT id, edit_of, changes FROM indexed WHERE conversation = ? AND seq = ?";
/// An entry of which something is indexed, and whether it changes another.
pub(crate) const INDEXED_ENTRY: &str =
    "SELECT e.seq, e.payload, i.changes, i.edit_of FROM indexed i
     JOIN entries e ON e.id = i.id WHERE i.id = ?";
/// The edit that is shown in a message's place.
pub(crate) const LAST_EDIT: &str = "SELECT e.payload FROM indexed x
     JOIN entries e ON e.conversation = x.conversation AND e.seq = x.seq AND e.payload IS NOT NULL
     WHERE x.conversation = ? AND x.edit_of = ? AND x.changes = 1 ORDER BY x.seq DESC LIMIT 1";
/// What is out of date of a log: first what is to be found, then, if it is asked for, what is gone.
pub(crate) const STALE: &str = "SELECT id FROM stale WHERE conversation = ? AND gone <= ?
     ORDER BY gone, id LIMIT ?";
/// Edits that changed a message that is no longer kept.
pub(crate) const LEFT: &str = "SELECT x.id FROM conversations c
     JOIN indexed x ON x.conversation = c.id AND x.changes = 1 AND x.edit_of < c.first_seq WHERE c.id = ? LIMIT ?";
/// A message of which it was said that it is redacted, kept or not.
pub(crate) const REDACTED: &str = "SELECT 1 FROM redacted WHERE conversation = ? AND seq = ?";

/// Logs to be taken in, as far as a batch goes. Answered by those that it did not finish.
pub(crate) struct Index {
    pub(crate) behind: Vec<Behind>,
    pub(crate) of: Of,
}

/// What is brought up to date.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Of {
    /// What a search must wait for (SEARCH-001).
    Found,
    /// And the words of what is gone, which are found no more in any case.
    All,
}

/// What is left of what one batch may do about the index: one, since each of its operations keeps all that wait for it from
/// their answers.
pub(crate) struct Part {
    entries: u64,
    bytes: u64,
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

impl Context<'_> {
    /// Takes in the next part of some logs.
    pub(crate) async fn index(&mut self, index: &Index) -> Result<Vec<Behind>, Stop> {
        for (at, log) in index.behind.iter().enumerate() {
            let done = self.take_in(log).await?;
            if done < log.head_seq
                || !self.bring_up_to_date(log.conversation, index.of).await?
                || !self.promote_edits(log.conversation).await?
            {
                return Ok(index.behind[at..].to_vec());
            }
        }
        Ok(Vec::new())
    }

    /// Brings up to date what a redaction or retention has left behind in the index of a log: at once, but no more than messages
    /// can wait for. The rest, which is found no more in any case, goes when the log is indexed next.
    pub(crate) async fn clean_index(&mut self, conversation: i64) -> Result<(), sqlx::Error> {
        self.bring_up_to_date(conversation, Of::All).await.map(drop)
    }

    /// Takes an entry out of the index, and notes, for good, that edits of it are not to be found (CONT-016): it was redacted. To be
    /// called in the same transaction, after its payload was deleted. It is found no more from then on;
    /// [`clean_index`](Self::clean_index) takes out the words.
    pub(super) async fn forget_indexed(
        &mut self,
        conversation: i64,
        seq: u64,
    ) -> Result<(), sqlx::Error> {
        sqlx::query(
            "INSERT INTO redacted (conversation, seq) VALUES (?, ?) ON CONFLICT DO NOTHING",
        )
        .bind(conversation)
        .bind(signed(seq))
        .execute(&mut *self.connection)
        .await?;
        let row = sqlx::query(INDEXED)
            .bind(conversation)
            .bind(signed(seq))
            .fetch_optional(&mut *self.connection)
            .await?;
        let Some(row) = row else { return Ok(()) };
        self.take_out(conversation, row.key(0)?).await?;
        // The message is found by the greatest edit that is left, or by its own text.
        if row.number(2)? != 0 {
            self.outdate(conversation, row.number(1)?).await?;
        }
        Ok(())
    }

    /// Takes all entries up to one out of the index: they are no longer kept. To be called in the same transaction. Edits of them
    /// that are kept are messages from now on (CONT-013), as many as there may be: [`LEFT`] tells them. An edit comes after what
    /// it names, so none that goes changes one that stays.
    pub(super) async fn forget_indexed_through(
        &mut self,
        conversation: i64,
        last: u64,
    ) -> Result<(), sqlx::Error> {
        for sql in [
            "INSERT INTO stale (conversation, id, gone) SELECT conversation, id, 1 FROM indexed
             WHERE conversation = ? AND seq <= ?
             ON CONFLICT (conversation, id) DO UPDATE SET gone = excluded.gone",
            "DELETE FROM indexed WHERE conversation = ? AND seq <= ?",
        ] {
            sqlx::query(sql)
                .bind(conversation)
                .bind(signed(last))
                .execute(&mut *self.connection)
                .await?;
        }
        Ok(())
    }

    /// Takes in the next entries of a log. Answers up to which seq it is indexed now, or its head if there is no more of it.
    async fn take_in(&mut self, log: &Behind) -> Result<u64, Stop> {
        let row = sqlx::query("SELECT seq FROM indexed_logs WHERE conversation = ?")
            .bind(log.conversation)
            .fetch_optional(&mut *self.connection)
            .await?;
        let from = row.map_or(Ok(0), |row| row.number(0))?;
        // Looking at a log takes as long as an entry of it.
        if from >= log.head_seq || !self.part.take(0) {
            return Ok(from);
        }
        let sizes = sqlx::query(SIZES)
            .bind(log.conversation)
            .bind(signed(from))
            .bind(signed(self.part.entries))
            .fetch_all(&mut *self.connection)
            .await?;
        if sizes.is_empty() && self.part.entries > 0 {
            return Ok(log.head_seq);
        }
        let mut done = from;
        for row in sizes {
            if !self.part.take(row.number(1)?) {
                break;
            }
            done = row.number(0)?;
        }
        self.index_entries(log.conversation, from, done).await?;
        Ok(done)
    }

    /// Takes in the entries after one, up to another.
    async fn index_entries(&mut self, conversation: i64, from: u64, to: u64) -> Result<(), Stop> {
        let rows = sqlx::query(NEXT)
            .bind(conversation)
            .bind(signed(from))
            .bind(signed(to))
            .fetch_all(&mut *self.connection)
            .await?;
        for row in &rows {
            self.index_entry(conversation, read(row)?).await?;
        }
        sqlx::query(
            "INSERT INTO indexed_logs (conversation, seq) VALUES (?, ?)
             ON CONFLICT (conversation) DO UPDATE SET seq = excluded.seq",
        )
        .bind(conversation)
        .bind(signed(to))
        .execute(&mut *self.connection)
        .await?;
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
                let to = to.filter(|to| to.seq < entry.seq).unwrap_or_default();
                if self.is_redacted(conversation, to.seq).await? {
                    return Ok(());
                }
                let changes = self.changes(conversation, &entry, &to).await?;
                self.note(conversation, &entry, Some((to.seq, changes))).await?;
                match changes {
                    // However often it is edited, and however long it is: its text is put in once.
                    true => self.outdate(conversation, to.seq).await,
                    false => index::put(self.connection, entry.id, conversation, &text.body).await,
                }
            }
            _ => Ok(()),
        }
    }

    async fn note(
        &mut self,
        conversation: i64,
        entry: &Read,
        edit: Option<(u64, bool)>,
    ) -> Result<(), sqlx::Error> {
        sqlx::query(
            "INSERT INTO indexed (id, conversation, seq, edit_of, changes) VALUES (?, ?, ?, ?, ?)",
        )
        .bind(entry.id)
        .bind(conversation)
        .bind(signed(entry.seq))
        .bind(edit.map(|(of, _)| signed(of)))
        .bind(edit.is_some_and(|(_, changes)| changes))
        .execute(&mut *self.connection)
        .await?;
        Ok(())
    }

    /// Whether an edit changes the message that it names: a text by the same user (CONT-002, CONT-012).
    async fn changes(
        &mut self,
        conversation: i64,
        edit: &Read,
        to: &v1::MessageRef,
    ) -> Result<bool, sqlx::Error> {
        let row = sqlx::query(ENTRY)
            .bind(conversation)
            .bind(signed(to.seq))
            .fetch_optional(&mut *self.connection)
            .await?;
        let message = row.as_ref().map(read).transpose()?;
        Ok(message.is_some_and(|message| {
            message.user == edit.user
                && message.message_id == to.message_id
                && text_of(&message.payload).is_some()
        }))
    }

    async fn is_redacted(&mut self, conversation: i64, seq: u64) -> Result<bool, sqlx::Error> {
        let row = sqlx::query(REDACTED)
            .bind(conversation)
            .bind(signed(seq))
            .fetch_optional(&mut *self.connection)
            .await?;
        Ok(row.is_some())
    }

    /// What is indexed of an entry is not as it should be from now on.
    async fn outdate(&mut self, conversation: i64, seq: u64) -> Result<(), sqlx::Error> {
        sqlx::query(
            "INSERT INTO stale (conversation, id, gone) SELECT conversation, id, 0 FROM indexed
             WHERE conversation = ? AND seq = ? ON CONFLICT DO NOTHING",
        )
        .bind(conversation)
        .bind(signed(seq))
        .execute(&mut *self.connection)
        .await?;
        Ok(())
    }

    /// Nothing is to be found of an entry from now on. Its words go when it is brought up to date.
    async fn take_out(&mut self, conversation: i64, id: i64) -> Result<(), sqlx::Error> {
        sqlx::query(
            "INSERT INTO stale (conversation, id, gone) VALUES (?, ?, 1)
             ON CONFLICT (conversation, id) DO UPDATE SET gone = excluded.gone",
        )
        .bind(conversation)
        .bind(id)
        .execute(&mut *self.connection)
        .await?;
        sqlx::query("DELETE FROM indexed WHERE id = ?")
            .bind(id)
            .execute(&mut *self.connection)
            .await?;
        Ok(())
    }

    /// Makes what is out of date of a log as it should be. Answers whether that is all.
    async fn bring_up_to_date(&mut self, conversation: i64, of: Of) -> Result<bool, sqlx::Error> {
        let rows = sqlx::query(STALE)
            .bind(conversation)
            .bind(of == Of::All)
            .bind(signed(self.part.entries + 1))
            .fetch_all(&mut *self.connection)
            .await?;
        for row in rows {
            let id = row.key(0)?;
            let text = self.shown_text(conversation, id).await?;
            if !self.index_anew(conversation, id, text).await? {
                return Ok(false);
            }
            sqlx::query("DELETE FROM stale WHERE conversation = ? AND id = ?")
                .bind(conversation)
                .bind(id)
                .execute(&mut *self.connection)
                .await?;
        }
        Ok(true)
    }

    /// Makes messages of the edits of what is no longer kept (CONT-013), unless it was redacted (CONT-016). Answers whether these
    /// are all.
    async fn promote_edits(&mut self, conversation: i64) -> Result<bool, sqlx::Error> {
        let rows = sqlx::query(LEFT)
            .bind(conversation)
            .bind(signed(self.part.entries + 1))
            .fetch_all(&mut *self.connection)
            .await?;
        for row in rows {
            let id = row.key(0)?;
            let edit = sqlx::query(INDEXED_ENTRY).bind(id).fetch_one(&mut *self.connection).await?;
            if self.is_redacted(conversation, edit.number(3)?).await? {
                if !self.part.take(0) {
                    return Ok(false);
                }
                self.take_out(conversation, id).await?;
                continue;
            }
            if !self.index_anew(conversation, id, edited_text(&edit.bytes(1)?)).await? {
                return Ok(false);
            }
            sqlx::query("UPDATE indexed SET changes = 0 WHERE id = ?")
                .bind(id)
                .execute(&mut *self.connection)
                .await?;
        }
        Ok(true)
    }

    /// Puts the text by which an entry is found in place of the one before, or of none. Answers whether the batch may do so much.
    async fn index_anew(
        &mut self,
        conversation: i64,
        id: i64,
        text: Option<String>,
    ) -> Result<bool, sqlx::Error> {
        let length = text.as_ref().map_or(0, String::len) as u64;
        if !self.part.take(index::length(self.connection, id).await? + length) {
            return Ok(false);
        }
        match text {
            Some(text) => index::put(self.connection, id, conversation, &text).await?,
            None => index::remove(self.connection, id).await?,
        }
        Ok(true)
    }

    /// What an entry is to be found by; none if it is gone, or changes another.
    async fn shown_text(
        &mut self,
        conversation: i64,
        id: i64,
    ) -> Result<Option<String>, sqlx::Error> {
        let row = sqlx::query(INDEXED_ENTRY).bind(id).fetch_optional(&mut *self.connection).await?;
        let Some(row) = row.filter(|row| row.number(2).is_ok_and(|changes| changes == 0)) else {
            return Ok(None);
        };
        let payload = row.bytes(1)?;
        let Some(text) = text_of(&payload) else { return Ok(edited_text(&payload)) };
        let edit = sqlx::query(LAST_EDIT)
            .bind(conversation)
            .bind(signed(row.number(0)?))
            .fetch_optional(&mut *self.connection)
            .await?;
        let edit = edit.map(|row| row.bytes(0)).transpose()?;
        Ok(edit.and_then(|payload| edited_text(&payload)).or(Some(text)))
    }
}

impl Default for Part {
    fn default() -> Self {
        Self { entries: PART_ENTRIES, bytes: PART_BYTES }
    }
}

impl Part {
    /// Takes an entry of so many bytes, if anything is left.
    fn take(&mut self, bytes: u64) -> bool {
        let is_left = self.entries > 0 && self.bytes > 0;
        self.entries = self.entries.saturating_sub(1);
        self.bytes = self.bytes.saturating_sub(bytes);
        is_left
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
