//! What private conversations need to go on, all of it sealed. What a message was encrypted with must not be forgotten once it was
//! sent, not even when power fails (STORE-002), so this is written through a connection whose commits are on the disk when they
//! return; and with them all that other connections have committed before.

use std::collections::BTreeMap;

use aside_mls::Secret;
use aside_proto::{
    id::{ConversationId, IdempotencyKey},
    v1,
};
use aside_session::client::timeline::Body;
use bytes::Bytes;
use prost::Message as _;
use sqlx::{Row as _, Sqlite, Transaction, sqlite::SqliteRow};

use super::{
    Kept, NewEntry, StateError, Store, StoredSignature, array, seal::Place, signed, unsigned,
};
use crate::private::{
    ConversationWrites, Reading, Said, Stored, StoredConversation, Unseen, Writes,
};

/// A private message that may hold what is looked for, with what it says.
pub(crate) struct Sought {
    pub(crate) seq: u64,
    pub(crate) time_ms: u64,
    /// Whether another entry refers to it.
    pub(crate) referred: bool,
    reading: Secret,
}

impl Sought {
    /// What it said, if that could be read.
    pub(crate) fn said(&self) -> Result<Option<Said>, StateError> {
        match Reading::decode(&self.reading)? {
            Reading::Said(said) => Ok(Some(said)),
            Reading::Unreadable(_) => Ok(None),
        }
    }
}

impl Store {
    /// Keeps all of this, or nothing; it is on the disk when this returns. A reading of what is known to be redacted is left out
    /// (STORE-010).
    pub(crate) async fn keep_private(&self, writes: &Writes) -> Result<(), StateError> {
        // A copy that encrypted would use the keys that the writer is about to use.
        self.check_own()?;
        let mut transaction = self.durable.begin_with("BEGIN IMMEDIATE").await?;
        if let Some(record) = &writes.device {
            let sql = "INSERT INTO private_device (id, record) VALUES (1, ?) \
                       ON CONFLICT (id) DO UPDATE SET record = excluded.record";
            let sealed = self.sealer.seal(Place::Device, record);
            sqlx::query(sql).bind(sealed).execute(&mut *transaction).await?;
        }
        for (reference, secret) in &writes.key_packages {
            self.put_key_package(&mut transaction, reference, secret.as_ref()).await?;
        }
        for (conversation, writes) in &writes.conversations {
            self.keep_conversation(&mut transaction, *conversation, writes).await?;
        }
        Ok(transaction.commit().await?)
    }

    async fn put_key_package(
        &self,
        transaction: &mut Transaction<'_, Sqlite>,
        reference: &[u8],
        secret: Option<&Secret>,
    ) -> Result<(), StateError> {
        let query = match secret {
            Some(secret) => {
                let sql = "INSERT INTO private_key_packages (reference, key_package) VALUES (?, ?) \
                           ON CONFLICT (reference) DO UPDATE SET key_package = excluded.key_package";
                let sealed = self.sealer.seal(Place::KeyPackage(reference), secret);
                sqlx::query(sql).bind(reference).bind(sealed)
            }
            None => {
                sqlx::query("DELETE FROM private_key_packages WHERE reference = ?").bind(reference)
            }
        };
        query.execute(&mut **transaction).await?;
        Ok(())
    }

