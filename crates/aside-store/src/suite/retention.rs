//! What is no longer kept.

use aside_proto::{id::ConversationId, v1};

use super::{Actor, Lab, Must as _, assert_refused, list};
use crate::{ListSummaries, Refused, UpdateRoom, suite::search::text};

list![
    the_stricter_of_owners_and_servers_limits_is_in_force,
    what_is_beyond_the_number_goes_at_once,
    what_is_too_old_goes_and_nothing_younger,
    the_last_entry_stays_however_old,
    much_goes_in_parts_and_large_payloads_too,
    the_servers_limits_hold_for_every_log,
    what_is_left_agrees,
    taking_the_limits_away_brings_nothing_back,
    a_message_sent_again_is_answered_as_before,
    answers_are_forgotten_after_the_window,
    a_summary_counts_what_is_kept,
    nobody_is_told_of_what_goes,
];

const HOUR_MS: u64 = 3600 * 1000;

fn limits(max_age_s: u64, max_entries: u64) -> v1::Retention {
    v1::Retention { max_age_s, max_entries }
}

impl Lab {
    pub(super) async fn retain(
        &self,
        who: Actor,
        room: ConversationId,
        max_age_s: u64,
        max_entries: u64,
    ) -> v1::Room {
        let retention = Some(limits(max_age_s, max_entries));
        self.update(UpdateRoom { retention, ..self.updating(who, room) }).await
    }

    /// The seqs of the entries that are kept, after checking them.
    async fn seqs(&self, who: Actor, room: ConversationId) -> Vec<u64> {
        self.kept(who.user, room).await.iter().map(|read| read.header.seq).collect()
    }
}

/// A room in which its owner has said so much.
async fn den(lab: &Lab, messages: usize) -> (Actor, ConversationId) {
    let alice = lab.register("alice").await;
    let room = lab.create(alice, "den").await;
    for number in 0..messages {
        lab.send(alice, room, &number.to_string()).await;
    }
    (alice, room)
}

// cites: RET-001, ROOM-025, ROOM-026
async fn the_stricter_of_owners_and_servers_limits_is_in_force(lab: Lab) {
    let (alice, room) = den(&lab, 0).await;
    assert_eq!(lab.rooms(alice.user).await[1].retention, None);
    assert_eq!(lab.retain(alice, room, 5000, 10).await.retention, Some(limits(5000, 10)));
    assert_eq!(lab.retain(alice, room, 5000, 10).await.head_seq, 3, "nothing has changed");
    let lab = lab.retaining(limits(4000, 20)).await;
    let listed = lab.rooms(alice.user).await;
    assert_eq!(listed[0].retention, Some(limits(4000, 20)), "of the default room");
    assert_eq!(listed[1].retention, Some(limits(4000, 10)));
    let taken_away = lab.retain(alice, room, 0, 0).await;
    assert_eq!((taken_away.retention, taken_away.head_seq), (Some(limits(4000, 20)), 4));
    let told = lab.updates(alice, room).await;
    let told: Vec<_> = told.iter().map(|told| told.retention).collect();
    assert_eq!(told, [Some(limits(5000, 10)), None], "what the owner has set");
}

// cites: RET-003, RET-006
async fn what_is_beyond_the_number_goes_at_once(lab: Lab) {
    let (alice, room) = den(&lab, 6).await;
    assert_eq!(lab.retain(alice, room, 0, 9).await.first_seq, 1, "as many as there are");
    let room_now = lab.retain(alice, room, 0, 3).await;
    assert_eq!((room_now.first_seq, room_now.head_seq), (8, 10));
    assert_eq!(lab.seqs(alice, room).await, [8, 9, 10]);
    // What is said later pushes out what was said before, when the job comes.
    lab.send(alice, room, "on").await;
    assert!(!lab.store.trim().await.must());
    assert_eq!(lab.seqs(alice, room).await, [9, 10, 11]);
}

// cites: RET-003, RET-007
async fn what_is_too_old_goes_and_nothing_younger(lab: Lab) {
    let (alice, room) = den(&lab, 2).await;
    lab.retain(alice, room, 2 * 3600, 0).await;
    lab.advance(HOUR_MS);
    lab.send(alice, room, "an hour later").await;
    lab.advance(HOUR_MS);
    assert!(!lab.store.trim().await.must());
    assert_eq!(lab.seqs(alice, room).await, [1, 2, 3, 4, 5, 6], "two hours to the millisecond");
    lab.advance(1);
    assert!(!lab.store.trim().await.must());
    assert_eq!(lab.seqs(alice, room).await, [6]);
    // A clock that was set back brings nothing back and makes nothing old.
    lab.set_clock(lab.now() - 3 * HOUR_MS);
    lab.send(alice, room, "back then").await;
    assert!(!lab.store.trim().await.must());
    assert_eq!(lab.seqs(alice, room).await, [6, 7]);
}

