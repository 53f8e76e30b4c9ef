//! What a room is by the entries of its log: its settings, and what is pinned in it.
//!
//! [`Board`] takes entries in any order, such as pages of the log that are loaded backwards. What it tells depends on which it was
//! given, never on their order.

use std::collections::BTreeMap;

use aside_proto::{id::IdempotencyKey, v1};
use prost::Message as _;

/// Messages whose pins are kept track of: more than any server pins.
pub const MAX_TRACKED: usize = 4096;

/// What an owner says of a room (ROOM-025). Texts are to be neutralised before they are displayed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Settings {
    /// The room's name.
    pub name: String,
    /// What is talked about; empty if nobody said.
    pub topic: String,
    /// What the room is for; empty if nobody said.
    pub description: String,
    /// Whether only those may join who are invited.
    pub invite_only: bool,
    /// What the owner keeps of the log. The server may keep less: see [`v1::Room`].
    pub retention: v1::Retention,
}

impl Settings {
    /// The settings from an entry on, if it is of a kind that tells them.
    #[must_use]
    pub fn of(header: &v1::EntryHeader, payload: &[u8]) -> Option<Self> {
        match header.kind() {
            v1::EntryKind::RoomCreated => {
                let created = v1::RoomCreatedPayload::decode(payload).ok()?;
                Some(Self { name: created.name, ..Self::default() })
            }
            v1::EntryKind::RoomUpdated => {
                let updated = v1::RoomUpdatedPayload::decode(payload).ok()?;
                let v1::RoomUpdatedPayload { name, topic, description, .. } = updated;
                let v1::RoomUpdatedPayload { invite_only, retention, .. } = updated;
                let retention = retention.unwrap_or_default();
                Some(Self { name, topic, description, invite_only, retention })
            }
            _ => None,
        }
    }
}

/// That a message was pinned, or its pin taken off.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PinChange {
    /// The entry that says so.
    pub seq: u64,
    /// The message's entry.
    pub message: u64,
    /// The message's id.
    pub message_id: IdempotencyKey,
    /// Whether it is pinned from then on.
    pub pinned: bool,
}

impl PinChange {
    /// What an entry says, if it is a MESSAGE_PINNED about an earlier entry.
    #[must_use]
    pub fn of(header: &v1::EntryHeader, payload: &[u8]) -> Option<Self> {
        if header.kind() != v1::EntryKind::MessagePinned {
            return None;
        }
        let change = v1::MessagePinnedPayload::decode(payload).ok()?;
        let message_id = change.message_id[..].try_into().ok()?;
        let (seq, message, pinned) = (header.seq, change.seq, change.pinned);
        (message < seq).then_some(Self { seq, message, message_id, pinned })
    }
}

/// The settings and the pins of a room, by the entries that were given (ROOM-029, PIN-008).
///
/// ```
/// use aside_proto::v1;
/// use aside_session::client::room::Board;
/// use prost::Message as _;
///
/// let updated = |seq, topic: &str| {
///     let header = v1::EntryHeader { seq, kind: v1::EntryKind::RoomUpdated.into(), ..Default::default() };
///     (header, v1::RoomUpdatedPayload { topic: topic.into(), ..Default::default() }.encode_to_vec())
/// };
/// // The later one first.
/// let mut board = Board::default();
/// for (header, payload) in [updated(9, "jam"), updated(4, "tea")] {
///     board.insert(&header, &payload);
/// }
/// assert_eq!(board.settings().map(|settings| settings.topic.as_str()), Some("jam"));
/// ```
#[derive(Debug, Clone, Default)]
pub struct Board {
    settings: Option<(u64, Settings)>,
    /// The last change of each message's pin.
    changes: BTreeMap<u64, PinChange>,
    /// Changes up to it were let go, to make room.
    floor: u64,
}

impl Board {
    /// Takes in an entry; those of other kinds say nothing here.
    pub fn insert(&mut self, header: &v1::EntryHeader, payload: &[u8]) {
        if let Some(settings) = Settings::of(header, payload)
            && self.settings.as_ref().is_none_or(|(seq, _)| *seq < header.seq)
        {
            self.settings = Some((header.seq, settings));
        }
        if let Some(change) = PinChange::of(header, payload) {
            self.change(change);
        }
    }

    /// The settings as they are now; none if no entry that tells them was given.
    #[must_use]
    pub fn settings(&self) -> Option<&Settings> {
        self.settings.as_ref().map(|(_, settings)| settings)
    }

