//! Redaction: payloads and salts go, headers and hashes stay.

use std::collections::BTreeSet;

use aside_crypto::{Hash, payload_hash};
use aside_proto::v1;

use super::{Context, Who, entries::Place};
use crate::{
    db::{Columns as _, LOOK_UP_EACH, Row, signed},
    error::{Refused, Stop},
    recall::Kind,
    request::Redact,
    sql::{Listing, MAX_LENGTH, rows},
};

/// Messages by their seqs, with who sent them. What is below the first entry that is kept is not there any more.
pub(crate) static ASK_MESSAGES: Listing = Listing::new(|count| {
    format!(
        "WITH w (seq) AS (VALUES {rows})
         SELECT e.seq, d.user_id, e.payload_hash, e.salt, e.payload FROM w
         {each} entries e ON e.conversation = ? AND e.seq = w.seq
         JOIN conversations c ON c.id = e.conversation AND e.seq >= c.first_seq
         JOIN devices d ON d.id = e.device",
        rows = rows(count, 1),
        each = LOOK_UP_EACH,
    )
});

/// Takes salt and payload away for good. The only statement that does.
pub(crate) const FORGET: &str = "UPDATE entries SET salt = NULL, payload = NULL, payload_hash = ?
     WHERE conversation = ? AND seq = ?";

/// A message that is to be redacted, with the hash of its payload.
struct Doomed {
    seq: u64,
    payload_hash: Hash,
}

impl Context<'_> {
    /// REDACT-001 to REDACT-009: all that is named, or nothing.
    pub(crate) async fn redact(&mut self, redact: &Redact) -> Result<v1::Redacted, Stop> {
        let who = self.who(redact.user, redact.device).await?;
        if let Some(reply) = self.recall(&who, redact.key, Kind::Redact).await? {
            return Ok(reply);
        }
        let (place, is_owner) = self.membership(redact.conversation, &who).await?;
        let doomed = self.doomed(place, &who, is_owner, &redact.seqs).await?;
        let mut reply = v1::Redacted { seq: 0 };
        if !doomed.is_empty() {
            for Doomed { seq, payload_hash } in &doomed {
                self.forget(place, *seq, payload_hash).await?;
            }
            self.clean_index(place.key).await?;
            let payload =
                v1::RedactedPayload { seqs: doomed.iter().map(|doomed| doomed.seq).collect() };
            let mut head = self.head(place).await?;
            let (kind, origin) = (v1::EntryKind::Redacted, Some(who.origin(redact.key)));
            reply.seq = self.seal_record(place, &mut head, kind, origin, &payload).seq;
            self.flush().await?;
        }
        self.remember(&who, redact.key, Kind::Redact, &reply).await?;
        Ok(reply)
    }

    /// Those of the messages that are not redacted yet, in order; refuses unless each is there and may be redacted.
    async fn doomed(
        &mut self,
        place: Place,
        who: &Who,
        is_owner: bool,
        seqs: &[u64],
    ) -> Result<Vec<Doomed>, Stop> {
        let seqs: Vec<_> = seqs.iter().copied().collect::<BTreeSet<_>>().into_iter().collect();
        let (mut found, mut doomed, mut may) = (0, Vec::with_capacity(seqs.len()), true);
        for seqs in seqs.chunks(MAX_LENGTH) {
            let (sql, length) = ASK_MESSAGES.at_least(seqs.len());
            let mut query = sqlx::query(sql);
            for index in 0..length {
                query = query.bind(seqs.get(index).map(|seq| signed(*seq)));
            }
            for row in query.bind(place.key).fetch_all(&mut *self.connection).await? {
                found += 1;
                may &= is_owner || row.bytes(1)? == who.user.as_bytes()[..];
                doomed.extend(to_redact(&row)?);
            }
        }
        match () {
            () if found < seqs.len() => Err(Refused::NoSuchEntry.into()),
            () if !may => Err(Refused::NotPermitted.into()),
            () => {
                doomed.sort_unstable_by_key(|doomed| doomed.seq);
                Ok(doomed)
            }
        }
    }

    /// Takes one payload away. Whatever else holds what was said has to be emptied here.
    async fn forget(&mut self, place: Place, seq: u64, hash: &Hash) -> Result<(), sqlx::Error> {
        sqlx::query(FORGET)
            .bind(hash.as_slice())
            .bind(place.key)
            .bind(signed(seq))
            .execute(&mut *self.connection)
            .await?;
        self.end_pin(place, seq).await?;
        self.forget_indexed(place.key, seq).await
    }
}

/// A row of [`ASK_MESSAGES`]; none if it is redacted already.
fn to_redact(row: &Row) -> Result<Option<Doomed>, sqlx::Error> {
    if !row.bytes(2)?.is_empty() {
        return Ok(None);
    }
    let payload_hash = payload_hash(&row.array(3)?, &row.bytes(4)?);
    Ok(Some(Doomed { seq: row.number(0)?, payload_hash }))
}
