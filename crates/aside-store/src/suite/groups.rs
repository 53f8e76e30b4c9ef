//! MLS groups: their epochs, their messages, and how they begin anew.

use aside_crypto::direct_id;
use aside_proto::{
    private::Epoch,
    v1::{self, EntryKind},
};

use super::{
    Actor, Lab, Must as _, assert_refused, list,
    private::{kinds, last, leaf},
};
use crate::{Effect, ListSummaries, Refused, ReportForkCheck, SendPrivate};

list![
    a_commit_takes_a_group_on,
    of_two_commits_one_is_taken,
    what_a_commit_may_not_do,
    a_refused_commit_leaves_no_trace,
    messages_are_taken_at_the_present_epoch,
    messages_of_a_batch_are_judged_together,
    a_group_is_reset_after_a_rejection,
    who_is_no_owner_puts_nobody_out,
    an_owner_leaves_out_whom_it_likes,
    an_owner_without_a_leaf_begins_anew,
    without_a_leaf_of_an_owner_any_leaf_begins_anew,
    a_group_without_leaves_is_begun_anew,
    an_external_commit_brings_its_own_device,
    nobody_brings_in_a_user_who_has_no_leaf,
    an_external_commit_leaves_what_is_cut_off,
    forks_are_told,
];

// cites: DS-001, DS-003, DS-010, DS-011, DS-019, DS-041, INBOX-001, PRIV-008, PRIV-009
async fn a_commit_takes_a_group_on(lab: Lab) {
    let (alice, bob) = (lab.approved("alice").await, lab.approved("bob").await);
    let carol = lab.approved("carol").await;
    let group = lab.group(alice).await;
    assert_eq!(lab.info(alice, group).await, v1::GroupInfo::default());
    lab.effects();
    let establish = lab.establishing(alice, group, (1, 1), &[alice, bob]);
    let established = lab.store.establish_group(establish.clone()).await.must();
    assert_eq!((established.seq, established.generation), (2, 1));
    assert_eq!(lab.store.establish_group(establish.clone()).await.must(), established, "a retry");
    let log = lab.log(bob.user, group).await;
    let conversation = group;
    let seated =
        |actor: Actor| Effect::LeafAdded { device: actor.device, conversation, members: 2 };
    assert_eq!(
        lab.effects(),
        [
            Effect::JoinedPrivate { user: bob.user, conversation, members: 2 },
            seated(alice),
            seated(bob),
            Effect::Appended { conversation, seq: 2, entry: log[1].entry.clone() },
            Effect::InboxItem { device: bob.device, position: 1, conversation },
        ]
    );
    assert_eq!(log[1].entry.payload, establish.header);

    let commit = lab.commit(alice, group, 1, (&[carol], &[bob]));
    let committed = lab.store.submit_commit(commit.clone()).await.must();
    assert_eq!((committed.seq, committed.generation, committed.epoch), (3, 1, 2));
    assert_eq!(lab.store.submit_commit(commit.clone()).await.must(), committed, "a retry");
    let effects = lab.effects();
    assert_eq!(effects[0], Effect::JoinedPrivate { user: carol.user, conversation, members: 3 });
    let at = |kind: fn(&Effect) -> bool| effects.iter().position(kind).expect("there is one");
    assert!(
        at(|e| matches!(e, Effect::LeafAdded { .. }))
            < at(|e| matches!(e, Effect::Appended { .. }))
            && at(|e| matches!(e, Effect::Appended { .. }))
                < at(|e| matches!(e, Effect::LeafRemoved { .. }))
    );
    assert!(effects.contains(&Effect::Left { user: bob.user, conversation, members: 2 }));
    assert_refused!(lab.store.head(bob.user, group).await, Refused::NoSuchConversation);

    let log = lab.log(carol.user, group).await;
    assert_eq!(log[2].entry.payload, commit.payload);
    assert_eq!(log[2].header.message_id, commit.key.to_bytes());
    let info = lab.info(carol, group).await;
    assert_eq!((info.generation, info.epoch, info.suite), (1, 2, 2));
    assert_eq!(info.group_info, "info at 2");
    let mut leaves = vec![v1::Leaf::from(leaf(alice)), v1::Leaf::from(leaf(carol))];
    leaves.sort_unstable_by(|a, b| a.device_id.cmp(&b.device_id));
    assert_eq!((info.leaves, info.pending_removals), (leaves, vec![]));
    let waiting = lab.waiting(carol).await;
    assert_eq!((waiting.len(), waiting[0].seq, waiting[0].epoch), (1, 3, 2));
}

