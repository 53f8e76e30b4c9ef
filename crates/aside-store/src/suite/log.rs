//! What every log is. `Lab::log` checks the rest of it for each log that any test reads.

use aside_proto::v1;

use super::{Lab, Must as _, list};

list![a_log_is_dense_and_chained, times_never_go_back, an_entry_never_changes, salts_are_fresh];

// cites: LOG-001, LOG-004, LOG-010, LOG-012, HEAD-002
async fn a_log_is_dense_and_chained(lab: Lab) {
    let (alice, bob) = (lab.register("alice").await, lab.register("bob").await);
    let rooms = [lab.create(alice, "one").await, lab.create(bob, "two").await];
    for room in rooms {
        lab.join(alice, room).await;
        lab.join(bob, room).await;
    }
    let mut replies = Vec::new();
    for number in 0..300 {
        let actor = if number % 3 == 0 { alice } else { bob };
        let text = format!("message {number}");
        replies.push(lab.store.append(lab.message(actor, rooms[number % 2], &text)));
    }
    let mut seqs = [3, 3];
    for (number, reply) in replies.into_iter().enumerate() {
        let room = number % 2;
        seqs[room] += 1;
        assert_eq!(reply.await.must().seq, seqs[room], "in the order of the calls");
    }
    for room in rooms {
        let log = lab.log(alice.user, room).await;
        assert_eq!(log.len(), 153);
    }
}

// cites: LOG-004
async fn times_never_go_back(lab: Lab) {
    let alice = lab.register("alice").await;
    let (one, two) = (lab.create(alice, "one").await, lab.create(alice, "two").await);
    lab.advance(5000);
    let late = lab.now();
    assert_eq!(lab.send(alice, one, "late").await.time_ms, late);
    lab.set_clock(late - 4000);
    let early = lab.now();
    assert_eq!(lab.send(alice, one, "set back").await.time_ms, late);
    assert_eq!(lab.send(alice, two, "elsewhere").await.time_ms, early);
    lab.leave(alice, one).await;
    let limits = lab.limits;
    let lab = lab.reopen(limits).await;
    lab.join(alice, one).await;
    let times: Vec<_> =
        lab.log(alice.user, one).await.iter().map(|read| read.header.time_ms).collect();
    assert_eq!(times[2..], [late; 4]);
}

// cites: LOG-002, LOG-003
async fn an_entry_never_changes(lab: Lab) {
    let (alice, bob) = (lab.register("alice").await, lab.register("bob").await);
    let room = lab.create(alice, "den").await;
    lab.join(bob, room).await;
    lab.send(alice, room, "hello").await;
    let before = lab.log(alice.user, room).await;
    lab.store.rename(lab.renaming(alice, "alicia")).await.must();
    lab.send(bob, room, "hello").await;
    lab.leave(alice, room).await;
    let limits = lab.limits;
    let lab = lab.reopen(limits).await;
    let after = lab.log(bob.user, room).await;
    assert_eq!(after[..before.len()], before);
    assert_eq!(after.len(), before.len() + 3);
}

// cites: LOG-007
async fn salts_are_fresh(lab: Lab) {
    let alice = lab.register("alice").await;
    let room = lab.create(alice, "den").await;
    for _ in 0..3 {
        lab.leave(alice, room).await;
        lab.join(alice, room).await;
    }
    let log = lab.log(alice.user, room).await;
    assert!(log.iter().all(|read| read.header.kind() != v1::EntryKind::Message));
    let mut salts: Vec<_> = log.iter().map(|read| read.entry.salt.clone()).collect();
    salts.sort_unstable();
    salts.dedup();
    assert_eq!(salts.len(), log.len());
}
