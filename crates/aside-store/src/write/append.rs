//! Messages: a run of them is judged by one question to the database and inserted by few statements. Those to rooms and those to
//! private conversations differ in what is asked, and in what is refused.

use std::collections::HashMap;

use aside_crypto::payload_hash;
use aside_proto::{
    id::{ConversationId, DeviceId, IdempotencyKey, UserId},
    private::Epoch,
    v1,
};
use bytes::Bytes;
use prost::Message as _;
use sqlx::{Row as _, error::UnexpectedNullError};

use super::{
    Context,
    entries::{Draft, Heads, Origin, Place, Sealed},
};
use crate::{
    db::{Columns as _, LOOK_UP_EACH, Row, decode_error, signed},
    error::{Refused, StoreError},
    journal::Job,
    private,
    request::{Append, SendPrivate},
    sql::{Listing, MAX_LENGTH, numbered_rows},
};

/// What the database knows about one message to append.
#[derive(Clone, Copy, Default)]
pub(crate) struct Facts {
    /// The device's surrogate key, if it is an active one of the user.
    device: Option<i64>,
    /// The conversation's surrogate key, if it exists, and whether it is a room.
    conversation: Option<i64>,
    is_room: bool,
    is_member: bool,
    /// Where the device's message of this id is or was, if there is one: the conversation's surrogate key, and its seq.
    stored: Option<(i64, u64)>,
    /// Whether the device used the id for a request of another kind.
    is_reused: bool,
    /// What matters in a private conversation alone.
    group: GroupFacts,
}

/// What the database knows about the group of a message.
#[derive(Clone, Copy, Default)]
struct GroupFacts {
    is_approved: bool,
    at: Epoch,
    /// Whether the device is a leaf that is not to be removed.
    is_leaf: bool,
    /// Whether any leaf is to be removed.
    has_pending: bool,
}

/// What is to become of a message.
pub(crate) enum Verdict {
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
    /// It is for another epoch than the present one.
    Stale {
        place: Place,
        at: Epoch,
    },
    /// Leaves are to be removed first.
    Pending {
        place: Place,
    },
    Refuse(Refused),
}

