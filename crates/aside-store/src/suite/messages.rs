//! Messages.

use aside_crypto::payload_hash;
use aside_proto::v1;

use super::{Actor, EPOCH_MS, Lab, Must as _, assert_refused, list};
use crate::{Append, Refused};

list![
    a_message_is_stored_as_it_was_sent,
    an_acknowledged_message_is_durable,
    a_retry_is_answered_as_the_first_was,
    a_retry_after_leaving_is_still_answered,
    retries_in_one_batch_are_answered_alike,
    a_refused_message_uses_up_nothing,
    a_message_id_is_the_devices_own,
    refusals_do_not_spoil_their_neighbours,
];

// cites: MSG-001, MSG-003, LOG-005, LOG-012
async fn a_message_is_stored_as_it_was_sent(lab: Lab) {
    let alice = lab.register("alice").await;
    let room = lab.create(alice, "den").await;
    lab.advance(10);
    let append = lab.message(alice, room, "\u{0}\u{ff} any bytes");
    let sent = lab.store.append(append.clone()).await.must();
    let hash = payload_hash(&append.salt, &append.payload);
    let expected = v1::Sent { seq: 3, time_ms: EPOCH_MS + 10, payload_hash: hash.to_vec().into() };
    assert_eq!(sent, expected);
    let log = lab.log(alice.user, room).await;
    let header = v1::EntryHeader {
        conversation_id: room.to_bytes(),
        seq: 3,
        kind: v1::EntryKind::Message.into(),
        sender_user_id: alice.user.to_bytes(),
        sender_device_id: alice.device.to_bytes(),
        message_id: append.message_id.to_bytes(),
        time_ms: EPOCH_MS + 10,
        signature: append.signature,
    };
    assert_eq!(log[2].header, header);
    assert_eq!(log[2].entry.payload, append.payload);
    assert_eq!(log[2].entry.salt[..], append.salt);
}

// cites: MSG-002
async fn an_acknowledged_message_is_durable(lab: Lab) {
    let alice = lab.register("alice").await;
    let room = lab.create(alice, "den").await;
    let sent = lab.send(alice, room, "remember").await;
    let before = lab.log(alice.user, room).await;
    let limits = lab.limits;
    let lab = lab.reopen(limits).await;
    assert_eq!(lab.log(alice.user, room).await, before);
    assert_eq!(before.len() as u64, sent.seq);
    assert_eq!(lab.send(alice, room, "go on").await.seq, sent.seq + 1);
}

// cites: MSG-004, MSG-003, IDEM-006
async fn a_retry_is_answered_as_the_first_was(lab: Lab) {
    let alice = lab.register("alice").await;
    let room = lab.create(alice, "den").await;
    let append = lab.message(alice, room, "once");
    let first = lab.store.append(append.clone()).await.must();
    lab.send(alice, room, "something else").await;
    lab.advance(1000);
    let changed = Append { payload: "twice".into(), salt: lab.bytes(), ..append.clone() };
    let limits = lab.limits;
    for retry in [append.clone(), changed.clone()] {
        assert_eq!(lab.store.append(retry).await.must(), first);
    }
    let lab = lab.reopen(limits).await;
    lab.effects();
    for retry in [append, changed] {
        assert_eq!(lab.store.append(retry).await.must(), first);
    }
    assert_eq!(lab.effects(), []);
    assert_eq!(lab.log(alice.user, room).await.len(), 4);
}

// cites: MSG-004, IDEM-006
async fn a_retry_after_leaving_is_still_answered(lab: Lab) {
    let alice = lab.register("alice").await;
    let room = lab.create(alice, "den").await;
    let append = lab.message(alice, room, "goodbye");
    let first = lab.store.append(append.clone()).await.must();
    lab.leave(alice, room).await;
    assert_eq!(lab.store.append(append).await.must(), first);
    let message = lab.message(alice, room, "too late");
    assert_refused!(lab.store.append(message).await, Refused::NotAMember);
}

