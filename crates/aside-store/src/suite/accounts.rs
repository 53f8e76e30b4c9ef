//! Accounts, their handles and passwords.

use aside_proto::{limits, v1, v1::OnConflict};
use prost::Message as _;

use super::{Actor, Lab, Must as _, assert_refused, list, name};
use crate::{BindDevice, ChangePassword, Effect, Refused, Register, Rename};

list![
    a_registered_account_is_durable,
    a_taken_handle_is_refused_or_suffixed,
    a_suffix_fills_the_first_gap,
    a_suffix_keeps_to_the_limit_of_a_name,
    a_key_bound_to_an_account_makes_no_other,
    a_failed_registration_leaves_nothing,
    a_rename_moves_the_account_to_its_new_handle,
    an_old_handle_stays_with_its_account,
    a_rename_is_suffixed_as_a_registration_is,
    a_suffix_may_be_one_the_account_had,
    a_rename_must_wait_for_the_last,
    a_rename_to_the_same_handle_is_nothing,
    a_rename_is_recorded_wherever_the_account_is_a_member,
    a_new_password_replaces_the_old_and_revokes_other_devices,
    a_password_verified_against_an_old_hash_is_worth_nothing,
];

// cites: AUTH-011
async fn a_registered_account_is_durable(lab: Lab) {
    let registration = lab.registration("alice");
    let alice = lab.store.register(registration.clone()).await.must();
    let limits = lab.limits;
    let lab = lab.reopen(limits).await;
    let found = lab.store.password_hash(&name("alice")).await.must();
    assert_eq!(found, Some((alice.user, registration.password_hash)));
    let device = lab.store.find_device(alice.device).await.must().expect("a device");
    assert_eq!((device.user, device.public_key), (alice.user, registration.public_key));
    assert_eq!((device.revoked_ms, device.last_seen_ms), (None, lab.now()));
    assert_eq!(lab.store.attach(alice.user, alice.device, 1).await.must(), name("alice"));
}

// cites: AUTH-012, AUTH-013
async fn a_taken_handle_is_refused_or_suffixed(lab: Lab) {
    lab.register("alice").await;
    let again = lab.registration("alice");
    for on_conflict in [OnConflict::Reject, OnConflict::Unspecified] {
        let again = Register { key: lab.key(), on_conflict, ..again.clone() };
        assert_refused!(lab.store.register(again).await, Refused::HandleTaken);
    }
    for expected in ["alice-2", "alice-3", "alice-4"] {
        let suffixed = register_suffixed(&lab, "alice").await.must();
        assert_eq!(handle(&lab, suffixed).await, expected);
    }
    let free = register_suffixed(&lab, "bob").await.must();
    assert_eq!(handle(&lab, free).await, "bob");
}

// cites: AUTH-013
async fn a_suffix_fills_the_first_gap(lab: Lab) {
    for taken in ["alice", "alice-3", "alice-4", "alice-smith", "alice-02", "alice-20"] {
        lab.register(taken).await;
    }
    for expected in ["alice-2", "alice-5"] {
        let suffixed = register_suffixed(&lab, "alice").await.must();
        assert_eq!(handle(&lab, suffixed).await, expected);
    }
    let nested = register_suffixed(&lab, "alice-2").await.must();
    assert_eq!(handle(&lab, nested).await, "alice-2-2");
}

// cites: AUTH-014
async fn a_suffix_keeps_to_the_limit_of_a_name(lab: Lab) {
    let limit = limits::DEFAULT.max_name_chars as usize;
    let (whole, two_left) = ("x".repeat(limit), "y".repeat(limit - 2));
    lab.register(&whole).await;
    lab.register(&two_left).await;
    assert_refused!(register_suffixed(&lab, &whole).await, Refused::HandleTaken);
    for number in 2..10 {
        let suffixed = register_suffixed(&lab, &two_left).await.must();
        assert_eq!(handle(&lab, suffixed).await, format!("{two_left}-{number}"));
    }
    assert_refused!(register_suffixed(&lab, &two_left).await, Refused::HandleTaken);
}

// cites: AUTH-015, DEV-007
async fn a_key_bound_to_an_account_makes_no_other(lab: Lab) {
    let alice = lab.registration("alice");
    lab.store.register(alice.clone()).await.must();
    let bob = Register { public_key: alice.public_key, ..lab.registration("bob") };
    assert_refused!(lab.store.register(bob).await, Refused::PublicKeyBound);
    assert_eq!(lab.store.password_hash(&name("bob")).await.must(), None);
}