// cites: DS-004, DS-011
async fn of_two_commits_one_is_taken(lab: Lab) {
    let (alice, bob) = (lab.approved("alice").await, lab.approved("bob").await);
    let group = lab.group(alice).await;
    let two = [(); 2].map(|()| {
        let establish = lab.establishing(alice, group, (1, 1), &[alice, bob]);
        lab.store.establish_group(establish)
    });
    let [first, second] = two;
    first.await.must();
    let at = Epoch { generation: 1, epoch: 1 };
    assert!(matches!(second.await,
        Err(Refused::WrongEpoch { at: now, head_seq: 2 }) if now == at));
    let two = [alice, bob].map(|by| lab.store.submit_commit(lab.commit(by, group, 1, (&[], &[]))));
    let [first, second] = two;
    first.await.must();
    let at = Epoch { generation: 1, epoch: 2 };
    assert!(matches!(second.await,
        Err(Refused::WrongEpoch { at: now, head_seq: 3 }) if now == at));
    let mut other = lab.commit(alice, group, 2, (&[], &[]));
    other.plan.base.generation = 2;
    assert_refused!(lab.store.submit_commit(other).await, Refused::WrongEpoch { .. });
    let bare = lab.group(alice).await;
    let mut early = lab.commit(alice, bare, 0, (&[], &[]));
    early.plan.base.generation = 0;
    assert_refused!(lab.store.submit_commit(early).await, Refused::WrongEpoch { .. });
}

// cites: DS-005, DS-012, DS-014, DS-015, DS-016, DS-017
async fn what_a_commit_may_not_do(lab: Lab) {
    let lab = lab.limited(|limits| limits.max_leaves = 3).await;
    let (alice, bob) = (lab.approved("alice").await, lab.approved("bob").await);
    let (carol, dave) = (lab.approved("carol").await, lab.approved("dave").await);
    let eve = lab.register("eve").await;
    let group = lab.established(alice, &[bob]).await;
    let phone = lab.second(alice).await;
    let commit =
        |by, added: &[Actor], removed: &[Actor]| lab.commit(by, group, 1, (added, removed));
    let mismatch = |answer| assert_refused!(answer, Refused::RosterMismatch);
    let store = &lab.store;
    mismatch(store.submit_commit(commit(alice, &[bob], &[])).await);
    mismatch(store.submit_commit(commit(alice, &[], &[carol])).await);
    mismatch(store.submit_commit(commit(alice, &[], &[alice])).await);
    let mut unwelcome = commit(alice, &[carol], &[]);
    unwelcome.welcomes.clear();
    mismatch(store.submit_commit(unwelcome).await);
    let mut too_welcome = commit(alice, &[carol], &[]);
    too_welcome.welcomes[0].devices.push(dave.device);
    mismatch(store.submit_commit(too_welcome).await);
    let none = store.submit_commit(commit(phone, &[], &[])).await;
    assert_refused!(none, Refused::NotInGroup);
    let many = store.submit_commit(commit(alice, &[carol, dave], &[])).await;
    assert_refused!(many, Refused::TooManyLeaves);
    let unapproved = store.submit_commit(commit(alice, &[carol, eve], &[bob])).await;
    assert!(matches!(unapproved,
        Err(Refused::DeviceNotApproved { devices }) if devices == [leaf(eve)]));
    let of_another = Actor { user: bob.user, device: carol.device };
    let unapproved = store.submit_commit(commit(alice, &[of_another], &[])).await;
    assert_refused!(unapproved, Refused::DeviceNotApproved { .. });
    let other = lab.group(alice).await;
    let without = lab.establishing(alice, other, (1, 1), &[bob]);
    mismatch(store.establish_group(without).await.map(|_| v1::Committed::default()));
}

