//! directs.json.

use aside_crypto::{Hash, direct_id, label};
use aside_proto::id::{UserId, uuid_v8};
use serde_json::Value;

use super::{
    file::{File, Vector},
    material::id,
};

const DESCRIPTION: &str = "The id of the DIRECT of two users, whichever of them is named first. An invalid vector has another id: a \
    mistake to check against.";

type Id = [u8; 16];

pub(super) fn file() -> File {
    let (alice, bob) = (id(1, 0xa1), id(2, 0xb2));
    let (mut high_bit, mut other) = (alice, alice);
    high_bit[0] |= 0x80;
    other[15] ^= 1;
    let mut hash_alone = [0; 16];
    hash_alone.copy_from_slice(&hashed(other, alice)[..16]);
    File::new(
        "directs",
        DESCRIPTION,
        vec![
            right("lower-first", alice, bob),
            right("higher-first", bob, alice),
            // Compared as bytes without a sign.
            right("a-first-byte-above-127", high_bit, bob),
            right("the-last-byte-decides", alice, other),
            wrong("in-the-order-given", (bob, alice), uuid_v8(&hashed(bob, alice))),
            wrong("compared-with-a-sign", (high_bit, bob), uuid_v8(&hashed(high_bit, bob))),
            wrong("without-version-and-variant", (other, alice), hash_alone),
        ],
    )
}

fn hashed(one: Id, other: Id) -> Hash {
    label::hash(label::DIRECT, &[&one, &other])
}

fn right(name: &str, one: Id, other: Id) -> Value {
    let conversation = direct_id(UserId::new(one), UserId::new(other));
    vector(name, (one, other), *conversation.as_bytes()).valid()
}

fn wrong(name: &str, users: (Id, Id), conversation: Id) -> Value {
    vector(name, users, conversation).invalid("conversation_id")
}

fn vector(name: &str, (one, other): (Id, Id), conversation: Id) -> Vector {
    Vector::new(name, &["PRIV-003"])
        .bytes("user_id", one)
        .bytes("other_user_id", other)
        .bytes("conversation_id", conversation)
}