    async fn keep_conversation(
        &self,
        transaction: &mut Transaction<'_, Sqlite>,
        id: ConversationId,
        writes: &ConversationWrites,
    ) -> Result<(), StateError> {
        let sql = "INSERT INTO private_conversations (conversation_id, record) VALUES (?, ?) \
                   ON CONFLICT (conversation_id) DO UPDATE SET record = coalesce(excluded.record, record) \
                   RETURNING id";
        let record = writes.record.as_ref();
        let row = sqlx::query(sql)
            .bind(&id.as_bytes()[..])
            .bind(record.map(|record| self.sealer.seal(Place::Conversation(id), record)))
            .fetch_one(&mut **transaction)
            .await?;
        let number: i64 = row.try_get("id")?;
        for (generation, state) in &writes.groups {
            let place = Place::Group(id, *generation);
            let state = state.as_ref().map(|state| self.sealer.seal(place, state));
            put_group(transaction, number, *generation, state).await?;
        }
        for (seq, reading) in &writes.readings {
            let reading = Reading::decode(reading)?;
            let kept = match &reading {
                Reading::Unreadable(_) => self.was_read_as(transaction, (number, id), *seq).await?,
                Reading::Said(_) => None,
            };
            if kept.is_none() {
                let sealed = self.sealer.seal(Place::Reading(id, *seq), &reading.encode());
                put_reading(transaction, (number, id), *seq, sealed).await?;
            }
            self.note_reading(transaction, id, *seq, &kept.unwrap_or(reading)).await?;
        }
        for (seq, value) in &writes.doubted {
            let place = Place::Doubted(id, *seq);
            let value = value.as_ref().map(|value| self.sealer.seal(place, value));
            put_doubted(transaction, number, *seq, value).await?;
        }
        for (message, value) in &writes.outgoing {
            let place = Place::Outgoing(id, *message);
            let value = value.as_ref().map(|value| self.sealer.seal(place, value));
            put_outgoing(transaction, number, *message, value).await?;
        }
        Ok(())
    }

    /// What a message said when it could be read: a log that is read anew does not take that away.
    async fn was_read_as(
        &self,
        transaction: &mut Transaction<'_, Sqlite>,
        (number, id): (i64, ConversationId),
        seq: u64,
    ) -> Result<Option<Reading>, StateError> {
        let sql = "SELECT reading FROM private_readings WHERE conversation = ? AND seq = ?";
        let row = sqlx::query(sql)
            .bind(number)
            .bind(signed(seq))
            .fetch_optional(&mut **transaction)
            .await?;
        let Some(row) = row else { return Ok(None) };
        let reading = Reading::decode(&self.opened(Place::Reading(id, seq), &row, "reading")?)?;
        Ok(Some(reading).filter(|reading| matches!(reading, Reading::Said(_))))
    }

    /// All that was kept, but for the readings.
    pub(crate) async fn private(&self) -> Result<Stored, StateError> {
        // One transaction: of what is written meanwhile, all is read or nothing.
        let mut transaction = self.pool.begin().await?;
        let device = sqlx::query("SELECT record FROM private_device")
            .fetch_optional(&mut *transaction)
            .await?;
        let device = device.map(|row| self.opened(Place::Device, &row, "record")).transpose()?;
        let mut stored = Stored { device, ..Stored::default() };
        let sql = "SELECT reference, key_package FROM private_key_packages ORDER BY reference";
        for row in sqlx::query(sql).fetch_all(&mut *transaction).await? {
            let reference: Vec<u8> = row.try_get("reference")?;
            let secret = self.opened(Place::KeyPackage(&reference), &row, "key_package")?;
            stored.key_packages.push((reference, secret));
        }
        self.read_conversations(&mut transaction, &mut stored).await?;
        Ok(stored)
    }