// cites: REQ-011, IDEM-008
async fn a_failed_registration_leaves_nothing(lab: Lab) {
    lab.register("alice").await;
    let taken = lab.registration("alice");
    assert_refused!(lab.store.register(taken.clone()).await, Refused::HandleTaken);
    let other = Register { handle: name("alicia"), ..taken };
    let alicia = lab.store.register(other).await.must();
    let found = lab.store.password_hash(&name("alicia")).await.must();
    assert_eq!(found.map(|(user, _)| user), Some(alicia.user));
}

// cites: ACCT-001, ACCT-002
async fn a_rename_moves_the_account_to_its_new_handle(lab: Lab) {
    let alice = lab.register("alice").await;
    let renamed = lab.store.rename(lab.renaming(alice, "alicia")).await.must();
    assert_eq!(renamed, v1::Renamed { handle: "alicia".to_owned() });
    let found = lab.store.password_hash(&name("alicia")).await.must();
    assert_eq!(found, Some((alice.user, "$hash$alice".to_owned())));
    assert_eq!(lab.store.password_hash(&name("alice")).await.must(), None);
    assert_eq!(handle(&lab, alice).await, "alicia");
}

// cites: ACCT-003, ACCT-007
async fn an_old_handle_stays_with_its_account(lab: Lab) {
    let (alice, bob) = (lab.register("alice").await, lab.register("bob").await);
    lab.store.rename(lab.renaming(alice, "alicia")).await.must();
    assert_refused!(lab.store.register(lab.registration("alice")).await, Refused::HandleTaken);
    assert_refused!(lab.store.rename(lab.renaming(bob, "alice")).await, Refused::HandleTaken);
    assert_refused!(lab.store.rename(lab.renaming(bob, "alicia")).await, Refused::HandleTaken);
    lab.advance(limits::DEFAULT.rename_cooldown_s * 1000);
    let back = lab.store.rename(lab.renaming(alice, "alice")).await.must();
    assert_eq!(back.handle, "alice");
    assert_refused!(lab.store.rename(lab.renaming(bob, "alicia")).await, Refused::HandleTaken);
}

// cites: ACCT-007
async fn a_rename_is_suffixed_as_a_registration_is(lab: Lab) {
    lab.register("alice").await;
    let bob = lab.register("bob").await;
    let renaming = Rename { on_conflict: OnConflict::Suffix, ..lab.renaming(bob, "alice") };
    assert_eq!(lab.store.rename(renaming.clone()).await.must().handle, "alice-2");
    // Its own handle is free to it, so this is the present one again.
    let again = Rename { key: lab.key(), ..renaming };
    assert_eq!(lab.store.rename(again).await.must().handle, "alice-2");
}

// cites: ACCT-003, ACCT-007, AUTH-013
async fn a_suffix_may_be_one_the_account_had(lab: Lab) {
    let lab = lab.limited(|limits| limits.rename_cooldown_s = 0).await;
    for taken in ["alice", "alice-2"] {
        lab.register(taken).await;
    }
    let bob = lab.register("bob").await;
    let suffixed = async |actor: Actor| {
        let renaming = Rename { on_conflict: OnConflict::Suffix, ..lab.renaming(actor, "alice") };
        lab.store.rename(renaming).await.must().handle
    };
    assert_eq!(suffixed(bob).await, "alice-3");
    lab.store.rename(lab.renaming(bob, "alice-2-2")).await.must();
    lab.store.rename(lab.renaming(bob, "alice-5")).await.must();
    let carol = lab.register("carol").await;
    assert_eq!(suffixed(carol).await, "alice-4");
    assert_eq!(suffixed(bob).await, "alice-3", "its own, and less than 5");
    lab.store.rename(lab.renaming(carol, "carol")).await.must();
    let dave = lab.register("dave").await;
    assert_eq!(suffixed(dave).await, "alice-6", "those that others left are not free");
}

// cites: ACCT-004
async fn a_rename_must_wait_for_the_last(lab: Lab) {
    let cooldown_ms = limits::DEFAULT.rename_cooldown_s * 1000;
    let alice = lab.register("alice").await;
    lab.store.rename(lab.renaming(alice, "a1")).await.must();
    lab.advance(cooldown_ms - 5);
    let early = lab.store.rename(lab.renaming(alice, "a2")).await;
    assert_refused!(early, Refused::RenameTooSoon { retry_after_ms: 5 });
    assert_eq!(handle(&lab, alice).await, "a1");
    lab.advance(5);
    lab.store.rename(lab.renaming(alice, "a2")).await.must();
    let early = lab.store.rename(lab.renaming(alice, "a3")).await;
    assert_refused!(early, Refused::RenameTooSoon { .. });
}

