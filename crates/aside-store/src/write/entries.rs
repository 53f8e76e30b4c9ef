//! Entries: made, chained and inserted.

use std::collections::HashMap;

use aside_crypto::{Hash, chain_next, chain_start, payload_hash};
use aside_proto::{
    id::{ConversationId, IdempotencyKey},
    v1,
};
use bytes::Bytes;
use prost::Message as _;

use super::{Context, Who};
use crate::{
    db::{Columns as _, LOOK_UP_EACH, Row, decode_error, signed},
    effect::Effect,
    error::StoreError,
    sql::{Listing, MAX_LENGTH, rows},
};

/// A conversation that is written to.
#[derive(Clone, Copy)]
pub(crate) struct Place {
    /// Its surrogate key.
    pub(crate) key: i64,
    pub(crate) id: ConversationId,
}

/// Where a log ends.
#[derive(Clone, Copy)]
pub(super) struct Head {
    pub(super) seq: u64,
    chain: Hash,
    time_ms: u64,
}

impl Head {
    /// Of a new log.
    pub(super) fn start(conversation: ConversationId) -> Self {
        Self { seq: 0, chain: chain_start(conversation), time_ms: 0 }
    }
}

/// Where some logs end, by their conversations' surrogate keys.
pub(super) struct Heads(HashMap<i64, Result<Head, StoreError>>);

impl Heads {
    /// Where one of them ends. Fails if its last entry can't be read: then no other can follow.
    pub(super) fn of(&mut self, place: Place) -> Result<&mut Head, StoreError> {
        match self.0.get_mut(&place.key) {
            Some(Ok(head)) => Ok(head),
            Some(Err(error)) => Err(error.clone()),
            None => Err(StoreError::database(sqlx::Error::RowNotFound)),
        }
    }
}

/// An entry to be.
pub(super) struct Draft {
    pub(super) kind: v1::EntryKind,
    pub(super) origin: Option<Origin>,
    pub(super) salt: [u8; 32],
    pub(super) payload: Bytes,
    /// Of a message only.
    pub(super) signature: Bytes,
}

/// Whose request makes an entry.
#[derive(Clone)]
pub(super) struct Origin {
    pub(super) user: Bytes,
    pub(super) device: Bytes,
    /// The device's surrogate key.
    pub(super) device_key: i64,
    pub(super) key: IdempotencyKey,
}

impl Who {
    /// As the origin of what a request of this key makes (LOG-005).
    pub(super) fn origin(&self, key: IdempotencyKey) -> Origin {
        Origin {
            user: self.user.to_bytes(),
            device: self.device.to_bytes(),
            device_key: self.device_key,
            key,
        }
    }
}

/// What an entry got when it was made.
pub(super) struct Sealed {
    pub(super) seq: u64,
    pub(super) time_ms: u64,
    pub(super) payload_hash: Hash,
}

/// A row of `entries` that is not inserted yet.
pub(super) struct EntryRow {
    conversation: i64,
    seq: u64,
    /// The sending device and the message's id; only messages are looked up by them.
    message: Option<(i64, IdempotencyKey)>,
    chain: Hash,
    entry: v1::Entry,
}

/// How many columns a row of `entries` is inserted with.
const ENTRY_COLUMNS: usize = 8;

static INSERT_ENTRIES: Listing = Listing::new(|count| {
    format!(
        "INSERT INTO entries (conversation, seq, device, message_id, chain, header, salt, payload) VALUES {}",
        rows(count, ENTRY_COLUMNS)
    )
});

/// The last entry of each log. A log trimmed to nothing goes on where it was cut.
pub(crate) static HEADS: Listing = Listing::new(|count| {
    format!(
        "WITH w (id) AS (VALUES {rows})
         SELECT c.id, COALESCE(e.seq, c.first_seq - 1), COALESCE(e.chain, c.anchor), e.header FROM w
         {each} conversations c ON c.id = w.id
         LEFT JOIN entries e ON e.conversation = c.id
             AND e.seq = (SELECT MAX(seq) FROM entries l WHERE l.conversation = c.id)",
        rows = rows(count, 1),
        each = LOOK_UP_EACH,
    )
});