// cites: DS-019
async fn a_refused_commit_leaves_no_trace(lab: Lab) {
    let lab = lab.limited(|limits| limits.max_groups_per_user = 1).await;
    let (alice, bob) = (lab.approved("alice").await, lab.approved("bob").await);
    let carol = lab.approved("carol").await;
    lab.group(carol).await;
    let group = lab.established(alice, &[]).await;
    let before = (lab.info(alice, group).await, lab.log(alice.user, group).await);
    lab.effects();
    // Bob could come, Carol is in as many conversations as may be.
    let commit = lab.commit(alice, group, 1, (&[bob, carol], &[]));
    assert_refused!(lab.store.submit_commit(commit).await, Refused::TooManyRooms);
    assert_eq!(lab.effects(), []);
    assert_eq!((lab.info(alice, group).await, lab.log(alice.user, group).await), before);
    assert_eq!(lab.waiting(bob).await, []);
    assert_refused!(lab.store.head(bob.user, group).await, Refused::NoSuchConversation);
}

// cites: DS-030, DS-032, IDEM-010, MSG-004
async fn messages_are_taken_at_the_present_epoch(lab: Lab) {
    let (alice, bob) = (lab.approved("alice").await, lab.approved("bob").await);
    let group = lab.established(alice, &[bob]).await;
    let phone = lab.second(alice).await;
    let message = lab.private(alice, group, 1);
    let sent = lab.store.send_private(message.clone()).await.must();
    let log = lab.log(bob.user, group).await;
    assert_eq!((sent.seq, kinds(&log)[2]), (3, EntryKind::PrivateMessage));
    assert_eq!(
        (&log[2].entry.payload, &log[2].entry.salt[..]),
        (&message.payload, &message.salt[..])
    );
    assert!(log[2].header.signature.is_empty());
    lab.store.submit_commit(lab.commit(bob, group, 1, (&[], &[]))).await.must();
    assert_eq!(lab.store.send_private(message.clone()).await.must(), sent, "a retry");
    for epoch in [1, 3] {
        let answer = lab.store.send_private(lab.private(alice, group, epoch)).await;
        let at = Epoch { generation: 1, epoch: 2 };
        assert!(matches!(answer, Err(Refused::StaleEpoch { at: now, head_seq: 4 }) if now == at));
    }
    let answer = lab.store.send_private(lab.private(phone, group, 2)).await;
    assert_refused!(answer, Refused::NotInGroup);
    let other = lab.established(alice, &[]).await;
    let reused = SendPrivate { conversation: other, ..message.clone() };
    assert_refused!(lab.store.send_private(reused).await, Refused::KeyReused);

    let list =
        ListSummaries { private: true, page_size: 9, max_bytes: usize::MAX, ..Default::default() };
    let summaries = lab.store.list_summaries(bob.user, &list).await.must().summaries;
    assert_eq!((summaries[0].unread, summaries[0].last_message.as_ref()), (1, Some(&log[2].entry)));
    let by_bob = lab.store.redact(lab.redacting(bob, group, &[3])).await;
    assert_refused!(by_bob, Refused::NotPermitted);
    lab.store.redact(lab.redacting(phone, group, &[3])).await.must();
    let log = lab.log(bob.user, group).await;
    assert!(log[2].entry.payload.is_empty());
}

// cites: DS-030, DS-033
async fn messages_of_a_batch_are_judged_together(lab: Lab) {
    let (alice, bob) = (lab.approved("alice").await, lab.approved("bob").await);
    let group = lab.established(alice, &[bob]).await;
    let one = lab.private(alice, group, 1);
    let run = [
        lab.store.send_private(one.clone()),
        lab.store.send_private(lab.private(bob, group, 1)),
        lab.store.send_private(one),
        lab.store.send_private(lab.private(bob, group, 7)),
    ];
    let mut answers = Vec::new();
    for reply in run {
        answers.push(reply.await);
    }
    let seqs: Vec<_> = answers.iter().flatten().map(|sent| sent.seq).collect();
    assert_eq!(seqs, [3, 4, 3]);
    assert_refused!(answers.remove(3), Refused::StaleEpoch { head_seq: 4, .. });
    assert_eq!(lab.log(alice.user, group).await.len(), 4);
}

