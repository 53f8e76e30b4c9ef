//! Summaries, and how far members have got.

use aside_proto::{id::ConversationId, limits::MAX_UNREAD, v1};
use prost::Message as _;

use super::{Actor, Lab, Must as _, assert_refused, list};
use crate::{Effect, ListSummaries, ListWatermarks, Mark, Refused};

list![
    a_member_begins_at_its_joining,
    watermarks_only_move_forward,
    marks_are_refused_beyond_the_log_and_to_outsiders,
    marks_of_a_batch_are_told_once,
    a_mark_before_leaving_is_told_before,
    watermarks_outlive_the_process_and_not_the_membership,
    in_a_large_conversation_members_are_not_told,
    a_summary_counts_what_others_said_since,
    no_more_is_counted_than_is_shown,
    pages_of_summaries_show_each_once_and_fit,
];

impl Lab {
    pub(super) fn marking(&self, who: Actor, conversation: ConversationId, to: (u64, u64)) -> Mark {
        Mark {
            user: who.user,
            device: who.device,
            attachment: 7,
            conversation,
            delivered_seq: to.0,
            read_seq: to.1,
        }
    }

    pub(super) async fn mark(
        &self,
        who: Actor,
        room: ConversationId,
        to: (u64, u64),
    ) -> (u64, u64) {
        let marked = self.store.mark(self.marking(who, room, to)).await.must();
        assert_eq!(marked.user_id, who.user.to_bytes());
        (marked.delivered_seq, marked.read_seq)
    }

    pub(super) async fn watermarks(
        &self,
        who: Actor,
        conversation: ConversationId,
    ) -> Vec<v1::Watermark> {
        let page_token = bytes::Bytes::new();
        let list = ListWatermarks { conversation, page_token, page_size: 100 };
        self.store.list_watermarks(who.user, &list).await.must().watermarks
    }

    async fn summary(&self, who: Actor) -> v1::Summary {
        let list = all();
        self.store.list_summaries(who.user, &list).await.must().summaries.remove(0)
    }
}

fn all() -> ListSummaries {
    ListSummaries { page_size: 100, max_bytes: usize::MAX, ..ListSummaries::default() }
}

fn moved(conversation: ConversationId, who: Actor, to: (u64, u64), to_members: bool) -> Effect {
    let (delivered_seq, read_seq) = to;
    let user = who.user;
    Effect::WatermarkMoved {
        conversation,
        user,
        delivered_seq,
        read_seq,
        attachment: 7,
        to_members,
    }
}

// cites: MARK-002
async fn a_member_begins_at_its_joining(lab: Lab) {
    let (alice, bob) = (lab.register("alice").await, lab.register("bob").await);
    let room = lab.create(alice, "den").await;
    lab.send(alice, room, "before").await;
    assert_eq!(lab.join(bob, room).await.head_seq, 4);
    let expected = [(alice, 2), (bob, 4)].map(|(who, seq)| v1::Watermark {
        user_id: who.user.to_bytes(),
        delivered_seq: seq,
        read_seq: seq,
    });
    let mut watermarks = lab.watermarks(bob, room).await;
    assert!(watermarks.is_sorted_by_key(|watermark| watermark.user_id.clone()));
    watermarks.sort_by_key(|watermark| watermark.read_seq);
    assert_eq!(watermarks, expected);
}

// cites: MARK-001, MARK-003
async fn watermarks_only_move_forward(lab: Lab) {
    let alice = lab.register("alice").await;
    let room = lab.create(alice, "den").await;
    for number in 0..5 {
        lab.send(alice, room, &number.to_string()).await;
    }
    lab.effects();
    let steps =
        [((4, 0), (4, 2)), ((0, 6), (6, 6)), ((3, 5), (6, 6)), ((7, 0), (7, 6)), ((7, 6), (7, 6))];
    for (to, expected) in steps {
        assert_eq!(lab.mark(alice, room, to).await, expected, "{to:?}");
    }
    let told = [(4, 2), (6, 6), (7, 6)].map(|to| moved(room, alice, to, true));
    assert_eq!(lab.effects(), told, "nothing is told when nothing moves");
}

