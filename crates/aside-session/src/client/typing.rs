//! Who writes: when to say so, and how long to believe it. Times are the caller's, in monotonic milliseconds.

use std::collections::BTreeMap;

use aside_proto::id::{ConversationId, UserId};

/// How long a user is held to be writing (TYPE-006).
const BELIEVED_MS: u64 = 6_000;
/// How often it is said that the user still writes (TYPE-007).
const SAID_EVERY_MS: u64 = 4_000;
/// More are not kept: no screen shows so many.
const MAX_TYPISTS: usize = 4096;

/// Those who write, by what was told of them (TYPE-006).
#[derive(Debug, Clone, Default)]
pub struct Typists {
    until_ms: BTreeMap<(ConversationId, UserId), u64>,
}

/// Where the user writes, as others were told (TYPE-007).
#[derive(Debug, Clone, Default)]
pub struct Writing {
    said_ms: BTreeMap<ConversationId, u64>,
}

impl Typists {
    /// It was told that a member writes, or no longer.
    pub fn told(&mut self, conversation: ConversationId, user: UserId, typing: bool, now_ms: u64) {
        self.until_ms.retain(|_, until_ms| *until_ms > now_ms);
        if !typing {
            self.ended(conversation, user);
        } else if self.until_ms.len() < MAX_TYPISTS
            || self.until_ms.contains_key(&(conversation, user))
        {
            self.until_ms.insert((conversation, user), now_ms.saturating_add(BELIEVED_MS));
        }
    }

    /// A message of the user came there, or the user left.
    pub fn ended(&mut self, conversation: ConversationId, user: UserId) {
        self.until_ms.remove(&(conversation, user));
    }

    /// The user is offline.
    pub fn gone(&mut self, user: UserId) {
        self.until_ms.retain(|(_, other), _| *other != user);
    }

    /// Those who write in a conversation now, in order of id.
    pub fn of(
        &self,
        conversation: ConversationId,
        now_ms: u64,
    ) -> impl Iterator<Item = UserId> + '_ {
        let [first, last] = [0, 0xff].map(|byte| (conversation, UserId::new([byte; 16])));
        let there = self.until_ms.range(first..=last);
        there.filter(move |(_, until_ms)| **until_ms > now_ms).map(|((_, user), _)| *user)
    }

    /// When the next of those who write is no longer held to, unless more is told: to draw the screen anew.
    #[must_use]
    pub fn next_end(&self, now_ms: u64) -> Option<u64> {
        self.until_ms.values().copied().filter(|until_ms| *until_ms > now_ms).min()
    }
}

impl Writing {
    /// The user writes, as every key that is pressed says, or has given up; whether the server is to be told.
    pub fn changes(&mut self, conversation: ConversationId, typing: bool, now_ms: u64) -> bool {
        self.said_ms.retain(|_, said_ms| now_ms.saturating_sub(*said_ms) < BELIEVED_MS);
        if !typing {
            return self.said_ms.remove(&conversation).is_some();
        }
        let is_due = |said_ms: &u64| now_ms.saturating_sub(*said_ms) >= SAID_EVERY_MS;
        let is_news = self.said_ms.get(&conversation).is_none_or(is_due);
        if is_news {
            self.said_ms.insert(conversation, now_ms);
        }
        is_news
    }

    /// What the user wrote is sent: that says enough, and what follows is told anew.
    pub fn sent(&mut self, conversation: ConversationId) {
        self.said_ms.remove(&conversation);
    }

    /// The connection is lost: what was said on it was forgotten.
    pub fn disconnected(&mut self) {
        self.said_ms.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROOM: ConversationId = ConversationId::new([1; 16]);
    const OTHER: ConversationId = ConversationId::new([2; 16]);
    const ALICE: UserId = UserId::new([3; 16]);
    const BOB: UserId = UserId::new([0xff; 16]);

    // cites: TYPE-006
    #[test]
    fn whoever_writes_is_believed_for_six_seconds() {
        let mut typists = Typists::default();
        typists.told(ROOM, BOB, true, 0);
        typists.told(ROOM, ALICE, true, 2_000);
        typists.told(OTHER, ALICE, true, 2_000);
        let at = |typists: &Typists, now_ms| typists.of(ROOM, now_ms).collect::<Vec<_>>();
        assert_eq!(at(&typists, 5_999), [ALICE, BOB]);
        assert_eq!(typists.next_end(2_000), Some(6_000));
        assert_eq!(at(&typists, 6_000), [ALICE]);
        assert_eq!(typists.next_end(6_000), Some(8_000));
        // Again puts it off.
        typists.told(ROOM, ALICE, true, 7_000);
        assert_eq!(at(&typists, 12_999), [ALICE]);
        assert_eq!((at(&typists, 13_000), typists.next_end(13_000)), (Vec::new(), None));
    }

    // cites: TYPE-006
    #[test]
    fn writing_ends_by_word_by_message_and_by_going() {
        let mut typists = Typists::default();
        let ends: [fn(&mut Typists); 3] = [
            |typists| typists.told(ROOM, ALICE, false, 1),
            |typists| typists.ended(ROOM, ALICE),
            |typists| typists.gone(ALICE),
        ];
        for end in ends {
            typists.told(ROOM, ALICE, true, 0);
            typists.told(ROOM, BOB, true, 0);
            end(&mut typists);
            assert_eq!(typists.of(ROOM, 1).collect::<Vec<_>>(), [BOB]);
        }
    }

    #[test]
    fn no_more_are_kept_than_anyone_could_see() {
        let mut typists = Typists::default();
        for n in 0..2 * MAX_TYPISTS as u128 {
            typists.told(ROOM, UserId::new(n.to_be_bytes()), true, 0);
        }
        assert_eq!(typists.of(ROOM, 0).count(), MAX_TYPISTS);
        typists.told(ROOM, UserId::new([0; 16]), true, 1_000);
        typists.told(ROOM, ALICE, true, 6_000);
        assert_eq!(typists.of(ROOM, 6_000).collect::<Vec<_>>(), [UserId::new([0; 16]), ALICE]);
    }

    // cites: TYPE-007
    #[test]
    fn the_server_is_told_now_and_then_while_the_user_writes() {
        let mut writing = Writing::default();
        let said: Vec<u64> =
            (0..100).map(|n| n * 100).filter(|ms| writing.changes(ROOM, true, *ms)).collect();
        assert_eq!(said, [0, 4_000, 8_000]);
        assert!(writing.changes(OTHER, true, 9_950));
        assert!(writing.changes(ROOM, false, 9_960) && !writing.changes(ROOM, false, 9_970));
        // After a message at once, and nothing needs to be taken back.
        assert!(writing.changes(ROOM, true, 9_980));
        writing.sent(ROOM);
        assert!(!writing.changes(ROOM, false, 9_990) && writing.changes(ROOM, true, 9_991));
        // What others have forgotten is not taken back either.
        assert!(!writing.changes(ROOM, false, 15_991));
        assert!(writing.changes(ROOM, true, 16_000));
        writing.disconnected();
        assert!(writing.changes(ROOM, true, 16_001));
    }
}
