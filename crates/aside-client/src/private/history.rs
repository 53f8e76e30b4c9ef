//! Which log the members see: each states, with what it says, the chain value that it has come to, and holds what the others state
//! against its own (HEAD-010, HEAD-011). A server that shows two histories can't take these values out: MLS covers them.

use std::collections::BTreeMap;

use aside_crypto::Hash;
use aside_mls::Owner;
use bytes::Bytes;

/// Entries whose chain value is remembered: who states one has come almost as far as this device.
const REMEMBERED: usize = 128;

/// Devices that are known to have stated another history.
const MOST_DIVERGED: usize = 64;

/// The history of a conversation, as this device sees it.
#[derive(Debug, Default)]
pub(super) struct History {
    /// The chain value at each of the last entries that were taken in.
    chain: BTreeMap<u64, Hash>,
    /// Whose devices have seen another history, and the first entry of each that says so.
    pub(super) diverged: BTreeMap<Owner, u64>,
}

impl History {
    /// An entry was taken in.
    pub(super) fn took_in(&mut self, seq: u64, chain: Hash) {
        self.chain.insert(seq, chain);
        if self.chain.len() > REMEMBERED {
            self.chain.pop_first();
        }
    }

    /// The last entry, and the chain value there, as a header states them: 0 and nothing if none is known.
    pub(super) fn head(&self) -> (u64, Bytes) {
        let head = self.chain.last_key_value();
        head.map(|(seq, chain)| (*seq, Bytes::copy_from_slice(chain))).unwrap_or_default()
    }

    /// The chain value at an entry that was taken in not long ago.
    pub(super) fn at(&self, seq: u64) -> Option<&Hash> {
        self.chain.get(&seq)
    }

    /// A device has seen another history; whether that is news.
    pub(super) fn note_diverged(&mut self, by: Owner, seq: u64) -> bool {
        let is_news = !self.diverged.contains_key(&by) && self.diverged.len() < MOST_DIVERGED;
        if is_news {
            self.diverged.insert(by, seq);
        }
        is_news
    }

    /// Whether what the header of entry `seq` states can't be of the history that is seen here. What it states of an entry that is not
    /// remembered is not known to be true or false.
    pub(super) fn differs(&self, seq: u64, head_seq: u64, chain: &[u8]) -> bool {
        let here = self.at(head_seq);
        head_seq >= seq || here.is_some_and(|here| here[..] != *chain)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // cites: HEAD-010, HEAD-011
    #[test]
    fn what_is_stated_is_held_against_what_is_remembered() {
        let mut history = History::default();
        assert_eq!(history.head(), (0, Bytes::new()));
        assert!(!history.differs(1, 0, &[]), "nothing is stated");
        for seq in 1..=200 {
            history.took_in(seq, [u8::try_from(seq).unwrap(); 32]);
        }
        assert_eq!(history.head(), (200, Bytes::from_static(&[200; 32])));
        assert!(!history.differs(201, 200, &[200; 32]));
        assert!(!history.differs(201, 73, &[73; 32]));
        assert!(history.differs(201, 200, &[199; 32]), "another history");
        assert!(history.differs(201, 73, &[]), "no chain value");
        assert!(
            history.differs(201, 201, &[201; 32]),
            "nobody has seen what they are about to say"
        );
        assert!(!history.differs(201, 72, &[1; 32]), "it is not remembered");
    }
}
