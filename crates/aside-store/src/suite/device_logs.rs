//! Device logs, KeyPackages and inboxes: what a device has for private conversations.

use aside_proto::{
    id::UserId,
    v1::{self, NoKeyPackage},
};
use prost::Message as _;

use super::{Actor, Lab, Must as _, assert_refused, id, list, private::SUITE};
use crate::{
    AckInbox, ClaimKeyPackages, CreateGroup, Effect, PublishDeviceLog, PublishKeyPackages, Refused,
};

list![
    a_log_approves_and_takes_approval_away,
    a_log_grows_where_it_ends,
    key_packages_are_given_once_each,
    claims_name_why_there_is_none,
    a_claim_fits_into_its_frame,
    of_whom_much_is_claimed_only_the_last_resort_is_given,
    welcomes_wait_until_they_are_acknowledged,
    what_is_there_outlives_the_process,
];

// cites: DEVLOG-005, DEVLOG-006, DEVLOG-009, PRIV-002
async fn a_log_approves_and_takes_approval_away(lab: Lab) {
    let alice = lab.register("alice").await;
    let unapproved = Refused::DeviceNotApproved { devices: Vec::new() };
    let create = |of: Actor| CreateGroup { key: lab.key(), user: of.user, device: of.device };
    let refused = lab.store.create_group(create(alice)).await;
    assert_eq!(format!("{refused:?}"), format!("{:?}", Err::<(), _>(unapproved)));
    let phone = lab.unapproved(alice).await;
    lab.effects();
    lab.approve(alice, &[alice, phone]).await;
    let approved = vec![alice.device, phone.device];
    let changed = Effect::DeviceLogChanged { user: alice.user, length: 1, approved };
    assert_eq!(lab.effects(), [changed]);
    lab.store.create_group(create(phone)).await.must();

    // Left out: it stays a device, and is approved no longer.
    lab.approve(alice, &[alice]).await;
    let refused = lab.store.create_group(create(phone)).await;
    assert_refused!(refused, Refused::DeviceNotApproved { .. });
    // Another key than that in the log is another device.
    let mut forged = lab.entry(alice, &[alice, phone], &[]).await;
    forged.verified.as_mut().expect("made so").active[1].1 = [9; 65];
    lab.store.publish_device_log(forged).await.must();
    let refused = lab.store.create_group(create(phone)).await;
    assert_refused!(refused, Refused::DeviceNotApproved { .. });

    lab.effects();
    let revoking = lab.entry(alice, &[alice], &[phone]).await;
    lab.store.publish_device_log(revoking).await.must();
    assert!(lab.effects().contains(&Effect::DeviceRevoked { device: phone.device }));
    assert_refused!(lab.store.create_group(create(phone)).await, Refused::DeviceRevoked);
}

