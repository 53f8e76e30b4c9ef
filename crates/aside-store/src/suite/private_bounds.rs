//! What others can make of a user, and what a device can do that is not approved.

use std::sync::atomic::Ordering;

use bytes::Bytes;

use super::{Actor, Lab, Must as _, assert_refused, id, list};
use crate::{CreateGroup, ListWatermarks, Mark, Reader, Refused};

list![
    what_others_make_of_a_user_keeps_it_from_nothing,
    members_are_made_as_fast_as_may_be,
    a_device_that_is_not_approved_reads_and_changes_nothing,
];

// cites: PRIV-019, ROOM-013
async fn what_others_make_of_a_user_keeps_it_from_nothing(lab: Lab) {
    let lab = lab
        .limited(|limits| (limits.max_groups_per_user, limits.max_rooms_per_user) = (2, 1))
        .await;
    let (alice, bob) = (lab.approved("alice").await, lab.approved("bob").await);
    let carol = lab.approved("carol").await;
    lab.established(alice, &[bob]).await;
    lab.established(carol, &[bob]).await;
    let third = lab.group(alice).await;
    let add = || lab.establishing(alice, third, (1, 1), &[alice, bob]);
    assert_refused!(lab.store.establish_group(add()).await, Refused::TooManyRooms);
    let create = |by: Actor| {
        lab.store.create_group(CreateGroup { key: lab.key(), user: by.user, device: by.device })
    };
    let own = [create(bob).await.must(), create(bob).await.must()];
    assert_refused!(create(bob).await, Refused::TooManyRooms);
    lab.store.open_direct(lab.opening(bob, alice.user)).await.must();
    lab.store.open_direct(lab.opening(carol, bob.user)).await.must();
    lab.create(bob, "den").await;
    let another = lab.store.create_room(lab.creation(bob, "other")).await;
    assert_refused!(another, Refused::TooManyRooms);
    for group in own {
        lab.leave(bob, id(&group.conversation.expect("a conversation").conversation_id)).await;
    }
    create(bob).await.must();
}

// cites: PRIV-020
async fn members_are_made_as_fast_as_may_be(lab: Lab) {
    let (alice, bob) = (lab.approved("alice").await, lab.approved("bob").await);
    let (carol, dave) = (lab.approved("carol").await, lab.approved("dave").await);
    let (group, phone) = (lab.group(alice).await, lab.second(bob).await);
    lab.newcomers.store(2, Ordering::SeqCst);
    let establish = |leaves: &[Actor]| {
        lab.store.establish_group(lab.establishing(alice, group, (1, 1), leaves))
    };
    lab.effects();
    assert_refused!(
        establish(&[alice, bob, carol, dave]).await,
        Refused::TooManyNewcomers { retry_after_ms: 7 }
    );
    assert_eq!((lab.effects(), lab.log(alice.user, group).await.len()), (vec![], 1));
    establish(&[alice, bob]).await.must();
    // Another device of a member counts for nothing.
    lab.store.submit_commit(lab.commit(alice, group, 1, (&[phone], &[]))).await.must();
    lab.store.open_direct(lab.opening(alice, carol.user)).await.must();
    lab.store.open_direct(lab.opening(carol, alice.user)).await.must();
    let commit = lab.commit(alice, group, 2, (&[dave], &[]));
    assert_refused!(lab.store.submit_commit(commit).await, Refused::TooManyNewcomers { .. });
    let open = lab.store.open_direct(lab.opening(alice, dave.user)).await;
    assert_refused!(open, Refused::TooManyNewcomers { .. });
    lab.group(alice).await;
}

// cites: PRIV-002
async fn a_device_that_is_not_approved_reads_and_changes_nothing(lab: Lab) {
    let (alice, bob) = (lab.approved("alice").await, lab.approved("bob").await);
    let (group, room) = (lab.established(alice, &[bob]).await, lab.create(alice, "den").await);
    lab.store.send_private(lab.private(alice, group, 1)).await.must();
    let phone = lab.unapproved(alice).await;
    let reader = Reader { user: phone.user, is_approved: false };
    let refused = |answer: Result<(), Refused>| {
        assert_refused!(answer, Refused::DeviceNotApproved { .. });
    };
    let mark = |conversation| Mark {
        user: phone.user,
        device: phone.device,
        attachment: 1,
        conversation,
        delivered_seq: 1,
        read_seq: 0,
    };
    let list =
        |conversation| ListWatermarks { conversation, page_token: Bytes::new(), page_size: 9 };
    let store = &lab.store;
    refused(store.fetch(reader, group, 1, 9, usize::MAX).await.map(drop));
    refused(store.head(reader, group).await.map(drop));
    refused(store.list_members(reader, group, None, 9).await.map(drop));
    refused(store.members_among(reader, group, &[bob.user]).await.map(drop));
    refused(store.list_watermarks(reader, &list(group)).await.map(drop));
    refused(store.mark(mark(group)).await.map(drop));
    refused(store.redact(lab.redacting(phone, group, &[3])).await.map(drop));
    refused(store.leave(lab.leaving(phone, group)).await.map(drop));
    assert_eq!(lab.log(alice.user, group).await.len(), 3);
    // In a room it may.
    store.fetch(reader, room, 1, 9, usize::MAX).await.must();
    store.head(reader, room).await.must();
    store.list_members(reader, room, None, 9).await.must();
    store.list_watermarks(reader, &list(room)).await.must();
    store.mark(mark(room)).await.must();
}
