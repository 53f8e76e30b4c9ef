//! What a conversation looks like: texts with their edits, reactions and answers, folded from the entries of its log.
//!
//! [`Timeline`] takes verified messages in any order, such as pages of the log that are loaded backwards, and tells of each
//! message what is to be shown of it now. What it tells depends on which entries it was given, never on the order or the pages in
//! which they came: it keeps what was said, by seq, and folds when it is asked.
//!
//! ```
//! use aside_proto::{id::{DeviceId, IdempotencyKey, UserId}, v1::{self, content}};
//! use aside_session::client::timeline::{Said, Shown, Timeline};
//! use prost::Message as _;
//!
//! let (alice, id) = (UserId::new([1; 16]), IdempotencyKey::new([7; 16]));
//! let text = |body: &str| v1::Text { body: body.into(), mentions: Vec::new() };
//! let said = |seq, message_id, body| {
//!     let payload = v1::Content { body: Some(body), reply_to: None }.encode_to_vec();
//!     Said::new(seq, (alice, DeviceId::new([2; 16]), message_id), Some(&payload))
//! };
//! let to = Some(v1::MessageRef { seq: 3, message_id: id.to_bytes() });
//! let edit = content::Body::Edit(v1::Edit { to, text: Some(text("hello")) });
//!
//! // The later page first.
//! let mut timeline = Timeline::new();
//! timeline.insert(said(8, IdempotencyKey::new([8; 16]), edit));
//! let changed = timeline.insert(said(3, id, content::Body::Text(text("helo"))));
//! assert_eq!(changed, [3, 8]);
//! let Some(Shown::Message(message)) = timeline.shown(3) else { unreachable!() };
//! assert_eq!((message.text.body.as_str(), message.edited), ("hello", Some(8)));
//! ```

mod body;
mod profile;
mod shown;

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use aside_proto::id::{DeviceId, IdempotencyKey, UserId};

pub use body::{
    Body, MAX_EMOJI_BYTES, MAX_GROUP_NAME_BYTES, MAX_MENTIONS, Mention, Reference, Text, is_emoji,
};
pub use profile::{Naming, Profile, ProfileError, may_name};
pub use shown::{Message, Reaction, Reply, Shown};

/// Entries kept: weeks of a busy room, and more than anybody scrolls through. As each reaction and edit is an entry, it bounds what
/// can be pending for messages that were not loaded, and the reactions and emoji of a message, too.
pub const MAX_ENTRIES: usize = 16_384;
/// Bytes of text kept: one entry in 16,384 of 1 KiB, though a single one may be as long as `max_payload_bytes` allows.
pub const MAX_BYTES: usize = 16 << 20;

const _: () = assert!(MAX_BYTES / MAX_ENTRIES >= 1024);

/// An entry of kind MESSAGE that verifies (MSG-008, MSG-012, MSG-014); one that does not, says nothing (CONT-003).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Said {
    seq: u64,
    user: UserId,
    id: (DeviceId, IdempotencyKey),
    what: What,
}

/// What is left of an entry's payload.
#[derive(Debug, Clone, PartialEq, Eq)]
enum What {
    Body(Body),
    /// Nothing that this version can show (MSG-011).
    Unknown,
    /// The entry was redacted.
    Redacted,
}

impl Said {
    /// What `user` said on a device in the entry at `seq`; no payload if it was redacted.
    #[must_use]
    pub fn new(
        seq: u64,
        (user, device, message_id): (UserId, DeviceId, IdempotencyKey),
        payload: Option<&[u8]>,
    ) -> Self {
        let what = match payload.map(Body::read) {
            Some(Some(body)) => What::Body(body),
            Some(None) => What::Unknown,
            None => What::Redacted,
        };
        Self { seq, user, id: (device, message_id), what }
    }

    fn body(&self) -> Option<&Body> {
        match &self.what {
            What::Body(body) => Some(body),
            What::Unknown | What::Redacted => None,
        }
    }

    /// The seq it refers to: always an earlier one (CONT-002).
    #[must_use]
    pub fn target(&self) -> Option<u64> {
        self.body()?.target().map(|to| to.seq).filter(|seq| *seq < self.seq)
    }

    fn weight(&self) -> usize {
        self.body().map_or(0, Body::weight)
    }
}

/// What was said in a conversation, or in the part of it that was loaded.
///
/// It keeps the newest [`MAX_ENTRIES`] entries, [`MAX_BYTES`] bytes and redactions of as many entries of those it was given; [`floor`](Self::floor) says from where
/// on it is whole. What was below is to it as if it had not been loaded.
#[derive(Debug, Clone)]
pub struct Timeline {
    entries: BTreeMap<u64, Said>,
    /// The entries that refer to each seq, whether it is loaded or not.
    referring: BTreeMap<u64, BTreeSet<u64>>,
    /// The entries of each message: more than one if the server repeats it (MSG-013).
    repetitions: BTreeMap<(DeviceId, IdempotencyKey), BTreeSet<u64>>,
    /// What is known to be redacted, loaded or not.
    redacted: BTreeSet<u64>,
    bytes: usize,
    floor: u64,
    limits: (usize, usize),
}

