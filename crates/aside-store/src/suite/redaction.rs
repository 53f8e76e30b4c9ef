//! Payloads that are deleted.

use aside_crypto::payload_hash;
use aside_proto::{
    id::ConversationId,
    v1::{self, EntryKind},
};
use prost::Message as _;

use super::{Actor, Lab, Must as _, assert_refused, list};
use crate::{BindDevice, Effect, ListSummaries, Redact, Refused};

list![
    a_redacted_message_keeps_its_header_and_its_hash,
    only_the_sender_and_the_owner_may,
    all_that_is_named_or_nothing,
    what_is_redacted_already_is_left_out,
    retries_find_what_was_answered,
    a_batch_redacts_what_it_appends,
    a_redaction_outlives_the_process,
    more_are_redacted_than_one_statement_takes,
];

impl Lab {
    pub(crate) fn redacting(
        &self,
        who: Actor,
        conversation: ConversationId,
        seqs: &[u64],
    ) -> Redact {
        let (key, seqs) = (self.key(), seqs.to_vec());
        Redact { key, user: who.user, device: who.device, conversation, seqs }
    }

    async fn redact(&self, who: Actor, room: ConversationId, seqs: &[u64]) -> u64 {
        self.store.redact(self.redacting(who, room, seqs)).await.must().seq
    }
}

/// What the entry at a seq redacts.
fn named(log: &[super::Read], seq: u64) -> Vec<u64> {
    let read = &log[seq as usize - 1];
    assert_eq!(read.header.kind(), EntryKind::Redacted);
    v1::RedactedPayload::decode(&read.entry.payload[..]).must().seqs
}

// cites: REDACT-001, REDACT-009, LOG-002, LOG-003
async fn a_redacted_message_keeps_its_header_and_its_hash(lab: Lab) {
    let (alice, bob) = (lab.register("alice").await, lab.register("bob").await);
    let room = lab.create(alice, "den").await;
    lab.join(bob, room).await;
    let sent = lab.send(bob, room, "secret").await;
    let before = lab.log(alice.user, room).await;
    lab.effects();
    let redacting = lab.redacting(bob, room, &[sent.seq]);
    assert_eq!(lab.store.redact(redacting.clone()).await.must().seq, sent.seq + 1);
    let log = lab.log(alice.user, room).await;
    let (old, new) = (&before[3], &log[3]);
    assert_eq!((&new.header, new.chain), (&old.header, old.chain));
    assert_eq!(new.entry.header, old.entry.header);
    assert_eq!(new.entry.payload_hash, sent.payload_hash);
    assert!(new.entry.salt.is_empty() && new.entry.payload.is_empty());
    assert_eq!(named(&log, sent.seq + 1), [sent.seq]);
    let header = &log[4].header;
    assert_eq!(header.message_id, redacting.key.to_bytes());
    assert_eq!(header.sender_device_id, bob.device.to_bytes());
    let entry = log[4].entry.clone();
    let appended = Effect::Appended { conversation: room, seq: sent.seq + 1, entry };
    assert_eq!(lab.effects(), [appended]);
    let list = ListSummaries { page_size: 9, max_bytes: usize::MAX, ..ListSummaries::default() };
    let summaries = lab.store.list_summaries(alice.user, &list).await.must().summaries;
    assert_eq!(summaries[0].last_message.as_ref(), Some(&new.entry));
    assert_eq!(summaries[0].unread, 1);
}

// cites: REDACT-005, REDACT-019
async fn only_the_sender_and_the_owner_may(lab: Lab) {
    let (alice, bob) = (lab.register("alice").await, lab.register("bob").await);
    let carol = lab.register("carol").await;
    let room = lab.create(alice, "den").await;
    lab.join(bob, room).await;
    let (of_bob, of_alice) =
        (lab.send(bob, room, "bob").await.seq, lab.send(alice, room, "alice").await.seq);
    let refused = lab.store.redact(lab.redacting(carol, room, &[of_bob])).await;
    assert_refused!(refused, Refused::NotAMember);
    let refused = lab.store.redact(lab.redacting(bob, room, &[of_alice])).await;
    assert_refused!(refused, Refused::NotPermitted);
    let nowhere = ConversationId::new([9; 16]);
    let refused = lab.store.redact(lab.redacting(bob, nowhere, &[1])).await;
    assert_refused!(refused, Refused::NoSuchConversation);

    let binding = BindDevice {
        user: bob.user,
        verified_hash: lab.store.password_hash_of(bob.user).await.must().expect("registered"),
        new_hash: None,
        public_key: lab.bytes(),
        device_name: "phone".to_owned(),
    };
    let phone = Actor { user: bob.user, device: lab.store.bind_device(binding).await.must() };
    assert_eq!(lab.redact(phone, room, &[of_bob]).await, of_alice + 1);
    assert_eq!(lab.redact(alice, room, &[of_alice]).await, of_alice + 2);
    lab.leave(alice, room).await;
    lab.join(alice, room).await;
    let refused = lab.store.redact(lab.redacting(alice, room, &[of_bob])).await;
    assert_refused!(refused, Refused::NotPermitted);
}

