//! Who was last said to write where, so that what says nothing new is not told again (TYPE-002).

use std::collections::HashMap;

use aside_proto::{
    id::{ConversationId, UserId},
    v1,
};
use prost::Message as _;

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

    /// An entry was appended there. If it is a message, it is to others the end of its sender's writing (TYPE-006).
    pub(crate) fn handle_entry(&mut self, conversation: ConversationId, header: &[u8]) {
        // Mostly nobody writes, and entries are many.
        if self.0.is_empty() {
            return;
        }
        let header = v1::EntryHeader::decode(header).unwrap_or_default();
        if let (v1::EntryKind::Message, Ok(user)) =
            (header.kind(), UserId::try_from(&header.sender_user_id[..]))
        {
            self.0.remove(&(user, conversation));
        }
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
        let header = |kind: v1::EntryKind| {
            let sender_user_id = ALICE.to_bytes();
            v1::EntryHeader { kind: kind.into(), sender_user_id, ..Default::default() }
                .encode_to_vec()
        };
        assert!(typing.is_news(ALICE, ROOM, true, 0) && typing.is_news(ALICE, other, true, 0));
        typing.handle_entry(ROOM, &header(v1::EntryKind::MemberRenamed));
        assert!(!typing.is_news(ALICE, ROOM, true, 1), "no message");
        typing.handle_entry(ROOM, &header(v1::EntryKind::Message));
        assert!(typing.is_news(ALICE, ROOM, true, 1) && !typing.is_news(ALICE, other, true, 1));
        typing.forget(6_000);
        assert_eq!(typing.0.len(), 1);
        typing.forget(6_001);
        assert!(typing.0.is_empty());
    }
}
