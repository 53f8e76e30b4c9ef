//! Whether every message came, once and in order: a stamp in each, and a checker for each member.

use std::collections::{BTreeSet, HashMap};

use bytes::Bytes;

/// What a message of this program says of itself, at the front of its payload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stamp {
    /// Which of the room's speakers it is from.
    pub(crate) speaker: u32,
    /// Its place among that speaker's messages, from 0.
    pub(crate) number: u32,
    /// Whether it is that speaker's last.
    pub(crate) last: bool,
    /// When it was due: microseconds on the clock of the run's [`Latencies`](crate::report::Latencies).
    pub(crate) due_us: u64,
}

impl Stamp {
    /// Bytes of a stamp: the least size of a payload.
    pub(crate) const BYTES: usize = 17;

    /// A payload of so many bytes, [`Self::BYTES`] at least.
    pub(crate) fn payload(&self, size: usize) -> Bytes {
        let mut payload = Vec::with_capacity(size.max(Self::BYTES));
        payload.extend(self.speaker.to_be_bytes());
        payload.extend(self.number.to_be_bytes());
        payload.extend(self.due_us.to_be_bytes());
        payload.push(u8::from(self.last));
        payload.resize(size.max(Self::BYTES), 0);
        payload.into()
    }

    /// Reads the stamp of a payload; `None` if it is too short to have one.
    pub(crate) fn read(payload: &[u8]) -> Option<Self> {
        let (speaker, rest) = payload.split_first_chunk()?;
        let (number, rest) = rest.split_first_chunk()?;
        let (due_us, rest) = rest.split_first_chunk()?;
        Some(Self {
            speaker: u32::from_be_bytes(*speaker),
            number: u32::from_be_bytes(*number),
            due_us: u64::from_be_bytes(*due_us),
            last: *rest.first()? != 0,
        })
    }
}

/// What became of the messages a member should have had.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    /// Messages that came, but for duplicates.
    pub(crate) received: u64,
    /// Messages that never came, though a later one of the same speaker did.
    pub(crate) lost: u64,
    /// Messages that came again.
    pub(crate) duplicates: u64,
    /// Messages that came after a later one of the same speaker.
    pub(crate) reordered: u64,
}

impl Tally {
    /// Counts another member's.
    pub(crate) fn add(&mut self, other: Self) {
        self.received += other.received;
        self.lost += other.lost;
        self.duplicates += other.duplicates;
        self.reordered += other.reordered;
    }

    /// Whether each message came once and in order.
    pub(crate) fn is_clean(&self) -> bool {
        self.lost + self.duplicates + self.reordered == 0
    }
}

/// Watches the messages that reach one member.
#[derive(Debug, Default)]
pub(crate) struct Checker {
    speakers: HashMap<u32, Line>,
    tally: Tally,
    ended: usize,
}

/// One speaker's messages.
#[derive(Debug, Default)]
struct Line {
    next: u32,
    missing: BTreeSet<u32>,
}

impl Checker {
    /// Judges the next message.
    pub(crate) fn take(&mut self, stamp: &Stamp) {
        let line = self.speakers.entry(stamp.speaker).or_default();
        if stamp.number >= line.next {
            line.missing.extend(line.next..stamp.number);
            self.tally.lost += u64::from(stamp.number - line.next);
            line.next = stamp.number + 1;
            self.ended += usize::from(stamp.last);
        } else if line.missing.remove(&stamp.number) {
            self.tally.lost -= 1;
            self.tally.reordered += 1;
        } else {
            self.tally.duplicates += 1;
            return;
        }
        self.tally.received += 1;
    }

    /// Speakers whose last message has come.
    pub(crate) fn ended(&self) -> usize {
        self.ended
    }

    /// What was seen so far.
    pub(crate) fn tally(&self) -> Tally {
        self.tally
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stamp(speaker: u32, number: u32) -> Stamp {
        Stamp { speaker, number, last: number == 4, due_us: 7 }
    }

    fn tally(numbers: &[u32]) -> Tally {
        let mut checker = Checker::default();
        numbers.iter().for_each(|&number| checker.take(&stamp(0, number)));
        checker.tally()
    }

    #[test]
    fn a_stamp_is_read_back_from_any_payload() {
        for size in [0, Stamp::BYTES, 256] {
            let payload = stamp(3, 4).payload(size);
            assert_eq!(payload.len(), size.max(Stamp::BYTES));
            assert_eq!(Stamp::read(&payload), Some(stamp(3, 4)));
        }
        assert_eq!(Stamp::read(&[0; Stamp::BYTES - 1]), None);
    }

    #[test]
    fn loss_duplicate_and_order_are_told_apart() {
        let clean = Tally { received: 5, ..Tally::default() };
        assert_eq!(tally(&[0, 1, 2, 3, 4]), clean);
        assert!(clean.is_clean());
        assert_eq!(tally(&[0, 1, 3, 4]), Tally { received: 4, lost: 1, ..Tally::default() });
        assert_eq!(tally(&[2, 4]), Tally { received: 2, lost: 3, ..Tally::default() });
        assert_eq!(tally(&[0, 1, 1, 2, 3, 0, 4]), Tally { duplicates: 2, ..clean });
        assert_eq!(tally(&[0, 2, 3, 1, 4]), Tally { reordered: 1, ..clean });
        assert_eq!(tally(&[0, 2, 1, 1, 3, 4]), Tally { reordered: 1, duplicates: 1, ..clean });
    }

    #[test]
    fn speakers_are_judged_apart_and_end_once() {
        let mut checker = Checker::default();
        for (speaker, number) in [(0, 0), (1, 0), (1, 4), (0, 1), (1, 4)] {
            checker.take(&stamp(speaker, number));
        }
        assert_eq!(checker.ended(), 1);
        let seen = Tally { received: 4, lost: 3, duplicates: 1, reordered: 0 };
        assert_eq!(checker.tally(), seen);
    }
}