    async fn read_conversations(
        &self,
        transaction: &mut Transaction<'_, Sqlite>,
        stored: &mut Stored,
    ) -> Result<(), StateError> {
        let all = &mut stored.conversations;
        let sql = "SELECT conversation_id, record FROM private_conversations";
        for row in sqlx::query(sql).fetch_all(&mut **transaction).await? {
            let id = conversation(&row)?;
            let sealed: Option<&[u8]> = row.try_get("record")?;
            let record = sealed.map(|sealed| self.sealer.open(Place::Conversation(id), sealed));
            all.insert(
                id,
                StoredConversation { record: record.transpose()?, ..Default::default() },
            );
        }
        let sql = "SELECT conversation_id, generation, state \
                   FROM private_groups g JOIN private_conversations c ON c.id = g.conversation";
        for row in sqlx::query(sql).fetch_all(&mut **transaction).await? {
            let (id, generation) = (conversation(&row)?, row.try_get("generation")?);
            let state = self.opened(Place::Group(id, generation), &row, "state")?;
            all.entry(id).or_default().groups.insert(generation, state);
        }
        let sql = "SELECT conversation_id, seq, message \
                   FROM private_doubted d JOIN private_conversations c ON c.id = d.conversation ORDER BY seq";
        for row in sqlx::query(sql).fetch_all(&mut **transaction).await? {
            let (id, seq) = (conversation(&row)?, unsigned(row.try_get("seq")?));
            let value = self.opened(Place::Doubted(id, seq), &row, "message")?;
            all.entry(id).or_default().doubted.push((seq, value));
        }
        let sql = "SELECT conversation_id, message_id, message \
                   FROM private_outgoing o JOIN private_conversations c ON c.id = o.conversation ORDER BY o.id";
        for row in sqlx::query(sql).fetch_all(&mut **transaction).await? {
            let id = conversation(&row)?;
            let message = IdempotencyKey::new(array(row.try_get("message_id")?, "a message id")?);
            let value = self.opened(Place::Outgoing(id, message), &row, "message")?;
            all.entry(id).or_default().outgoing.push((message, value));
        }
        Ok(())
    }

    /// The messages of this device that are among no entries taken in, in the order in which they were said.
    pub(crate) async fn unseen(
        &self,
    ) -> Result<Vec<(ConversationId, IdempotencyKey, Unseen)>, StateError> {
        let sql = "SELECT conversation_id, message_id, message \
                   FROM private_outgoing o JOIN private_conversations c ON c.id = o.conversation ORDER BY o.id";
        let unseen = |row: &SqliteRow| {
            let id = conversation(row)?;
            let message = IdempotencyKey::new(array(row.try_get("message_id")?, "a message id")?);
            let kept = self.opened(Place::Outgoing(id, message), row, "message")?;
            Ok((id, message, Unseen::read(message, &kept)?))
        };
        sqlx::query(sql).fetch_all(&self.pool).await?.iter().map(unseen).collect()
    }

    /// One of [`unseen`](Self::unseen).
    pub(crate) async fn unseen_one(
        &self,
        message_id: IdempotencyKey,
    ) -> Result<Option<(ConversationId, Unseen)>, StateError> {
        let sql = "SELECT conversation_id, message \
                   FROM private_outgoing o JOIN private_conversations c ON c.id = o.conversation WHERE message_id = ?";
        let row =
            sqlx::query(sql).bind(&message_id.as_bytes()[..]).fetch_optional(&self.pool).await?;
        let Some(row) = row else { return Ok(None) };
        let id = conversation(&row)?;
        let kept = self.opened(Place::Outgoing(id, message_id), &row, "message")?;
        Ok(Some((id, Unseen::read(message_id, &kept)?)))
    }

    /// How many [`unseen`](Self::unseen) gives.
    pub(crate) async fn unseen_count(&self) -> Result<u64, StateError> {
        let sql = "SELECT count(*) AS count FROM private_outgoing";
        let row = sqlx::query(sql).fetch_one(&self.pool).await?;
        Ok(unsigned(row.try_get("count")?))
    }

    /// What the entries from one seq to another, both included, turned out to say, as far as it was kept.
    pub(crate) async fn readings(
        &self,
        conversation: ConversationId,
        from_seq: u64,
        to_seq: u64,
    ) -> Result<BTreeMap<u64, Secret>, StateError> {
        let sql = "SELECT seq, reading FROM private_readings r JOIN private_conversations c ON c.id = r.conversation \
                   WHERE conversation_id = ? AND seq BETWEEN ? AND ? ORDER BY seq";
        let rows = sqlx::query(sql)
            .bind(&conversation.as_bytes()[..])
            .bind(signed(from_seq))
            .bind(signed(to_seq))
            .fetch_all(&self.pool)
            .await?;
        let reading = |row: &SqliteRow| {
            let seq = unsigned(row.try_get("seq")?);
            Ok((seq, self.opened(Place::Reading(conversation, seq), row, "reading")?))
        };
        rows.iter().map(reading).collect()
    }