// cites: DS-020, DS-021, DS-022, DS-023, DS-025
async fn a_group_is_reset_after_a_rejection(lab: Lab) {
    let (alice, bob) = (lab.approved("alice").await, lab.approved("bob").await);
    let carol = lab.approved("carol").await;
    let group = lab.established(alice, &[bob, carol]).await;
    let everyone = [alice, bob, carol];
    let reset = |by, head_seq, leaves: &[Actor]| lab.establishing(by, group, (2, head_seq), leaves);
    let refused = lab.store.establish_group(reset(alice, 2, &everyone)).await;
    assert_refused!(refused, Refused::ResetNotAllowed);

    lab.store.submit_commit(lab.commit(bob, group, 1, (&[], &[]))).await.must();
    for seq in [1, 4, 9] {
        let refused = lab.store.reject_commit(lab.rejecting(carol, group, seq)).await;
        assert_refused!(refused, Refused::NoSuchEntry);
    }
    assert_eq!(lab.store.reject_commit(lab.rejecting(carol, group, 3)).await.must().seq, 4);
    assert_eq!(lab.store.reject_commit(lab.rejecting(carol, group, 3)).await.must().seq, 0);
    let log = lab.log(alice.user, group).await;
    assert_eq!(last::<v1::CommitRejectedPayload>(&log).seq, 3);
    // Nothing is blocked by it.
    lab.store.send_private(lab.private(carol, group, 2)).await.must();
    let refused = lab.store.establish_group(reset(carol, 5, &everyone)).await;
    assert_refused!(refused, Refused::ResetNotAllowed);
    for (leaves, culprit) in [(&[alice, bob][..], carol), (&everyone, bob)] {
        let mut wrong = reset(alice, 5, leaves);
        wrong.plan.culprit = Some(leaf(culprit));
        assert_refused!(lab.store.establish_group(wrong).await, Refused::RosterMismatch);
    }
    let mut without = reset(alice, 5, &[alice, carol]);
    without.plan.culprit = Some(leaf(bob));
    assert_eq!(lab.store.establish_group(without).await.must().generation, 2);
    let info = lab.info(carol, group).await;
    assert_eq!((info.generation, info.epoch, info.leaves.len()), (2, 1, 2));
    assert_refused!(lab.store.head(bob.user, group).await, Refused::NoSuchConversation);
    // What was rejected before permits nothing now.
    let again = lab.establishing(alice, group, (3, 6), &[alice, carol]);
    assert_refused!(lab.store.establish_group(again).await, Refused::ResetNotAllowed);
    let members = lab.roles(carol.user, group).await.len();
    assert_eq!(members, 2, "Bob was put out, nobody else");
}

