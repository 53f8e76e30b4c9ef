//! Messages: a run of them is judged by one question to the database and inserted by few statements.

use std::collections::HashMap;

use aside_crypto::payload_hash;
use aside_proto::{
    id::{DeviceId, IdempotencyKey},
    v1,
};
use prost::Message as _;
use sqlx::{Row as _, error::UnexpectedNullError};

use super::{
    Context,
    entries::{Draft, Origin, Place, Sealed},
};
use crate::{
    db::{Columns as _, LOOK_UP_EACH, Row, decode_error, signed},
    error::{Refused, StoreError},
    journal::Job,
    request::Append,
    sql::{Listing, MAX_LENGTH, numbered_rows},
};

/// What the database knows about one message to append.
#[derive(Clone, Copy)]
struct Facts {
    /// The device's surrogate key, if it is an active one of the user.
    device: Option<i64>,
    /// The conversation's surrogate key, if it exists.
    conversation: Option<i64>,
    is_member: bool,
    /// Where the device's message of this id is or was, if there is one: the conversation's surrogate key, and its seq.
    stored: Option<(i64, u64)>,
    /// Whether the device used the id for a request of another kind.
    is_reused: bool,
}

/// What is to become of a message.
enum Verdict {
    Append {
        device_key: i64,
        place: Place,
    },
    /// It is there already, as this entry.
    Replay {
        conversation: i64,
        seq: u64,
        device_key: i64,
    },
    Refuse(Refused),
}

pub(crate) static ASK: Listing = Listing::new(|count| {
    format!(
        "WITH w (i, device_id, user_id, conversation_id, message_id) AS (VALUES {rows})
         SELECT w.i, d.id, c.id, m.role, COALESCE(e.conversation, t.conversation), COALESCE(e.seq, t.seq), r.kind FROM w
         {each} devices d ON d.device_id = w.device_id AND d.user_id = w.user_id AND d.revoked_ms IS NULL
         LEFT JOIN conversations c ON c.conversation_id = w.conversation_id
         LEFT JOIN members m ON m.conversation = c.id AND m.user_id = w.user_id
         LEFT JOIN entries e ON e.message_id = w.message_id AND e.device = d.id
         LEFT JOIN trimmed t ON t.message_id = w.message_id AND t.device = d.id
         LEFT JOIN requests r ON r.key = w.message_id AND r.device = d.id",
        rows = numbered_rows(count, 4),
        each = LOOK_UP_EACH,
    )
});

type AppendJob = Job<Append, v1::Sent>;

impl Context<'_> {
    /// Appends messages in order; each job gets its answer. An error is the database's, and spoils the whole batch;
    /// a row that can't be read spoils the jobs that need it.
    pub(crate) async fn append(&mut self, jobs: &mut [&mut AppendJob]) -> Result<(), sqlx::Error> {
        let facts = self.ask(jobs).await?;
        let mut heads = self.heads(&places(jobs, &facts)).await?;
        // What this very run has stored, which the database could not know when it was asked.
        let mut stored: HashMap<(DeviceId, IdempotencyKey), (i64, v1::Sent)> = HashMap::new();
        for (job, facts) in jobs.iter_mut().zip(facts) {
            let identity = (job.input.device, job.input.message_id);
            let answer = match (stored.get(&identity), judge(&job.input, facts)) {
                (Some((conversation, sent)), _) => replay_within(facts, *conversation, sent),
                (None, Verdict::Append { device_key, place }) => {
                    heads.of(place).map_err(Refused::from).map(|head| {
                        let sent = sent(self.seal(place, head, draft(&job.input, device_key)));
                        stored.insert(identity, (place.key, sent.clone()));
                        sent
                    })
                }
                (None, Verdict::Replay { conversation, seq, device_key }) => {
                    let key = job.input.message_id;
                    self.replay(conversation, seq, (key, device_key)).await?
                }
                (None, Verdict::Refuse(refused)) => Err(refused),
            };
            job.answer = Some(answer);
        }
        self.flush().await
    }

    /// Asks the database all there is to know, once for the whole run.
    async fn ask(&mut self, jobs: &[&mut AppendJob]) -> Result<Vec<Facts>, sqlx::Error> {
        const UNKNOWN: Facts = Facts {
            device: None,
            conversation: None,
            is_member: false,
            stored: None,
            is_reused: false,
        };
        let mut facts = vec![UNKNOWN; jobs.len()];
        for (jobs, facts) in jobs.chunks(MAX_LENGTH).zip(facts.chunks_mut(MAX_LENGTH)) {
            let (sql, length) = ASK.at_least(jobs.len());
            let mut query = sqlx::query(sql);
            for index in 0..length {
                let append = jobs.get(index).map(|job| &job.input);
                query = query
                    .bind(append.map(|append| append.device.as_bytes().as_slice()))
                    .bind(append.map(|append| append.user.as_bytes().as_slice()))
                    .bind(append.map(|append| append.conversation.as_bytes().as_slice()))
                    .bind(append.map(|append| append.message_id.as_bytes().as_slice()));
            }
            for row in query.fetch_all(&mut *self.connection).await? {
                facts[row.number(0)? as usize] = Facts {
                    device: row.key_or_null(1)?,
                    conversation: row.key_or_null(2)?,
                    is_member: row.key_or_null(3)?.is_some(),
                    stored: row.key_or_null(4)?.zip(Some(row.number(5)?)),
                    is_reused: row.key_or_null(6)?.is_some(),
                };
            }
        }
        Ok(facts)
    }

    /// What was answered when the message was stored, whatever became of it (REDACT-008, RET-010).
    async fn replay(
        &mut self,
        conversation: i64,
        seq: u64,
        message: (IdempotencyKey, i64),
    ) -> Result<Result<v1::Sent, Refused>, sqlx::Error> {
        let row = sqlx::query(
            "SELECT header, salt, payload, payload_hash FROM entries WHERE conversation = ? AND seq = ?",
        )
        .bind(conversation)
        .bind(signed(seq))
        .fetch_optional(&mut *self.connection)
        .await?;
        let sealed = match row {
            Some(row) => sealed(&row, seq),
            None => self.trimmed(message).await,
        };
        Ok(sealed.map(sent).map_err(|error| StoreError::database(error).into()))
    }
}