    /// What an entry turned out to say, if it was read.
    pub(crate) async fn reading(
        &self,
        conversation: ConversationId,
        seq: u64,
    ) -> Result<Option<Reading>, StateError> {
        let readings = self.readings(conversation, seq, seq).await?;
        readings.get(&seq).map(|reading| Reading::decode(reading)).transpose()
    }

    /// The last messages of a private conversation below `before_seq` that are not redacted, the newest first.
    pub(crate) async fn said_before(
        &self,
        conversation: ConversationId,
        before_seq: u64,
        limit: u32,
    ) -> Result<Vec<Sought>, StateError> {
        let sql = "SELECT r.seq, reading, header FROM private_readings r JOIN private_conversations p ON p.id = r.conversation \
                   JOIN conversations c ON c.conversation_id = p.conversation_id \
                   JOIN entries e ON e.conversation = c.id AND e.seq = r.seq \
                   WHERE p.conversation_id = ? AND r.seq < ? AND e.payload_hash IS NULL ORDER BY r.seq DESC LIMIT ?";
        let rows = self.page(sql, (conversation, before_seq), limit).await?;
        let seqs = rows.iter().map(|row| Ok(unsigned(row.try_get("seq")?)));
        let referred =
            self.referred(conversation, seqs.collect::<Result<_, StateError>>()?).await?;
        let sought = |row: &SqliteRow| {
            let seq = unsigned(row.try_get("seq")?);
            let header: &[u8] = row.try_get("header")?;
            Ok(Sought {
                seq,
                time_ms: v1::EntryHeader::decode(header).unwrap_or_default().time_ms,
                referred: referred.contains(&seq),
                reading: self.opened(Place::Reading(conversation, seq), row, "reading")?,
            })
        };
        rows.iter().map(sought).collect()
    }

    /// The Content of a message: its payload, or what that turned out to say; none if it is gone, or was not read.
    pub(crate) async fn content_of(&self, kept: &Kept) -> Result<Option<Bytes>, StateError> {
        let header = v1::EntryHeader::decode(&kept.header[..]).unwrap_or_default();
        if header.kind() != v1::EntryKind::PrivateMessage {
            // No payload is empty (LOG-012). What a private message says may be (FRANK-003).
            let payload = Some(&kept.payload[..]).filter(|payload| !payload.is_empty());
            return Ok(payload.map(Bytes::copy_from_slice));
        }
        match self.reading(kept.conversation, kept.seq).await? {
            Some(Reading::Said(said)) => Ok(Some(said.content)),
            _ => Ok(None),
        }
    }

    /// Forgets all that is kept of a private conversation: its groups, what was said, what was to be said.
    #[cfg(any(test, feature = "testing"))]
    pub(crate) async fn forget_private(
        &self,
        conversation: ConversationId,
    ) -> Result<(), StateError> {
        let sql = "DELETE FROM private_conversations WHERE conversation_id = ?";
        sqlx::query(sql).bind(&conversation.as_bytes()[..]).execute(&self.durable).await?;
        Ok(())
    }