// cites: DS-022, DS-023, PRIV-016
async fn who_is_no_owner_puts_nobody_out(lab: Lab) {
    let (alice, bob) = (lab.approved("alice").await, lab.approved("bob").await);
    let (carol, dave) = (lab.approved("carol").await, lab.approved("dave").await);
    let group = lab.established(alice, &[bob, carol, dave]).await;
    let everyone = [alice, bob, carol, dave];
    let reset = |by, at, leaves: &[Actor], culprit: Option<Actor>| {
        let mut establish = lab.establishing(by, group, at, leaves);
        establish.plan.culprit = culprit.map(leaf);
        lab.store.establish_group(establish)
    };
    let reject = |by, seq| lab.store.reject_commit(lab.rejecting(by, group, seq));
    // Dave's commit alone permits it to owners only.
    lab.store.submit_commit(lab.commit(dave, group, 1, (&[], &[]))).await.must();
    reject(bob, 3).await.must();
    let early = reset(bob, (2, 4), &everyone, None).await;
    assert_refused!(early, Refused::ResetNotAllowed);
    // The owner's does to any, but nobody gets rid of the owner by it.
    reject(bob, 2).await.must();
    for (leaves, culprit) in [
        (&[bob, carol, dave][..], Some(alice)),
        (&[bob, carol, dave], None),
        (&[bob, carol], Some(dave)),
        (&everyone, Some(dave)),
        (&[alice, bob, dave], Some(carol)),
    ] {
        let refused = reset(bob, (2, 5), leaves, culprit).await;
        assert_refused!(refused, Refused::RosterMismatch);
    }
    lab.effects();
    reset(bob, (2, 5), &[alice, bob, carol], Some(dave)).await.must();
    let gone = Effect::LeafRemoved { device: dave.device, conversation: group };
    let effects = lab.effects();
    assert!(effects.contains(&gone));
    assert!(!effects.iter().any(|effect| matches!(effect, Effect::Left { .. })));
    let roles = lab.roles(dave.user, group).await;
    assert_eq!(roles.len(), 4, "a culprit stays a member");
    assert!(roles.contains(&(alice.user, v1::Role::Owner)));
    // It can't do so again before the owner has made another commit; the owner can put it out.
    reject(bob, 6).await.must();
    let again = reset(bob, (3, 7), &[alice, bob, carol], None).await;
    assert_refused!(again, Refused::ResetNotAllowed);
    reset(alice, (3, 7), &[alice, carol], Some(bob)).await.must();
    assert_refused!(lab.store.head(bob.user, group).await, Refused::NoSuchConversation);
    assert_eq!(lab.roles(dave.user, group).await.len(), 3);
}

// cites: DS-023, PRIV-016
async fn an_owner_leaves_out_whom_it_likes(lab: Lab) {
    let (alice, bob) = (lab.approved("alice").await, lab.approved("bob").await);
    let (carol, dave) = (lab.approved("carol").await, lab.approved("dave").await);
    let group = lab.established(alice, &[bob, carol]).await;
    lab.store.submit_commit(lab.commit(bob, group, 1, (&[], &[]))).await.must();
    lab.store.reject_commit(lab.rejecting(alice, group, 3)).await.must();
    let reset = |leaves: &[Actor]| {
        lab.store.establish_group(lab.establishing(alice, group, (2, 4), leaves))
    };
    for others in [&[dave][..], &[bob, dave]] {
        let leaves = [&[alice], others].concat();
        assert_refused!(reset(&leaves).await, Refused::RosterMismatch);
    }
    reset(&[alice, bob]).await.must();
    // Carol has no leaf, and is a member as before.
    assert_eq!(lab.roles(carol.user, group).await.len(), 3);
    let mut back = lab.commit(alice, group, 1, (&[carol], &[]));
    back.plan.base.generation = 2;
    lab.store.submit_commit(back).await.must();
}

// cites: DS-022, DS-023
async fn an_owner_without_a_leaf_begins_anew(lab: Lab) {
    let (alice, bob) = (lab.approved("alice").await, lab.approved("bob").await);
    let carol = lab.approved("carol").await;
    let group = lab.established(alice, &[bob, carol]).await;
    let phone = lab.second(alice).await;
    let (tablet, reset) = (lab.second(bob).await, |by, head_seq, leaves: &[Actor]| {
        lab.store.establish_group(lab.establishing(by, group, (2, head_seq), leaves))
    });
    let others = [phone, bob, carol];
    assert_refused!(reset(phone, 2, &others).await, Refused::NotInGroup);
    lab.approve(phone, &[phone]).await;
    assert_refused!(reset(tablet, 3, &[tablet, bob, carol]).await, Refused::NotInGroup);
    assert_refused!(reset(phone, 3, &[phone, alice, bob, carol]).await, Refused::RosterMismatch);
    reset(phone, 3, &others).await.must();
    assert_eq!(lab.info(phone, group).await.leaves.len(), 3);
    assert_eq!(lab.info(phone, group).await.pending_removals, []);
}

