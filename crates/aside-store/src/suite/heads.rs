//! Heads, and the key that signs them.

use aside_crypto::chain_start;
use aside_proto::v1;
use bytes::Bytes;
use zeroize::Zeroizing;

use super::{Lab, Must as _, assert_refused, list};
use crate::{HeadState, LogKey, LogKeys, Refused, SetLogKey};

list![
    a_head_is_what_the_log_ends_with,
    a_head_is_never_stated_twice_differently,
    log_keys_follow_each_other
];

// cites: HEAD-001, HEAD-002
async fn a_head_is_what_the_log_ends_with(lab: Lab) {
    let alice = lab.register("alice").await;
    let room = lab.create(alice, "den").await;
    for number in 0..5 {
        let sent = lab.send(alice, room, &number.to_string()).await;
        let log = lab.log(alice.user, room).await;
        let chain = log.last().expect("entries").chain;
        let expected =
            HeadState { first_seq: 1, anchor: chain_start(room), head_seq: sent.seq, chain };
        assert_eq!(lab.store.head(alice.user, room).await.must(), expected);
    }
}

// cites: HEAD-006
async fn a_head_is_never_stated_twice_differently(lab: Lab) {
    let alice = lab.register("alice").await;
    let room = lab.create(alice, "den").await;
    lab.send(alice, room, "hello").await;
    let before = lab.store.head(alice.user, room).await.must();
    let late = lab.message(alice, room, "late");
    assert_refused!(
        lab.store.append(crate::Append { device: super::DeviceId::new(lab.bytes()), ..late }).await,
        Refused::DeviceRevoked
    );
    let limits = lab.limits;
    let lab = lab.reopen(limits).await;
    assert_eq!(lab.store.head(alice.user, room).await.must(), before);
    lab.send(alice, room, "on").await;
    let log = lab.log(alice.user, room).await;
    assert_eq!(log[before.head_seq as usize - 1].chain, before.chain);
}

// cites: HEAD-007, HELLO-014
async fn log_keys_follow_each_other(lab: Lab) {
    assert_eq!(lab.store.log_keys().await.must(), None);
    let keys = [0; 3]
        .map(|_| LogKey { public_key: lab.bytes(), private_key: Zeroizing::new(lab.bytes()) });
    let early = SetLogKey { key: keys[0].clone(), rotation_signature: Some([1; 64]) };
    assert_refused!(lab.store.set_log_key(early).await, Refused::LogKeyUnexpected);
    let first = SetLogKey { key: keys[0].clone(), rotation_signature: None };
    lab.store.set_log_key(first).await.must();
    let current = LogKeys { current: keys[0].clone(), rotations: vec![] };
    assert_eq!(lab.store.log_keys().await.must(), Some(current));

    let another = SetLogKey { key: keys[1].clone(), rotation_signature: None };
    assert_refused!(lab.store.set_log_key(another).await, Refused::LogKeyUnexpected);
    for (number, key) in (1..).zip(&keys[1..]) {
        let set = SetLogKey { key: key.clone(), rotation_signature: Some([number; 64]) };
        lab.store.set_log_key(set).await.must();
    }
    let limits = lab.limits;
    let lab = lab.reopen(limits).await;
    let rotation = |old: &LogKey, new: &LogKey, number: u8| v1::LogKeyRotation {
        old_key: old.public_key.to_vec().into(),
        new_key: new.public_key.to_vec().into(),
        signature: Bytes::from(vec![number; 64]),
    };
    let rotations = vec![rotation(&keys[0], &keys[1], 1), rotation(&keys[1], &keys[2], 2)];
    let expected = LogKeys { current: keys[2].clone(), rotations };
    assert_eq!(lab.store.log_keys().await.must(), Some(expected));
}