// cites: REDACT-004, REDACT-006
async fn all_that_is_named_or_nothing(lab: Lab) {
    let (alice, bob) = (lab.register("alice").await, lab.register("bob").await);
    let room = lab.create(alice, "den").await;
    lab.join(bob, room).await;
    let other = lab.create(alice, "other").await;
    lab.send(alice, other, "elsewhere").await;
    lab.send(alice, other, "and again").await;
    let (of_bob, of_alice) =
        (lab.send(bob, room, "bob").await.seq, lab.send(alice, room, "alice").await.seq);
    let before = lab.log(alice.user, room).await;
    lab.effects();
    for seqs in [&[0][..], &[1], &[2], &[3], &[6], &[u64::MAX], &[of_bob, 2], &[of_alice, 2]] {
        let refused = lab.store.redact(lab.redacting(bob, room, seqs)).await;
        assert_refused!(refused, Refused::NoSuchEntry);
    }
    let refused = lab.store.redact(lab.redacting(bob, room, &[of_bob, of_alice])).await;
    assert_refused!(refused, Refused::NotPermitted);
    assert_eq!(lab.log(alice.user, room).await, before);
    assert_eq!(lab.effects(), []);
}

// cites: REDACT-002, REDACT-007
async fn what_is_redacted_already_is_left_out(lab: Lab) {
    let alice = lab.register("alice").await;
    let room = lab.create(alice, "den").await;
    for text in ["3", "4", "5"] {
        lab.send(alice, room, text).await;
    }
    assert_eq!(lab.redact(alice, room, &[4, 4]).await, 6);
    assert_eq!(lab.redact(alice, room, &[5, 4, 3]).await, 7);
    lab.effects();
    assert_eq!(lab.redact(alice, room, &[3, 4, 5]).await, 0);
    assert_eq!(lab.effects(), []);
    let log = lab.log(alice.user, room).await;
    assert_eq!((named(&log, 6), named(&log, 7)), (vec![4], vec![3, 5]));
    assert_eq!(log.len(), 7);
}

// cites: REDACT-008, MSG-004, IDEM-006, IDEM-007
async fn retries_find_what_was_answered(lab: Lab) {
    let alice = lab.register("alice").await;
    let room = lab.create(alice, "den").await;
    let message = lab.message(alice, room, "secret");
    let sent = lab.store.append(message.clone()).await.must();
    assert_eq!(sent.payload_hash[..], payload_hash(&message.salt, b"secret"));
    let redacting = lab.redacting(alice, room, &[sent.seq]);
    let redacted = lab.store.redact(redacting.clone()).await.must();
    assert_eq!(lab.store.append(message.clone()).await.must(), sent);
    assert_eq!(lab.store.redact(redacting.clone()).await.must(), redacted);
    let reused = lab.store.redact(Redact { key: message.message_id, ..redacting.clone() }).await;
    assert_refused!(reused, Refused::KeyReused);
    let joining = crate::Join { key: redacting.key, ..lab.joining(alice, room) };
    assert_refused!(lab.store.join(joining).await, Refused::KeyReused);
    // One that appends nothing is remembered, too.
    let again = lab.redacting(alice, room, &[sent.seq]);
    assert_eq!(lab.store.redact(again.clone()).await.must().seq, 0);
    assert_eq!(lab.store.redact(again).await.must().seq, 0);
    lab.leave(alice, room).await;
    assert_eq!(lab.store.redact(redacting).await.must(), redacted);
}

// cites: REQ-007, REDACT-001
async fn a_batch_redacts_what_it_appends(lab: Lab) {
    let alice = lab.register("alice").await;
    let room = lab.create(alice, "den").await;
    let early = lab.store.redact(lab.redacting(alice, room, &[3]));
    let first = lab.store.append(lab.message(alice, room, "first"));
    let redacted = lab.store.redact(lab.redacting(alice, room, &[3]));
    let second = lab.store.append(lab.message(alice, room, "second"));
    assert_refused!(early.await, Refused::NoSuchEntry);
    assert_eq!((first.await.must().seq, second.await.must().seq), (3, 5));
    assert_eq!(redacted.await.must().seq, 4);
    assert!(lab.log(alice.user, room).await[2].entry.payload.is_empty());
}

// cites: REDACT-001
async fn a_redaction_outlives_the_process(lab: Lab) {
    let alice = lab.register("alice").await;
    let room = lab.create(alice, "den").await;
    lab.send(alice, room, "secret").await;
    lab.redact(alice, room, &[3]).await;
    let before = lab.log(alice.user, room).await;
    let limits = lab.limits;
    let lab = lab.reopen(limits).await;
    assert_eq!(lab.log(alice.user, room).await, before);
    assert_eq!(lab.redact(alice, room, &[3]).await, 0);
}

// cites: REDACT-001
async fn more_are_redacted_than_one_statement_takes(lab: Lab) {
    let alice = lab.register("alice").await;
    let room = lab.create(alice, "den").await;
    let replies: Vec<_> = (0..300)
        .map(|number| lab.store.append(lab.message(alice, room, &number.to_string())))
        .collect();
    for reply in replies {
        reply.await.must();
    }
    let seqs: Vec<_> = (3..303).rev().collect();
    assert_eq!(lab.redact(alice, room, &seqs).await, 303);
    let log = lab.log(alice.user, room).await;
    assert!(log[2..302].iter().all(|read| read.entry.payload.is_empty()));
    assert_eq!(named(&log, 303), Vec::from_iter(3..303));
}
