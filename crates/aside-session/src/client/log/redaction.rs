//! What was redacted, and what only looks so.

use std::collections::BTreeMap;

use aside_proto::v1;
use prost::Message as _;

use super::Tampering;

/// Entries without payload that may wait for the entry that redacts them, in one conversation. Of more, the oldest are no longer
/// waited for (REDACT-015).
pub const MAX_MISSING: usize = 65_536;

/// An entry without payload, as long as no entry that redacts it was met (REDACT-012).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Missing {
    /// The entry.
    pub seq: u64,
    /// Where the log ended when it was fetched: the entry that redacts it comes no later.
    pub head_seq: u64,
}

/// The messages that an entry of kind REDACTED names, in order; none if it is of another kind. Only those before it count
/// (REDACT-011).
#[must_use]
pub fn redacted_by(header: &v1::EntryHeader, payload: &[u8]) -> Vec<u64> {
    if header.kind() != v1::EntryKind::Redacted {
        return Vec::new();
    }
    let mut seqs = v1::RedactedPayload::decode(payload).unwrap_or_default().seqs;
    seqs.retain(|seq| (1..header.seq).contains(seq));
    seqs.sort_unstable();
    seqs.dedup();
    seqs
}

/// Whether an entry of this kind may lose its payload: a message, and what later versions may add (REDACT-013).
pub(super) fn is_redactable(header: &v1::EntryHeader) -> bool {
    matches!(
        v1::EntryKind::try_from(header.kind),
        Ok(v1::EntryKind::Message | v1::EntryKind::PrivateMessage) | Err(_)
    )
}

/// All that is missing, and where the log ended when each was fetched.
#[derive(Debug, Clone, Default)]
pub(super) struct Unexplained(BTreeMap<u64, u64>);

impl Unexplained {
    pub(super) fn note(&mut self, missing: Missing) {
        self.0.insert(missing.seq, missing.head_seq);
        if self.0.len() > MAX_MISSING {
            self.0.pop_first();
        }
    }

    /// The entry at `by` redacts these, if it did not come too late.
    pub(super) fn explain(&mut self, by: u64, seqs: &[u64]) {
        for seq in seqs {
            if self.0.get(seq).is_some_and(|head_seq| by <= *head_seq) {
                self.0.remove(seq);
            }
        }
    }

    /// Nothing can be explained any more: entries that may have done it are gone.
    pub(super) fn clear(&mut self) {
        self.0.clear();
    }

    /// LOG-013: whether all that should have come by `cursor` did.
    pub(super) fn check(&self, cursor: u64) -> Result<(), Tampering> {
        match self.0.iter().find(|(_, head_seq)| **head_seq <= cursor) {
            Some((seq, _)) => Err(Tampering::PayloadMissing { seq: *seq }),
            None => Ok(()),
        }
    }

    pub(super) fn all(&self) -> Vec<Missing> {
        self.0.iter().map(|(&seq, &head_seq)| Missing { seq, head_seq }).collect()
    }
}