// cites: DEVLOG-001, DEVLOG-002, DEVLOG-003, DEVLOG-004, DEVLOG-007, DEVLOG-008
async fn a_log_grows_where_it_ends(lab: Lab) {
    let alice = lab.register("alice").await;
    let (first, second) =
        (lab.entry(alice, &[alice], &[]).await, lab.entry(alice, &[alice], &[]).await);
    assert_eq!(lab.store.publish_device_log(first.clone()).await.must().length, 1);
    // Verified on top of nothing, which is no longer what is there.
    let refused = lab.store.publish_device_log(second).await;
    assert_refused!(refused, Refused::DeviceLogConflict { length: 1 });
    let again = PublishDeviceLog { key: lab.key(), verified: None, ..first.clone() };
    assert_eq!(lab.store.publish_device_log(again).await.must().length, 1);
    let third = lab.entry(alice, &[alice], &[]).await;
    let unverified = PublishDeviceLog { verified: None, ..third.clone() };
    let refused = lab.store.publish_device_log(unverified).await;
    assert_refused!(refused, Refused::DeviceLogConflict { length: 1 });
    assert_eq!(lab.store.publish_device_log(third.clone()).await.must().length, 2);
    let entries = [first.entries, third.entries].concat();
    assert_eq!(lab.store.device_log(alice.user).await.must(), entries);

    let bob = lab.register("bob").await;
    let logs = lab.store.device_logs(&[bob.user, alice.user], 1, usize::MAX).await.must();
    let part = v1::DeviceLogPart {
        user_id: alice.user.to_bytes(),
        entries: entries[1..].to_vec(),
        length: 2,
    };
    assert_eq!(logs, v1::DeviceLogs { logs: vec![part], more: false });
    let cut = lab.store.device_logs(&[alice.user], 0, 64 + 64 + 40 + 64).await.must();
    assert_eq!((cut.logs[0].entries.len(), cut.more), (1, true));

    // Another log in its place.
    let mut anew = lab.entry(alice, &[alice], &[]).await;
    (anew.from_position, anew.replaces) = (0, 1);
    anew.verified.as_mut().expect("made so").after = None;
    let refused = lab.store.publish_device_log(anew.clone()).await;
    assert_refused!(refused, Refused::DeviceLogConflict { length: 2 });
    anew.replaces = 2;
    assert_eq!(lab.store.publish_device_log(anew.clone()).await.must().length, 1);
    assert_eq!(lab.store.device_log(alice.user).await.must(), anew.entries);
}

// cites: KP-001, KP-003, KP-004, KP-005, KP-007, KP-008, KP-011
async fn key_packages_are_given_once_each(lab: Lab) {
    let lab =
        lab.limited(|limits| (limits.max_key_packages, limits.key_packages_low) = (3, 2)).await;
    let (alice, bob) = (lab.approved("alice").await, lab.approved("bob").await);
    let mut published = lab.packages(bob, 3);
    published.last_resort = Some("last".into());
    assert_eq!(lab.store.publish_key_packages(published.clone()).await.must().available, 3);
    let more = lab.packages(bob, 1);
    assert_refused!(lab.store.publish_key_packages(more).await, Refused::TooManyKeyPackages);
    lab.effects();
    let first = lab.claim(alice, &[(bob.user, None)]);
    let claimed = lab.store.claim_key_packages(first.clone()).await.must();
    assert_eq!(claimed.claimed[0].key_package, published.key_packages[0]);
    assert_eq!(claimed.claimed[0].device_id, bob.device.to_bytes());
    assert_eq!(lab.store.claim_key_packages(first).await.must(), claimed, "a retry");
    assert_eq!(lab.effects(), []);

    let both = lab.claim(alice, &[(bob.user, Some(bob.device)), (bob.user, None)]);
    let claimed = lab.store.claim_key_packages(both).await.must().claimed;
    let given: Vec<_> = claimed.iter().map(|one| one.key_package.clone()).collect();
    assert_eq!(given, published.key_packages[1..]);
    let low = |available| Effect::KeyPackagesLow { device: bob.device, suite: SUITE, available };
    assert_eq!(lab.effects(), [low(1), low(0)]);
    for _ in 0..2 {
        let claim = lab.claim(alice, &[(bob.user, None)]);
        let claimed = &lab.store.claim_key_packages(claim).await.must().claimed[0];
        assert_eq!((&claimed.key_package[..], claimed.is_last_resort), (&b"last"[..], true));
    }
    lab.store.attach(bob.user, bob.device, 7).await.must();
    let effects = lab.effects();
    let [Effect::Attached { private, .. }] = &effects[..] else { unreachable!("{effects:?}") };
    assert_eq!((private.is_approved, &private.key_packages_low[..]), (true, &[(SUITE, 0)][..]));

    lab.store.publish_key_packages(lab.packages(bob, 2)).await.must();
    let replacing = PublishKeyPackages { replace: true, ..lab.packages(bob, 1) };
    assert_eq!(lab.store.publish_key_packages(replacing.clone()).await.must().available, 1);
    let claim = lab.claim(alice, &[(bob.user, None)]);
    let claimed = lab.store.claim_key_packages(claim).await.must();
    assert_eq!(claimed.claimed[0].key_package, replacing.key_packages[0]);
}