    /// The pins, the last first, but for those of messages that `is_other` knows to be something else: no message of that id, or
    /// redacted.
    pub fn pins(&self, is_other: impl Fn(&PinChange) -> bool) -> Vec<PinChange> {
        let pinned = self.changes.values().filter(|change| change.pinned && !is_other(change));
        let mut pins: Vec<_> = pinned.copied().collect();
        pins.sort_unstable_by_key(|pin| std::cmp::Reverse(pin.seq));
        pins
    }

    fn change(&mut self, change: PinChange) {
        let known = self.changes.get(&change.message);
        if change.seq <= self.floor || known.is_some_and(|known| known.seq >= change.seq) {
            return;
        }
        self.changes.insert(change.message, change);
        if self.changes.len() > MAX_TRACKED {
            // The oldest change: whatever else comes, so many messages have later ones.
            let oldest = self.changes.values().min_by_key(|change| change.seq).copied();
            if let Some(oldest) = oldest {
                self.changes.remove(&oldest.message);
                self.floor = oldest.seq;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn pinned(seq: u64, message: u64, pinned: bool) -> (v1::EntryHeader, Vec<u8>) {
        let kind = v1::EntryKind::MessagePinned.into();
        let header = v1::EntryHeader { seq, kind, ..Default::default() };
        let message_id = vec![message as u8; 16].into();
        (header, v1::MessagePinnedPayload { seq: message, message_id, pinned }.encode_to_vec())
    }

    fn updated(seq: u64, topic: String) -> (v1::EntryHeader, Vec<u8>) {
        let kind = v1::EntryKind::RoomUpdated.into();
        let header = v1::EntryHeader { seq, kind, ..Default::default() };
        (header, v1::RoomUpdatedPayload { topic, ..Default::default() }.encode_to_vec())
    }

    fn seqs(board: &Board) -> Vec<(u64, u64)> {
        board.pins(|_| false).iter().map(|pin| (pin.message, pin.seq)).collect()
    }

    // cites: PIN-008
    #[test]
    fn the_last_change_counts_and_the_last_pin_comes_first() {
        let mut board = Board::default();
        for (seq, message, is_pinned) in [(7, 3, true), (9, 3, false), (8, 5, true), (6, 4, true)] {
            let (header, payload) = pinned(seq, message, is_pinned);
            board.insert(&header, &payload);
        }
        assert_eq!(seqs(&board), [(5, 8), (4, 6)]);
        let others = board.pins(|pin| pin.message == 5);
        assert_eq!(others.iter().map(|pin| pin.message).collect::<Vec<_>>(), [4]);
        // About itself, or what comes later: nothing that a server makes.
        let (header, payload) = pinned(10, 10, true);
        board.insert(&header, &payload);
        assert_eq!(seqs(&board).len(), 2);
    }

    // cites: PIN-008
    #[test]
    fn no_more_is_kept_than_the_last() {
        let changes: Vec<_> =
            (1..=MAX_TRACKED as u64 + 10).map(|n| pinned(100_000 + n, n, true)).collect();
        let (mut up, mut down) = (Board::default(), Board::default());
        for (header, payload) in &changes {
            up.insert(header, payload);
        }
        for (header, payload) in changes.iter().rev() {
            down.insert(header, payload);
        }
        assert_eq!(seqs(&up).len(), MAX_TRACKED);
        assert_eq!(seqs(&up), seqs(&down));
    }

    proptest! {
        // cites: ROOM-029, PIN-008
        #[test]
        fn the_order_does_not_matter(
            changes in prop::collection::vec((1_u64..6, any::<bool>(), any::<bool>()), 1..20),
            keys in prop::collection::vec(any::<u32>(), 20),
        ) {
            let entries: Vec<_> = changes.iter().zip(10..).map(|((message, is_pinned, is_update), seq)| {
                match is_update {
                    true => updated(seq, format!("topic {seq}")),
                    false => pinned(seq, *message, *is_pinned),
                }
            }).collect();
            let mut shuffled: Vec<_> = entries.iter().zip(keys).collect();
            shuffled.sort_by_key(|(_, key)| *key);
            let (mut one, mut other) = (Board::default(), Board::default());
            for (header, payload) in &entries {
                one.insert(header, payload);
            }
            for ((header, payload), _) in &shuffled {
                other.insert(header, payload);
                other.insert(header, payload);
            }
            prop_assert_eq!(one.settings(), other.settings());
            prop_assert_eq!(seqs(&one), seqs(&other));
        }
    }
}
