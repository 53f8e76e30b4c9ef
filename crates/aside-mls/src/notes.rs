//! What is kept of a group beside the state that MLS has.

use std::collections::BTreeMap;

/// How many messages of one sender may be missing at an epoch, before what came last (MLS-033). A key is kept for each.
pub const MAX_MISSING: u32 = 1024;

/// What is kept of a group beside the state that MLS has, and stored with it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Notes {
    /// Whether a commit removed this device, of which it is not known yet whether the others took it (MLS-036).
    pub(crate) removed: bool,
    /// What was read at this epoch, by the sender's leaf.
    read: BTreeMap<u32, Read>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Read {
    /// How many messages.
    count: u32,
    /// The generation of the last of them, and one.
    end: u32,
}

impl Notes {
    /// Counts a message that was read; false, and it is not counted, if more than [`MAX_MISSING`] of its sender's are missing.
    pub(crate) fn count(&mut self, leaf: u32, generation: u32) -> bool {
        let Read { count, end } = self.read.get(&leaf).copied().unwrap_or_default();
        let read =
            Read { count: count.saturating_add(1), end: end.max(generation.saturating_add(1)) };
        let few = read.end.saturating_sub(read.count) <= MAX_MISSING;
        if few {
            self.read.insert(leaf, read);
        }
        few
    }

    /// Begins another epoch.
    pub(crate) fn forget_read(&mut self) {
        self.read.clear();
    }

    /// Whether this device was removed, how many senders follow, and for each its leaf and what was read: all big-endian.
    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        let senders = u32::try_from(self.read.len()).expect("a group has at most 2^32 leaves");
        let mut bytes = vec![u8::from(self.removed)];
        bytes.extend(senders.to_be_bytes());
        for (leaf, Read { count, end }) in &self.read {
            bytes.extend([*leaf, *count, *end].map(u32::to_be_bytes).as_flattened());
        }
        bytes
    }

    /// The notes that these bytes begin with, and what follows.
    pub(crate) fn split_from(bytes: &[u8]) -> Option<(Self, &[u8])> {
        let (&removed, bytes) = bytes.split_first()?;
        let (senders, mut bytes) = bytes.split_first_chunk()?;
        let mut notes = Self { removed: removed == 1, ..Self::default() };
        for _ in 0..u32::from_be_bytes(*senders) {
            let (sender, rest) = bytes.split_first_chunk::<12>()?;
            let ([leaf, count, end], _) = sender.as_chunks::<4>() else { return None };
            let [leaf, count, end] = [leaf, count, end].map(|n| u32::from_be_bytes(*n));
            notes.read.insert(leaf, Read { count, end });
            bytes = rest;
        }
        (removed <= 1).then_some((notes, bytes))
    }
}