// cites: DS-022, DS-023
async fn without_a_leaf_of_an_owner_any_leaf_begins_anew(lab: Lab) {
    let (alice, bob) = (lab.approved("alice").await, lab.approved("bob").await);
    let (carol, dave) = (lab.approved("carol").await, lab.approved("dave").await);
    let group = lab.established(alice, &[bob, carol, dave]).await;
    lab.store.set_role(lab.role(alice, group, dave.user, v1::Role::Owner)).await.must();
    let phone = lab.second(alice).await;
    lab.approve(phone, &[phone]).await;
    let commit = lab.commit(bob, group, 1, (&[], &[alice]));
    lab.store.submit_commit(commit).await.must();
    lab.store.reject_commit(lab.rejecting(carol, group, 5)).await.must();
    let reset = |by, head_seq, leaves: &[Actor], culprit| {
        let mut establish = lab.establishing(by, group, (2, head_seq), leaves);
        establish.plan.culprit = Some(leaf(culprit));
        lab.store.establish_group(establish)
    };
    // There is a leaf of the other owner, which has made no such entry.
    let early = reset(carol, 6, &[carol, dave], bob).await;
    assert_refused!(early, Refused::ResetNotAllowed);
    lab.store.set_role(lab.role(phone, group, dave.user, v1::Role::Member)).await.must();
    reset(carol, 7, &[carol, dave], bob).await.must();
    assert_eq!(lab.roles(bob.user, group).await.len(), 4);
}

// cites: DS-024
async fn a_group_without_leaves_is_begun_anew(lab: Lab) {
    let (alice, bob) = (lab.approved("alice").await, lab.approved("bob").await);
    let phone = lab.second(alice).await;
    lab.store.open_direct(lab.opening(alice, bob.user)).await.must();
    let direct = direct_id(alice.user, bob.user);
    let first = lab.establishing(alice, direct, (1, 1), &[alice]);
    lab.store.establish_group(first).await.must();
    let early = lab.establishing(phone, direct, (2, 2), &[phone, bob]);
    assert_refused!(lab.store.establish_group(early.clone()).await, Refused::NotInGroup);
    lab.approve(phone, &[phone]).await;
    let mut again = early;
    (again.key, again.plan.head_seq) = (lab.key(), 3);
    assert_eq!(lab.store.establish_group(again).await.must().generation, 2);
    assert_eq!(lab.info(bob, direct).await.leaves.len(), 2);
}

// cites: DS-018
async fn an_external_commit_brings_its_own_device(lab: Lab) {
    let (alice, bob) = (lab.approved("alice").await, lab.approved("bob").await);
    let eve = lab.approved("eve").await;
    let group = lab.established(alice, &[bob]).await;
    let phone = lab.second(bob).await;
    let external = |by, epoch, added: &[Actor], removed: &[Actor]| {
        let mut commit = lab.external(by, group, (1, epoch), removed);
        commit.plan.added = added.iter().copied().map(leaf).collect();
        commit
    };
    let submit = |commit| lab.store.submit_commit(commit);
    let refused = submit(external(eve, 1, &[eve], &[])).await;
    assert_refused!(refused, Refused::NoSuchConversation);
    for (added, removed) in [
        (&[bob][..], &[][..]),
        (&[phone, bob], &[]),
        (&[phone], &[alice]),
        (&[phone], &[bob]),
        (&[phone], &[phone]),
        (&[], &[]),
    ] {
        let refused = submit(external(phone, 1, added, removed)).await;
        assert_refused!(refused, Refused::RosterMismatch);
    }
    submit(external(phone, 1, &[phone], &[])).await.must();
    let refused = submit(external(phone, 2, &[phone], &[])).await;
    assert_refused!(refused, Refused::RosterMismatch);
    // It comes again, in the place of what it was.
    lab.effects();
    submit(external(phone, 2, &[phone], &[phone])).await.must();
    let gone = Effect::LeafRemoved { device: phone.device, conversation: group };
    assert!(!lab.effects().contains(&gone));
    assert_eq!(lab.info(phone, group).await.leaves.len(), 3);
}

