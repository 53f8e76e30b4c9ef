//! Mutating requests that are made again.

use aside_proto::{
    id::{IdempotencyKey, uuid_v7},
    v1,
};

use super::{Actor, Lab, Must as _, assert_refused, list, name};
use crate::{Append, ChangePassword, Effect, Join, Refused, Register, Rename, RevokeDevice};

list![
    a_registration_made_again_is_the_same_account,
    every_request_made_again_is_answered_alike,
    a_key_is_for_one_kind_of_request,
    a_key_belongs_to_one_device,
    a_failed_request_may_be_made_again_with_its_key,
    replies_are_kept_as_long_as_their_keys_are_taken,
];

// cites: IDEM-006, IDEM-007
async fn a_registration_made_again_is_the_same_account(lab: Lab) {
    let registration = lab.registration("alice");
    let alice = lab.store.register(registration.clone()).await.must();
    let again = Register {
        handle: name("other"),
        password_hash: "$other".to_owned(),
        ..registration.clone()
    };
    let limits = lab.limits;
    let lab = lab.reopen(limits).await;
    let (key, public_key) = (registration.key, registration.public_key);
    assert_eq!(lab.store.registered_before(&public_key, key).await.must(), Some(alice));
    for retry in [registration.clone(), again] {
        assert_eq!(lab.store.register(retry).await.must(), alice);
    }
    assert_eq!(lab.store.password_hash(&name("other")).await.must(), None);

    // Another key, or another device, is another intention.
    let other_key = Register { key: lab.key(), ..registration.clone() };
    assert_eq!(lab.store.registered_before(&public_key, other_key.key).await.must(), None);
    assert_refused!(lab.store.register(other_key).await, Refused::PublicKeyBound);
    let other_device = Register { public_key: lab.bytes(), ..registration };
    assert_eq!(lab.store.registered_before(&other_device.public_key, key).await.must(), None);
    assert_refused!(lab.store.register(other_device).await, Refused::HandleTaken);

    let alice = Actor { user: alice.user, device: alice.device };
    let joining = lab.joining(alice, lab.lobby().await);
    lab.store.join(joining.clone()).await.must();
    let reused = lab.store.registered_before(&public_key, joining.key).await;
    assert_refused!(reused, Refused::KeyReused);
    let reused = Register { key: joining.key, public_key, ..lab.registration("bob") };
    assert_refused!(lab.store.register(reused).await, Refused::KeyReused);
}

// cites: IDEM-006, REQ-011
async fn every_request_made_again_is_answered_alike(lab: Lab) {
    let alice = lab.register("alice").await;
    let phone = bind(&lab, alice).await;
    let lobby = lab.lobby().await;
    let (creation, joining) = (lab.creation(alice, "den"), lab.joining(alice, lobby));
    let (leaving, renaming) = (lab.leaving(alice, lobby), lab.renaming(alice, "alicia"));
    let revoking = RevokeDevice {
        key: lab.key(),
        user: alice.user,
        device: alice.device,
        target: phone.device,
    };
    let changing = change(&lab, alice);

    let created = lab.store.create_room(creation.clone()).await.must();
    let joined = lab.store.join(joining.clone()).await.must();
    let left = lab.store.leave(leaving.clone()).await.must();
    let renamed = lab.store.rename(renaming.clone()).await.must();
    let revoked = lab.store.revoke_device(revoking.clone()).await.must();
    let other = bind(&lab, alice).await;
    let changed = lab.store.change_password(changing.clone()).await.must();
    assert_eq!(changed, v1::PasswordChanged { revoked_devices: 1 });
    lab.join(alice, lobby).await;

    // All of them again, after a restart and in a world that has changed.
    let limits = lab.limits;
    let lab = lab.reopen(limits).await;
    lab.effects();
    assert_eq!(lab.store.create_room(creation).await.must(), created);
    assert_eq!(lab.store.join(joining).await.must(), joined);
    assert_eq!(lab.store.leave(leaving).await.must(), left);
    assert_eq!(lab.store.rename(renaming).await.must(), renamed);
    assert_eq!(lab.store.revoke_device(revoking).await.must(), revoked);
    let before = lab.store.password_changed_before(alice.device, changing.key).await.must();
    assert_eq!(before, Some(changed));
    assert_eq!(lab.store.change_password(changing).await.must(), changed);
    assert_eq!(lab.effects(), [] as [Effect; 0]);
    assert_refused!(lab.store.attach(other.user, other.device, 1).await, Refused::DeviceRevoked);
}