    /// Writes down at entries that were just kept what readings say that came before them.
    pub(super) async fn note_read_before(
        &self,
        transaction: &mut Transaction<'_, Sqlite>,
        conversation: ConversationId,
        entries: &[NewEntry],
    ) -> Result<(), StateError> {
        let is_private = |entry: &&NewEntry| entry.accepted.kind() == v1::EntryKind::PrivateMessage;
        let mut private = entries.iter().filter(is_private).map(|entry| entry.accepted.seq);
        let Some(first) = private.next() else { return Ok(()) };
        let sql = "SELECT seq, reading FROM private_readings r JOIN private_conversations c ON c.id = r.conversation \
                   WHERE conversation_id = ? AND seq BETWEEN ? AND ?";
        let rows = sqlx::query(sql)
            .bind(&conversation.as_bytes()[..])
            .bind(signed(first))
            .bind(signed(private.next_back().unwrap_or(first)))
            .fetch_all(&mut **transaction)
            .await?;
        for row in rows {
            let seq = unsigned(row.try_get("seq")?);
            let reading = self.opened(Place::Reading(conversation, seq), &row, "reading")?;
            let reading = Reading::decode(&reading)?;
            self.note_reading(transaction, conversation, seq, &reading).await?;
        }
        Ok(())
    }

    /// Writes down, at the entry, whether it is to be taken for its sender's, and what it refers to.
    async fn note_reading(
        &self,
        transaction: &mut Transaction<'_, Sqlite>,
        id: ConversationId,
        seq: u64,
        reading: &Reading,
    ) -> Result<(), StateError> {
        let (signature, refers) = match reading {
            Reading::Said(said) => {
                let target = Body::read(&said.content).and_then(|body| body.target());
                let signature = match said.approved {
                    true => StoredSignature::Verified,
                    false => StoredSignature::Invalid,
                };
                (signature, target.map(|to| self.sealer.reference(id, to.seq)))
            }
            Reading::Unreadable(_) => (StoredSignature::Invalid, None),
        };
        let sql = "UPDATE entries SET signature = ?, refers = ? WHERE seq = ? AND payload_hash IS NULL \
                   AND conversation = (SELECT id FROM conversations WHERE conversation_id = ?)";
        sqlx::query(sql)
            .bind(signature as i64)
            .bind(refers)
            .bind(signed(seq))
            .bind(&id.as_bytes()[..])
            .execute(&mut **transaction)
            .await?;
        Ok(())
    }

    fn opened(
        &self,
        place: Place<'_>,
        row: &SqliteRow,
        column: &'static str,
    ) -> Result<Secret, StateError> {
        self.sealer.open(place, row.try_get(column)?)
    }
}

/// This device is another from now on, which is in no group: what was read stays.
pub(super) async fn forget_device(
    transaction: &mut Transaction<'_, Sqlite>,
) -> Result<(), StateError> {
    let all = [
        "DELETE FROM private_device",
        "DELETE FROM private_key_packages",
        "DELETE FROM private_groups",
        "DELETE FROM private_outgoing",
        "UPDATE private_conversations SET record = NULL",
    ];
    for sql in all {
        sqlx::query(sql).execute(&mut **transaction).await?;
    }
    Ok(())
}

fn conversation(row: &SqliteRow) -> Result<ConversationId, StateError> {
    Ok(ConversationId::new(array(row.try_get("conversation_id")?, "a conversation id")?))
}

async fn put_group(
    transaction: &mut Transaction<'_, Sqlite>,
    conversation: i64,
    generation: u32,
    state: Option<Vec<u8>>,
) -> Result<(), StateError> {
    let query = match state {
        Some(state) => {
            let sql = "INSERT INTO private_groups (conversation, generation, state) VALUES (?, ?, ?) \
                       ON CONFLICT (conversation, generation) DO UPDATE SET state = excluded.state";
            sqlx::query(sql).bind(conversation).bind(generation).bind(state)
        }
        None => {
            let sql = "DELETE FROM private_groups WHERE conversation = ? AND generation = ?";
            sqlx::query(sql).bind(conversation).bind(generation)
        }
    };
    query.execute(&mut **transaction).await?;
    Ok(())
}

