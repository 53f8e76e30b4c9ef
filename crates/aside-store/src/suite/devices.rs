//! Devices.

use std::pin::pin;

use aside_proto::{id::DeviceId, v1};
use futures_util::FutureExt as _;

use super::{Actor, Lab, Must as _, assert_refused, list, name};
use crate::{BindDevice, Effect, LoggedIn, PresenceSettings, Refused, RevokeDevice};

list![
    a_known_key_logs_in_the_same_device,
    another_key_binds_another_device_up_to_the_limit,
    a_log_in_can_renew_the_hash_of_the_same_password,
    a_key_of_another_account_or_of_a_revoked_device_is_refused,
    devices_are_listed_in_order_of_creation,
    a_revoked_device_can_do_nothing,
    a_device_may_revoke_itself,
    only_an_active_device_of_the_account_can_be_revoked,
    keys_are_looked_up_in_the_order_asked,
    a_device_is_seen_when_it_logs_in_or_is_touched,
    messages_get_in_between_many_touched_devices,
    an_attachment_says_what_its_user_is_a_member_of,
];

// cites: AUTH-023, AUTH-033, DEV-007
async fn a_known_key_logs_in_the_same_device(lab: Lab) {
    let alice = lab.register("alice").await;
    let binding = binding(&lab, alice);
    let device = lab.store.bind_device(binding.clone()).await.must();
    assert_ne!(device, alice.device);
    lab.advance(1000);
    let again = BindDevice { device_name: "renamed".to_owned(), ..binding.clone() };
    assert_eq!(lab.store.bind_device(again).await.must(), device);
    let record = lab.store.find_device(device).await.must().expect("bound");
    assert_eq!((record.public_key, record.last_seen_ms), (binding.public_key, lab.now()));
    let listed = lab.store.list_devices(alice.user, device).await.must().devices;
    assert_eq!(listed.len(), 2);
    assert_eq!(listed[1].name, "another");
}

// cites: AUTH-024
async fn another_key_binds_another_device_up_to_the_limit(lab: Lab) {
    let lab = lab.limited(|limits| limits.max_devices_per_user = 3).await;
    let alice = lab.register("alice").await;
    lab.store.bind_device(binding(&lab, alice)).await.must();
    let last = lab.store.bind_device(binding(&lab, alice)).await.must();
    assert_refused!(lab.store.bind_device(binding(&lab, alice)).await, Refused::TooManyDevices);
    lab.store.revoke_device(revoking(&lab, alice, last)).await.must();
    lab.store.bind_device(binding(&lab, alice)).await.must();
    assert_refused!(lab.store.bind_device(binding(&lab, alice)).await, Refused::TooManyDevices);
}

// cites: AUTH-021
async fn a_log_in_can_renew_the_hash_of_the_same_password(lab: Lab) {
    let alice = lab.register("alice").await;
    let binding = binding(&lab, alice);
    let renewing = BindDevice { new_hash: Some("$hash$renewed".to_owned()), ..binding.clone() };
    let device = lab.store.bind_device(renewing.clone()).await.must();
    let hash = lab.store.password_hash_of(alice.user).await.must();
    assert_eq!(hash.as_deref(), Some("$hash$renewed"));
    // Another that was verified against the hash before has raced with it, and may be tried again.
    assert_refused!(lab.store.bind_device(renewing).await, Refused::PasswordChanged);
    let again = BindDevice { verified_hash: "$hash$renewed".to_owned(), ..binding };
    assert_eq!(lab.store.bind_device(again).await.must(), device);
}

// cites: AUTH-015, DEV-007
async fn a_key_of_another_account_or_of_a_revoked_device_is_refused(lab: Lab) {
    let (alice, bob) = (lab.register("alice").await, lab.register("bob").await);
    let alices = binding(&lab, alice);
    let device = lab.store.bind_device(alices.clone()).await.must();
    let bobs = BindDevice { public_key: alices.public_key, ..binding(&lab, bob) };
    let bobs = BindDevice { verified_hash: "$hash$bob".to_owned(), ..bobs };
    assert_refused!(lab.store.bind_device(bobs.clone()).await, Refused::PublicKeyBound);
    lab.store.revoke_device(revoking(&lab, alice, device)).await.must();
    assert_refused!(lab.store.bind_device(alices.clone()).await, Refused::PublicKeyBound);
    assert_refused!(lab.store.bind_device(bobs).await, Refused::PublicKeyBound);
    let carol = crate::Register { public_key: alices.public_key, ..lab.registration("carol") };
    assert_refused!(lab.store.register(carol).await, Refused::PublicKeyBound);
}