// cites: MARK-004, MARK-005
async fn marks_are_refused_beyond_the_log_and_to_outsiders(lab: Lab) {
    let (alice, bob) = (lab.register("alice").await, lab.register("bob").await);
    let room = lab.create(alice, "den").await;
    for to in [(3, 0), (0, 3), (2, u64::MAX)] {
        let beyond = lab.store.mark(lab.marking(alice, room, to)).await;
        assert_refused!(beyond, Refused::SeqOutOfRange { head_seq: 2 });
    }
    assert_refused!(lab.store.mark(lab.marking(bob, room, (1, 1))).await, Refused::NotAMember);
    let nowhere = ConversationId::new([9; 16]);
    let mark = lab.marking(alice, nowhere, (1, 1));
    assert_refused!(lab.store.mark(mark).await, Refused::NoSuchConversation);
    let stranger = Actor { device: bob.device, ..alice };
    let mark = lab.marking(stranger, room, (1, 1));
    assert_refused!(lab.store.mark(mark).await, Refused::DeviceRevoked);
    let list = |conversation| ListWatermarks {
        conversation,
        page_token: bytes::Bytes::new(),
        page_size: 10,
    };
    let listed = lab.store.list_watermarks(bob.user, &list(room)).await;
    assert_refused!(listed, Refused::NotAMember);
    let listed = lab.store.list_watermarks(bob.user, &list(nowhere)).await;
    assert_refused!(listed, Refused::NoSuchConversation);
}

// cites: MARK-008, MARK-009
async fn marks_of_a_batch_are_told_once(lab: Lab) {
    let alice = lab.register("alice").await;
    let room = lab.create(alice, "den").await;
    lab.effects();
    // One batch: none of these is waited for before all are put. A message in between moves the head.
    let first = lab.store.mark(lab.marking(alice, room, (2, 2)));
    let sent = lab.store.append(lab.message(alice, room, "three"));
    let marks = [(3, 0), (0, 3)].map(|to| lab.store.mark(lab.marking(alice, room, to)));
    first.await.must();
    sent.await.must();
    for mark in marks {
        mark.await.must();
    }
    let effects = lab.effects();
    assert_eq!(effects.len(), 2, "the message, and where the user ended: {effects:?}");
    assert_eq!(effects[1], moved(room, alice, (3, 3), true));
}

// cites: MARK-011
async fn a_mark_before_leaving_is_told_before(lab: Lab) {
    let alice = lab.register("alice").await;
    let room = lab.create(alice, "den").await;
    lab.send(alice, room, "three").await;
    lab.effects();
    let mark = lab.store.mark(lab.marking(alice, room, (3, 3)));
    let left = lab.store.leave(lab.leaving(alice, room));
    let late = lab.store.mark(lab.marking(alice, room, (3, 3)));
    mark.await.must();
    left.await.must();
    assert_refused!(late.await, Refused::NotAMember);
    let effects = lab.effects();
    assert_eq!(effects[0], moved(room, alice, (3, 3), true));
    assert!(matches!(effects[1..], [Effect::Appended { .. }, Effect::Left { .. }]), "{effects:?}");
}

// cites: MARK-007, MARK-011
async fn watermarks_outlive_the_process_and_not_the_membership(lab: Lab) {
    let alice = lab.register("alice").await;
    let room = lab.create(alice, "den").await;
    lab.send(alice, room, "three").await;
    lab.mark(alice, room, (3, 0)).await;
    let limits = lab.limits;
    let lab = lab.reopen(limits).await;
    let watermarks = lab.watermarks(alice, room).await;
    assert_eq!((watermarks[0].delivered_seq, watermarks[0].read_seq), (3, 2));
    lab.leave(alice, room).await;
    let joined = lab.join(alice, room).await.head_seq;
    let watermarks = lab.watermarks(alice, room).await;
    assert_eq!((watermarks.len(), watermarks[0].read_seq), (1, joined));
}

// cites: MARK-010
async fn in_a_large_conversation_members_are_not_told(lab: Lab) {
    let lab = lab.limited(|limits| limits.max_live_members = 1).await;
    let (alice, bob) = (lab.register("alice").await, lab.register("bob").await);
    let room = lab.create(alice, "den").await;
    lab.send(alice, room, "three").await;
    lab.effects();
    lab.mark(alice, room, (3, 3)).await;
    assert_eq!(lab.effects(), [moved(room, alice, (3, 3), true)]);
    lab.join(bob, room).await;
    lab.effects();
    lab.mark(alice, room, (4, 4)).await;
    assert_eq!(lab.effects(), [moved(room, alice, (4, 4), false)]);
}

