//! Tokens.

use aside_proto::{id::DeviceId, token::TokenScopes, v1};

use super::{Actor, Lab, Must as _, assert_refused, list};
use crate::{
    BindDevice, ChangePassword, Effect, IssueToken, Refused, RevokeDevice, RevokeToken, TokenRecord,
};

list![
    a_token_is_a_device_that_logs_in_by_its_secret,
    a_token_that_is_issued_again_is_the_same,
    a_token_ends_when_the_server_says_at_the_latest,
    tokens_and_devices_have_limits_of_their_own,
    a_key_that_a_device_has_is_no_tokens,
    a_tokens_key_binds_no_device,
    a_revoked_token_is_a_revoked_device,
    only_tokens_of_the_account_are_revoked,
    a_new_password_revokes_tokens_too,
    a_name_is_one_live_tokens,
];

/// For a token with a name of its own.
fn issuing(lab: &Lab, actor: Actor) -> IssueToken {
    let number = u64::from_be_bytes(lab.bytes());
    IssueToken {
        key: lab.key(),
        user: actor.user,
        device: actor.device,
        name: format!("bot {number}"),
        scopes: TokenScopes::from_numbers(&[1, 2]).expect("there are such"),
        expires_ms: lab.now() + 5_000,
        token_hash: lab.bytes(),
        public_key: lab.bytes(),
    }
}

fn revoking(lab: &Lab, actor: Actor, token: DeviceId) -> RevokeToken {
    RevokeToken { key: lab.key(), user: actor.user, device: actor.device, token }
}

async fn issue(lab: &Lab, actor: Actor) -> DeviceId {
    id(&lab.store.issue_token(issuing(lab, actor)).await.must())
}

fn id(issued: &v1::TokenIssued) -> DeviceId {
    DeviceId::try_from(&issued.token_id[..]).must()
}

// cites: TOKEN-001, TOKEN-005, TOKEN-014
async fn a_token_is_a_device_that_logs_in_by_its_secret(lab: Lab) {
    let (alice, bob) = (lab.register("alice").await, lab.register("bob").await);
    let issuing = IssueToken { name: "bot".to_owned(), ..issuing(&lab, alice) };
    let issued = lab.store.issue_token(issuing.clone()).await.must();
    let token = id(&issued);
    assert_eq!(issued.expires_ms, issuing.expires_ms);
    let expected = TokenRecord {
        user: alice.user,
        token_hash: issuing.token_hash,
        scopes: issuing.scopes,
        expires_ms: issuing.expires_ms,
        is_revoked: false,
    };
    assert_eq!(lab.store.find_token(token).await.must(), Some(expected));
    assert_eq!(lab.store.find_token(alice.device).await.must(), None, "a device, but no token");
    assert!(lab.store.find_device(token).await.must().expect("it is one").is_token);
    let keys = lab.store.look_up_devices(&[token]).await.must().keys;
    assert_eq!(keys[0].public_key[..], issuing.public_key);

    let devices = lab.store.list_devices(alice.user, alice.device).await.must().devices;
    let shown: Vec<_> =
        devices.iter().map(|d| (d.name.as_str(), d.token, d.last_seen_ms)).collect();
    assert_eq!(shown, [("alice's", false, lab.now()), ("bot", true, 0)]);

    let created_ms = lab.now();
    lab.advance(1000);
    lab.store.attach(alice.user, token, 1).await.must();
    let listed = lab.store.list_tokens(alice.user).await.must().tokens;
    let expected = v1::Token {
        token_id: token.to_bytes(),
        name: "bot".to_owned(),
        scopes: vec![1, 2],
        created_ms,
        expires_ms: issuing.expires_ms,
        last_used_ms: lab.now(),
        online: false,
    };
    assert_eq!(listed, [expected]);
    assert_eq!(lab.store.list_tokens(bob.user).await.must().tokens, []);
}

// cites: IDEM-006, IDEM-007
async fn a_token_that_is_issued_again_is_the_same(lab: Lab) {
    let alice = lab.register("alice").await;
    let issuing = issuing(&lab, alice);
    let first = lab.store.issue_token(issuing.clone()).await.must();
    lab.advance(60_000);
    assert_eq!(lab.store.issue_token(issuing.clone()).await.must(), first);
    let revoking = RevokeToken { key: issuing.key, ..revoking(&lab, alice, id(&first)) };
    assert_refused!(lab.store.revoke_token(revoking).await, Refused::KeyReused);
}

// cites: TOKEN-004
async fn a_token_ends_when_the_server_says_at_the_latest(lab: Lab) {
    let lab = lab.limited(|limits| limits.max_token_lifetime_s = 60).await;
    let alice = lab.register("alice").await;
    let latest = lab.now() + 60_000;
    for (asked, ends) in
        [(0, latest), (7, 7), (latest - 1, latest - 1), (latest + 1, latest), (u64::MAX, latest)]
    {
        let issuing = IssueToken { expires_ms: asked, ..issuing(&lab, alice) };
        assert_eq!(lab.store.issue_token(issuing).await.must().expires_ms, ends);
    }
    let lab = lab.limited(|limits| limits.max_token_lifetime_s = u64::MAX).await;
    let issuing = IssueToken { expires_ms: u64::MAX, ..issuing(&lab, alice) };
    let issued = lab.store.issue_token(issuing).await.must();
    let found = lab.store.find_token(id(&issued)).await.must().expect("it is there");
    assert_eq!(found.expires_ms, issued.expires_ms, "however long");
}