// cites: MSG-004, IDEM-010
async fn retries_in_one_batch_are_answered_alike(lab: Lab) {
    let alice = lab.register("alice").await;
    let (one, two) = (lab.create(alice, "one").await, lab.create(alice, "two").await);
    let append = lab.message(alice, one, "once");
    let elsewhere = Append { conversation: two, ..append.clone() };
    // Put before the writer can run: one batch.
    let replies = [append.clone(), append.clone(), elsewhere, append].map(|a| lab.store.append(a));
    let [first, second, elsewhere, last] = replies;
    let first = first.await.must();
    assert_eq!(second.await.must(), first);
    assert_refused!(elsewhere.await, Refused::KeyReused);
    assert_eq!(last.await.must(), first);
    assert_eq!(lab.log(alice.user, one).await.len(), 3);
    assert_eq!(lab.log(alice.user, two).await.len(), 2);
}

// cites: IDEM-008, REQ-011
async fn a_refused_message_uses_up_nothing(lab: Lab) {
    let (alice, bob) = (lab.register("alice").await, lab.register("bob").await);
    let room = lab.create(alice, "den").await;
    let append = lab.message(bob, room, "hi");
    // In one batch with its retry, and with the joining in between.
    let refused = [lab.store.append(append.clone()), lab.store.append(append.clone())];
    let joined = lab.store.join(lab.joining(bob, room));
    let accepted = lab.store.append(append);
    for refused in refused {
        assert_refused!(refused.await, Refused::NotAMember);
    }
    joined.await.must();
    assert_eq!(accepted.await.must().seq, 4);
}

// cites: IDEM-010, MSG-004
async fn a_message_id_is_the_devices_own(lab: Lab) {
    let (alice, bob) = (lab.register("alice").await, lab.register("bob").await);
    let (one, two) = (lab.create(alice, "one").await, lab.create(alice, "two").await);
    lab.join(bob, one).await;
    let alices = lab.message(alice, one, "alice's");
    assert_eq!(lab.store.append(alices.clone()).await.must().seq, 4);
    // Bob has seen the id. Alice's message neither blocks his nor answers for it.
    let Actor { user, device } = bob;
    let bobs = Append { user, device, payload: "bob's".into(), ..alices.clone() };
    assert_eq!(lab.store.append(bobs).await.must().seq, 5);
    for conversation in [two, super::ConversationId::new(lab.bytes())] {
        let elsewhere = Append { conversation, ..alices.clone() };
        assert_refused!(lab.store.append(elsewhere).await, Refused::KeyReused);
    }
    assert_eq!(lab.log(alice.user, two).await.len(), 2);
}

// cites: REQ-007, REQ-011, LOG-001
async fn refusals_do_not_spoil_their_neighbours(lab: Lab) {
    let (alice, bob) = (lab.register("alice").await, lab.register("bob").await);
    let room = lab.create(alice, "den").await;
    let mut replies = Vec::new();
    for number in 0..100 {
        let actor = if number % 3 == 0 { bob } else { alice };
        replies.push(lab.store.append(lab.message(actor, room, &number.to_string())));
        if number == 50 {
            drop(lab.store.join(lab.joining(bob, room)));
        }
    }
    let mut accepted = Vec::new();
    for (number, reply) in replies.into_iter().enumerate() {
        match reply.await {
            Ok(sent) => accepted.push((sent.seq, number.to_string())),
            refused => {
                assert_refused!(refused, Refused::NotAMember);
                assert!(number % 3 == 0 && number <= 50);
            }
        }
    }
    let log = lab.log(alice.user, room).await;
    let stored: Vec<_> = log
        .iter()
        .filter(|read| read.header.kind() == v1::EntryKind::Message)
        .map(|read| (read.header.seq, String::from_utf8(read.entry.payload.to_vec()).must()))
        .collect();
    assert_eq!(stored, accepted);
    assert_eq!(log.len(), 2 + 1 + accepted.len());
}