/// Puts a reading, unless its message was redacted; whether or not the entry is there yet.
async fn put_reading(
    transaction: &mut Transaction<'_, Sqlite>,
    (conversation, id): (i64, ConversationId),
    seq: u64,
    reading: Vec<u8>,
) -> Result<(), StateError> {
    let sql = "INSERT INTO private_readings (conversation, seq, reading) SELECT ?1, ?2, ?3 WHERE NOT EXISTS (\
                   SELECT 1 FROM redactions r JOIN conversations c ON c.id = r.conversation \
                   LEFT JOIN entries e ON e.conversation = r.conversation AND e.seq = r.seq \
                   WHERE c.conversation_id = ?4 AND r.seq = ?2 AND (e.seq IS NULL OR e.message IS NOT NULL)) \
               ON CONFLICT (conversation, seq) DO UPDATE SET reading = excluded.reading";
    sqlx::query(sql)
        .bind(conversation)
        .bind(signed(seq))
        .bind(reading)
        .bind(&id.as_bytes()[..])
        .execute(&mut **transaction)
        .await?;
    Ok(())
}

/// Puts a message whose sender is in doubt, unless it was redacted: then it has no reading.
async fn put_doubted(
    transaction: &mut Transaction<'_, Sqlite>,
    conversation: i64,
    seq: u64,
    value: Option<Vec<u8>>,
) -> Result<(), StateError> {
    let query = match value {
        Some(value) => {
            let sql = "INSERT INTO private_doubted (conversation, seq, message) SELECT ?1, ?2, ?3 \
                       WHERE EXISTS (SELECT 1 FROM private_readings WHERE conversation = ?1 AND seq = ?2) \
                       ON CONFLICT (conversation, seq) DO UPDATE SET message = excluded.message";
            sqlx::query(sql).bind(conversation).bind(signed(seq)).bind(value)
        }
        None => {
            let sql = "DELETE FROM private_doubted WHERE conversation = ? AND seq = ?";
            sqlx::query(sql).bind(conversation).bind(signed(seq))
        }
    };
    query.execute(&mut **transaction).await?;
    Ok(())
}

/// Puts a message; one that is there stays where it is in the order.
async fn put_outgoing(
    transaction: &mut Transaction<'_, Sqlite>,
    conversation: i64,
    message: IdempotencyKey,
    value: Option<Vec<u8>>,
) -> Result<(), StateError> {
    let query = match value {
        Some(value) => {
            let sql = "INSERT INTO private_outgoing (conversation, message_id, message) VALUES (?, ?, ?) \
                       ON CONFLICT (conversation, message_id) DO UPDATE SET message = excluded.message";
            sqlx::query(sql).bind(conversation).bind(&message.as_bytes()[..]).bind(value)
        }
        None => {
            let sql = "DELETE FROM private_outgoing WHERE conversation = ? AND message_id = ?";
            sqlx::query(sql).bind(conversation).bind(&message.as_bytes()[..])
        }
    };
    query.execute(&mut **transaction).await?;
    Ok(())
}

/// Deletes the reading of a message that was redacted (STORE-010). None is of an entry that is known to be no message.
pub(super) async fn forget_reading(
    transaction: &mut Transaction<'_, Sqlite>,
    conversation: ConversationId,
    seq: u64,
) -> Result<(), StateError> {
    let sql = "DELETE FROM private_readings WHERE seq = ?2 \
               AND conversation = (SELECT id FROM private_conversations WHERE conversation_id = ?1) \
               AND NOT EXISTS (SELECT 1 FROM entries e JOIN conversations c ON c.id = e.conversation \
                   WHERE c.conversation_id = ?1 AND e.seq = ?2 AND e.message IS NULL)";
    sqlx::query(sql)
        .bind(&conversation.as_bytes()[..])
        .bind(signed(seq))
        .execute(&mut **transaction)
        .await?;
    Ok(())
}

#[cfg(test)]
mod tests;