// cites: TOKEN-011, TOKEN-018
async fn tokens_and_devices_have_limits_of_their_own(lab: Lab) {
    let limit = |limits: &mut v1::Limits| {
        (limits.max_tokens_per_user, limits.max_devices_per_user) = (2, 2);
    };
    let lab = lab.limited(limit).await;
    let (alice, bob) = (lab.register("alice").await, lab.register("bob").await);
    let first = issue(&lab, alice).await;
    issue(&lab, alice).await;
    lab.advance(3_600_000);
    let late = lab.store.issue_token(issuing(&lab, alice)).await;
    assert_refused!(late, Refused::TooManyTokens);
    issue(&lab, bob).await;
    lab.store.bind_device(binding(&lab, alice)).await.must();
    assert_refused!(lab.store.bind_device(binding(&lab, alice)).await, Refused::TooManyDevices);
    lab.store.revoke_token(revoking(&lab, alice, first)).await.must();
    issue(&lab, alice).await;
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

// cites: TOKEN-017
async fn a_key_that_a_device_has_is_no_tokens(lab: Lab) {
    let registration = lab.registration("alice");
    let alice = lab.store.register(registration.clone()).await.must();
    let alice = Actor { user: alice.user, device: alice.device };
    let bob = lab.register("bob").await;
    for actor in [alice, bob] {
        let taken = IssueToken { public_key: registration.public_key, ..issuing(&lab, actor) };
        assert_refused!(lab.store.issue_token(taken).await, Refused::PublicKeyBound);
    }
    let first = issuing(&lab, alice);
    let token = id(&lab.store.issue_token(first.clone()).await.must());
    lab.store.revoke_token(revoking(&lab, alice, token)).await.must();
    let again = IssueToken { public_key: first.public_key, ..issuing(&lab, alice) };
    assert_refused!(lab.store.issue_token(again).await, Refused::PublicKeyBound);
}

// cites: TOKEN-015
async fn a_tokens_key_binds_no_device(lab: Lab) {
    let alice = lab.register("alice").await;
    let issuing = issuing(&lab, alice);
    lab.store.issue_token(issuing.clone()).await.must();
    let binding = BindDevice { public_key: issuing.public_key, ..binding(&lab, alice) };
    assert_refused!(lab.store.bind_device(binding).await, Refused::PublicKeyBound);
    let register = crate::Register { public_key: issuing.public_key, ..lab.registration("eve") };
    assert_refused!(lab.store.register(register).await, Refused::PublicKeyBound);
}

// cites: TOKEN-012, TOKEN-016
async fn a_revoked_token_is_a_revoked_device(lab: Lab) {
    let alice = lab.register("alice").await;
    let (one, two) = (issue(&lab, alice).await, issue(&lab, alice).await);
    lab.effects();
    let first = revoking(&lab, alice, one);
    lab.store.revoke_token(first.clone()).await.must();
    let Actor { user, device } = alice;
    lab.store
        .revoke_device(RevokeDevice { key: lab.key(), user, device, target: two })
        .await
        .must();
    let revoked = [one, two].map(|device| Effect::DeviceRevoked { device });
    assert_eq!(lab.effects(), revoked);
    for token in [one, two] {
        assert_refused!(lab.store.attach(user, token, 1).await, Refused::DeviceRevoked);
        let found = lab.store.find_token(token).await.must();
        assert!(found.expect("still known").is_revoked);
    }
    assert_eq!(lab.store.list_tokens(user).await.must().tokens, []);
    assert_eq!(lab.store.revoke_token(first).await.must(), v1::TokenRevoked {}, "a retry");
    assert_eq!(lab.effects(), []);
}

// cites: TOKEN-013
async fn only_tokens_of_the_account_are_revoked(lab: Lab) {
    let (alice, bob) = (lab.register("alice").await, lab.register("bob").await);
    let token = issue(&lab, alice).await;
    let unknown = DeviceId::new(lab.bytes());
    for (actor, target) in [(bob, token), (alice, alice.device), (alice, unknown)] {
        let refused = lab.store.revoke_token(revoking(&lab, actor, target)).await;
        assert_refused!(refused, Refused::NoSuchToken);
    }
    lab.store.revoke_token(revoking(&lab, alice, token)).await.must();
    let again = lab.store.revoke_token(revoking(&lab, alice, token)).await;
    assert_refused!(again, Refused::NoSuchToken);
}

// cites: TOKEN-016
async fn a_new_password_revokes_tokens_too(lab: Lab) {
    let alice = lab.register("alice").await;
    let token = issue(&lab, alice).await;
    let change = ChangePassword {
        key: lab.key(),
        user: alice.user,
        device: alice.device,
        verified_hash: "$hash$alice".to_owned(),
        new_hash: "$hash$new".to_owned(),
    };
    assert_eq!(lab.store.change_password(change).await.must().revoked_devices, 1);
    assert!(lab.store.find_token(token).await.must().expect("known").is_revoked);
}

// cites: TOKEN-020
async fn a_name_is_one_live_tokens(lab: Lab) {
    let (alice, bob) = (lab.register("alice").await, lab.register("bob").await);
    let named = |actor| IssueToken { name: "bot".to_owned(), ..issuing(&lab, actor) };
    let first = named(alice);
    let token = id(&lab.store.issue_token(first.clone()).await.must());
    assert_refused!(lab.store.issue_token(named(alice)).await, Refused::TokenNameTaken);
    lab.store.issue_token(named(bob)).await.must();
    assert_eq!(id(&lab.store.issue_token(first).await.must()), token, "a retry");
    lab.store.revoke_token(revoking(&lab, alice, token)).await.must();
    lab.store.issue_token(named(alice)).await.must();
    lab.advance(5_000);
    lab.store.issue_token(named(alice)).await.must();
}
