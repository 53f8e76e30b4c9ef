//! Who was last said to write where, so that what says nothing new is not told again (TYPE-002).

use std::collections::HashMap;

use aside_proto::id::{ConversationId, UserId};

/// So long after others were told that a user writes, they are not told again.
const TOLD_MS: u64 = 3_000;
/// So long after it they have forgotten (TYPE-006).
const FORGOTTEN_MS: u64 = 6_000;

/// When others were last told that a user writes, by the server's monotonic clock.
#[derive(Debug, Default)]
pub(crate) struct Typing(HashMap<(UserId, ConversationId), u64>);

impl Typing {
    /// Whether it is to be told that a member writes, or no longer.
    pub(crate) fn is_news(
        &mut self,
        user: UserId,
        conversation: ConversationId,
        typing: bool,
        now_ms: u64,
    ) -> bool {
        let told = &mut self.0;
        let key = (user, conversation);
        let age = told.get(&key).map(|told_ms| now_ms.saturating_sub(*told_ms));
        if !typing {
            told.remove(&key);
            return age.is_some_and(|age| age < FORGOTTEN_MS);
        }
        let is_news = age.is_none_or(|age| age >= TOLD_MS);
        if is_news {
            told.insert(key, now_ms);
        }
        is_news
    }

    /// The user sends a message there: to others that is the end of its writing (TYPE-006), and so it is to requests that follow.
    /// Gives since when they knew of it.
    pub(crate) fn end(&mut self, user: UserId, conversation: ConversationId) -> Option<u64> {
        self.0.remove(&(user, conversation))
    }

    /// The message was refused: others still think so, unless they were told anew.
    pub(crate) fn go_on(&mut self, user: UserId, conversation: ConversationId, told_ms: u64) {
        self.0.entry((user, conversation)).or_insert(told_ms);
    }

    /// Forgets what others have forgotten.
    pub(crate) fn forget(&mut self, now_ms: u64) {
        self.0.retain(|_, told_ms| now_ms.saturating_sub(*told_ms) < FORGOTTEN_MS);
        self.0.shrink_to_fit();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALICE: UserId = UserId::new([1; 16]);
    const ROOM: ConversationId = ConversationId::new([2; 16]);

    // cites: TYPE-002
    #[test]
    fn what_others_know_is_not_told_again() {
        let mut typing = Typing::default();
        let mut news = |is_typing, now_ms| typing.is_news(ALICE, ROOM, is_typing, now_ms);
        assert!(!news(false, 0), "nobody thought so");
        assert!(news(true, 0));
        assert!(!news(true, 2_999));
        assert!(news(true, 3_000));
        assert!(news(false, 8_999));
        assert!(!news(false, 8_999));
        assert!(news(true, 9_000));
        assert!(!news(false, 15_000), "it has ended by itself");
    }

    // cites: TYPE-002, TYPE-006
    #[test]
    fn after_a_message_writing_begins_anew() {
        let mut typing = Typing::default();
        let other = ConversationId::new([3; 16]);
        assert!(typing.is_news(ALICE, ROOM, true, 0) && typing.is_news(ALICE, other, true, 0));
        let told_ms = typing.end(ALICE, ROOM).unwrap();
        typing.go_on(ALICE, ROOM, told_ms);
        assert!(!typing.is_news(ALICE, ROOM, true, 1), "the message was refused");
        assert_eq!(typing.end(ALICE, ROOM), Some(0));
        assert!(typing.is_news(ALICE, ROOM, true, 1) && !typing.is_news(ALICE, other, true, 1));
        typing.forget(6_000);
        assert_eq!(typing.0.len(), 1);
        typing.forget(6_001);
        assert!(typing.0.is_empty());
    }
}