// cites: ACCT-006
async fn a_rename_to_the_same_handle_is_nothing(lab: Lab) {
    let alice = lab.register("alice").await;
    let lobby = lab.lobby().await;
    lab.join(alice, lobby).await;
    let length = lab.log(alice.user, lobby).await.len();
    for _ in 0..3 {
        assert_eq!(lab.store.rename(lab.renaming(alice, "alice")).await.must().handle, "alice");
    }
    assert_eq!(lab.log(alice.user, lobby).await.len(), length);
    lab.store.rename(lab.renaming(alice, "alicia")).await.must();
    assert_eq!(lab.store.rename(lab.renaming(alice, "alicia")).await.must().handle, "alicia");
}

// cites: ACCT-005, LOG-005, LOG-008
async fn a_rename_is_recorded_wherever_the_account_is_a_member(lab: Lab) {
    let (alice, bob) = (lab.register("alice").await, lab.register("bob").await);
    let rooms = [lab.lobby().await, lab.create(bob, "one").await, lab.create(bob, "two").await];
    for room in [rooms[0], rooms[1]] {
        lab.join(alice, room).await;
    }
    lab.join(bob, rooms[0]).await;
    let renaming = lab.renaming(alice, "alicia");
    lab.effects();
    lab.store.rename(renaming.clone()).await.must();
    assert_eq!(lab.effects().len(), 2, "one entry in each room");
    for room in [rooms[0], rooms[1]] {
        let log = lab.log(bob.user, room).await;
        let last = log.last().expect("entries");
        assert_eq!(last.header.kind(), v1::EntryKind::MemberRenamed);
        assert_eq!(last.header.sender_user_id, alice.user.to_bytes());
        assert_eq!(last.header.sender_device_id, alice.device.to_bytes());
        assert_eq!(last.header.message_id, renaming.key.to_bytes());
        let payload = v1::MemberRenamedPayload::decode(&last.entry.payload[..]).must();
        let expected = v1::MemberRenamedPayload {
            user_id: alice.user.to_bytes(),
            old_handle: "alice".to_owned(),
            new_handle: "alicia".to_owned(),
        };
        assert_eq!(payload, expected);
    }
    let untouched = lab.log(bob.user, rooms[2]).await;
    assert!(untouched.iter().all(|read| read.header.kind() != v1::EntryKind::MemberRenamed));
}

// cites: PASS-005, PASS-006, DEV-004
async fn a_new_password_replaces_the_old_and_revokes_other_devices(lab: Lab) {
    let alice = lab.register("alice").await;
    let bob = lab.register("bob").await;
    let mut others = Vec::new();
    for _ in 0..3 {
        others.push(lab.store.bind_device(binding(&lab, alice)).await.must());
    }
    lab.effects();
    let changed = lab.store.change_password(changing(&lab, alice)).await.must();
    assert_eq!(changed, v1::PasswordChanged { revoked_devices: 3 });
    let revoked: Vec<_> = others.iter().map(|&device| Effect::DeviceRevoked { device }).collect();
    assert_eq!(lab.effects(), revoked);
    let found = lab.store.password_hash_of(alice.user).await.must();
    assert_eq!(found.as_deref(), Some("$new"));
    for other in others {
        let record = lab.store.find_device(other).await.must().expect("still known");
        assert_eq!(record.revoked_ms, Some(lab.now()));
        assert_refused!(lab.store.attach(alice.user, other, 1).await, Refused::DeviceRevoked);
    }
    for spared in [alice, bob] {
        lab.store.attach(spared.user, spared.device, 1).await.must();
    }
    assert_eq!(lab.store.password_hash_of(bob.user).await.must().as_deref(), Some("$hash$bob"));
}

// cites: PASS-005
async fn a_password_verified_against_an_old_hash_is_worth_nothing(lab: Lab) {
    let alice = lab.register("alice").await;
    let (late_binding, late_change) = (binding(&lab, alice), changing(&lab, alice));
    lab.store.change_password(changing(&lab, alice)).await.must();
    assert_refused!(lab.store.bind_device(late_binding).await, Refused::PasswordChanged);
    assert_refused!(lab.store.change_password(late_change).await, Refused::PasswordChanged);
}

async fn register_suffixed(lab: &Lab, handle: &str) -> Result<Actor, Refused> {
    let registration = Register { on_conflict: OnConflict::Suffix, ..lab.registration(handle) };
    let logged_in = lab.store.register(registration).await?;
    Ok(Actor { user: logged_in.user, device: logged_in.device })
}

async fn handle(lab: &Lab, actor: Actor) -> String {
    lab.store.attach(actor.user, actor.device, 0).await.must().to_string()
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

fn changing(lab: &Lab, actor: Actor) -> ChangePassword {
    ChangePassword {
        key: lab.key(),
        user: actor.user,
        device: actor.device,
        verified_hash: "$hash$alice".to_owned(),
        new_hash: "$new".to_owned(),
    }
}