// cites: DEV-001
async fn devices_are_listed_in_order_of_creation(lab: Lab) {
    let alice = lab.register("alice").await;
    lab.register("bob").await;
    let mut ids = vec![alice.device];
    let mut created = vec![lab.now()];
    for _ in 0..4 {
        // Set back, so that neither times nor ids are in order.
        lab.set_clock(lab.now() - 1000);
        created.push(lab.now());
        ids.push(lab.store.bind_device(binding(&lab, alice)).await.must());
    }
    let revoked = ids.remove(2);
    created.remove(2);
    lab.store.revoke_device(revoking(&lab, alice, revoked)).await.must();
    let listed = lab.store.list_devices(alice.user, ids[1]).await.must().devices;
    let expected: Vec<_> = ids
        .iter()
        .zip(created)
        .map(|(id, created_ms)| v1::Device {
            device_id: id.to_bytes(),
            name: if *id == alice.device { "alice's" } else { "another" }.to_owned(),
            created_ms,
            last_seen_ms: created_ms,
            current: *id == ids[1],
            online: false,
            token: false,
        })
        .collect();
    assert_eq!(listed, expected);
}

// cites: DEV-003, DEV-004
async fn a_revoked_device_can_do_nothing(lab: Lab) {
    let alice = lab.register("alice").await;
    let lobby = lab.lobby().await;
    lab.join(alice, lobby).await;
    let device = lab.store.bind_device(binding(&lab, alice)).await.must();
    let lost = Actor { user: alice.user, device };
    lab.send(lost, lobby, "still mine").await;
    lab.effects();
    lab.store.revoke_device(revoking(&lab, alice, device)).await.must();
    assert_eq!(lab.effects(), [Effect::DeviceRevoked { device }]);
    let record = lab.store.find_device(device).await.must().expect("still known");
    assert_eq!(record.revoked_ms, Some(lab.now()));

    let store = &lab.store;
    assert_refused!(store.attach(lost.user, device, 1).await, Refused::DeviceRevoked);
    assert_refused!(store.append(lab.message(lost, lobby, "no")).await, Refused::DeviceRevoked);
    assert_refused!(store.rename(lab.renaming(lost, "thief")).await, Refused::DeviceRevoked);
    assert_refused!(store.create_room(lab.creation(lost, "den")).await, Refused::DeviceRevoked);
    assert_refused!(store.join(lab.joining(lost, lobby)).await, Refused::DeviceRevoked);
    assert_refused!(store.leave(lab.leaving(lost, lobby)).await, Refused::DeviceRevoked);
    let revoking = revoking(&lab, lost, alice.device);
    assert_refused!(store.revoke_device(revoking).await, Refused::DeviceRevoked);
    assert_eq!(lab.effects(), []);
}

// cites: DEV-003, DEV-005
async fn a_device_may_revoke_itself(lab: Lab) {
    let alice = lab.register("alice").await;
    lab.store.revoke_device(revoking(&lab, alice, alice.device)).await.must();
    let again = lab.store.attach(alice.user, alice.device, 1).await;
    assert_refused!(again, Refused::DeviceRevoked);
}

// cites: DEV-006
async fn only_an_active_device_of_the_account_can_be_revoked(lab: Lab) {
    let (alice, bob) = (lab.register("alice").await, lab.register("bob").await);
    let revoked = lab.store.bind_device(binding(&lab, alice)).await.must();
    lab.store.revoke_device(revoking(&lab, alice, revoked)).await.must();
    for target in [bob.device, revoked, DeviceId::new(lab.bytes())] {
        let answer = lab.store.revoke_device(revoking(&lab, alice, target)).await;
        assert_refused!(answer, Refused::NoSuchDevice);
    }
    lab.store.attach(bob.user, bob.device, 1).await.must();
}