// cites: DS-034
async fn nobody_brings_in_a_user_who_has_no_leaf(lab: Lab) {
    let (alice, bob) = (lab.approved("alice").await, lab.approved("bob").await);
    lab.store.open_direct(lab.opening(alice, bob.user)).await.must();
    let direct = direct_id(alice.user, bob.user);
    lab.store.establish_group(lab.establishing(alice, direct, (1, 1), &[alice])).await.must();
    let refused = lab.store.submit_commit(lab.external(bob, direct, (1, 1), &[])).await;
    assert_refused!(refused, Refused::RosterMismatch);
    // Let in, it can; and from then on each of its user's devices.
    lab.store.submit_commit(lab.commit(alice, direct, 1, (&[bob], &[]))).await.must();
    let phone = lab.second(bob).await;
    lab.store.submit_commit(lab.external(phone, direct, (1, 2), &[])).await.must();
}

// cites: DS-013, DS-018, DS-027, DS-033
async fn an_external_commit_leaves_what_is_cut_off(lab: Lab) {
    let (alice, bob) = (lab.approved("alice").await, lab.approved("bob").await);
    let (phone, laptop) = (lab.second(bob).await, lab.unapproved(bob).await);
    lab.store.open_direct(lab.opening(alice, bob.user)).await.must();
    let direct = direct_id(alice.user, bob.user);
    let first = lab.establishing(alice, direct, (1, 1), &[alice, bob, phone]);
    lab.store.establish_group(first).await.must();
    // Both are lost.
    lab.approve(bob, &[laptop]).await;
    let submit = |commit| lab.store.submit_commit(commit);
    submit(lab.external(laptop, direct, (1, 1), &[])).await.must();
    let lost = |mut leaves: Vec<Actor>| {
        leaves.sort_unstable_by_key(|actor| actor.device);
        leaves.into_iter().map(|actor| v1::Leaf::from(leaf(actor))).collect::<Vec<_>>()
    };
    assert_eq!(lab.info(laptop, direct).await.pending_removals, lost(vec![bob, phone]));
    for by in [alice, laptop] {
        let mut message = lab.private(by, direct, 2);
        assert_refused!(
            lab.store.send_private(message.clone()).await,
            Refused::RemovalPending { .. }
        );
        message.epoch.epoch = 1;
        assert_refused!(lab.store.send_private(message).await, Refused::StaleEpoch { .. });
    }
    for removed in [&[][..], &[bob]] {
        let refused = submit(lab.commit(laptop, direct, 2, (&[], removed))).await;
        assert_refused!(refused, Refused::RemovalPending { .. });
    }
    submit(lab.commit(laptop, direct, 2, (&[], &[bob, phone]))).await.must();
    lab.store.send_private(lab.private(alice, direct, 3)).await.must();
    // One that was cut off and comes again takes its own place alone.
    lab.approve(laptop, &[laptop]).await;
    assert_eq!(lab.info(laptop, direct).await.pending_removals, []);
}

// cites: FORK-001, FORK-002, FORK-003, FORK-004
async fn forks_are_told(lab: Lab) {
    let (alice, bob) = (lab.approved("alice").await, lab.approved("bob").await);
    let group = lab.established(alice, &[bob]).await;
    lab.store.submit_commit(lab.commit(alice, group, 1, (&[], &[]))).await.must();
    lab.effects();
    let report = |of: Actor, epoch, value| {
        lab.store.report_fork_check(ReportForkCheck {
            user: of.user,
            device: of.device,
            conversation: group,
            epoch: Epoch { generation: 1, epoch },
            value: [value; 32],
        })
    };
    report(alice, 2, 1).await.must();
    report(bob, 1, 9).await.must();
    report(bob, 2, 1).await.must();
    assert_eq!(lab.effects(), []);
    report(bob, 2, 7).await.must();
    let epoch = Epoch { generation: 1, epoch: 2 };
    assert_eq!(lab.effects(), [Effect::ForkCheckMismatch { conversation: group, epoch }]);
    // What is older than what was said before counts no more.
    report(alice, 1, 3).await.must();
    assert_eq!(lab.effects(), []);
    assert_refused!(report(bob, 3, 1).await, Refused::StaleEpoch { .. });
}