impl Default for Timeline {
    fn default() -> Self {
        Self::new()
    }
}

impl Timeline {
    /// One without entries.
    #[must_use]
    pub fn new() -> Self {
        Self::with_limits(MAX_ENTRIES, MAX_BYTES)
    }

    /// One that keeps less: for programs that have little, and for tests.
    #[must_use]
    pub fn with_limits(max_entries: usize, max_bytes: usize) -> Self {
        let (entries, referring, repetitions, redacted) = Default::default();
        let limits = (max_entries.min(MAX_ENTRIES), max_bytes.min(MAX_BYTES));
        Self { entries, referring, repetitions, redacted, bytes: 0, floor: 0, limits }
    }

    /// Takes in an entry; gives the seqs, in order, of which something else may have to be shown now.
    ///
    /// An entry that is there already stays as it is, but for one that was redacted since.
    pub fn insert(&mut self, mut said: Said) -> Vec<u64> {
        let seq = said.seq;
        if self.redacted.contains(&seq) {
            said.what = What::Redacted;
        }
        let known = self.entries.get(&seq);
        let anew = known.is_none_or(|known| known.what != said.what && said.what == What::Redacted);
        if seq < self.floor || !anew {
            return Vec::new();
        }
        let mut changed = BTreeSet::new();
        self.remove(seq, &mut changed);
        self.add(said, &mut changed);
        self.make_room(&mut changed);
        changed.into_iter().collect()
    }

    /// Takes in that an entry names the one at `seq` as redacted: whatever is loaded of that, before or after, its payload does
    /// not count. Gives the seqs, in order, of which something else may have to be shown now.
    pub fn redact(&mut self, seq: u64) -> Vec<u64> {
        if seq < self.floor || !self.redacted.insert(seq) {
            return Vec::new();
        }
        let mut changed = BTreeSet::new();
        if let Some(said) = self.entries.get(&seq).cloned() {
            self.remove(seq, &mut changed);
            self.add(Said { what: What::Redacted, ..said }, &mut changed);
        }
        changed.extend(self.referring.get(&seq).into_iter().flatten());
        self.make_room(&mut changed);
        changed.into_iter().collect()
    }

    /// The seq below which entries were dropped to make room; 0 if none were.
    #[must_use]
    pub fn floor(&self) -> u64 {
        self.floor
    }

    /// The entries that are kept, in order.
    pub fn seqs(&self) -> impl DoubleEndedIterator<Item = u64> {
        self.entries.keys().copied()
    }

    fn make_room(&mut self, changed: &mut BTreeSet<u64>) {
        while self.entries.len().max(self.redacted.len()) > self.limits.0
            || self.bytes > self.limits.1
        {
            let oldest = [self.entries.keys().next(), self.redacted.first()].into_iter().flatten();
            let Some(oldest) = oldest.min().copied() else { break };
            self.remove(oldest, changed);
            if self.redacted.remove(&oldest) {
                changed.extend(self.referring.get(&oldest).into_iter().flatten());
            }
            // Not the next one that is there: what comes later may belong between.
            self.floor = oldest + 1;
        }
    }

    fn add(&mut self, said: Said, changed: &mut BTreeSet<u64>) {
        self.bytes += said.weight();
        if let Some(target) = said.target() {
            self.referring.entry(target).or_default().insert(said.seq);
        }
        self.repetitions.entry(said.id).or_default().insert(said.seq);
        self.note(&said, changed);
        self.entries.insert(said.seq, said);
    }

    fn remove(&mut self, seq: u64, changed: &mut BTreeSet<u64>) {
        let Some(said) = self.entries.remove(&seq) else { return };
        self.bytes -= said.weight();
        self.note(&said, changed);
        if let Some(target) = said.target() {
            take(&mut self.referring, &target, seq);
        }
        take(&mut self.repetitions, &said.id, seq);
    }

    /// What depends on an entry: itself, what it refers to, what refers to it; and all this of its repetitions, one of which may count
    /// in its place, or not count any more.
    fn note(&self, said: &Said, changed: &mut BTreeSet<u64>) {
        for seq in self.repetitions.get(&said.id).into_iter().flatten() {
            changed.insert(*seq);
            changed.extend(self.entries.get(seq).unwrap_or(said).target());
            changed.extend(self.referring.get(seq).into_iter().flatten());
        }
    }
}

/// Takes a seq out of an index.
fn take<K: Ord>(index: &mut BTreeMap<K, BTreeSet<u64>>, key: &K, seq: u64) {
    if let Some(seqs) = index.get_mut(key) {
        seqs.remove(&seq);
        if seqs.is_empty() {
            index.remove(key);
        }
    }
}