// cites: DEV-008
async fn keys_are_looked_up_in_the_order_asked(lab: Lab) {
    let mut known = Vec::new();
    for handle in ["alice", "bob", "carol"] {
        let registration = lab.registration(handle);
        let key = registration.public_key;
        let LoggedIn { user, device } = lab.store.register(registration).await.must();
        let key = v1::DeviceKey {
            device_id: device.to_bytes(),
            user_id: user.to_bytes(),
            public_key: key.to_vec().into(),
            revoked_ms: 0,
        };
        known.push((Actor { user, device }, key));
    }
    let (bob, bobs_key) = &mut known[1];
    lab.store.revoke_device(revoking(&lab, *bob, bob.device)).await.must();
    bobs_key.revoked_ms = lab.now();

    let unknown = DeviceId::new(lab.bytes());
    let asked = [known[2].0.device, unknown, known[0].0.device, known[1].0.device];
    let found = lab.store.look_up_devices(&asked).await.must().keys;
    assert_eq!(found, [known[2].1.clone(), known[0].1.clone(), known[1].1.clone()]);
    assert_eq!(lab.store.look_up_devices(&[]).await.must().keys, []);
}

// cites: AUTH-032
async fn a_device_is_seen_when_it_logs_in_or_is_touched(lab: Lab) {
    let alice = lab.register("alice").await;
    let seen = async || {
        let record = lab.store.find_device(alice.device).await.must();
        record.expect("known").last_seen_ms
    };
    assert_eq!(seen().await, lab.now());
    lab.advance(1000);
    lab.store.attach(alice.user, alice.device, 1).await.must();
    assert_eq!(seen().await, lab.now());
    lab.advance(1000);
    let unknown = DeviceId::new(lab.bytes());
    lab.store.touch(vec![unknown, alice.device]).await.must();
    assert_eq!(seen().await, lab.now());
}

async fn messages_get_in_between_many_touched_devices(lab: Lab) {
    let (alice, bob) = (lab.register("alice").await, lab.register("bob").await);
    let room = lab.create(bob, "den").await;
    let before = lab.now();
    lab.advance(1000);
    let seen = async |actor: Actor| {
        lab.store.find_device(actor.device).await.must().expect("known").last_seen_ms
    };
    let unknown = (0..1000).map(|_| DeviceId::new(lab.bytes()));
    let devices = [bob.device].into_iter().chain(unknown).chain([alice.device]).collect();
    let mut touched = pin!(lab.store.touch(devices));
    assert!(touched.as_mut().now_or_never().is_none());
    lab.send(bob, room, "in between").await;
    assert_eq!((seen(bob).await, seen(alice).await), (lab.now(), before));
    touched.await.must();
    assert_eq!((seen(bob).await, seen(alice).await), (lab.now(), lab.now()));
}

// cites: PUSH-001
async fn an_attachment_says_what_its_user_is_a_member_of(lab: Lab) {
    let (alice, bob) = (lab.register("alice").await, lab.register("bob").await);
    let (one, two) = (lab.create(alice, "one").await, lab.create(alice, "two").await);
    let three = lab.create(bob, "three").await;
    lab.join(alice, three).await;
    lab.leave(alice, one).await;
    lab.effects();
    // Called in this order, waited for together: effects come in this order.
    let sent = lab.store.append(lab.message(bob, three, "before"));
    let attached = lab.store.attach(alice.user, alice.device, 42);
    let left = lab.store.leave(lab.leaving(alice, two));
    assert_eq!(attached.await.must(), name("alice"));
    sent.await.must();
    left.await.must();
    let effects = lab.effects();
    assert!(matches!(&effects[0], Effect::Appended { conversation, .. } if *conversation == three));
    let attached = Effect::Attached {
        user: alice.user,
        device: alice.device,
        attachment: 42,
        conversations: vec![(two, 1), (three, 2)],
        settings: PresenceSettings::default(),
        private: crate::AttachedPrivate::default(),
    };
    assert_eq!(effects[1], attached);
    assert_eq!(effects[3], Effect::Left { user: alice.user, conversation: two, members: 0 });
}

fn binding(lab: &Lab, actor: Actor) -> BindDevice {
    BindDevice {
        user: actor.user,
        verified_hash: "$hash$alice".to_owned(),
        new_hash: None,
        public_key: lab.bytes(),
        device_name: "another".to_owned(),
    }
}

fn revoking(lab: &Lab, actor: Actor, target: DeviceId) -> RevokeDevice {
    RevokeDevice { key: lab.key(), user: actor.user, device: actor.device, target }
}
