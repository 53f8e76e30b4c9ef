//! What is pinned.

use aside_proto::{id::ConversationId, v1};
use bytes::Bytes;
use prost::Message as _;

use super::{Actor, Lab, Must as _, assert_refused, list};
use crate::{
    ListPins, Refused, SetPin,
    page::{self, List},
};

list![
    what_is_pinned_is_listed_the_last_first,
    pinning_what_is_pinned_appends_nothing,
    only_owners_pin,
    only_messages_are_pinned,
    so_many_messages_are_pinned,
    pages_of_pins_show_each_once_and_fit,
    a_pin_is_answered_the_same_way_again,
    pins_outlive_the_process,
];

impl Lab {
    pub(super) fn pinning(
        &self,
        who: Actor,
        conversation: ConversationId,
        seq: u64,
        pinned: bool,
    ) -> SetPin {
        let Actor { user, device } = who;
        SetPin { key: self.key(), user, device, conversation, seq, pinned }
    }

    pub(super) async fn pin(
        &self,
        who: Actor,
        conversation: ConversationId,
        seq: u64,
        pinned: bool,
    ) {
        self.store.set_pin(self.pinning(who, conversation, seq, pinned)).await.must();
    }

    /// The seqs of the pinned messages with those of their pins.
    pub(super) async fn pins(&self, who: Actor, conversation: ConversationId) -> Vec<(u64, u64)> {
        let pins = self.store.list_pins(who.user, &all(conversation)).await.must().pins;
        let seqs = pins.iter().map(|pin| {
            let entry = pin.entry.as_ref().expect("an entry");
            (v1::EntryHeader::decode(&entry.header[..]).must().seq, pin.pin_seq)
        });
        seqs.collect()
    }
}

fn all(conversation: ConversationId) -> ListPins {
    ListPins { conversation, page_token: Bytes::new(), page_size: 100, max_bytes: usize::MAX }
}

// cites: PIN-004, PIN-006
async fn what_is_pinned_is_listed_the_last_first(lab: Lab) {
    let (alice, bob) = (lab.register("alice").await, lab.register("bob").await);
    let room = lab.create(alice, "den").await;
    lab.join(bob, room).await;
    for text in ["four", "five", "six"] {
        lab.send(bob, room, text).await;
    }
    for seq in [5, 4, 6] {
        lab.pin(alice, room, seq, true).await;
    }
    assert_eq!(lab.pins(bob, room).await, [(6, 9), (4, 8), (5, 7)]);
    lab.pin(alice, room, 5, false).await;
    lab.pin(alice, room, 5, true).await;
    lab.pin(alice, room, 6, false).await;
    assert_eq!(lab.pins(bob, room).await, [(5, 11), (4, 8)]);
    let log = lab.log(bob.user, room).await;
    let listed = lab.store.list_pins(bob.user, &all(room)).await.must().pins;
    assert_eq!(listed[0].entry.as_ref(), Some(&log[4].entry));
    let changes = log[6..].iter().map(|read| {
        assert_eq!(read.header.kind(), v1::EntryKind::MessagePinned);
        assert_eq!(read.header.sender_user_id, alice.user.to_bytes());
        v1::MessagePinnedPayload::decode(&read.entry.payload[..]).must()
    });
    let expected = [(5, true), (4, true), (6, true), (5, false), (5, true), (6, false)].map(
        |(seq, pinned)| {
            let message_id = log[seq as usize - 1].header.message_id.clone();
            v1::MessagePinnedPayload { seq, message_id, pinned }
        },
    );
    assert_eq!(changes.collect::<Vec<_>>(), expected);
}

// cites: PIN-005
async fn pinning_what_is_pinned_appends_nothing(lab: Lab) {
    let alice = lab.register("alice").await;
    let room = lab.create(alice, "den").await;
    lab.send(alice, room, "three").await;
    lab.pin(alice, room, 3, false).await;
    lab.pin(alice, room, 3, true).await;
    lab.effects();
    lab.pin(alice, room, 3, true).await;
    assert_eq!(lab.effects(), []);
    lab.pin(alice, room, 3, false).await;
    lab.effects();
    lab.pin(alice, room, 3, false).await;
    assert_eq!(lab.effects(), []);
    assert_eq!(lab.pins(alice, room).await, []);
}