// cites: KP-005, KP-007, KP-008
async fn claims_name_why_there_is_none(lab: Lab) {
    let (alice, bob) = (lab.approved("alice").await, lab.approved("bob").await);
    let phone = lab.unapproved(bob).await;
    let carol = lab.register("carol").await;
    lab.store.publish_key_packages(lab.packages(phone, 1)).await.must();
    lab.store.publish_key_packages(lab.packages(alice, 1)).await.must();
    let nobody = UserId::new([9; 16]);
    let targets = [
        (bob.user, None),
        (bob.user, Some(phone.device)),
        (bob.user, Some(alice.device)),
        (carol.user, None),
        (nobody, None),
        (alice.user, None),
    ];
    let claimed = lab.store.claim_key_packages(lab.claim(alice, &targets)).await.must().claimed;
    let reasons: Vec<_> = claimed.iter().map(v1::ClaimedKeyPackage::reason).collect();
    let expected = [
        NoKeyPackage::Exhausted,
        NoKeyPackage::NotApproved,
        NoKeyPackage::NotApproved,
        NoKeyPackage::NoApprovedDevice,
        NoKeyPackage::NoSuchUser,
        NoKeyPackage::NoApprovedDevice,
    ];
    assert_eq!(reasons, expected);
    let by_phone = lab.store.claim_key_packages(lab.claim(phone, &targets)).await;
    assert_refused!(by_phone, Refused::DeviceNotApproved { .. });
}

// cites: KP-007, KP-008, KP-015
async fn of_whom_much_is_claimed_only_the_last_resort_is_given(lab: Lab) {
    let (alice, bob) = (lab.approved("alice").await, lab.approved("bob").await);
    let (phone, carol) = (lab.second(bob).await, lab.approved("carol").await);
    let mut published = lab.packages(bob, 1);
    published.last_resort = Some("last".into());
    lab.store.publish_key_packages(published.clone()).await.must();
    for other in [phone, carol] {
        lab.store.publish_key_packages(lab.packages(other, 1)).await.must();
    }
    let targets =
        [(bob.user, Some(bob.device)), (bob.user, Some(phone.device)), (carol.user, None)];
    let spared = [bob.user].into();
    let claim = ClaimKeyPackages { spared, ..lab.claim(alice, &targets) };
    lab.effects();
    let claimed = lab.store.claim_key_packages(claim).await.must().claimed;
    assert_eq!((&claimed[0].key_package[..], claimed[0].is_last_resort), (&b"last"[..], true));
    assert_eq!(
        (claimed[1].key_package.len(), claimed[1].reason()),
        (0, NoKeyPackage::TooManyClaims)
    );
    assert_eq!((claimed[2].key_package.len(), claimed[2].is_last_resort), (24, false));
    let device = carol.device;
    assert_eq!(lab.effects(), [Effect::KeyPackagesLow { device, suite: SUITE, available: 0 }]);
    // None was taken.
    let claimed =
        lab.store.claim_key_packages(lab.claim(alice, &targets[..2])).await.must().claimed;
    assert!(claimed.iter().all(|one| one.key_package.len() == 24));
    let claim = ClaimKeyPackages { spared: [bob.user].into(), ..lab.claim(alice, &targets[1..2]) };
    let claimed = lab.store.claim_key_packages(claim).await.must().claimed;
    assert_eq!(claimed[0].reason(), NoKeyPackage::Exhausted);
}

