//! Watermarks: moved by a run of Marks that is judged by one question to the database, and written once for each user and
//! conversation of a batch.

use std::collections::BTreeMap;

use aside_proto::{
    id::{ConversationId, UserId},
    v1,
};

use super::Context;
use crate::{
    db::{Columns as _, LOOK_UP_EACH, signed},
    effect::Effect,
    error::Refused,
    journal::Job,
    request::Mark,
    sql::{Listing, MAX_LENGTH, numbered_rows},
};

/// Watermarks that have moved and are not written yet, by their conversations' surrogate keys and users.
#[derive(Default)]
pub(crate) struct Moved(BTreeMap<(i64, UserId), Watermark>);

/// How far a member has got.
#[derive(Clone, Copy)]
struct Watermark {
    delivered_seq: u64,
    read_seq: u64,
    conversation: ConversationId,
    /// The connection that moved it last: its reply says what an event would.
    attachment: u64,
    to_members: bool,
}

/// What the database knows about one Mark.
#[derive(Clone, Copy, Default)]
struct Facts {
    is_active: bool,
    /// The conversation's surrogate key, its head and how many members it has, if it exists.
    conversation: Option<(i64, u64, u64)>,
    /// delivered_seq and read_seq, if the user is a member.
    watermark: Option<(u64, u64)>,
    /// Whether the user keeps them from others.
    is_private: bool,
    /// Whether the device may ask about it: in a private conversation, only an approved one may (PRIV-002).
    is_admitted: bool,
}

pub(crate) static ASK_MARKS: Listing = Listing::new(|count| {
    format!(
        "WITH w (i, device_id, user_id, conversation_id) AS (VALUES {rows})
         SELECT w.i, c.id, COALESCE((SELECT MAX(seq) FROM entries e WHERE e.conversation = c.id), c.first_seq - 1),
             c.member_count, m.read_seq, m.delivered_seq, p.private_receipts, c.kind, a.device FROM w
         {each} devices d ON d.device_id = w.device_id AND d.user_id = w.user_id AND d.revoked_ms IS NULL
         LEFT JOIN conversations c ON c.conversation_id = w.conversation_id
         LEFT JOIN watermarks m ON m.conversation = c.id AND m.user_id = w.user_id
         LEFT JOIN presence p ON p.user_id = w.user_id
         LEFT JOIN approvals a ON a.device = d.id AND c.kind <> 1",
        rows = numbered_rows(count, 3),
        each = LOOK_UP_EACH,
    )
});

/// Moves one user's watermarks in one conversation.
pub(crate) const MOVE: &str =
    "UPDATE watermarks SET delivered_seq = ?, read_seq = ? WHERE conversation = ? AND user_id = ?";

type MarkJob = Job<Mark, v1::Watermark>;

impl Context<'_> {
    /// Judges Marks in order; each job gets its answer, and what moved is kept in `moved` until
    /// [`write_moved`](Self::write_moved). An error is the database's, and spoils the whole batch.
    pub(crate) async fn mark(
        &mut self,
        jobs: &mut [&mut MarkJob],
        moved: &mut Moved,
    ) -> Result<(), sqlx::Error> {
        let facts = self.ask_marks(jobs).await?;
        for (job, facts) in jobs.iter_mut().zip(facts) {
            job.answer = Some(self.judge_mark(&job.input, facts, moved));
        }
        Ok(())
    }

    async fn ask_marks(&mut self, jobs: &[&mut MarkJob]) -> Result<Vec<Facts>, sqlx::Error> {
        let mut facts = vec![Facts::default(); jobs.len()];
        for (jobs, facts) in jobs.chunks(MAX_LENGTH).zip(facts.chunks_mut(MAX_LENGTH)) {
            let (sql, length) = ASK_MARKS.at_least(jobs.len());
            let mut query = sqlx::query(sql);
            for index in 0..length {
                let mark = jobs.get(index).map(|job| &job.input);
                query = query
                    .bind(mark.map(|mark| mark.device.as_bytes().as_slice()))
                    .bind(mark.map(|mark| mark.user.as_bytes().as_slice()))
                    .bind(mark.map(|mark| mark.conversation.as_bytes().as_slice()));
            }
            for row in query.fetch_all(&mut *self.connection).await? {
                let known = (row.number(2)?, row.number(3)?);
                let is_member = row.key_or_null(4)?.is_some();
                // A private conversation is there for its members alone (PRIV-007).
                let is_room = row.number(7)? == 1;
                let is_there = is_member || is_room;
                facts[row.number(0)? as usize] = Facts {
                    is_active: true,
                    conversation: row
                        .key_or_null(1)?
                        .filter(|_| is_there)
                        .map(|key| (key, known.0, known.1)),
                    watermark: is_member.then_some((row.number(5)?, row.number(4)?)),
                    is_private: row.number(6)? != 0,
                    is_admitted: is_room || row.key_or_null(8)?.is_some(),
                };
            }
        }
        Ok(facts)
    }

    /// MARK-001 to MARK-005, MARK-010, PRES-016.
    fn judge_mark(
        &self,
        mark: &Mark,
        facts: Facts,
        moved: &mut Moved,
    ) -> Result<v1::Watermark, Refused> {
        if !facts.is_active {
            return Err(Refused::DeviceRevoked);
        }
        let (key, head_seq, members) = facts.conversation.ok_or(Refused::NoSuchConversation)?;
        let (delivered_seq, read_seq) = facts.watermark.ok_or(Refused::NotAMember)?;
        if !facts.is_admitted {
            return Err(Refused::DeviceNotApproved { devices: Vec::new() });
        }
        if mark.delivered_seq.max(mark.read_seq) > head_seq {
            return Err(Refused::SeqOutOfRange { head_seq });
        }
        // What this batch has moved already is not in the database yet.
        let before = moved.0.get(&(key, mark.user));
        let (delivered_seq, read_seq) =
            before.map_or((delivered_seq, read_seq), |w| (w.delivered_seq, w.read_seq));
        let read = read_seq.max(mark.read_seq);
        let delivered = delivered_seq.max(mark.delivered_seq).max(read);
        if (delivered, read) != (delivered_seq, read_seq) {
            let is_large = members > self.surroundings.limits.max_live_members.into();
            let watermark = Watermark {
                delivered_seq: delivered,
                read_seq: read,
                conversation: mark.conversation,
                attachment: mark.attachment,
                to_members: !is_large && !facts.is_private,
            };
            moved.0.insert((key, mark.user), watermark);
        }
        let user_id = mark.user.to_bytes();
        Ok(v1::Watermark { user_id, delivered_seq: delivered, read_seq: read })
    }

    /// Writes what has moved, each once. To be done before anything that changes or reads watermarks.
    pub(crate) async fn write_moved(&mut self, moved: &mut Moved) -> Result<(), sqlx::Error> {
        for ((key, user), watermark) in std::mem::take(&mut moved.0) {
            let Watermark { delivered_seq, read_seq, conversation, attachment, to_members } =
                watermark;
            sqlx::query(MOVE)
                .bind(signed(delivered_seq))
                .bind(signed(read_seq))
                .bind(key)
                .bind(user.as_bytes().as_slice())
                .execute(&mut *self.connection)
                .await?;
            self.effects.push(Effect::WatermarkMoved {
                conversation,
                user,
                delivered_seq,
                read_seq,
                attachment,
                to_members,
            });
        }
        Ok(())
    }
}