// cites: RET-003
async fn the_last_entry_stays_however_old(lab: Lab) {
    let (alice, room) = den(&lab, 1).await;
    lab.retain(alice, room, 1, 1).await;
    assert_eq!(lab.seqs(alice, room).await, [4]);
    lab.advance(1000 * HOUR_MS);
    assert!(!lab.store.trim().await.must());
    assert_eq!(lab.seqs(alice, room).await, [4]);
    assert_eq!(lab.send(alice, room, "on").await.seq, 5);
}

// cites: RET-006, RET-007
async fn much_goes_in_parts_and_large_payloads_too(lab: Lab) {
    let (alice, room) = den(&lab, 0).await;
    let said: Vec<_> =
        (0..1300).map(|_| lab.store.append(lab.message(alice, room, "said"))).collect();
    for reply in said {
        reply.await.must();
    }
    let updated = lab.retain(alice, room, 0, 2).await;
    assert_eq!((updated.first_seq, updated.head_seq), (513, 1303), "so many at once");
    assert!(!lab.store.trim().await.must());
    assert_eq!(lab.seqs(alice, room).await, [1302, 1303]);
    // Of large ones an operation takes fewer, and an update as many.
    for _ in 0..150 {
        lab.send(alice, room, &"x".repeat(60_000)).await;
    }
    assert_eq!(lab.retain(alice, room, 0, 1).await.first_seq, 1454);
    assert_eq!(lab.seqs(alice, room).await, [1454]);
}

// cites: RET-001, RET-007
async fn the_servers_limits_hold_for_every_log(lab: Lab) {
    let (alice, room) = den(&lab, 4).await;
    let lobby = lab.lobby().await;
    lab.join(alice, lobby).await;
    let lab = lab.retaining(limits(0, 2)).await;
    assert_eq!(lab.seqs(alice, room).await.len(), 6, "until the job comes");
    assert!(!lab.store.trim().await.must());
    assert_eq!(lab.seqs(alice, room).await, [5, 6]);
    assert_eq!(lab.seqs(alice, lobby).await, [1, 2]);
    // The owner can't keep more.
    assert_eq!(lab.retain(alice, room, 0, 100).await.retention, Some(limits(0, 2)));
    assert_eq!(lab.seqs(alice, room).await, [6, 7]);
}

// cites: RET-008, FETCH-005, FETCH-006, HEAD-002, LOG-010, REDACT-004, PIN-002, PIN-007, SEARCH-012
async fn what_is_left_agrees(lab: Lab) {
    let alice = lab.register("alice").await;
    let den = super::search::Den::new(&lab, alice).await;
    let room = den.room;
    for words in ["old tea", "older tea", "new tea"] {
        den.say(alice, text(words)).await;
    }
    for seq in [3, 5] {
        lab.pin(alice, room, seq, true).await;
    }
    let log = lab.log(alice.user, room).await;
    assert_eq!(den.find(alice.user, "tea").await, [(5, 0), (4, 0), (3, 0)]);
    lab.retain(alice, room, 0, 4).await;
    let anchor = log[3].chain;
    for from in 1..5 {
        let fetched = lab.store.fetch(alice.user, room, from, 10, usize::MAX).await;
        let Err(Refused::Trimmed { first_seq: 5, anchor: told }) = fetched else {
            unreachable!("TRIMMED expected, not {fetched:?}")
        };
        assert_eq!(told, anchor);
    }
    let head = lab.store.head(alice.user, room).await.must();
    assert_eq!((head.first_seq, head.anchor, head.head_seq), (5, anchor, 8));
    let kept = lab.kept(alice.user, room).await;
    assert_eq!(kept[..3], log[4..]);
    assert_eq!(lab.pins(alice, room).await, [(5, 7)]);
    assert_eq!(den.find(alice.user, "tea").await, [(5, 0)]);
    assert_refused!(lab.store.redact(lab.redacting(alice, room, &[4])).await, Refused::NoSuchEntry);
    let pinning = lab.pinning(alice, room, 3, true);
    assert_refused!(lab.store.set_pin(pinning).await, Refused::NoSuchEntry);
}