impl Context<'_> {
    /// Where the logs of these conversations end. Nothing may be waiting to be flushed.
    pub(super) async fn heads(&mut self, places: &[Place]) -> Result<Heads, sqlx::Error> {
        let mut heads = HashMap::with_capacity(places.len());
        for places in places.chunks(MAX_LENGTH) {
            let (sql, length) = HEADS.at_least(places.len());
            let mut query = sqlx::query(sql);
            for index in 0..length {
                query = query.bind(places.get(index).map(|place| place.key));
            }
            for row in query.fetch_all(&mut *self.connection).await? {
                heads.insert(row.key(0)?, head(&row).map_err(StoreError::database));
            }
        }
        Ok(Heads(heads))
    }

    /// Makes the next entry of a log. It is inserted by the next [`Context::flush`].
    pub(super) fn seal(&mut self, place: Place, head: &mut Head, draft: Draft) -> Sealed {
        let seq = head.seq + 1;
        // LOG-004: whatever the clock does.
        let time_ms = self.now.max(head.time_ms);
        let header = header(place, seq, time_ms, &draft);
        let payload_hash = payload_hash(&draft.salt, &draft.payload);
        let chain = chain_next(&head.chain, &header, &payload_hash);
        *head = Head { seq, chain, time_ms };
        let entry = v1::Entry {
            header,
            salt: Bytes::copy_from_slice(&draft.salt),
            payload: draft.payload,
            payload_hash: Bytes::new(),
        };
        let message = match (draft.kind, draft.origin) {
            (v1::EntryKind::Message | v1::EntryKind::PrivateMessage, Some(origin)) => {
                Some((origin.device_key, origin.key))
            }
            _ => None,
        };
        self.effects.push(Effect::Appended { conversation: place.id, seq, entry: entry.clone() });
        self.entries.push(EntryRow { conversation: place.key, seq, message, chain, entry });
        Sealed { seq, time_ms, payload_hash }
    }

    /// Makes the next entry of a log whose payload is the server's to write, with a salt of its own (LOG-007).
    pub(super) fn seal_record(
        &mut self,
        place: Place,
        head: &mut Head,
        kind: v1::EntryKind,
        origin: Option<Origin>,
        payload: &impl prost::Message,
    ) -> Sealed {
        let draft = Draft {
            kind,
            origin,
            salt: self.random(),
            payload: payload.encode_to_vec().into(),
            signature: Bytes::new(),
        };
        self.seal(place, head, draft)
    }

    /// Inserts the entries that were made.
    pub(super) async fn flush(&mut self) -> Result<(), sqlx::Error> {
        let entries = std::mem::take(&mut self.entries);
        let mut rest = entries.as_slice();
        while !rest.is_empty() {
            let (sql, length) = INSERT_ENTRIES.at_most(rest.len());
            let (rows, after) = rest.split_at(length);
            let mut query = sqlx::query(sql);
            for row in rows {
                query = query
                    .bind(row.conversation)
                    .bind(signed(row.seq))
                    .bind(row.message.map(|(device, _)| device))
                    .bind(row.message.as_ref().map(|(_, id)| id.as_bytes().as_slice()))
                    .bind(row.chain.as_slice())
                    .bind(&row.entry.header[..])
                    .bind(&row.entry.salt[..])
                    .bind(&row.entry.payload[..]);
            }
            query.execute(&mut *self.connection).await?;
            rest = after;
        }
        Ok(())
    }
}

/// A row of [`HEADS`]. There is no header when no entry is kept.
fn head(row: &Row) -> Result<Head, sqlx::Error> {
    let header = v1::EntryHeader::decode(row.bytes(3)?).map_err(|e| decode_error(3, e))?;
    Ok(Head { seq: row.number(1)?, chain: row.array(2)?, time_ms: header.time_ms })
}

/// The header's bytes, encoded this once (LOG-003).
fn header(place: Place, seq: u64, time_ms: u64, draft: &Draft) -> Bytes {
    let mut header = v1::EntryHeader {
        conversation_id: place.id.to_bytes(),
        seq,
        kind: draft.kind.into(),
        time_ms,
        signature: draft.signature.clone(),
        ..v1::EntryHeader::default()
    };
    if let Some(origin) = &draft.origin {
        header.sender_user_id = origin.user.clone();
        header.sender_device_id = origin.device.clone();
        header.message_id = origin.key.to_bytes();
    }
    header.encode_to_vec().into()
}