// cites: SUM-001, SUM-002, SUM-005, SUM-006
async fn a_summary_counts_what_others_said_since(lab: Lab) {
    let (alice, bob) = (lab.register("alice").await, lab.register("bob").await);
    let room = lab.create(alice, "den").await;
    assert_eq!(lab.summary(alice).await.last_message, None);
    lab.join(bob, room).await;
    for text in ["one", "two"] {
        lab.send(bob, room, text).await;
    }
    lab.send(alice, room, "mine").await;
    lab.store.rename(lab.renaming(bob, "robert")).await.must();
    let summary = lab.summary(alice).await;
    let watermark = v1::Watermark { user_id: alice.user.to_bytes(), delivered_seq: 2, read_seq: 2 };
    assert_eq!((summary.unread, summary.watermark), (2, Some(watermark)));
    let room_now = summary.room.expect("a room");
    assert_eq!((room_now.head_seq, room_now.member_count), (7, 2));
    let log = lab.log(alice.user, room).await;
    assert_eq!(summary.last_message.as_ref(), Some(&log[5].entry));
    lab.mark(alice, room, (0, 4)).await;
    assert_eq!(lab.summary(alice).await.unread, 1);
    assert_eq!(lab.summary(bob).await.unread, 1);
    lab.leave(alice, room).await;
    assert!(lab.store.list_summaries(alice.user, &all()).await.must().summaries.is_empty());
}

// cites: SUM-005
async fn no_more_is_counted_than_is_shown(lab: Lab) {
    let (alice, bob) = (lab.register("alice").await, lab.register("bob").await);
    let room = lab.create(alice, "den").await;
    lab.join(bob, room).await;
    lab.send(alice, room, "mine").await;
    let sent: Vec<_> = (0..MAX_UNREAD)
        .map(|number| lab.store.append(lab.message(bob, room, &number.to_string())))
        .collect();
    for sent in sent {
        sent.await.must();
    }
    assert_eq!(
        lab.summary(alice).await.unread,
        MAX_UNREAD - 1,
        "her own is one of those looked at"
    );
    lab.mark(alice, room, (4, 4)).await;
    assert_eq!(lab.summary(alice).await.unread, MAX_UNREAD);
    lab.mark(alice, room, (5, 5)).await;
    assert_eq!(lab.summary(alice).await.unread, MAX_UNREAD - 1);
}

// cites: SUM-003, SUM-004
async fn pages_of_summaries_show_each_once_and_fit(lab: Lab) {
    let alice = lab.register("alice").await;
    for name in ["one", "two", "three", "four", "five"] {
        let room = lab.create(alice, name).await;
        lab.send(alice, room, &"x".repeat(1000)).await;
    }
    let whole = lab.store.list_summaries(alice.user, &all()).await.must().summaries;
    assert_eq!(whole.len(), 5);
    for (page_size, max_bytes, lengths) in [
        (2, usize::MAX, &[2, 2, 1][..]),
        (5, usize::MAX, &[5]),
        (5, 3000, &[2, 2, 1]),
        (2, 100, &[1, 1, 1, 1, 1]),
    ] {
        let mut list = ListSummaries { page_size, max_bytes, ..ListSummaries::default() };
        let mut seen = Vec::new();
        for length in lengths {
            let page = lab.store.list_summaries(alice.user, &list).await.must();
            assert_eq!(page.summaries.len(), *length);
            assert!(max_bytes < 1000 || page.encoded_len() <= max_bytes);
            seen.extend(page.summaries);
            list.page_token = page.next_page_token;
        }
        assert!(list.page_token.is_empty());
        if max_bytes < 1000 {
            assert!(seen.iter().all(|summary| summary.last_message.is_none()));
        } else {
            assert_eq!(seen, whole);
        }
    }
    let list = ListSummaries { page_token: vec![9; 17].into(), ..all() };
    assert_refused!(lab.store.list_summaries(alice.user, &list).await, Refused::PageTokenInvalid);
}