// cites: PIN-001, ROOM-012
async fn only_owners_pin(lab: Lab) {
    let (alice, bob) = (lab.register("alice").await, lab.register("bob").await);
    let room = lab.create(alice, "den").await;
    lab.send(alice, room, "three").await;
    let pin = |who, room| lab.store.set_pin(lab.pinning(who, room, 3, true));
    assert_refused!(pin(bob, room).await, Refused::NotAMember);
    assert_refused!(lab.store.list_pins(bob.user, &all(room)).await, Refused::NotAMember);
    lab.join(bob, room).await;
    assert_refused!(pin(bob, room).await, Refused::NotPermitted);
    let nowhere = ConversationId::new([9; 16]);
    assert_refused!(pin(bob, nowhere).await, Refused::NoSuchConversation);
    let listed = lab.store.list_pins(bob.user, &all(nowhere)).await;
    assert_refused!(listed, Refused::NoSuchConversation);
    assert_eq!(lab.pins(bob, room).await, []);
}

// cites: PIN-002
async fn only_messages_are_pinned(lab: Lab) {
    let alice = lab.register("alice").await;
    let room = lab.create(alice, "den").await;
    lab.send(alice, room, "three").await;
    lab.pin(alice, room, 3, true).await;
    for (seq, pinned) in [(0, true), (1, true), (2, false), (4, true), (5, true), (u64::MAX, true)]
    {
        let set = lab.store.set_pin(lab.pinning(alice, room, seq, pinned)).await;
        assert_refused!(set, Refused::NoSuchEntry);
    }
    let other = lab.create(alice, "hall").await;
    let set = lab.store.set_pin(lab.pinning(alice, other, 3, true)).await;
    assert_refused!(set, Refused::NoSuchEntry);
}

// cites: PIN-003
async fn so_many_messages_are_pinned(lab: Lab) {
    let lab = lab.limited(|limits| limits.max_pins = 2).await;
    let alice = lab.register("alice").await;
    let (room, other) = (lab.create(alice, "den").await, lab.create(alice, "hall").await);
    for text in ["three", "four", "five"] {
        lab.send(alice, room, text).await;
        lab.send(alice, other, text).await;
    }
    lab.pin(alice, room, 3, true).await;
    lab.pin(alice, room, 4, true).await;
    let third = || lab.store.set_pin(lab.pinning(alice, room, 5, true));
    assert_refused!(third().await, Refused::TooManyPins);
    lab.pin(alice, room, 4, true).await;
    lab.pin(alice, other, 5, true).await;
    lab.pin(alice, room, 3, false).await;
    third().await.must();
}

// cites: PIN-006, ROOM-018, ROOM-019
async fn pages_of_pins_show_each_once_and_fit(lab: Lab) {
    let alice = lab.register("alice").await;
    let room = lab.create(alice, "den").await;
    for number in 0..7 {
        lab.send(alice, room, &number.to_string().repeat(1000)).await;
    }
    for seq in 3..10 {
        lab.pin(alice, room, seq, true).await;
    }
    for (page_size, max_bytes) in
        [(1, usize::MAX), (3, usize::MAX), (100, 4000), (100, 1), (7, 9000)]
    {
        let mut listed = Vec::new();
        let mut list = ListPins { page_size, max_bytes, ..all(room) };
        loop {
            let page = lab.store.list_pins(alice.user, &list).await.must();
            assert!((1..=page_size as usize).contains(&page.pins.len()));
            assert!(page.encoded_len() <= max_bytes || page.pins.len() == 1);
            listed.extend(page.pins.iter().map(|pin| pin.pin_seq));
            list.page_token = page.next_page_token;
            if list.page_token.is_empty() {
                break;
            }
        }
        assert_eq!(listed, [16, 15, 14, 13, 12, 11, 10], "{page_size}, {max_bytes}");
    }
    for token in [Bytes::from_static(b"?"), page::token(List::Members, alice.user.as_bytes())] {
        let list = ListPins { page_token: token, ..all(room) };
        assert_refused!(lab.store.list_pins(alice.user, &list).await, Refused::PageTokenInvalid);
    }
}

// cites: IDEM-006
async fn a_pin_is_answered_the_same_way_again(lab: Lab) {
    let alice = lab.register("alice").await;
    let room = lab.create(alice, "den").await;
    lab.send(alice, room, "three").await;
    let set = lab.pinning(alice, room, 3, true);
    lab.store.set_pin(set.clone()).await.must();
    lab.pin(alice, room, 3, false).await;
    lab.store.set_pin(set).await.must();
    assert_eq!(lab.pins(alice, room).await, []);
}

// cites: PIN-004
async fn pins_outlive_the_process(lab: Lab) {
    let alice = lab.register("alice").await;
    let room = lab.create(alice, "den").await;
    lab.send(alice, room, "three").await;
    lab.pin(alice, room, 3, true).await;
    let limits = lab.limits;
    let lab = lab.reopen(limits).await;
    assert_eq!(lab.pins(alice, room).await, [(3, 4)]);
}
