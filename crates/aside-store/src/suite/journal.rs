//! The journal: order, durability, bounds, closing.

use std::{pin::pin, sync::Arc};

use futures_util::FutureExt as _;

use super::{Lab, Must as _, assert_refused, list};
use crate::{Effect, Observer, Options, Refused, Store, StoreError};

list![
    requests_take_effect_in_the_order_of_the_calls,
    observers_know_before_anyone_is_answered,
    a_request_whose_answer_nobody_awaits_takes_effect,
    a_full_journal_asks_to_wait_and_then_refuses,
    closing_writes_what_was_accepted,
    a_dropped_store_writes_what_was_accepted,
    a_database_has_one_store,
    a_writer_that_breaks_is_noticed,
];

/// One payload of which eight make more than a batch.
const MEBIBYTE: usize = 1024 * 1024;

// cites: REQ-007
async fn requests_take_effect_in_the_order_of_the_calls(lab: Lab) {
    let (alice, bob) = (lab.register("alice").await, lab.register("bob").await);
    let room = lab.create(alice, "den").await;
    let said = |text: &str| lab.store.append(lab.message(bob, room, text));
    let early = said("before joining");
    let joined = lab.store.join(lab.joining(bob, room));
    let first = said("first");
    let renamed = lab.store.rename(lab.renaming(bob, "bobby"));
    let second = said("second");
    let left = lab.store.leave(lab.leaving(bob, room));
    let late = said("after leaving");
    // Awaited backwards.
    assert_refused!(late.await, Refused::NotAMember);
    left.await.must();
    assert_eq!(second.await.must().seq, 6);
    renamed.await.must();
    assert_eq!(first.await.must().seq, 4);
    assert_eq!(joined.await.must().room.expect("a room").head_seq, 3);
    assert_refused!(early.await, Refused::NotAMember);
    assert_eq!(lab.log(alice.user, room).await.len(), 7);
}

// cites: PUSH-006, PUSH-007
async fn observers_know_before_anyone_is_answered(lab: Lab) {
    let alice = lab.register("alice").await;
    let room = lab.create(alice, "den").await;
    for number in 0..20 {
        lab.effects();
        let sent = lab.send(alice, room, &number.to_string()).await;
        let effects = lab.effects();
        let entry = lab
            .store
            .fetch(alice.user, room, sent.seq, 1, usize::MAX)
            .await
            .must()
            .entries
            .remove(0);
        assert_eq!(effects, [Effect::Appended { conversation: room, seq: sent.seq, entry }]);
    }
}

// cites: CLOSE-003
async fn a_request_whose_answer_nobody_awaits_takes_effect(lab: Lab) {
    let alice = lab.register("alice").await;
    let room = lab.create(alice, "den").await;
    drop(lab.store.append(lab.message(alice, room, "unheard")));
    assert_eq!(lab.send(alice, room, "heard").await.seq, 4);
}

async fn a_full_journal_asks_to_wait_and_then_refuses(lab: Lab) {
    let alice = lab.register("alice").await;
    let room = lab.create(alice, "den").await;
    let large = "x".repeat(MEBIBYTE);
    // The writer shares this thread: until the test waits, nothing is written.
    assert!(lab.store.ready().now_or_never().is_some());
    let mut accepted = Vec::new();
    for _ in 0..8 {
        accepted.push(lab.store.append(lab.message(alice, room, &large)));
    }
    assert!(lab.store.ready().now_or_never().is_none(), "a batch is waiting");
    let refused = loop {
        let mut reply = lab.store.append(lab.message(alice, room, &large));
        match (&mut reply).now_or_never() {
            None => accepted.push(reply),
            Some(answer) => break answer,
        }
        assert!(accepted.len() < 100, "the journal has no bound");
    };
    assert_refused!(refused, Refused::Busy);
    lab.store.ready().await;
    for (number, reply) in accepted.into_iter().enumerate() {
        assert_eq!(reply.await.must().seq, number as u64 + 3);
    }
    lab.send(alice, room, "room again").await;
}

// cites: MSG-002
async fn closing_writes_what_was_accepted(lab: Lab) {
    let alice = lab.register("alice").await;
    let room = lab.create(alice, "den").await;
    let replies = [0; 20].map(|_| lab.store.append(lab.message(alice, room, "in time")));
    lab.store.close().await;
    let late = lab.store.append(lab.message(alice, room, "too late")).await;
    assert_refused!(late, Refused::Failed(StoreError::Closed));
    let read = lab.store.log_keys().await;
    assert!(matches!(read, Err(StoreError::Closed)), "{read:?}");
    for reply in replies {
        reply.await.must();
    }
    let limits = lab.limits;
    let lab = lab.reopen(limits).await;
    assert_eq!(lab.log(alice.user, room).await.len(), 22);
}

// cites: MSG-002
async fn a_dropped_store_writes_what_was_accepted(lab: Lab) {
    let alice = lab.register("alice").await;
    let room = lab.create(alice, "den").await;
    let replies = [0; 20].map(|_| lab.store.append(lab.message(alice, room, "in time")));
    drop(lab);
    for (number, reply) in replies.into_iter().enumerate() {
        assert_eq!(reply.await.must().seq, number as u64 + 3);
    }
}

// cites: HEAD-006
async fn a_database_has_one_store(lab: Lab) {
    let options = lab.options();
    let second = Store::open(&lab.url, options.clone()).await;
    let error = second.err().expect("refused");
    assert!(matches!(error, StoreError::InUse(_)), "{error}");
    lab.register("alice").await;
    lab.store.close().await;
    let second = Store::open(&lab.url, options).await.must();
    second.close().await;
}

struct Broken;

impl Observer for Broken {
    fn committed(&self, _: &[Effect]) {
        unreachable!("as a mistake in the program would");
    }
}

async fn a_writer_that_breaks_is_noticed(lab: Lab) {
    let alice = lab.register("alice").await;
    let mut closed = pin!(lab.store.failed());
    lab.store.close().await;
    assert!(closed.as_mut().now_or_never().is_none(), "it was asked to end");
    assert!(lab.store.failed().now_or_never().is_none());

    let options = Options { observer: Arc::new(Broken), ..lab.options() };
    let store = Store::open(&lab.url, options).await.must();
    let mut failed = pin!(store.failed());
    assert!(failed.as_mut().now_or_never().is_none());
    let created = store.create_room(lab.creation(alice, "den")).await;
    assert_refused!(created, Refused::Failed(StoreError::Closed));
    failed.await;
    store.failed().await;
    store.ready().await;
    let created = store.create_room(lab.creation(alice, "den")).await;
    assert_refused!(created, Refused::Failed(StoreError::Closed));
    store.close().await;
    store.failed().await;
}