pub(crate) static ASK: Listing = Listing::new(|count| {
    format!(
        "WITH w (i, device_id, user_id, conversation_id, message_id) AS (VALUES {rows})
         SELECT w.i, d.id, c.id, c.kind, m.role, COALESCE(e.conversation, t.conversation), COALESCE(e.seq, t.seq), r.kind FROM w
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

/// The same, and how the device stands to the group.
pub(crate) static ASK_PRIVATE: Listing = Listing::new(|count| {
    format!(
        "WITH w (i, device_id, user_id, conversation_id, message_id) AS (VALUES {rows})
         SELECT w.i, d.id, c.id, c.kind, m.role,
             COALESCE(e.conversation, t.conversation), COALESCE(e.seq, t.seq), r.kind,
             a.device, g.generation, g.epoch, l.pending,
             EXISTS (SELECT 1 FROM leaves p WHERE p.conversation = c.id AND p.pending = 1) FROM w
         {each} devices d ON d.device_id = w.device_id AND d.user_id = w.user_id AND d.revoked_ms IS NULL
         LEFT JOIN conversations c ON c.conversation_id = w.conversation_id
         LEFT JOIN members m ON m.conversation = c.id AND m.user_id = w.user_id
         LEFT JOIN entries e ON e.message_id = w.message_id AND e.device = d.id
         LEFT JOIN trimmed t ON t.message_id = w.message_id AND t.device = d.id
         LEFT JOIN requests r ON r.key = w.message_id AND r.device = d.id
         LEFT JOIN approvals a ON a.device = d.id
         LEFT JOIN groups g ON g.conversation = c.id
         LEFT JOIN leaves l ON l.conversation = c.id AND l.device = d.id",
        rows = numbered_rows(count, 4),
        each = LOOK_UP_EACH,
    )
});

/// A message, of those that the journal takes in runs.
pub(crate) trait Batched {
    /// Asks what there is to know of a run of them.
    fn listing() -> &'static Listing;
    /// What a row of the listing says.
    fn facts(row: &Row) -> Result<Facts, sqlx::Error>;
    /// What is to become of it, once it is known to be new.
    fn judge(&self, device_key: i64, facts: Facts) -> Verdict;
    /// By which device of whom it is sent, where to, and the request's idempotency key.
    fn ids(&self) -> (&DeviceId, &UserId, &ConversationId, &IdempotencyKey);
    /// Kind, payload, salt and signature of its entry.
    fn content(&self) -> (v1::EntryKind, Bytes, [u8; 32], Bytes);
}

impl Batched for Append {
    fn listing() -> &'static Listing {
        &ASK
    }

    fn facts(row: &Row) -> Result<Facts, sqlx::Error> {
        Ok(Facts {
            device: row.key_or_null(1)?,
            conversation: row.key_or_null(2)?,
            is_room: row.number(3)? == v1::ConversationKind::PublicRoom as u64,
            is_member: row.key_or_null(4)?.is_some(),
            stored: row.key_or_null(5)?.zip(Some(row.number(6)?)),
            is_reused: row.key_or_null(7)?.is_some(),
            group: GroupFacts::default(),
        })
    }

    fn judge(&self, device_key: i64, facts: Facts) -> Verdict {
        match facts.conversation {
            None => Verdict::Refuse(Refused::NoSuchConversation),
            Some(_) if !facts.is_room && facts.is_member => {
                Verdict::Refuse(Refused::WrongConversationKind)
            }
            Some(_) if !facts.is_room => Verdict::Refuse(Refused::NoSuchConversation),
            Some(_) if !facts.is_member => Verdict::Refuse(Refused::NotAMember),
            Some(key) => {
                Verdict::Append { device_key, place: Place { key, id: self.conversation } }
            }
        }
    }

    fn ids(&self) -> (&DeviceId, &UserId, &ConversationId, &IdempotencyKey) {
        (&self.device, &self.user, &self.conversation, &self.message_id)
    }

    fn content(&self) -> (v1::EntryKind, Bytes, [u8; 32], Bytes) {
        (v1::EntryKind::Message, self.payload.clone(), self.salt, self.signature.clone())
    }
}

impl Batched for SendPrivate {
    fn listing() -> &'static Listing {
        &ASK_PRIVATE
    }

    fn facts(row: &Row) -> Result<Facts, sqlx::Error> {
        let group = GroupFacts {
            is_approved: row.key_or_null(8)?.is_some(),
            at: Epoch { generation: row.number(9)?, epoch: row.number(10)? },
            is_leaf: row.key_or_null(11)? == Some(0),
            has_pending: row.number(12)? == 1,
        };
        Ok(Facts { group, ..Append::facts(row)? })
    }

    /// DS-030 to DS-033.
    fn judge(&self, device_key: i64, facts: Facts) -> Verdict {
        let GroupFacts { is_approved, at, is_leaf, has_pending } = facts.group;
        if !is_approved {
            return Verdict::Refuse(Refused::DeviceNotApproved { devices: Vec::new() });
        }
        let Some(key) = facts.conversation.filter(|_| facts.is_room || facts.is_member) else {
            return Verdict::Refuse(Refused::NoSuchConversation);
        };
        let place = Place { key, id: self.conversation };
        match () {
            () if facts.is_room => Verdict::Refuse(Refused::WrongConversationKind),
            () if !is_leaf => Verdict::Refuse(Refused::NotInGroup),
            () if self.epoch != at => Verdict::Stale { place, at },
            () if has_pending => Verdict::Pending { place },
            () => Verdict::Append { device_key, place },
        }
    }

    fn ids(&self) -> (&DeviceId, &UserId, &ConversationId, &IdempotencyKey) {
        (&self.device, &self.user, &self.conversation, &self.message_id)
    }

    fn content(&self) -> (v1::EntryKind, Bytes, [u8; 32], Bytes) {
        (v1::EntryKind::PrivateMessage, self.payload.clone(), self.salt, Bytes::new())
    }
}

impl Context<'_> {
    /// Appends messages in order; each job gets its answer. An error is the database's, and spoils the whole batch;
    /// a row that can't be read spoils the jobs that need it.
    pub(crate) async fn append<M: Batched>(
        &mut self,
        jobs: &mut [&mut Job<M, v1::Sent>],
    ) -> Result<(), sqlx::Error> {
        let facts = self.ask(jobs).await?;
        let mut heads = self.heads(&places(jobs, &facts)).await?;
        // What this very run has stored, which the database could not know when it was asked.
        let mut stored: HashMap<(DeviceId, IdempotencyKey), (i64, v1::Sent)> = HashMap::new();
        for (job, facts) in jobs.iter_mut().zip(facts) {
            let (device, _, _, message_id) = job.input.ids();
            let identity = (*device, *message_id);
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
                    self.replay(conversation, seq, (*message_id, device_key)).await?
                }
                (None, Verdict::Stale { place, at }) => Err(stale(&mut heads, place, at)),
                (None, Verdict::Pending { place }) => Err(self.removal_pending(place).await?),
                (None, Verdict::Refuse(refused)) => Err(refused),
            };
            job.answer = Some(answer);
        }
        self.flush().await
    }

    /// Asks the database all there is to know, once for the whole run.
    async fn ask<M: Batched>(
        &mut self,
        jobs: &[&mut Job<M, v1::Sent>],
    ) -> Result<Vec<Facts>, sqlx::Error> {
        let mut facts = vec![Facts::default(); jobs.len()];
        for (jobs, facts) in jobs.chunks(MAX_LENGTH).zip(facts.chunks_mut(MAX_LENGTH)) {
            let (sql, length) = M::listing().at_least(jobs.len());
            let mut query = sqlx::query(sql);
            for index in 0..length {
                let ids = jobs.get(index).map(|job| job.input.ids());
                query = query
                    .bind(ids.map(|(device, ..)| device.as_bytes().as_slice()))
                    .bind(ids.map(|(_, user, ..)| user.as_bytes().as_slice()))
                    .bind(ids.map(|(.., conversation, _)| conversation.as_bytes().as_slice()))
                    .bind(ids.map(|(.., message_id)| message_id.as_bytes().as_slice()));
            }
            for row in query.fetch_all(&mut *self.connection).await? {
                facts[row.number(0)? as usize] = M::facts(&row)?;
            }
        }
        Ok(facts)
    }

    /// REMOVAL_PENDING, with the leaves that are to be removed.
    async fn removal_pending(&mut self, place: Place) -> Result<Refused, sqlx::Error> {
        let seated = private::leaves(&mut *self.connection, place).await?;
        let pending = seated.iter().filter(|seat| seat.is_pending);
        Ok(Refused::RemovalPending { devices: pending.map(|seat| seat.leaf).collect() })
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

/// MSG-004 and IDEM-010 come first: a retry has its answer whatever became of the membership, or of the epoch, since.
fn judge<M: Batched>(message: &M, facts: Facts) -> Verdict {
    let Some(device_key) = facts.device else { return Verdict::Refuse(Refused::DeviceRevoked) };
    if let Some((conversation, seq)) = facts.stored
        && facts.conversation == Some(conversation)
    {
        return Verdict::Replay { conversation, seq, device_key };
    }
    if facts.stored.is_some() || facts.is_reused {
        return Verdict::Refuse(Refused::KeyReused);
    }
    message.judge(device_key, facts)
}

/// A retry that came into the same run as what it retries.
fn replay_within(facts: Facts, conversation: i64, sent: &v1::Sent) -> Result<v1::Sent, Refused> {
    if facts.conversation == Some(conversation) {
        Ok(sent.clone())
    } else {
        Err(Refused::KeyReused)
    }
}

/// STALE_EPOCH, with where the log ends now.
fn stale(heads: &mut Heads, place: Place, at: Epoch) -> Refused {
    match heads.of(place) {
        Ok(head) => Refused::StaleEpoch { at, head_seq: head.seq },
        Err(error) => error.into(),
    }
}

/// The conversations whose ends have to be known, each once.
fn places<M: Batched>(jobs: &[&mut Job<M, v1::Sent>], facts: &[Facts]) -> Vec<Place> {
    let mut places: Vec<_> = jobs
        .iter()
        .zip(facts)
        .filter_map(|(job, facts)| match judge(&job.input, *facts) {
            Verdict::Append { place, .. } | Verdict::Stale { place, .. } => Some(place),
            Verdict::Replay { .. } | Verdict::Pending { .. } | Verdict::Refuse(_) => None,
        })
        .collect();
    places.sort_unstable_by_key(|place| place.key);
    places.dedup_by_key(|place| place.key);
    places
}

fn draft<M: Batched>(message: &M, device_key: i64) -> Draft {
    let (device, user, _, message_id) = message.ids();
    let (kind, payload, salt, signature) = message.content();
    let origin =
        Origin { user: user.to_bytes(), device: device.to_bytes(), device_key, key: *message_id };
    Draft { kind, origin: Some(origin), salt, payload, signature }
}

fn sent(sealed: Sealed) -> v1::Sent {
    v1::Sent {
        seq: sealed.seq,
        time_ms: sealed.time_ms,
        payload_hash: Bytes::copy_from_slice(&sealed.payload_hash),
    }
}