// cites: KP-009
async fn a_claim_fits_into_its_frame(lab: Lab) {
    let (alice, bob) = (lab.approved("alice").await, lab.approved("bob").await);
    let carol = lab.approved("carol").await;
    for actor in [bob, carol] {
        let large = vec![vec![7; 4000].into()];
        let publish = PublishKeyPackages { key_packages: large, ..lab.packages(actor, 0) };
        lab.store.publish_key_packages(publish).await.must();
    }
    let targets = [(bob.user, None), (carol.user, None)];
    let claim = ClaimKeyPackages { max_bytes: 5000, ..lab.claim(alice, &targets) };
    let claimed = lab.store.claim_key_packages(claim).await.must();
    assert!(claimed.encoded_len() <= 5000);
    assert_eq!(claimed.claimed[0].key_package.len(), 4000);
    assert_eq!(claimed.claimed[1].reason(), NoKeyPackage::NoRoom);
    let alone = ClaimKeyPackages { max_bytes: 5000, ..lab.claim(alice, &targets[1..]) };
    let claimed = lab.store.claim_key_packages(alone).await.must();
    assert_eq!(claimed.claimed[0].key_package.len(), 4000, "it was not taken before");
}

// cites: INBOX-001, INBOX-002, INBOX-003, INBOX-004, INBOX-006
async fn welcomes_wait_until_they_are_acknowledged(lab: Lab) {
    let (alice, bob) = (lab.approved("alice").await, lab.approved("bob").await);
    let carol = lab.approved("carol").await;
    let groups =
        [lab.established(alice, &[bob, carol]).await, lab.established(alice, &[bob]).await];
    let waiting = lab.waiting(bob).await;
    let seen: Vec<_> = waiting.iter().map(|i| (i.position, id(&i.conversation_id))).collect();
    assert_eq!(seen, [(1, groups[0]), (2, groups[1])]);
    assert_eq!(waiting[0].welcome, "welcome");
    let page = lab.store.inbox(bob.device, 0, 1, usize::MAX).await.must();
    assert_eq!((page.items.len(), page.more), (1, true));
    let page = lab.store.inbox(bob.device, 0, 9, 1).await.must();
    assert_eq!((page.items.len(), page.more), (1, true));
    let page = lab.store.inbox(bob.device, 1, 9, usize::MAX).await.must();
    assert_eq!((page.items[0].position, page.more), (2, false));
    let ack = |up_to| AckInbox { user: bob.user, device: bob.device, up_to };
    lab.store.ack_inbox(ack(1)).await.must();
    lab.store.ack_inbox(ack(1)).await.must();
    assert_eq!(lab.waiting(bob).await.len(), 1);
    assert_eq!(lab.waiting(carol).await.len(), 1, "the same Welcome, for another");
    lab.store.ack_inbox(ack(u64::MAX)).await.must();
    assert_eq!(lab.waiting(bob).await, []);
    lab.established(alice, &[bob]).await;
    assert_eq!(lab.waiting(bob).await[0].position, 3);
    lab.advance(90 * 24 * 3600 * 1000);
    lab.store.prune().await.must();
    assert_eq!(lab.waiting(bob).await.len(), 1);
    lab.advance(1);
    lab.store.prune().await.must();
    assert_eq!((lab.waiting(bob).await, lab.waiting(carol).await), (vec![], vec![]));
}

// cites: DS-019, INBOX-001, DEVLOG-001
async fn what_is_there_outlives_the_process(lab: Lab) {
    let (alice, bob) = (lab.approved("alice").await, lab.approved("bob").await);
    let group = lab.established(alice, &[bob]).await;
    lab.store.publish_key_packages(lab.packages(bob, 1)).await.must();
    let before = (lab.info(bob, group).await, lab.waiting(bob).await);
    let limits = lab.limits;
    let lab = lab.reopen(limits).await;
    assert_eq!((lab.info(bob, group).await, lab.waiting(bob).await), before);
    lab.store.send_private(lab.private(bob, group, 1)).await.must();
    let claim = lab.claim(alice, &[(bob.user, None)]);
    let claimed = lab.store.claim_key_packages(claim).await.must();
    assert_eq!(claimed.claimed[0].key_package.len(), 24);
}