/// A stored entry as it was made, redacted or not (REDACT-008). Fails if salt or payload is gone without a trace.
fn sealed(row: &Row, seq: u64) -> Result<Sealed, sqlx::Error> {
    let header = v1::EntryHeader::decode(row.bytes(0)?).map_err(|e| decode_error(0, e))?;
    let payload: Option<&[u8]> = row.try_get(2)?;
    let payload_hash = match payload {
        Some(payload) => payload_hash(&row.array(1)?, payload),
        None if row.bytes(3)?.is_empty() => return Err(decode_error(2, UnexpectedNullError)),
        None => row.array(3)?,
    };
    Ok(Sealed { seq, time_ms: header.time_ms, payload_hash })
}

/// MSG-004 and IDEM-010 come first: a retry has its answer whatever became of the membership since.
fn judge(append: &Append, facts: Facts) -> Verdict {
    let Some(device_key) = facts.device else { return Verdict::Refuse(Refused::DeviceRevoked) };
    if let Some((conversation, seq)) = facts.stored
        && facts.conversation == Some(conversation)
    {
        return Verdict::Replay { conversation, seq, device_key };
    }
    if facts.stored.is_some() || facts.is_reused {
        return Verdict::Refuse(Refused::KeyReused);
    }
    match facts.conversation {
        None => Verdict::Refuse(Refused::NoSuchConversation),
        Some(_) if !facts.is_member => Verdict::Refuse(Refused::NotAMember),
        Some(key) => Verdict::Append { device_key, place: Place { key, id: append.conversation } },
    }
}

/// A retry that came into the same run as what it retries.
fn replay_within(facts: Facts, conversation: i64, sent: &v1::Sent) -> Result<v1::Sent, Refused> {
    if facts.conversation == Some(conversation) {
        Ok(sent.clone())
    } else {
        Err(Refused::KeyReused)
    }
}

/// The conversations that are written to, each once.
fn places(jobs: &[&mut AppendJob], facts: &[Facts]) -> Vec<Place> {
    let mut places: Vec<_> = jobs
        .iter()
        .zip(facts)
        .filter_map(|(job, facts)| match judge(&job.input, *facts) {
            Verdict::Append { place, .. } => Some(place),
            Verdict::Replay { .. } | Verdict::Refuse(_) => None,
        })
        .collect();
    places.sort_unstable_by_key(|place| place.key);
    places.dedup_by_key(|place| place.key);
    places
}

fn draft(append: &Append, device_key: i64) -> Draft {
    Draft {
        kind: v1::EntryKind::Message,
        origin: Some(Origin {
            user: append.user.to_bytes(),
            device: append.device.to_bytes(),
            device_key,
            key: append.message_id,
        }),
        salt: append.salt,
        payload: append.payload.clone(),
        signature: append.signature.clone(),
    }
}

fn sent(sealed: Sealed) -> v1::Sent {
    v1::Sent {
        seq: sealed.seq,
        time_ms: sealed.time_ms,
        payload_hash: bytes::Bytes::copy_from_slice(&sealed.payload_hash),
    }
}