// cites: IDEM-007
async fn a_key_is_for_one_kind_of_request(lab: Lab) {
    let alice = lab.register("alice").await;
    let lobby = lab.lobby().await;
    let joining = lab.joining(alice, lobby);
    lab.store.join(joining.clone()).await.must();
    let message = lab.message(alice, lobby, "hi");
    lab.store.append(message.clone()).await.must();
    lab.effects();

    let store = &lab.store;
    let as_message = Append { message_id: joining.key, ..message.clone() };
    assert_refused!(store.append(as_message).await, Refused::KeyReused);
    for key in [joining.key, message.message_id] {
        let renaming = Rename { key, ..lab.renaming(alice, "alicia") };
        assert_refused!(store.rename(renaming).await, Refused::KeyReused);
        let creation = crate::CreateRoom { key, ..lab.creation(alice, "den") };
        assert_refused!(store.create_room(creation).await, Refused::KeyReused);
        let leaving = crate::Leave { key, ..lab.leaving(alice, lobby) };
        assert_refused!(store.leave(leaving).await, Refused::KeyReused);
        let changing = ChangePassword { key, ..change(&lab, alice) };
        assert_refused!(store.change_password(changing).await, Refused::KeyReused);
        let changed = store.password_changed_before(alice.device, key).await;
        assert_refused!(changed, Refused::KeyReused);
        let Actor { user, device } = alice;
        let revoking = RevokeDevice { key, user, device, target: device };
        assert_refused!(store.revoke_device(revoking).await, Refused::KeyReused);
    }
    let as_join = Join { key: message.message_id, ..joining };
    assert_refused!(store.join(as_join).await, Refused::KeyReused);
    assert_eq!(lab.effects(), [] as [Effect; 0]);
}

// cites: IDEM-006, IDEM-007
async fn a_key_belongs_to_one_device(lab: Lab) {
    let (alice, bob) = (lab.register("alice").await, lab.register("bob").await);
    let phone = bind(&lab, alice).await;
    let lobby = lab.lobby().await;
    let joining = lab.joining(alice, lobby);
    lab.store.join(joining.clone()).await.must();
    for other in [bob, phone] {
        let creation = crate::CreateRoom { key: joining.key, ..lab.creation(other, "den") };
        let made = lab.store.create_room(creation).await;
        assert_eq!(made.is_ok(), other == bob, "the second only has no free name");
    }
    let Actor { user, device } = bob;
    let bobs = Join { user, device, key: lab.key(), ..joining };
    let room = lab.store.join(bobs).await.must().room.expect("a room");
    assert_eq!(room.member_count, 2);
}

// cites: IDEM-008
async fn a_failed_request_may_be_made_again_with_its_key(lab: Lab) {
    let (alice, bob) = (lab.register("alice").await, lab.register("bob").await);
    let renaming = lab.renaming(alice, "bob");
    assert_refused!(lab.store.rename(renaming.clone()).await, Refused::HandleTaken);
    let renamed = lab.store.rename(Rename { handle: name("bobby"), ..renaming.clone() }).await;
    assert_eq!(renamed.must().handle, "bobby");
    // A failure uses the key up for no other kind of request either.
    let creation = lab.creation(bob, "lobby");
    assert_refused!(lab.store.create_room(creation.clone()).await, Refused::RoomNameTaken);
    let joining = Join { key: creation.key, ..lab.joining(bob, lab.lobby().await) };
    lab.store.join(joining).await.must();
}

// cites: IDEM-005, IDEM-006
async fn replies_are_kept_as_long_as_their_keys_are_taken(lab: Lab) {
    let window_ms = lab.limits.idempotency_window_s * 1000;
    let alice = lab.register("alice").await;
    let lobby = lab.lobby().await;
    let old = lab.joining(alice, lobby);
    let first = lab.store.join(old.clone()).await.must();
    let ahead = IdempotencyKey::new(uuid_v7(lab.now() + 24 * 3600 * 1000, lab.bytes()));
    let ahead = crate::Leave { key: ahead, ..lab.leaving(alice, lobby) };
    lab.store.leave(ahead.clone()).await.must();

    // A request that was taken in its last moment may still be on its way.
    lab.advance(window_ms + 60 * 1000);
    assert_eq!(lab.store.prune().await.must(), 0);
    assert_eq!(lab.store.join(old).await.must(), first);
    lab.advance(24 * 3600 * 1000);
    lab.join(alice, lobby).await;
    assert_eq!(lab.store.prune().await.must(), 2, "the registration and the old joining");
    lab.effects();
    lab.store.leave(ahead).await.must();
    assert_eq!(lab.effects(), [] as [Effect; 0], "answered from memory");
}

async fn bind(lab: &Lab, actor: Actor) -> Actor {
    let binding = crate::BindDevice {
        user: actor.user,
        verified_hash: "$hash$alice".to_owned(),
        new_hash: None,
        public_key: lab.bytes(),
        device_name: "phone".to_owned(),
    };
    Actor { device: lab.store.bind_device(binding).await.must(), ..actor }
}

fn change(lab: &Lab, actor: Actor) -> ChangePassword {
    ChangePassword {
        key: lab.key(),
        user: actor.user,
        device: actor.device,
        verified_hash: "$hash$alice".to_owned(),
        new_hash: "$hash$alice2".to_owned(),
    }
}