// cites: RET-004
async fn taking_the_limits_away_brings_nothing_back(lab: Lab) {
    let (alice, room) = den(&lab, 4).await;
    lab.retain(alice, room, 0, 2).await;
    let anchor = lab.store.head(alice.user, room).await.must().anchor;
    for (max_age_s, max_entries) in [(0, 100), (0, 0)] {
        assert_eq!(lab.retain(alice, room, max_age_s, max_entries).await.first_seq, 6);
    }
    let limits = lab.limits;
    let lab = lab.reopen(limits).await;
    let head = lab.store.head(alice.user, room).await.must();
    assert_eq!((head.first_seq, head.anchor), (6, anchor));
    assert_eq!(lab.seqs(alice, room).await, [6, 7, 8, 9]);
}

// cites: RET-010, IDEM-007, IDEM-010, REDACT-008
async fn a_message_sent_again_is_answered_as_before(lab: Lab) {
    let (alice, room) = den(&lab, 0).await;
    let other = lab.create(alice, "other").await;
    let sent = [lab.message(alice, room, "one"), lab.message(alice, room, "two")];
    let mut answers = Vec::new();
    for append in &sent {
        answers.push(lab.store.append(append.clone()).await.must());
    }
    lab.store.redact(lab.redacting(alice, room, &[answers[1].seq])).await.must();
    lab.retain(alice, room, 0, 1).await;
    assert_eq!(lab.seqs(alice, room).await, [6]);
    let limits = lab.limits;
    let lab = lab.reopen(limits).await;
    for (append, answer) in sent.iter().zip(&answers) {
        assert_eq!(&lab.store.append(append.clone()).await.must(), answer);
    }
    let elsewhere = crate::Append { conversation: other, ..sent[0].clone() };
    assert_refused!(lab.store.append(elsewhere).await, Refused::KeyReused);
    let leave = crate::Leave { key: sent[0].message_id, ..lab.leaving(alice, room) };
    assert_refused!(lab.store.leave(leave).await, Refused::KeyReused);
    assert_eq!(lab.seqs(alice, room).await, [6], "nothing came back");
}

// cites: RET-010, IDEM-005
async fn answers_are_forgotten_after_the_window(lab: Lab) {
    let (alice, room) = den(&lab, 0).await;
    let window_ms = lab.limits.idempotency_window_s * 1000;
    let [old, young] = ["old", "young"].map(|text| lab.message(alice, room, text));
    let answers =
        (lab.store.append(old.clone()).await.must(), lab.store.append(young.clone()).await.must());
    lab.retain(alice, room, 0, 1).await;
    lab.advance(window_ms);
    lab.store.prune().await.must();
    assert_eq!(lab.store.append(old.clone()).await.must(), answers.0);
    assert_eq!(lab.store.append(young).await.must(), answers.1);
    // No server lets such an id through to its store any more; the store has forgotten it.
    lab.advance(2 * HOUR_MS);
    assert!(lab.store.prune().await.must() >= 2);
    assert_eq!(lab.store.append(old).await.must().seq, 6);
}

// cites: RET-009
async fn a_summary_counts_what_is_kept(lab: Lab) {
    let (alice, room) = den(&lab, 0).await;
    let bob = lab.register("bob").await;
    lab.join(bob, room).await;
    for text in ["four", "five", "six"] {
        lab.send(alice, room, text).await;
    }
    let list = ListSummaries { page_size: 9, max_bytes: usize::MAX, ..ListSummaries::default() };
    let summary = async || {
        let mut summaries = lab.store.list_summaries(bob.user, &list).await.must().summaries;
        summaries.pop().expect("one conversation")
    };
    let before = summary().await;
    assert_eq!(before.unread, 3);
    lab.retain(alice, room, 0, 3).await;
    let after = summary().await;
    assert_eq!((after.unread, &after.last_message), (2, &before.last_message));
    assert_eq!(after.watermark, before.watermark);
    lab.retain(alice, room, 0, 1).await;
    let after = summary().await;
    assert_eq!((after.unread, after.last_message), (0, None));
    assert_eq!(after.watermark, before.watermark);
}

// cites: RET-009
async fn nobody_is_told_of_what_goes(lab: Lab) {
    let (alice, room) = den(&lab, 4).await;
    lab.retain(alice, room, 0, 5).await;
    lab.send(alice, room, "on").await;
    lab.effects();
    assert!(!lab.store.trim().await.must());
    assert_eq!(lab.seqs(alice, room).await.len(), 5);
    assert_eq!(lab.effects(), []);
}
