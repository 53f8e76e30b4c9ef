//! franking.json.

use aside_crypto::FrankingKey;
use serde_json::Value;

use super::{
    file::{File, Vector},
    material::{counting, flipped},
};

const DESCRIPTION: &str = "Franking tags as whoever receives or is shown a message judges them. content is the bytes of a Content. \
    Reason: tag.";

pub(super) const CONTENT: &[u8] = b"\x0a\x0d\x0a\x0bHello, Bob!";

pub(super) fn file() -> File {
    File::new("franking", DESCRIPTION, valid().into_iter().chain(invalid()).collect())
}

pub(super) fn key() -> FrankingKey {
    FrankingKey::from_bytes(counting(0x30))
}

fn vector(id: &str, requirements: &[&str], key: &[u8], content: &[u8], tag: &[u8]) -> Vector {
    Vector::new(id, requirements).bytes("key", key).bytes("content", content).bytes("tag", tag)
}

fn valid() -> Vec<Value> {
    let of = |id: &str, key: [u8; 32], content: &[u8]| {
        let tag = FrankingKey::from_bytes(key).tag(content);
        vector(id, &["FRANK-001", "CONV-007"], &key, content, &tag).valid()
    };
    vec![
        of("text", counting(0x30), CONTENT),
        of("key-of-zeros", [0; 32], CONTENT),
        of("content-of-one-byte", counting(0x30), &[0]),
        of("long-content", counting(0x30), &counting::<256>(0).repeat(4)),
    ]
}

fn invalid() -> Vec<Value> {
    let tag = key().tag(CONTENT);
    let refuse = |id: &str, key: &[u8; 32], content: &[u8], tag: &[u8]| {
        vector(id, &["FRANK-002"], key, content, tag).invalid("tag")
    };
    let usual = |id: &str, tag: &[u8]| refuse(id, key().as_bytes(), CONTENT, tag);
    vec![
        refuse("another-content", key().as_bytes(), b"\x0a\x0d\x0a\x0bHello, Eve!", &tag),
        refuse("content-longer", key().as_bytes(), &[CONTENT, &[0]].concat(), &tag),
        refuse("another-key", &counting(0x31), CONTENT, &tag),
        usual("first-bit-flipped", &flipped(&tag, 0)),
        usual("last-byte-flipped", &flipped(&tag, 31)),
        usual("tag-cut", &tag[..16]),
        usual("no-tag", b""),
        usual("tag-longer", &[&tag[..], &[0]].concat()),
    ]
}
